"""Steps, live and replayed: J2, J3, J7, J8, J9, P2, P3, P4, P5, P6, P10, X3, T1 (its hard limit), T2, N2."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING

import pytest

from sidestep.model.abort import AbortKind
from sidestep.model.events import JournalEvent, Logged, StepChanged
from sidestep.model.run import FailureCode, RunStatus, StepStatus
from sidestep.scripts.resolver import FileScript
from tests.support.service_harness import Harness

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.ports import Committed

ORDER_DECIDES = """
from sidestep import command, log, parallel

done = []

async def race(name):
    await command([name], id=name)
    done.append(name)
    # Which steps exist depends on who finished first.
    await command(["after"], id="after " + " ".join(done))

async def main():
    await parallel([race("a"), race("b"), race("c")])
    return {"data": done, "report": " ".join(done)}
"""

FAN = """
from sidestep import command, parallel

async def main(limit: int = 0, on_error: str = "raise"):
    steps = [command([str(n)], id=f"s{n}") for n in range(5)]
    out = await parallel(steps, limit=limit or None, on_error=on_error)
    return {"data": [str(value.get("error", {}).get("code", "ok")) for value in out], "report": ""}
"""

TWICE = """
from sidestep import command

async def main():
    await command(["a"], id="same")
    await command(["b"], id="same")
    await command(["a"], id="same")
"""

LEFT_RUNNING = """
import asyncio
from sidestep import command

async def background():
    await command(["slow"], id="slow")

async def fails():
    await command(["quick"], id="quick")
    raise ValueError("over")

async def main():
    try:
        await asyncio.gather(fails(), background())
    except ValueError:
        return "over"
"""


@pytest.mark.parametrize("order", list(itertools.permutations("abc"))[:3])
async def test_j3_five_replays_make_the_same_steps_in_the_same_order(tmp_path: Path, order: tuple[str, ...]) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held |= {*"abc", "after " + " ".join(order)}
        task = h.start(ORDER_DECIDES)
        for name in order:
            await h.commands.called(name)
        for count, name in enumerate(order, start=1):
            h.commands.finish(name)
            await h.commands.called("after " + " ".join(order[:count]))
        run_id = h.commands.calls[-1].run_id
        live = [call.step_id for call in h.commands.calls]
        for replay in range(5):
            await h.service.interrupt(run_id, by="test")
            if replay == 4:
                h.commands.held.clear()
                break
            resumed = h.resume(run_id)
            await h.commands.called("after " + " ".join(order), times=replay + 2)
            resumed.cancel()
        record = await h.resume(run_id)
        assert (await task).record.status is RunStatus.INTERRUPTED
        assert record.result is not None
        assert record.result.report == " ".join(order)
        asked = {call.step_id for call in h.commands.calls}
        assert asked == set(live)
        assert [h.commands.count(name) for name in order] == [1, 1, 1]


async def test_p2_asking_twice_for_one_key_names_both_lines_and_the_fix(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = (await h.start(TWICE)).record
        assert record.status is RunStatus.FAILED
        assert record.error is not None
        assert record.error.line == 7
        for part in ('step "same" at line 7 already ran at line 5', 'id=f"same:{n}"'):
            assert part in record.error.message
        assert h.commands.count("same") == 2


async def test_j2_same_id_with_other_input_is_other_work_and_cosmetics_are_not_hashed(tmp_path: Path) -> None:
    source = """
from sidestep import command

async def main(title: str):
    await command(["a"], id="x", title=title, phase=title)
    await command(["b"], id="x", env={"K": "v"})
"""
    async with Harness(tmp_path) as h:
        one = await h.completed(source, args={"title": "one"})
        two = await h.completed(source, args={"title": "two"})
        keys = [[step.key for step in (await h.store.read_steps(r.run_id)).items] for r in (one, two)]
        assert keys[0] == keys[1]
        assert len(set(keys[0])) == 2


async def test_j7_the_snapshot_is_what_runs_whatever_happens_to_the_file(tmp_path: Path) -> None:
    source = "from sidestep import command\n\nasync def main():\n    await command(['a'], id='a')\n    return 'old'\n"
    async with Harness(tmp_path) as h:
        script = h.folder_path / "flow.py"
        script.write_text(source)
        h.commands.held.add("a")
        task = h.start(script=FileScript(script.as_uri()))
        await h.commands.called("a")
        run_id = h.commands.calls[0].run_id
        await h.service.interrupt(run_id, by="test")
        script.unlink()
        h.commands.held.clear()
        record = await h.resume(run_id)
        assert (await task).record.run_id == run_id
        assert record.result is not None
        assert record.result.report == "old"


async def test_j8_one_commit_for_each_trivial_step(tmp_path: Path) -> None:
    source = """
from sidestep import command

async def main(count: int):
    for n in range(count):
        await command(["a"], id=f"s{n}")
