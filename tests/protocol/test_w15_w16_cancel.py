"""W15, W16: `$/cancelRequest` at every moment. Exactly one answer, and it says what the journal says."""

from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.host import GATED, Host, errors, frame, said, start_params, step_event
from tests.support.raw_client import RawClient, notification, response_to

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.expectations import Expectation, Message

pytestmark = pytest.mark.slow

TWO_STEPS = """
from sidestep import command, log

async def main():
    await command(["true"], id="one")
    log("between")
    await command(["true"], id="two")
    return "done"
"""


def check_agreement(host: Host, answer: Message) -> str:
    """The answer, the journal and the last status told agree; returns what became of the run."""
    if "result" in answer:
        run_id, status = answer["result"]["runId"], answer["result"]["status"]
        assert status == "completed"
    else:
        assert (answer["error"]["code"], answer["error"]["data"]["reason"]) == (-32800, "requestCancelled")
        run_id, status = answer["error"]["data"]["runId"], answer["error"]["data"].get("status")
        if run_id is None:
            return "no run"
        assert status == "interrupted"
        assert answer["error"]["data"]["resumable"] is True
    run = host.run(run_id)
    assert run["status"] == status
    assert run.get("reason") == ("cancelled" if status == "interrupted" else None)
    told = [m["params"] for m in host.client.messages if m.get("method") == "workflow/statusChanged"]
    assert [each["status"] for each in told if each["runId"] == run_id][-1] == status
    events = host.client.result("workflow/events", {"runId": run_id})["events"]
    stops = [e["status"] for e in events if e["type"] == "status" and e["status"] in ("interrupted", "completed")]
    assert stops == [status]
    # The same number of answers for each id: one.
    answers = [m["id"] for m in host.client.messages if "method" not in m]
    assert len(answers) == len(set(answers))
    return str(status)


def test_w15_cancels_that_mean_nothing_are_ignored(shared: Host) -> None:
    client = shared.client
    done = client.request("workflow/health")
    client.expect(response_to(done))
    mark = client.mark()
    for meant in (done, done, 4711, "4711", "sidestep-1", "", -1, 2**60, None, 1.5, True, [1], {}):
        client.cancel(meant)  # pyright: ignore[reportArgumentType] -- ids that are none, on purpose
    client.notify("$/cancelRequest", {})
    client.send({"method": "$/cancelRequest"}, {"method": "$/cancelRequest", "params": [done]})
    # Nor does one that comes before its request touch it.
    client.cancel("later")
    client.send({"id": "later", "method": "workflow/health", "params": {}})
    assert "result" in client.expect(response_to("later"), since=mark)
    assert said(client, b"") == []
    assert len([m for m in client.messages[mark:] if "method" not in m]) == 2


def test_w15_in_the_same_write_the_run_is_not_there_or_is_interrupted(host: Host) -> None:
    cancels = {"method": "$/cancelRequest", "params": {"id": "start"}}
    mark = host.client.mark()
    host.client.send({"id": "start", "method": "workflow/start", "params": start_params(GATED)}, cancels, cancels)
    answer = host.client.expect(response_to("start"), since=mark)
    outcome = check_agreement(host, answer)
    runs = host.runs()
    assert (outcome, len(runs)) in (("no run", 0), ("interrupted", 1))


def test_w15_a_reader_that_is_cancelled_in_the_same_write_is_answered_once(shared: Host) -> None:
    for method in ("workflow/list", "workflow/scripts", "textDocument/none", "workflow/interrupt"):
        shared.client.send(
            {"id": f"x {method}", "method": method, "params": {"runId": "run_none"}},
            {"method": "$/cancelRequest", "params": {"id": f"x {method}"}},
        )
        answer = shared.client.expect(response_to(f"x {method}"))
        code = answer["error"]["code"]
        # What is vital is carried out, what is unknown was refused before the cancel came.
        assert code == {"workflow/interrupt": -31002, "textDocument/none": -32601}.get(method, -32800)


def test_w15_cancelled_twice_and_after_the_answer_one_answer_and_one_interrupt(host: Host) -> None:
    number, run_id = host.gated()
    host.client.cancel(number)
    host.client.cancel(number)
    assert check_agreement(host, host.client.expect(response_to(number))) == "interrupted"
    last = host.run(run_id)["sequence"]
    host.client.cancel(number)
    assert host.run(run_id)["sequence"] == last
    assert host.client.expect(response_to(number))["id"] == number


