"""Nested workflows (P8): a run of its own below a step, owned, stopped and continued with its root (I5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.errors import InvalidTransition
from sidestep.model.ports import RunFilter
from sidestep.model.run import Failure, FailureCode, RunStatus, loads
from sidestep.scripts.resolver import NamedScript
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord

CHILD = """
from sidestep import command

async def main(word: str = "x"):
    await command(["a"], id="first", title=word)
    await command(["b"], id="second")
    return {"report": word, "data": [1]}
"""

PARENT = """
from sidestep import command, workflow

async def main():
    got = await workflow("child", id="nested", args={"word": "hello"})
    await command(["c"], id="after")
    return got
"""


def script(tmp_path: Path, name: str, source: str) -> None:
    folder = tmp_path / "workspace" / ".sidestep" / "workflows"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)


async def children(h: Harness, run_id: str) -> list[RunRecord]:
    return list((await h.store.list_runs(RunFilter(parent_run_id=run_id), cursor=None, limit=99)).items)


async def only_child(h: Harness, run_id: str) -> RunRecord:
    (child,) = await children(h, run_id)
    return child


def data(record: RunRecord) -> Any:
    assert record.result is not None
    return None if record.result.data_json is None else loads(record.result.data_json)


async def test_p8_a_child_is_a_run_of_its_own_and_gives_its_result(tmp_path: Path) -> None:
    script(tmp_path, "child", CHILD)
    async with Harness(tmp_path) as h:
        record = await h.completed(PARENT)
        assert record.result is not None
        assert (record.result.report, data(record)) == ("hello", [1])
        child = await only_child(h, record.run_id)
        assert (child.parent_run_id, child.root_run_id, child.depth) == (record.run_id, record.run_id, 1)
        assert (child.status, child.owner, child.name) == (RunStatus.COMPLETED, None, "child")
        assert loads(child.args_json) == {"word": "hello"}
        assert await h.kinds(child.run_id) == [
            "status:pending",
            "status:running",
            "step:started:first",
            "step:completed:first",
            "step:started:second",
            "step:completed:second",
            "result",
            "status:completed",
        ]
        kinds = await h.kinds(record.run_id)
        assert kinds[2:5] == ["step:started:nested", "child", "step:completed:nested"]
        assert record.steps.completed == 2, "a run counts its own steps"
        assert (await h.store.list_runs(RunFilter(), cursor=None, limit=9)).items == [record]


@pytest.mark.parametrize(
    ("value", "seen"),
    [("'text'", "text"), ("None", None), ("{'report': 'r'}", "r"), ("[1, {'a': None}]", [1, {"a": None}]), ("0", 0)],
)
async def test_p8_a_child_gives_what_its_main_returned(tmp_path: Path, value: str, seen: Any) -> None:
    script(tmp_path, "child", f"async def main():\n    return {value}\n")
    source = """
from sidestep import workflow

async def main():
    return {"data": [await workflow("child", id="n")], "report": ""}
"""
    async with Harness(tmp_path) as h:
        assert data(await h.completed(source)) == [seen]


async def test_p8_an_interrupted_child_goes_on_and_a_finished_one_is_not_run_again(tmp_path: Path) -> None:
    """P8, I5, J7: what was finished is kept at every level, and the child's snapshot wins over its edited file."""
    script(tmp_path, "child", CHILD)
    async with Harness(tmp_path) as h:
        task, _ = await h.running(PARENT, "second")
        run_id = (await h.store.owned_runs())[0].run_id
        interrupted = await h.service.interrupt(run_id, by="test")
        assert interrupted.quiescent
        child = await only_child(h, run_id)
        assert (child.status, child.reason) == (RunStatus.INTERRUPTED, "parent")
        assert (await task).record.status is RunStatus.INTERRUPTED
        script(tmp_path, "child", "async def main(word: str):\n    return 'edited'\n")
        h.commands.held.clear()
        h.commands.held.add("after")
        resumed = h.resume(run_id)
        await h.commands.called("after")
        await h.service.interrupt(run_id, by="test")
        await resumed
        h.commands.held.clear()
        record = await h.resume(run_id)
        assert record.status is RunStatus.COMPLETED
        assert data(record) == [1]
        child = await only_child(h, run_id)
        assert child.steps.reused == 1
        assert [call.step_id for call in h.commands.calls] == ["first", "second", "second", "after", "after"]
        kinds = await h.kinds(child.run_id)
        assert kinds.count("status:interrupted") == 1
        assert kinds[-1] == "status:completed"