"""

    async def commits(count: int) -> int:
        async with Harness(tmp_path) as h:
            batches: set[int] = set()

            def note(committed: Committed) -> None:
                batches.update(event.sequence for event in committed.events if _completes(event))

            h.service.listeners.listen(note)
            await h.completed(source, args={"count": count})
            return len(batches)

    assert await commits(5) == 5
    assert await commits(50) == 50


async def test_j9_other_steps_than_the_journal_has_are_done_and_the_difference_is_logged(tmp_path: Path) -> None:
    source = "from sidestep import command\n\nasync def main():\n    await command(['a'], id='a')\n    return {}['x']\n"
    async with Harness(tmp_path) as h:
        script = h.folder_path / "flow.py"
        script.write_text(source)
        failed = (await h.start(script=FileScript(script.as_uri()))).record
        script.write_text(source.replace("['a']", "['other']").replace("{}['x']", "'fixed'"))
        record = await h.retry(failed.run_id, current_source=True)
        assert record.status is RunStatus.COMPLETED
        assert h.commands.count("a") == 2
        notes = [e.body for e in await h.events(record.run_id) if isinstance(e.body, Logged)]
        assert [(note.origin, "line 4" in note.message) for note in notes] == [("sidestep", True)]


async def test_p3_limit_is_a_sliding_window(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held |= {f"s{n}" for n in range(5)}
        task = h.start(FAN, args={"limit": 2})
        await h.commands.called("s1")
        assert len(h.commands.calls) == 2
        h.commands.finish("s1")
        await h.commands.called("s2")
        assert [call.step_id for call in h.commands.calls] == ["s0", "s1", "s2"]
        for n in (0, 2, 3, 4):
            await h.commands.called(f"s{n}")
            h.commands.finish(f"s{n}")
        assert (await task).record.status is RunStatus.COMPLETED


async def test_p3_the_first_failure_aborts_the_rest_and_launches_no_more(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held |= {"s0", "s1"}
        task = h.start(FAN, args={"limit": 2})
        await h.commands.called("s1")
        h.commands.fail("s1", "broken")
        record = (await task).record
        assert record.status is RunStatus.FAILED
        assert record.error is not None
        assert (record.error.code, record.error.step_id) == (FailureCode.STEP, "s1")
        assert [(step, reason.kind) for step, reason in h.commands.aborts] == [("s0", AbortKind.SIBLING)]
        assert len(h.commands.calls) == 2
        steps = {step.step_id: step.status for step in (await h.store.read_steps(record.run_id)).items}
        assert steps == {"s0": StepStatus.INTERRUPTED, "s1": StepStatus.FAILED}


async def test_p3_on_error_return_never_sinks_the_rest(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held |= {f"s{n}" for n in range(5)}
        task = h.start(FAN, args={"on_error": "return"})
        await h.commands.called("s4")
        h.commands.fail("s2")
        for n in (0, 1, 3, 4):
            h.commands.finish(f"s{n}")
        record = (await task).record
        assert record.result is not None
        assert json.loads(record.result.data_json or "") == ["ok", "ok", "step", "ok", "ok"]


async def test_p3_an_aborted_sibling_is_not_begun_again_by_a_replay(tmp_path: Path) -> None:
    source = FAN.replace(
        "    out = await parallel(steps, limit=limit or None, on_error=on_error)\n",
        "    try:\n        await parallel(steps)\n    except RuntimeError:\n        pass\n"
        "    await command(['z'], id='z')\n    out = []\n",
    )
    async with Harness(tmp_path) as h:
        h.commands.held |= {f"s{n}" for n in range(5)} | {"z"}
        task = h.start(source)
        await h.commands.called("s4")
        h.commands.fail("s2")
        await h.commands.called("z")
        run_id = h.commands.calls[-1].run_id
        await h.service.interrupt(run_id, by="test")
        before = len(h.commands.calls)
        h.commands.held.clear()
        record = await h.resume(run_id)
        assert record.status is RunStatus.COMPLETED
        assert [call.step_id for call in h.commands.calls[before:]] == ["z"]
        assert (await task).record.status is RunStatus.INTERRUPTED


async def test_p4_an_item_goes_on_to_its_next_stage_without_waiting_for_the_others(tmp_path: Path) -> None:
    source = """
from sidestep import command, pipeline

async def first(item):
    await command([item], id=f"first {item}")
    return item

async def second(item):
    await command([item], id=f"second {item}")
    return item * 2

async def main():
    return {"data": await pipeline(["a", "b"], first, second), "report": ""}
