"""J10, G4: a run that is resumed in another window, right after its interrupt, is followed there as was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.raw_client import RawClient, message_where, notification, response_to

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# The first time it works until it is told to end, and takes a moment to; the second time it is done at once.
WORK = """
from sidestep import command

ONCE = "[ -e again ] || { touch again; trap 'sleep 0.3; exit 1' TERM; while :; do sleep 0.05; done; }"

async def main():
    await command(["sh", "-c", ONCE], id="work")
    await command(["true"], id="after")
"""


def of_step(message: dict[str, Any], step_id: str) -> bool:
    events = message["params"]["events"] if message.get("method") == "workflow/eventsAppended" else []
    return any(event.get("stepId") == step_id for event in events)


def test_j10_a_resume_in_another_window_is_followed_from_its_claim(tmp_path: Path) -> None:
    """The word that the old owner let go comes before the claim, and is about the execution before."""
    folder = tmp_path / "folder"
    folder.mkdir()
    store = tmp_path / "store.db"
    with RawClient.spawn(store=store) as owner, RawClient.spawn(store=store) as other:
        for client in (owner, other):
            client.initialize(folders=[folder], workflow={"events": True})
            # From this answer on nothing of the other window is missed.
            client.result("workflow/list", {})
        owner.request("workflow/start", {"script": {"source": WORK, "name": "test"}, "events": True})
        run_id = owner.expect(notification("workflow/eventsAppended"))["params"]["runId"]
        owner.expect(message_where(lambda message: of_step(message, "work"), "the work has begun"))
        other.expect(notification("workflow/statusChanged", runId=run_id, status="running"))
        other.result("workflow/interrupt", {"runId": run_id, "wait": "durable"})
        mark = other.mark()
        number = other.request("workflow/resume", {"runId": run_id, "events": True, "workDoneToken": "token"})
        assert other.expect(response_to(number))["result"]["status"] == "completed"
        told = other.messages[mark:]
        batches = [
            message["params"]["events"] for message in told if message.get("method") == "workflow/eventsAppended"
        ]
        sequences = [event["sequence"] for batch in batches for event in batch]
        assert sequences == list(range(sequences[0], sequences[-1] + 1))
        assert [event["status"] for batch in batches for event in batch if event["type"] == "status"] == [
            "running",
            "completed",
        ]
        progress = [message["params"]["value"]["kind"] for message in told if message.get("method") == "$/progress"]
        assert (progress[0], progress[-1]) == ("begin", "end")
        quiescent = [
            message
            for message in other.messages
            if message.get("method") == "workflow/statusChanged"
            and message["params"]["status"] == "interrupted"
            and message["params"].get("quiescent")
        ]
        assert len(quiescent) <= 1, "told once (G5)"
