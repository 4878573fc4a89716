"""W25, P7: what hosts do with the questions of runs, over the wire: two windows, odd answers, a host that dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.host import events_of, start_params
from tests.support.raw_client import (
    RawClient,
    before,
    count_of,
    message_where,
    never,
    notification,
    response_to,
    server_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

ASK = """
from sidestep import ask

async def main():
    return {"report": await ask("Ship it?", id="ship", choices=["yes", "no"])}
"""
FORM = """
from sidestep import ask

async def main():
    schema = {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}}}
    return await ask("Which?", id="which", schema=schema)
"""


class Windows:
    """Windows of one workspace, each with a server on one store."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "workspace"
        self.folder.mkdir()
        self._store = root / "store.db"
        self._open: list[RawClient] = []

    def open(self, *, interacts: bool = True, name: str | None = None) -> RawClient:
        client = RawClient.spawn(store=self._store)
        self._open.append(client)
        uri = self.folder.resolve().as_uri()
        params: dict[str, Any] = {
            "processId": None,
            "rootUri": None,
            "capabilities": {
                "experimental": {"workflow": {"protocolVersions": [1], "interaction": interacts, "events": True}}
            },
            "workspaceFolders": [{"uri": uri, "name": "workspace"}],
            "initializationOptions": {"trust": {"folders": [uri]}, "autoResume": False},
        }
        if name is not None:
            params["clientInfo"] = {"name": name, "version": "1"}
        client.result("initialize", params)
        client.notify("initialized")
        # Its store is open now: from here on it is told.
        client.result("workflow/health")
        return client

    def close(self) -> None:
        for client in self._open:
            client.close()


@pytest.fixture
def windows(tmp_path: Path) -> Iterator[Windows]:
    made = Windows(tmp_path)
    yield made
    made.close()


def start(client: RawClient, source: str = ASK) -> int:
    return client.request("workflow/start", start_params(source))


def interact(client: RawClient, since: int = 0) -> tuple[str, dict[str, Any]]:
    """The next question: our answer's id, and what is asked."""
    message = client.expect(server_request("workflow/interact"), since=since)
    return message["id"], message["params"]


def answers_of(client: RawClient, run_id: str) -> list[tuple[str, Any]]:
    events = client.result("workflow/events", {"runId": run_id})["events"]
    return [(event["status"], event.get("answer")) for event in events if event["type"] == "interaction"]


def test_p7_a_question_is_asked_listed_counted_and_answered(windows: Windows) -> None:
    client = windows.open(name="An editor")
    number = start(client)
    request_id, asked = interact(client)
    run_id = asked["runId"]
    client.expect(message_where(lambda m: m.get("params", {}).get("summary", {}).get("pending") == 1))
    got = client.result("workflow/get", {"runId": run_id})
    listed = {key: asked[key] for key in ("interactionId", "runId", "stepId", "kind", "title", "choices")}
    assert [{**each, "askedAt": ""} for each in got["pending"]] == [{**listed, "askedAt": ""}]
    assert got["run"]["pending"] == 1
    subscribed = client.result("workflow/subscribe", {"runId": run_id})
    assert subscribed["pending"] == got["pending"]
    client.respond(request_id, {"answer": "no"})
    outcome = client.expect(response_to(number))["result"]
    assert outcome["result"]["report"] == "no"
    resolved = notification("workflow/interactionResolved", interactionId=asked["interactionId"], by="An editor")
    client.expect(before(resolved, notification("workflow/statusChanged", runId=run_id, status="completed")))
    (answered,) = [e for e in events_of(client, run_id) if e["type"] == "interaction" and e["status"] == "answered"]
    assert (answered["answer"], answered["by"]) == ("no", "An editor")
    assert client.result("workflow/get", {"runId": run_id})["pending"] == []


def test_w25_two_windows_answer_and_exactly_one_is_recorded(windows: Windows) -> None:
    first, second = windows.open(name="first"), windows.open(name="second")
    number = start(first)
    one, asked = interact(first)
    two, same = interact(second)
    assert same == asked, "asked while both listen, in whichever process"
    second.respond(two, {"answer": "yes"})
    first.respond(one, {"answer": "no"})
    report = first.expect(response_to(number))["result"]["result"]["report"]
    winner = {"yes": "second", "no": "first"}[report]
    for client in (first, second):
        told = client.expect(notification("workflow/interactionResolved", interactionId=asked["interactionId"]))
        assert told["params"]["by"] == winner
    assert answers_of(first, asked["runId"]) == [("asked", None), ("answered", report)]
    for client in (first, second):
        assert client.shut_down() == 0