async def test_i5_an_interrupt_of_a_child_interrupts_its_root(tmp_path: Path) -> None:
    script(tmp_path, "child", CHILD)
    async with Harness(tmp_path) as h:
        task, child_id = await h.running(PARENT, "second")
        told = await h.service.interrupt(child_id, by="test")
        assert (told.record.run_id, told.record.status, told.record.reason) == (
            child_id,
            RunStatus.INTERRUPTED,
            "parent",
        )
        assert told.quiescent
        record = (await task).record
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "user")
        for ask in (h.resume(child_id), h.retry(child_id), h.service.background(child_id), h.service.delete(child_id)):
            with pytest.raises(InvalidTransition) as refusal:
                await ask
            assert refusal.value.root_run_id == record.run_id
        await h.service.delete(record.run_id)
        assert await h.store.owned_runs() == []
        h.commands.held.clear()
        again = await h.completed(PARENT)
        finished = await h.service.interrupt((await only_child(h, again.run_id)).run_id, by="test")
        assert finished.already_terminal


async def test_p8_a_childs_failure_raises_with_its_id_and_is_retried_with_its_root(tmp_path: Path) -> None:
    """P8, J5: on resume the failure replays; a retry of the root reopens the child and does its failed step again."""
    script(tmp_path, "child", CHILD)
    parent = """
from sidestep import command, failure, workflow

async def main(hold: bool = True):
    try:
        return await workflow("child", id="nested")
    except RuntimeError as error:
        if hold:
            await command(["h"], id="hold")
        raise
"""
    async with Harness(tmp_path) as h:
        h.commands.failures["second"] = Failure(FailureCode.STEP, "no luck")
        task, _ = await h.running(parent, "hold")
        root = (await h.store.owned_runs())[0].run_id
        await h.service.interrupt(root, by="test")
        await task
        h.commands.held.clear()
        failed = await h.resume(root)
        child = await only_child(h, root)
        assert (failed.status, child.status) == (RunStatus.FAILED, RunStatus.FAILED)
        assert failed.error is not None
        assert child.run_id in failed.error.message
        assert "no luck" in failed.error.message
        assert failed.error.step_id == "nested"
        assert [call.step_id for call in h.commands.calls] == ["first", "second", "hold", "hold"]
        h.commands.failures.clear()
        record = await h.retry(root)
        assert record.status is RunStatus.COMPLETED
        assert [call.step_id for call in h.commands.calls][4:] == ["second"]
        kinds = await h.kinds(child.run_id)
        assert [kind for kind in kinds if kind.startswith("status")][-3:] == [
            "status:failed",
            "status:running",
            "status:completed",
        ]


async def test_p8_retry_with_the_current_source_takes_the_childs_current_source_too(tmp_path: Path) -> None:
    """P8, N1: a child's script is mended like its root's, and what it finished is kept."""
    broken = CHILD.replace('return {"report": word, "data": [1]}', "return {}['missing']")
    script(tmp_path, "child", broken)
    script(tmp_path, "parent", PARENT)
    async with Harness(tmp_path) as h:
        failed = (await h.start(script=NamedScript("parent"))).record
        assert failed.status is RunStatus.FAILED
        assert failed.error is not None
        assert "KeyError" in failed.error.message
        assert ".sidestep/workflows/child.py:7" in failed.error.message
        script(tmp_path, "child", CHILD)
        record = await h.retry(failed.run_id, current_source=True)
        assert record.status is RunStatus.COMPLETED
        assert [call.step_id for call in h.commands.calls] == ["first", "second", "after"]
        child = await only_child(h, record.run_id)
        assert "source" in await h.kinds(child.run_id)


async def test_p8_nesting_ends_at_a_depth(tmp_path: Path) -> None:
    """P8: eight levels below the root, and no more; a limit is a failure with code limit."""
    script(
        tmp_path,
        "deeper",
        """
from sidestep import failure, workflow

async def main(level: int = 0):
    try:
        return await workflow("deeper", id="next", args={"level": level + 1})
    except RuntimeError as error:
        if failure(error)["code"] != "limit":
            raise
        return [level, failure(error)["message"]]
""",
    )
    async with Harness(tmp_path) as h:
        record = (await h.start(script=NamedScript("deeper"))).record
        assert data(record)[0] == 8
        assert "8 levels" in data(record)[1]


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        ("workflow('chidl', id='n')", "script", "child"),
        ("workflow('../outside.py', id='n')", "script", "outside"),
        ("workflow('broken', id='n')", "script", "broken.py"),
        ("workflow('child', id='n', args={'wrod': 'x'})", "validation", "word"),
        ("workflow('child', id='n', args={'word': 3})", "validation", "word"),
    ],
)
async def test_p8_a_child_that_cannot_start_fails_its_step(tmp_path: Path, call: str, code: str, words: str) -> None:
    """P8, N2, D3: by the rules of a start; nothing is stored of such a child."""
    script(tmp_path, "child", CHILD)
    script(tmp_path, "broken", "async def main(:\n")
    source = f"""
from sidestep import failure, workflow

async def main():
    try:
        await {call}
    except RuntimeError as error:
        return failure(error)
"""
    async with Harness(tmp_path) as h:
        record = await h.completed(source)
        assert data(record)["code"] == code
        assert words in data(record)["message"]
        assert await children(h, record.run_id) == []