"""
    async with Harness(tmp_path) as h:
        h.commands.held.add("first b")
        task = h.start(source)
        await h.commands.called("second a")
        h.commands.finish("first b")
        record = (await task).record
        assert record.result is not None
        assert json.loads(record.result.data_json or "") == ["aa", "bb"]


async def test_p6_sleep_stores_its_end_and_time_away_counts(tmp_path: Path) -> None:
    source = "from sidestep import sleep\n\nasync def main():\n    await sleep(100, id='nap')\n    return 'rested'\n"
    async with Harness(tmp_path) as h:
        task = h.start(source)
        await h.told("told step:started:nap")
        began_ms = h.clock.now_ms()
        run_id = h.committed[0].record.run_id
        started = [e.body for e in await h.events(run_id) if isinstance(e.body, StepChanged)]
        assert [body.wake_at_ms for body in started] == [began_ms + 100_000]
        h.clock.advance(40)
        await h.service.interrupt(run_id, by="test")
        h.clock.advance(50)
        resumed = h.resume(run_id)
        await h.clock.sleeper(10)
        h.clock.advance(10)
        assert (await resumed).status is RunStatus.COMPLETED
        assert h.clock.now_ms() == began_ms + 100_000
        await task


async def test_p6_t2_the_deadline_interrupts_with_its_reason_and_a_resume_after_it_drops_it(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("a")
        task = h.start(TWICE.replace('id="same"', 'id="a"', 1), deadline_s=60)
        await h.commands.called("a")
        await h.clock.sleeper(60)
        h.clock.advance(60)
        record = (await task).record
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "deadline")
        h.commands.held.clear()
        resumed = await h.resume(record.run_id)
        assert resumed.deadline_at_ms is None
        assert resumed.status is RunStatus.COMPLETED


async def test_t1_the_step_s_own_time_limit_fails_it_with_code_timeout(tmp_path: Path) -> None:
    source = """
from sidestep import command, failure

async def main():
    try:
        await command(["a"], id="a", timeout_s=30)
    except TimeoutError as error:
        return {"data": failure(error), "report": ""}
"""
    async with Harness(tmp_path) as h:
        h.commands.held.add("a")
        task = h.start(source)
        await h.commands.called("a")
        await h.clock.sleeper(30)
        h.clock.advance(30)
        record = (await task).record
        assert record.result is not None
        assert json.loads(record.result.data_json or "")["code"] == "timeout"
        assert [reason.kind for _, reason in h.commands.aborts] == [AbortKind.TIMEOUT]


async def test_p10_no_step_outlives_its_run(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("slow")
        record = await h.completed(LEFT_RUNNING)
        assert [(step, reason.kind) for step, reason in h.commands.aborts] == [("slow", AbortKind.SCRIPT_ENDED)]
        kinds = await h.kinds(record.run_id)
        assert kinds[-3:] == ["step:interrupted:slow", "result", "status:completed"]


async def test_p10_a_result_that_arrives_while_the_run_ends_is_journaled_before_the_stop(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("slow")
        h.commands.deaf.add("slow")
        task = h.start(LEFT_RUNNING)
        await h.clock.sleeper(h.settings.interrupt_grace_s)
        h.commands.finish("slow")
        record = (await task).record
        assert (await h.kinds(record.run_id))[-3:] == ["step:completed:slow", "result", "status:completed"]


async def test_x3_print_goes_to_the_run_s_log(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed("async def main():\n    print('one', 2)\n    print('three')\n")
        assert [kind for kind in await h.kinds(record.run_id) if kind.startswith("log")] == ["log:one 2", "log:three"]


async def test_n2_a_step_s_failure_code_reaches_the_run(tmp_path: Path) -> None:
    source = "from sidestep import command\n\nasync def main():\n    await command(['a'], id='it\\'s: \"a\"')\n"
    async with Harness(tmp_path) as h:
        step_id = 'it\'s: "a"'
        h.commands.held.add(step_id)
        task = h.start(source)
        await h.commands.called(step_id)
        h.commands.fail(step_id, "script in step: nonsense", FailureCode.INFRASTRUCTURE)
        error = (await task).record.error
        assert error is not None
        assert (error.code, error.step_id, error.line) == (FailureCode.INFRASTRUCTURE, step_id, 4)


def _completes(event: JournalEvent) -> bool:
    return isinstance(event.body, StepChanged) and event.body.status is StepStatus.COMPLETED


async def test_p5_only_names_of_environment_variables_reach_journal_and_key(tmp_path: Path) -> None:
    source = """
from sidestep import command

async def main(secret: str, name: str = "TOKEN"):
    await command(["a"], id="x", env={name: secret})
"""
    async with Harness(tmp_path) as h:
        keys = []
        for args in ({"secret": "hunter2"}, {"secret": "other"}, {"secret": "other", "name": "T"}):
            record = await h.completed(source, args=args)
            keys.append((await h.store.read_steps(record.run_id)).items[0].key)
            assert "hunter2" not in repr(await h.events(record.run_id))
        assert keys[0] == keys[1] != keys[2]
        assert [call.input["env"] for call in h.commands.calls][:2] == [{"TOKEN": "hunter2"}, {"TOKEN": "other"}]


async def test_t1_time_spent_waiting_for_a_place_is_not_the_step_s_own(tmp_path: Path) -> None:
    source = """
from sidestep import command, parallel

async def main():
    await parallel([command([n], id=n, timeout_s=30) for n in ("a", "b")])
    return "done"
"""
    async with Harness(tmp_path) as h:
        h.commands.place = asyncio.Semaphore(1)
        h.commands.held |= {"a", "b"}
        task = h.start(source)
        await h.commands.called("a")
        await h.clock.sleeper(30)
        h.clock.advance(29)
        h.commands.finish("a")
        await h.commands.called("b")
        assert h.commands.count("b") == 1
        await h.clock.sleeper(30)
        h.clock.advance(29)
        h.commands.finish("b")
        assert (await task).record.status is RunStatus.COMPLETED
