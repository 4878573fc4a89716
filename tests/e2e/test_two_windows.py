"""Two real servers on one store: each is told what the other's runs do without an event. I4, I9, G5, J10."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.raw_client import RawClient, notification, response_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

QUICK = """
async def main():
    return "done"
"""

# Does not react to TERM: unwinding takes until it is killed, so that the interrupt and the release are two commits.
STUBBORN = """
from sidestep import command

async def main():
    await command(["sh", "-c", "trap '' TERM; echo begun > gate; while :; do sleep 0.1; done"], id="stubborn")
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    os.mkfifo(folder / "gate")
    return folder


@pytest.fixture
def windows(tmp_path: Path, workspace: Path) -> Iterator[tuple[RawClient, RawClient]]:
    store = tmp_path / "store.db"
    with RawClient.spawn(store=store) as first, RawClient.spawn(store=store) as second:
        for client in (first, second):
            client.initialize(folders=[workspace])
            # Whoever wants to know what was before asks; from its answer on nothing of the others is missed.
            client.result("workflow/list", {})
        yield first, second


def start(client: RawClient, source: str) -> int:
    return client.request("workflow/start", {"script": {"source": source, "name": "test"}, "events": True})


def count(client: RawClient, run_id: str) -> int:
    return sum(m.get("method") == "workflow/deleted" and m["params"]["runId"] == run_id for m in client.messages)


def test_a_deleted_run_is_told_to_both_windows_once(windows: tuple[RawClient, RawClient]) -> None:
    first, second = windows
    run_id = first.expect(response_to(start(first, QUICK)))["result"]["runId"]
    second.expect(notification("workflow/statusChanged", runId=run_id, status="completed"))
    assert second.result("workflow/delete", {"runId": run_id}) == {}
    first.expect(notification("workflow/deleted", runId=run_id))
    # Another run's end comes after everything about this one.
    again = first.expect(response_to(start(first, QUICK)))["result"]["runId"]
    second.expect(notification("workflow/statusChanged", runId=again, status="completed"))
    assert (count(first, run_id), count(second, run_id)) == (1, 1)


def test_i4_the_other_window_learns_that_an_interrupted_run_is_quiescent(
    windows: tuple[RawClient, RawClient], workspace: Path
) -> None:
    first, second = windows
    begun = start(first, STUBBORN)

    # Opens when the command has written into it: its trap is set.
    assert (workspace / "gate").read_text() == "begun\n"
    run_id = first.expect(notification("workflow/statusChanged", status="running"))["params"]["runId"]
    # Asked for in the window that does not own it.
    answer = second.result("workflow/interrupt", {"runId": run_id, "wait": "durable"})
    assert answer["status"] == "interrupted"
    told = second.expect(notification("workflow/statusChanged", runId=run_id, quiescent=True))
    assert told["params"]["status"] == "interrupted"
    assert first.expect(response_to(begun))["result"]["reason"] == "user"
    # And so it can be gone on with here.
    assert second.result("workflow/get", {"runId": run_id})["run"]["status"] == "interrupted"
    assert second.result("workflow/delete", {"runId": run_id}) == {}
    first.expect(notification("workflow/deleted", runId=run_id))
    statuses = [
        message["params"]
        for message in second.messages
        if message.get("method") == "workflow/statusChanged" and message["params"]["runId"] == run_id
    ]
    stops = [status.get("quiescent", False) for status in statuses if status["status"] == "interrupted"]
    assert stops == [False, True]