def test_w15_of_two_that_wait_one_is_let_go_and_the_last_one_interrupts(host: Host) -> None:
    params = start_params(GATED, startKey="k")
    first = host.client.request("workflow/start", params)
    run_id = host.step_begun("gated")
    second = host.client.request("workflow/start", {**params, "workDoneToken": "second"})
    # Its progress begins when it has found the run.
    host.client.expect(notification("$/progress", token="second"))
    host.client.result("workflow/health")
    host.client.cancel(first)
    data = host.client.expect(response_to(first))["error"]["data"]
    assert (data["runId"], data["status"], data["detached"]) == (run_id, "running", True)
    host.client.cancel(second)
    assert check_agreement(host, host.client.expect(response_to(second))) == "interrupted"


MOMENTS: dict[str, Any] = {
    "pending": notification("workflow/statusChanged", status="pending"),
    "running": notification("workflow/statusChanged", status="running"),
    "one started": step_event("one", "started"),
    "one completed": step_event("one", "completed"),
    "two completed": step_event("two", "completed"),
    "completed": notification("workflow/statusChanged", status="completed"),
}


def test_w16_a_cancel_at_any_moment_of_a_run_agrees_with_its_journal(shared: Host) -> None:
    outcomes: dict[str, str] = {}
    for name, moment in MOMENTS.items():
        outcomes[name] = check_cancelled_at(shared, moment)
    assert outcomes["completed"] == "completed"


def test_w16_cancelled_between_the_durable_end_and_the_answer_the_journal_wins(tmp_path: Path) -> None:
    host = Host(tmp_path, serve=False)
    command = [sys.executable, "-m", "tests.protocol.late_server", str(host.gate), f"--store={host.store}"]
    with RawClient(command, cwd=os.getcwd()) as host.client:
        host.client.initialize(folders=[host.folder])
        number = host.start(TWO_STEPS)
        host.client.expect(notification("workflow/statusChanged", status="completed"))
        host.client.cancel(number)
        host.client.cancel(number)
        # The cancels were read when this is answered.
        host.client.result("workflow/health")
        host.open_gate()
        assert check_agreement(host, host.client.expect(response_to(number))) == "completed"


def check_cancelled_at(host: Host, moment: Expectation) -> str:
    mark = host.client.mark()
    number = host.start(TWO_STEPS)
    host.client.expect(moment, since=mark)
    host.client.cancel(number)
    return check_agreement(host, host.client.expect(response_to(number), since=mark))


def check_random_cancels(host: Host, seed: int, rounds: int) -> set[str]:
    """Between the start and its cancel lie so many messages of others: a delay that needs no clock."""
    chance = random.Random(seed)
    outcomes: set[str] = set()
    for _ in range(rounds):
        number = host.client.new_id()
        request = {"jsonrpc": "2.0", "id": number, "method": "workflow/start", "params": start_params(TWO_STEPS)}
        for _ in range(chance.choice([0, 0, 1, 3, 10, 30])):
            host.client.result("workflow/health")
        host.client.send(request)
        for _ in range(chance.choice([0, 1, 2, 5, 10, 20, 40])):
            host.client.result("workflow/health")
        host.client.cancel(number)
        outcomes.add(check_agreement(host, host.client.expect(response_to(number))))
    return outcomes


def test_w16_cancels_that_race_the_completion(shared: Host) -> None:
    assert check_random_cancels(shared, seed=16, rounds=12) <= {"no run", "interrupted", "completed"}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_w16_many_cancels_that_race_the_completion(shared: Host, seed: int) -> None:
    assert check_random_cancels(shared, seed=seed, rounds=100) >= {"interrupted", "completed"}


def test_w15_an_unknown_request_cancelled_in_one_write_is_answered_as_unknown(shared: Host) -> None:
    cancel = frame('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"u"}}')
    unknown = frame('{"jsonrpc":"2.0","id":"u","method":"test/none"}')
    assert errors(said(shared.client, cancel + unknown + cancel + cancel)) == [("u", -32601, "methodNotFound")]
