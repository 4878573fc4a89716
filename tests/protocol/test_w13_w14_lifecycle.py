"""W13, W14: who may speak when, and methods nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host, errors, frame, said, start_params
from tests.support.raw_client import RawClient, count_of, response_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

INITIALIZE = {"processId": None, "rootUri": None, "capabilities": {}}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[RawClient]:
    """A server that was told nothing."""
    with RawClient.spawn(store=tmp_path / "s.db") as client:
        yield client


def test_w13_from_the_first_byte_to_exit(fresh: RawClient) -> None:
    check_before_initialize(fresh)
    # Bad params leave it uninitialized, and it may be tried again; once it has worked it may not.
    assert fresh.error("initialize", {"capabilities": 7})["code"] == -32602
    fresh.initialize()
    assert errors([fresh.call("initialize", INITIALIZE)])[0][1:] == (-32600, "reinitialize")
    fresh.notify("initialized")
    assert fresh.result("workflow/health")["status"] == "ok"
    fresh.result("shutdown")
    for method in ("workflow/health", "shutdown", "initialize", "test/none"):
        assert errors([fresh.call(method)])[0][1:] == (-32600, "afterShutdown")
    fresh.notify("workflow/taskProgress")
    fresh.notify("exit")
    assert fresh.exit_code() == 0


def check_before_initialize(fresh: RawClient) -> None:
    """Requests are refused, notifications dropped, and nothing is said beside the answers."""
    fresh.notify("initialized")
    fresh.notify("textDocument/didOpen", {"textDocument": {"uri": "file:///x", "text": ""}})
    fresh.cancel(1)
    for method in ("workflow/health", "shutdown", "test/none", "textDocument/hover"):
        assert errors([fresh.call(method)])[0][1:] == (-32002, "notInitialized")
    assert all("method" not in message for message in fresh.messages)


def test_w13_what_is_sent_right_behind_initialize_is_served_after_it_in_order(fresh: RawClient) -> None:
    fresh.send(
        {"id": 1, "method": "initialize", "params": INITIALIZE},
        {"id": 2, "method": "initialize", "params": INITIALIZE},
        {"id": 3, "method": "test/none", "params": {}},
        {"method": "initialized", "params": {}},
        {"id": 4, "method": "shutdown", "params": {}},
        {"id": 5, "method": "workflow/health", "params": {}},
        {"method": "exit"},
    )
    assert fresh.exit_code() == 0
    fresh.wait_stdout_end()
    answers = [message for message in fresh.messages if "method" not in message]
    assert sorted(answer["id"] for answer in answers) == [1, 2, 3, 4, 5]
    assert answers[0]["id"] == 1
    refused = {answer["id"]: answer["error"]["data"]["reason"] for answer in answers if "error" in answer}
    assert refused == {2: "reinitialize", 3: "methodNotFound", 5: "afterShutdown"}


def test_w13_nothing_starts_after_shutdown(host: Host, watcher: RawClient) -> None:
    host.client.send(
        {"id": "bye", "method": "shutdown", "params": {}},
        {"id": "late", "method": "workflow/start", "params": start_params()},
    )
    assert errors([host.client.expect(response_to("late"))])[0][1:] == (-32600, "afterShutdown")
    host.client.expect(response_to("bye"))
    host.client.notify("exit")
    assert host.client.exit_code() == 0
    assert host.runs(watcher) == []


@pytest.mark.parametrize("is_initialized", [False, True])
def test_w13_exit_without_shutdown_is_1(fresh: RawClient, is_initialized: bool) -> None:
    if is_initialized:
        fresh.initialize()
    fresh.notify("exit")
    assert fresh.exit_code() == 1


def test_w14_unknown_methods_are_answered_and_unknown_notifications_are_not(shared: Host) -> None:
    client = shared.client
    for method in (
        "test/none",
        "$/none",
        "$/cancelRequest",
        "",
        "workflow/",
        "Workflow/Health",
        "workflow/start ",
        "x" * 9000,
    ):
        (answer,) = said(client, frame(f'{{"jsonrpc":"2.0","id":"r","method":"{method}"}}'))
        assert errors([answer]) == [("r", -32601, "methodNotFound")]
        assert len(answer["error"]["message"]) < 300
    mark = client.mark()
    for method in ("test/none", "$/none", "$/setTraces", "", "workflow/start"):
        client.notify(method, {"x": 1})
    assert said(client, b"") == []
    assert [m for m in client.messages[mark:] if "method" in m] == []


def test_w14_a_request_sent_as_a_notification_does_nothing(shared: Host) -> None:
    shared.client.notify("workflow/start", start_params())
    assert shared.runs() == []
    assert shared.client.expect(count_of(lambda m: m.get("method") == "workflow/statusChanged", 0)) == []
