"""W17: steps that ignore the signal, grandchildren, interrupts sent twice and at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.raw_client import notification, response_to

if TYPE_CHECKING:
    from tests.protocol.host import Host

pytestmark = pytest.mark.slow

# The command and its grandchild ignore TERM, HUP and INT; the grandchild holds the pipes and has a session of nobody's.
STUBBORN = """
from sidestep import command

async def main():
    script = "trap '' TERM HUP INT; (trap '' TERM HUP INT; echo $BASHPID > grandchild; while :; do sleep 1; done) & "
    script += "until [ -s grandchild ]; do :; done; "
    await command(["bash", "-c", script + "echo begun > gate; while :; do sleep 1; done"], id="stubborn")
"""

BUSY = """
async def main():
    while True:
        pass
"""


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_w17_a_group_that_ignores_term_is_gone_when_the_interrupt_answers(host: Host) -> None:
    number = host.start(STUBBORN)
    # Opens when the command has written into it: its traps are set.
    assert host.gate.read_text() == "begun\n"
    grandchild = int((host.folder / "grandchild").read_text())
    run_id = host.client.expect(notification("workflow/statusChanged", status="running"))["params"]["runId"]
    assert not has_ended(grandchild)
    # Three at once: all are answered, with one stop.
    asked = [host.client.request("workflow/interrupt", {"runId": run_id}) for _ in range(2)]
    asked.append(host.client.request("workflow/interrupt", {"runId": run_id, "wait": "durable"}))
    answers = [host.client.expect(response_to(each))["result"] for each in asked]
    assert [(a["status"], a["alreadyTerminal"]) for a in answers] == [("interrupted", False)] * 3
    assert [a["quiescent"] for a in answers[:2]] == [True, True]
    assert len({a["sequence"] for a in answers}) == 1
    assert has_ended(grandchild)
    result = host.client.expect(response_to(number))["result"]
    assert (result["status"], result["reason"]) == ("interrupted", "user")
    stops = [
        event
        for event in host.client.result("workflow/events", {"runId": run_id})["events"]
        if event["type"] == "status" and event["status"] == "interrupted"
    ]
    assert len(stops) == 1


def test_w17_a_busy_script_is_interrupted_and_others_are_served_meanwhile(host: Host) -> None:
    number = host.start(BUSY)
    run_id = host.client.expect(notification("workflow/statusChanged", status="running"))["params"]["runId"]
    assert host.client.result("workflow/health")["activeRuns"] == 1
    for _ in range(2):
        assert host.client.result("workflow/interrupt", {"runId": run_id})["quiescent"] is True
    assert host.client.expect(response_to(number))["result"]["status"] == "interrupted"
    assert host.client.result("workflow/health")["activeRuns"] == 0


def test_w17_an_interrupt_and_a_cancel_at_once_are_one_stop(host: Host) -> None:
    number, run_id = host.gated()
    host.client.send(
        {"id": "stop", "method": "workflow/interrupt", "params": {"runId": run_id}},
        {"method": "$/cancelRequest", "params": {"id": number}},
    )
    stop = host.client.expect(response_to("stop"))["result"]
    answer = host.client.expect(response_to(number))
    run = host.run(run_id)
    assert (stop["status"], run["status"]) == ("interrupted", "interrupted")
    # The journal's reason decides which of both the start is answered with.
    assert ("result" in answer) == (run["reason"] == "user")
