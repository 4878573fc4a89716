"""
W24, J10: `workflow/subscribe` on real processes: the past and the present meet exactly, under load, over a crash, for a
run of another window, and in the moment of a deletion.
"""

from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.followed import Followed
from tests.protocol.host import LINES, QUICK, Host, errors, events_of, start_params
from tests.support.raw_client import RawClient, message_where, notification, response_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.expectations import Message

pytestmark = pytest.mark.slow

LOAD = 5000

# Twenty steps, and a line after each.
STEPS = """
from sidestep import command, log

async def main():
    for n in range(20):
        await command(["true"], id=f"step {n}")
        log(f"done {n}")
"""


def started(host: Host, **args: int) -> tuple[int, str]:
    number = host.client.request("workflow/start", start_params(LINES, args=args, events=False))
    told = host.client.expect(message_where(lambda m: m.get("params", {}).get("requestId") == number, "the run"))
    return number, told["params"]["runId"]


def check_meeting(host: Host, others: Sequence[RawClient], seed: int, lines: int) -> None:
    """The owner and the other windows subscribe at random cursors, again and again, while the run logs."""
    chance = random.Random(seed)
    number, run_id = started(host, after=lines)
    followed = [Followed(client, run_id) for client in (host.client, *others)]
    for follower in followed:
        follower.subscribe(0)
    host.open_gate()
    for _ in range(5):
        for follower in followed:
            follower.until(min(lines, follower.last + chance.randrange(1, lines // 10)))
            follower.subscribe(chance.randrange(follower.last + 1))
    result = host.client.expect(response_to(number), within_s=50)["result"]
    assert result["status"] == "completed"
    assert result["sequence"] > lines
    for follower in followed:
        parts = follower.until(result["sequence"])
        assert parts[-1][-1] == result["sequence"]
        assert not [m for m in follower.client.messages if m.get("method") == "workflow/lagged"]


@pytest.mark.timeout(120)
def test_w24_j10_three_windows_subscribe_at_random_cursors_while_a_run_logs(host: Host) -> None:
    with host.connect() as second, host.connect() as third:
        check_meeting(host, [second, third], seed=24, lines=LOAD)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_w24_many_meetings_under_load(host: Host, seed: int) -> None:
    with host.connect() as second, host.connect() as third:
        check_meeting(host, [second, third], seed=seed, lines=LOAD)


def test_w24_an_old_cursor_gets_the_past_in_pages_and_a_cursor_ahead_is_refused(host: Host) -> None:
    number, run_id = started(host, before=1000)
    host.open_gate()
    last = host.client.expect(response_to(number))["result"]["sequence"]
    follower = Followed(host.client, run_id)
    for cursor in (0, 1, last - 201, last - 200, last - 1, last):
        begun = follower.subscribe(cursor)
        assert (begun["run"]["runId"], begun["run"]["sequence"], begun["pending"]) == (run_id, last, [])
        assert len(begun["events"]) == min(200, last - cursor)
        assert follower.until(last)[-1] == list(range(cursor + 1, last + 1))
    batches = [m["params"]["events"] for m in host.client.messages if m.get("method") == "workflow/eventsAppended"]
    assert max(len(batch) for batch in batches) == 50
    mark = host.client.mark()
    refused = host.client.error("workflow/subscribe", {"runId": run_id, "afterSequence": last + 1})
    assert (refused["code"], refused["data"]["path"]) == (-32602, "$.afterSequence")
    assert refused["data"]["expected"].startswith(f"at most {last}")
    assert host.client.error("workflow/subscribe", {"runId": run_id, "afterSequence": -1})["code"] == -32602
    assert host.client.error("workflow/subscribe", {"runId": "run_none"})["data"]["reason"] == "runNotFound"
    assert [m for m in host.client.messages[mark:] if "method" in m] == []


@pytest.mark.parametrize("crossing", [8, *(pytest.param(n, marks=pytest.mark.soak) for n in range(9, 40, 3))])
def test_w24_killed_between_durable_and_told_the_cursor_finds_what_was_not_told(tmp_path: Path, crossing: int) -> None:
    """The server dies when memory knows of a commit and the host does not: the journal is ahead of what was told."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    os.mkfifo(folder / "gate")
    store = tmp_path / "s.db"
    armed = ["-m", "tests.crash.armed_server", "--point=before-notify", f"--crossing={crossing}", "--"]
    with RawClient([sys.executable, *armed, "--stdio", f"--store={store}"], cwd=os.getcwd()) as client:
        client.initialize(folders=[folder])
        client.request("workflow/start", start_params(STEPS, events=False))
        run_id = client.expect(notification("workflow/statusChanged"))["params"]["runId"]
        before = Followed(client, run_id)
        before.ask(0)
        client.wait_stdout_end()
        cursor = before.last
    with RawClient.spawn(store=store) as later:
        later.initialize(folders=[folder], options={"autoResume": False})
        after = Followed(later, run_id)
        begun = after.subscribe(cursor)
        assert begun["run"]["status"] == "interrupted"
        # At least what was not told, and that it was interrupted.
        assert len(begun["events"]) >= 2
        result = later.result("workflow/resume", {"runId": run_id})
        assert result["status"] == "completed"
        assert after.until(result["sequence"]) == [list(range(cursor + 1, result["sequence"] + 1))]


def test_w24_over_a_sigkill_under_load_there_is_no_gap_and_no_duplicate(host: Host) -> None:
    _, run_id = started(host, after=LOAD // 2)
    before = Followed(host.client, run_id)
    before.subscribe(0)
    host.open_gate()
    before.until(500)
    host.client.kill()
    host.client.wait_stdout_end()
    cursor = before.last
    (told,) = before.parts()
    with host.connect() as later:
        after = Followed(later, run_id)
        begun = after.subscribe(cursor)
        assert begun["run"]["sequence"] >= cursor
        result = later.result("workflow/resume", {"runId": run_id})
        assert result["status"] == "completed"
        (rest,) = after.until(result["sequence"])
        assert told + rest == list(range(1, result["sequence"] + 1))
        # G1: what was told before the crash is what the journal holds.
        page = later.result("workflow/events", {"runId": run_id, "limit": 500})["events"]
        live = events_of(host.client, run_id)[:400]
        assert page[live[0]["sequence"] - 1 :][: len(live)] == live


def test_w24_unsubscribed_nothing_of_it_comes_any_more_and_statuses_do(host: Host) -> None:
    number, run_id = started(host, after=20)
    begun = Followed(host.client, run_id).subscribe(0)
    assert host.client.result("workflow/unsubscribe", {"runId": run_id}) == {}
    assert host.client.result("workflow/unsubscribe", {"runId": run_id}) == {}
    assert host.client.result("workflow/unsubscribe", {"runId": "run_none"}) == {}
    host.open_gate()
    result = host.client.expect(response_to(number))["result"]
    host.client.expect(notification("workflow/statusChanged", runId=run_id, status="completed"))
    told = events_of(host.client, run_id)
    live_from = begun["liveFromSequence"]
    assert [event["sequence"] for event in told] == list(range(live_from, live_from + len(told)))
    assert len(told) < result["sequence"] - live_from
    # Both in one write: the last word counts.
    host.client.send(
        {"id": "s", "method": "workflow/subscribe", "params": {"runId": run_id}},
        {"id": "u", "method": "workflow/unsubscribe", "params": {"runId": run_id}},
    )
    assert len(host.client.expect(response_to("s"))["result"]["events"]) == result["sequence"]
    host.client.expect(response_to("u"))


def test_w24_in_the_moment_of_its_deletion_a_run_is_there_or_is_not(host: Host) -> None:
    """Whatever the order: `workflow/deleted` is the last word about the run, and is said once."""
    with host.connect() as other:
        for turn in range(6):
            run_id = host.client.result("workflow/start", start_params(QUICK, events=False))["runId"]
            subscribe: Message = {"id": f"s{turn}", "method": "workflow/subscribe", "params": {"runId": run_id}}
            delete: Message = {"id": f"d{turn}", "method": "workflow/delete", "params": {"runId": run_id}}
            if turn % 3 == 2:
                other.send({**delete, "id": turn + 10_000})
                host.client.send(subscribe)
            else:
                host.client.send(*([subscribe, delete] if turn % 3 else [delete, subscribe]))
            answer = host.client.expect(response_to(f"s{turn}"))
            host.client.expect(notification("workflow/deleted", runId=run_id))
            if "error" in answer:
                assert errors([answer])[0][1:] == (-31002, "runNotFound")
            check_last_word(host, run_id, answer)


def check_last_word(host: Host, run_id: str, answer: Message) -> None:
    # Whatever is still on its way comes before the answer to another run's whole life.
    host.client.result("workflow/start", start_params(QUICK, events=False))
    about: list[Any] = [m for m in host.client.messages if m.get("params", {}).get("runId") == run_id or m is answer]
    words = [m.get("method", "answer") for m in about]
    assert words.count("workflow/deleted") == 1
    rest = words[words.index("workflow/deleted") + 1 :]
    # A refusal may come after it; an answer that shows the run may not.
    assert rest == ["answer"] * ("error" in answer and bool(rest)), words


def test_w24_a_subscription_goes_on_over_stop_and_resume_here_and_in_another_window(host: Host) -> None:
    with host.connect() as other:
        number, run_id = started(host, before=5, after=5)
        followed = [Followed(client, run_id) for client in (host.client, other)]
        for follower in followed:
            follower.subscribe(0)
        host.client.expect(notification("workflow/statusChanged", runId=run_id, status="running"))
        assert other.result("workflow/interrupt", {"runId": run_id})["quiescent"]
        host.client.expect(response_to(number))
        resumed = other.request("workflow/resume", {"runId": run_id})
        host.client.expect(notification("workflow/statusChanged", runId=run_id, status="running"), since=0)
        host.open_gate()
        end = other.expect(response_to(resumed))["result"]["sequence"]
        for follower in followed:
            assert follower.until(end) == [list(range(1, end + 1))]