def test_w25_answered_elsewhere_the_request_is_withdrawn_and_a_late_answer_is_ignored(windows: Windows) -> None:
    first, second = windows.open(), windows.open()
    number = start(first)
    one, asked = interact(first)
    interact(second)
    given = second.result("workflow/answer", {"interactionId": asked["interactionId"], "answer": "yes"})
    assert given == {"accepted": True, "recorded": "yes"}
    for client in (first, second):
        request_id = one if client is first else "sidestep-1"
        client.expect(notification("$/cancelRequest", id=request_id))
    # As LSP says of a request that was cancelled, and as some hosts do all the same.
    first.respond_error(one, -32800, "cancelled")
    first.respond(one, {"answer": "no"})
    assert first.expect(response_to(number))["result"]["result"]["report"] == "yes"
    again = first.result("workflow/answer", {"interactionId": asked["interactionId"], "answer": "no"})
    assert again == {"accepted": False, "recorded": "yes"}
    assert answers_of(first, asked["runId"]) == [("asked", None), ("answered", "yes")]


@pytest.mark.parametrize(
    "answer",
    [
        lambda client, request_id: client.respond_error(request_id, -32601, "no such method"),
        lambda client, request_id: client.respond_error(request_id, -32800, "closed"),
        lambda client, request_id: client.respond(request_id, None),
        lambda client, request_id: client.send({"id": request_id, "error": 7}),
        lambda client, request_id: client.respond("sidestep-99", {"answer": "yes"}),
        lambda client, request_id: client.respond(1, {"answer": "yes"}),
    ],
    ids=["unknown method", "cancelled", "null", "no error object", "another id", "a number"],
)
def test_w25_what_is_no_answer_leaves_the_question_open(
    windows: Windows, answer: Callable[[RawClient, str], None]
) -> None:
    client = windows.open()
    number = start(client)
    request_id, asked = interact(client)
    answer(client, request_id)
    assert client.result("workflow/get", {"runId": asked["runId"]})["run"]["pending"] == 1
    client.result("workflow/answer", {"interactionId": asked["interactionId"], "answer": "yes"})
    assert client.expect(response_to(number))["result"]["result"]["report"] == "yes"


@pytest.mark.parametrize("result", [{"answer": "maybe"}, {"answer": 7}, {}, [], "yes", {"answer": "\ud800"}])
def test_w25_garbage_is_told_and_asked_for_again_so_often_and_never_recorded(windows: Windows, result: Any) -> None:
    client = windows.open()
    number = start(client)
    mark = 0
    for _ in range(3):
        request_id, asked = interact(client, mark)
        mark = client.mark()
        client.respond(request_id, result)
    client.expect(
        message_where(lambda m: m.get("method") == "window/showMessage" and "runs answer" in m["params"]["message"])
    )
    run_id = asked["runId"]
    assert client.result("workflow/get", {"runId": run_id})["run"]["pending"] == 1
    requests = count_of(lambda m: m.get("method") == "workflow/interact", 3)
    assert [m["params"]["redelivery"] for m in client.expect(requests)] == [False, True, True]
    assert answers_of(client, run_id) == [("asked", None)]
    client.result("workflow/answer", {"interactionId": asked["interactionId"], "answer": "yes"})
    assert client.expect(response_to(number))["result"]["result"]["report"] == "yes"


def test_w25_an_answer_longer_than_any_message_is_told_and_asked_for_again(windows: Windows) -> None:
    """Its body is passed over, and the question must not wait for it for ever."""
    client = windows.open()
    number = start(client)
    request_id, _ = interact(client)
    mark = client.mark()
    client.respond(request_id, {"answer": "x" * (16 * 1024 * 1024)})
    again, asked = interact(client, mark)
    assert asked["redelivery"] is True
    client.respond(again, {"answer": "yes"})
    assert client.expect(response_to(number))["result"]["result"]["report"] == "yes"


@pytest.mark.parametrize(("wrong", "path"), [({}, ""), ({"port": "x"}, "/port"), ("7", ""), (None, ""), ([[[[]]]], "")])
def test_an_answer_that_does_not_fit_the_schema_is_refused_with_every_problem(
    windows: Windows, wrong: Any, path: str
) -> None:
    client = windows.open()
    number = start(client, FORM)
    request_id, asked = interact(client)
    assert asked["schema"]["required"] == ["port"]
    error = client.error("workflow/answer", {"interactionId": asked["interactionId"], "answer": wrong})
    assert (error["code"], error["data"]["reason"]) == (-31014, "answerInvalid")
    assert [problem["path"] for problem in error["data"]["problems"]] == [path]
    client.respond(request_id, {"answer": {"port": 7}})
    assert client.expect(response_to(number))["result"]["result"]["data"] == {"port": 7}


