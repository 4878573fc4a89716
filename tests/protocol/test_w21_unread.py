"""
W21: a host that never reads while its runs log. The server's memory is bounded, the runs finish, what may not be
dropped arrives when the host reads again, and what was dropped is told and can be fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host, peak_bytes, resident_bytes, sequences_of, start_params
from tests.support.raw_client import count_of, response_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.expectations import Message

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
OUTBOUND_BYTES_MAX = 8 * MIB
# Measured: 1.6 times the queue, with 3 MiB of answers that are never dropped. Unbounded, it would be 3.4 times.
GROWTH_BYTES_MAX = 5 * OUTBOUND_BYTES_MAX // 2

# 2 x 30 x 8 KiB for each run: with 50 runs 24 MiB of events, which is three times the queue.
NOISY = """
from sidestep import command, log

async def main():
    for part in ("a", "b"):
        for n in range(30):
            log("x" * 8000)
        await command(["true"], id=part)
    # With the others' more than the room that refused events leave: answers are queued beyond the limit.
    return "r" * 60_000
"""
ANSWER_BYTES = 61_000
DOCUMENT = {"textDocument": {"uri": "file:///x", "languageId": "x", "version": 1, "text": ""}}


def ended(message: Message) -> bool:
    return message.get("method") == "workflow/statusChanged" and message["params"]["status"] == "completed"


def is_of(numbers: set[int]) -> Callable[[Message], bool]:
    return lambda message: "method" not in message and message["id"] in numbers


def check_unread(host: Host, runs: int) -> None:
    client = host.client
    # What is loaded late is loaded, and as many runs have been active at once: that costs memory by itself.
    client.notify("textDocument/didOpen", DOCUMENT)
    warming = {host.start(NOISY, events=False) for _ in range(runs)}
    client.expect(count_of(is_of(warming), runs))
    with host.connect() as other:
        before = resident_bytes(client.process.pid)
        mark = client.mark()
        client.pause_reading()
        numbers = {host.start(NOISY) for _ in range(runs)}
        # The other window is how this test knows that they end although nobody reads.
        other.expect(count_of(ended, runs), within_s=50)
        grown = resident_bytes(client.process.pid) - before
    # Answers are the host's own doing and never dropped: those of more than 50 runs come on top.
    bound = GROWTH_BYTES_MAX + (runs - 50) * ANSWER_BYTES
    assert grown < bound, f"{grown / MIB:.1f} MiB"
    health = client.request("workflow/health")
    client.resume_reading()
    # Every answer and every stopping status arrives.
    answers = client.expect(count_of(is_of(numbers), runs), since=mark)
    assert {answer["result"]["status"] for answer in answers} == {"completed"}
    assert len(client.expect(count_of(ended, runs), since=mark)) == runs
    assert client.expect(response_to(health))["result"]["queuedBytes"] < bound
    # Of its events each run has the first ones, without a gap, and then a word that there are more.
    lagged = lags(client.messages)
    assert lagged, "the queue was full"
    for answer in answers:
        run_id, last = answer["result"]["runId"], answer["result"]["sequence"]
        assert sequences_of(client, run_id) == list(range(1, lagged.get(run_id, last) + 1))
    check_caught_up(host, lagged)


def lags(messages: Sequence[Message]) -> dict[str, int]:
    """Runs and the last sequence before their lag; each lagged once."""
    told = [m["params"] for m in messages if m.get("method") == "workflow/lagged"]
    found = {params["runId"]: params["lastSequence"] for params in told}
    assert len(found) == len(told)
    return found


def check_caught_up(host: Host, lagged: dict[str, int]) -> None:
    """What they missed comes when they subscribe again from where they were told they are."""
    for run_id, last_sequence in list(lagged.items())[:3]:
        mark = host.client.mark()
        begun = host.client.result("workflow/subscribe", {"runId": run_id, "afterSequence": last_sequence})
        end = begun["run"]["sequence"]
        got = [event["sequence"] for event in begun["events"]]

        def reached(message: Message, run_id: str = run_id, end: int = end) -> bool:
            params = message.get("params", {})
            mine = message.get("method") == "workflow/eventsAppended" and params["runId"] == run_id
            return mine and params["events"][-1]["sequence"] == end

        if not got or got[-1] < end:
            host.client.expect(count_of(reached, 1), since=mark)
        assert got + sequences_of(host.client, run_id, mark) == list(range(last_sequence + 1, end + 1))
        assert host.client.result("workflow/unsubscribe", {"runId": run_id}) == {}


@pytest.mark.timeout(120)
def test_w21_50_runs_log_and_nobody_reads(host: Host) -> None:
    check_unread(host, runs=50)


@pytest.mark.soak
def test_w21_300_runs_log_and_nobody_reads(host: Host) -> None:
    """As bounded as 50: what grows with the runs are their statuses and answers."""
    check_unread(host, runs=300)


# Takes a while, and then says so outside of the wire.
LATER = """
from sidestep import command

async def main():
    for n in range(40):
        await command(["true"], id=f"step {n}")
    await command(["sh", "-c", "echo done > gate"], id="last")
"""


def test_w21_answers_that_nobody_reads_are_not_made(host: Host) -> None:
    """They are never dropped, and 200 of these are 180 MB: so they wait, and memory stays where it was."""
    client = host.client
    big = start_params("async def main():\n    return {'report': 'x' * 900_000}\n")
    run_id = client.result("workflow/start", big)["runId"]
    wanted = {"runId": run_id, "include": ["result"]}
    client.result("workflow/get", wanted)
    before = peak_bytes(client.process.pid)
    client.pause_reading()
    numbers = {client.request("workflow/get", wanted) for _ in range(200)}
    host.start(LATER)
    assert host.gate.read_text() == "done\n"
    client.resume_reading()
    answers = client.expect(count_of(is_of(numbers), len(numbers)))
    assert [answer for answer in answers if "error" in answer] == []
    grown = peak_bytes(client.process.pid) - before
    # Measured: three times the queue, for some of them are being made while the host reads.
    assert grown < 4 * OUTBOUND_BYTES_MAX, f"{grown / MIB:.1f} MiB"


def test_w21_a_host_that_reads_late_loses_no_status_of_any_run(host: Host) -> None:
    client = host.client
    client.pause_reading()
    numbers = {host.start(label=str(number)) for number in range(10)}
    client.resume_reading()
    client.expect(count_of(is_of(numbers), 10))
    for answer in [m for m in client.messages if is_of(numbers)(m)]:
        run_id = answer["result"]["runId"]
        told = [m["params"] for m in client.messages if m.get("method") == "workflow/statusChanged"]
        statuses = [params["status"] for params in told if params["runId"] == run_id]
        assert statuses == ["pending", "running", "completed"]