async def test_p3_a_child_whose_sibling_failed_is_suspended_and_its_root_goes_on(tmp_path: Path) -> None:
    script(tmp_path, "child", CHILD)
    source = """
from sidestep import command, parallel, workflow

async def main():
    try:
        await parallel([workflow("child", id="nested"), command(["x"], id="bad")])
    except RuntimeError:
        pass
    await command(["c"], id="after")
    return "went on"
"""
    async with Harness(tmp_path) as h:
        h.commands.held.update({"bad", "second"})
        task = h.start(source)
        await asyncio.gather(h.commands.called("bad"), h.commands.called("second"))
        h.commands.fail("bad")
        record = (await task).record
        assert record.status is RunStatus.COMPLETED
        child = await only_child(h, record.run_id)
        assert (child.status, child.reason) == (RunStatus.INTERRUPTED, "parent")
        assert "step:interrupted:nested" in await h.kinds(record.run_id)


async def test_p10_a_child_does_not_outlive_its_root(tmp_path: Path) -> None:
    """P10: main ends while its child is in flight; the child is stopped first, then the root completes."""
    script(tmp_path, "child", CHILD)
    source = """
import asyncio
from sidestep import command, parallel, workflow

async def main():
    async def quick():
        await command(["q"], id="quick")
        raise ValueError("enough")
    try:
        await asyncio.gather(workflow("child", id="nested"), quick())
    except ValueError:
        return "done"
"""
    async with Harness(tmp_path) as h:
        h.commands.held.add("first")
        h.commands.held.add("quick")
        task = h.start(source)
        await asyncio.gather(h.commands.called("first"), h.commands.called("quick"))
        h.commands.finish("quick")
        record = (await task).record
        assert record.status is RunStatus.COMPLETED
        child = await only_child(h, record.run_id)
        assert (child.status, child.reason) == (RunStatus.INTERRUPTED, "parent")
        order = [line for line in h.trace if line.startswith("told status:")]
        assert order[-2:] == ["told status:interrupted", "told status:completed"]


async def test_t1_a_childs_time_limit_stops_it_and_fails_its_step(tmp_path: Path) -> None:
    script(tmp_path, "child", CHILD)
    source = """
from sidestep import workflow

async def main():
    try:
        await workflow("child", id="nested", timeout_s=30)
    except TimeoutError:
        return "late"
"""
    async with Harness(tmp_path) as h:
        task, child_id = await h.running(source, "first")
        h.clock.advance(31)
        record = (await task).record
        assert record.status is RunStatus.COMPLETED
        assert (await h.store.read(child_id)).reason == "parent"


async def test_x4_children_count_as_active_runs_and_are_refused_not_queued(tmp_path: Path) -> None:
    """X4: the next child fails its step with code limit; when a run ends there is room again."""
    script(tmp_path, "child", CHILD)
    source = """
from sidestep import failure, parallel, workflow

async def main():
    both = await parallel([workflow("child", id=f"n{n}") for n in range(2)], on_error="return")
    again = await workflow("child", id="again")
    return [one.get("error", {}).get("code") for one in both]
"""
    async with Harness(tmp_path, settings=Settings(active_runs_max=2)) as h:
        h.commands.held.add("first")
        task = h.start(source)
        await h.commands.called("first")
        assert len(h.service.runs) == 2
        h.commands.held.clear()
        h.commands.finish("first")
        record = (await task).record
        assert record.status is RunStatus.COMPLETED, record.error
        assert sorted(data(record), key=str) == [None, "limit"]
        assert len(h.service.runs) == 0