def test_workflow_answer_refuses_what_is_no_question_and_what_is_no_text(windows: Windows) -> None:
    client = windows.open()
    error = client.error("workflow/answer", {"interactionId": "ask_nothing", "answer": "yes"})
    assert (error["code"], error["data"]) == (-31011, {"reason": "interactionNotPending", "recorded": None})
    number = start(client, ASK.replace(', choices=["yes", "no"]', ""))
    _, asked = interact(client)
    body = f'{{"jsonrpc":"2.0","id":99,"method":"workflow/answer","params":{{"interactionId":"{asked["interactionId"]}"'
    client.send_body(f'{body},"answer":"a\\ud800b"}}}}'.encode())
    assert client.expect(response_to(99))["error"]["data"]["reason"] == "invalidParams"
    for missing in ({"answer": "yes"}, {"interactionId": asked["interactionId"]}, {"interactionId": 7, "answer": 1}):
        assert client.error("workflow/answer", missing)["data"]["reason"] == "invalidParams"
    client.send_body(f'{body},"answer":"\\ud83d\\ude00"}}}}'.replace('"id":99', '"id":100').encode())
    assert client.expect(response_to(100))["result"] == {"accepted": True, "recorded": "\N{GRINNING FACE}"}
    assert client.expect(response_to(number))["result"]["result"]["report"] == "\N{GRINNING FACE}"


@pytest.mark.parametrize("politely", [True, False])
def test_w25_a_client_that_dies_in_the_middle_loses_nothing(windows: Windows, politely: bool) -> None:
    """P7: the question survives the server, and is asked under the same id when the run goes on."""
    first = windows.open()
    start(first)
    _, asked = interact(first)
    if politely:
        first.close_stdin()
        assert first.exit_code() == 1
    else:
        first.kill()
    second = windows.open()
    run_id = asked["runId"]
    got = second.result("workflow/get", {"runId": run_id})
    assert (got["run"]["status"], len(got["pending"])) == ("interrupted", 1)
    # Its run is stopped, so nobody is asked yet.
    number = second.request("workflow/resume", {"runId": run_id, "events": True})
    message = second.expect(server_request("workflow/interact"))
    assert message["params"] == {**asked, "redelivery": True}
    running = notification("workflow/statusChanged", runId=run_id, status="running")
    second.expect(before(running, server_request("workflow/interact")))
    second.respond(message["id"], {"answer": "yes"})
    assert second.expect(response_to(number))["result"]["result"]["report"] == "yes"
    assert answers_of(second, run_id) == [("asked", None), ("answered", "yes")]


def test_p7_g5_an_answer_to_a_stopped_run_is_kept_and_nobody_is_asked_again(windows: Windows) -> None:
    client = windows.open()
    number = start(client)
    request_id, asked = interact(client)
    run_id, question = asked["runId"], asked["interactionId"]
    client.result("workflow/interrupt", {"runId": run_id})
    assert client.expect(response_to(number))["result"]["status"] == "interrupted"
    stopped = notification("workflow/statusChanged", runId=run_id, status="interrupted")
    client.expect(before(notification("$/cancelRequest", id=request_id), stopped))
    client.expect(before(notification("workflow/interactionResolved", interactionId=question, by="run"), stopped))
    mark = client.mark()
    assert client.result("workflow/answer", {"interactionId": question, "answer": "no"})["accepted"] is True
    told = client.expect(notification("workflow/interactionResolved", interactionId=question), since=mark)
    assert told["params"]["by"] == "host"
    again = client.request("workflow/resume", {"runId": run_id})
    assert (
        client.expect(never(server_request("workflow/interact"), response_to(again)), since=mark)["result"]["result"][
            "report"
        ]
        == "no"
    )
    assert answers_of(client, run_id) == [("asked", None), ("answered", "no")]


def test_p7_a_window_opened_later_is_asked_and_without_the_capability_with_a_message(windows: Windows) -> None:
    first = windows.open()
    number = start(first)
    _, asked = interact(first)
    later = windows.open()
    _, same = interact(later)
    assert same == {**asked, "redelivery": True}
    plain = windows.open(interacts=False)
    message = plain.expect(server_request("window/showMessageRequest"))
    assert message["params"]["actions"] == [{"title": "yes"}, {"title": "no"}]
    assert [m for m in plain.messages if m.get("method") == "workflow/interact"] == []
    plain.respond(message["id"], {"title": "yes"})
    assert first.expect(response_to(number))["result"]["result"]["report"] == "yes"
    later.expect(notification("$/cancelRequest"))
    for client in (first, later, plain):
        client.expect(notification("workflow/interactionResolved", interactionId=asked["interactionId"], by="host"))
        assert client.shut_down() == 0


def test_w25_a_host_that_never_answers_keeps_no_server_from_ending(windows: Windows) -> None:
    client = windows.open()
    start(client)
    interact(client)
    assert client.shut_down() == 0