async def test_c2_a_dead_owners_tree_is_interrupted_at_once_and_goes_on_elsewhere(tmp_path: Path) -> None:
    """C2, P8: the crash is the root's reason, its children's is parent; another process resumes the tree."""
    script(tmp_path, "child", CHILD)
    journal, clock, dead = MemoryJournal(), FakeClock(), set[str]()
    settings = Settings()
    first = Harness(
        tmp_path,
        store=InMemoryRunStore(clock, settings, journal),
        clock=clock,
        owners=LivingOwners("owner-a", dead),
    )
    second = Harness(
        tmp_path,
        store=InMemoryRunStore(clock, settings, journal),
        clock=clock,
        owners=LivingOwners("owner-b", dead),
    )
    async with first:
        first.store.watch(busy=True)
        task, child_id = await first.running(PARENT, "second")
        dead.add("owner-a")
        async with second:
            child = await second.store.read(child_id)
            root = await second.store.read(child.root_run_id)
            assert (root.reason, child.reason) == ("crash", "parent")
            record = await second.resume(root.run_id)
            assert record.status is RunStatus.COMPLETED
            assert [call.step_id for call in second.commands.calls] == ["second", "after"]
            first.commands.held.clear()
            first.commands.finish("second")
            assert (await task).record.reason == "crash"
        assert (await first.store.read(child_id)).status is RunStatus.COMPLETED


@pytest.mark.parametrize(("verb", "seconds"), [("resume", 1), ("retry", 2)])
async def test_c1_a_child_that_ended_before_its_parent_could_say_so_is_not_run_again(
    tmp_path: Path, verb: str, seconds: int
) -> None:
    """C1, P8, J5: cut off between a child's end and its step's, a resume takes the child's outcome, good or bad."""
    script(tmp_path, "child", CHILD)
    parent = """
from sidestep import parallel, workflow

async def main():
    return await parallel([workflow("child", id="good"), workflow("child", id="bad")], limit=1, on_error="return")
"""
    script(tmp_path, "parent", parent)
    async with Harness(tmp_path) as h:
        h.commands.failures["second"] = Failure(FailureCode.STEP, "no luck")

        def cut(committed: Committed) -> None:
            record = committed.record
            if record.parent_run_id is not None and record.status is RunStatus.FAILED:
                # In the moment its end is told: its parent's step cannot be written any more.
                h.service.runs.stop(h.service.runs.get(record.root_run_id), AbortReason(AbortKind.USER))

        unlisten = h.service.listeners.listen(cut)
        record = (await h.start(script=NamedScript("parent"))).record
        unlisten()
        assert record.status is RunStatus.INTERRUPTED
        h.commands.failures.clear()
        if verb == "resume":
            record = await h.resume(record.run_id)
        else:
            record = await h.retry(record.run_id, current_source=True)
        assert record.status is RunStatus.COMPLETED
        assert h.commands.count("second") == seconds + 1
        assert ("error" in data(record)[0]) == (verb == "resume")


async def test_p8_a_child_that_ignores_its_abort_does_not_show_as_running_when_its_step_is_given_up(
    tmp_path: Path,
) -> None:
    """P8, P10: main ends, a step of the child is deaf, and the grace is spent: the child has stopped, durably."""
    script(tmp_path, "child", CHILD)
    source = """
import asyncio
from sidestep import command, workflow

async def main():
    async def quick():
        await command(["q"], id="quick")
        raise ValueError("enough")
    try:
        await asyncio.gather(workflow("child", id="nested"), quick())
    except ValueError:
        return "done"
"""
    async with Harness(tmp_path) as h:
        h.commands.held.update({"first", "quick"})
        h.commands.deaf.add("first")
        task = h.start(source)
        await asyncio.gather(h.commands.called("first"), h.commands.called("quick"))
        h.commands.finish("quick")
        await h.clock.sleeper(h.settings.interrupt_grace_s)
        h.clock.advance(h.settings.interrupt_grace_s)
        record = (await task).record
        assert record.status is RunStatus.COMPLETED
        child = await only_child(h, record.run_id)
        assert (child.status, child.reason) == (RunStatus.INTERRUPTED, "parent")
        assert len(h.service.runs) == 0
        told = await h.service.interrupt(child.run_id, by="test")
        assert (told.record.status, told.already_terminal) == (RunStatus.INTERRUPTED, False)
        h.commands.finish("first")


async def test_c4_a_damaged_snapshot_of_a_child_fails_its_step_and_says_what_to_do(tmp_path: Path) -> None:
    script(tmp_path, "child", CHILD)
    journal, clock, settings = MemoryJournal(), FakeClock(), Settings()
    async with Harness(tmp_path, store=InMemoryRunStore(clock, settings, journal), clock=clock) as h:
        task, child_id = await h.running(PARENT, "first")
        child = await h.store.read(child_id)
        await h.service.interrupt(child.root_run_id, by="test")
        await task
        h.commands.held.clear()
        del journal.sources[child.source_hash]
        failed = await h.resume(child.root_run_id)
        assert failed.status is RunStatus.FAILED
        assert failed.error is not None
        assert (failed.error.code, failed.error.step_id) == (FailureCode.INFRASTRUCTURE, "nested")
        assert "damaged" in failed.error.message
