"""
A store that is away for a while: work stops at once, and nothing that was paid for or said is lost.

I1, I3, I4, S10, C4, C5, J4, J5, J6, P3.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep.engine.journal_writer import STORE_RETRY_S
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import RequestCancelled, StoreUnavailable
from sidestep.model.run import FailureCode, RunStatus
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import ONE_STEP, Harness

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.ports import Committed, Page
    from sidestep.model.run import StepRecord
    from sidestep.service.requests import Interrupted

AWAY = StoreUnavailable("The disk is full.", "Free some space.")

TWO_STEPS = """
from sidestep import command, log, phase

async def main():
    await command(["a"], id="a")
    phase("two")
    log("half")
    await command(["b"], id="b")
"""

FAN = """
from sidestep import command, parallel

async def main():
    try:
        await parallel([command(["a"], id="a"), command(["b"], id="b")])
    except RuntimeError:
        pass
    await command(["z"], id="z")
"""


class BrittleStore(InMemoryRunStore):
    """Is away for the next call of the named ones."""

    def __init__(self, clock: FakeClock, settings: Settings) -> None:
        super().__init__(clock, settings)
        self.brittle: set[str] = set()

    def _break(self, call: str) -> None:
        if call in self.brittle:
            self.brittle.remove(call)
            raise AWAY

    async def read_steps(
        self, run_id: str, *, step_id: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page[StepRecord]:
        self._break("read_steps")
        return await super().read_steps(run_id, step_id=step_id, after=after, limit=limit)

    async def read_output(self, step: StepRecord) -> str:
        self._break("read_output")
        return await super().read_output(step)


class Outage(Harness):
    """A service whose store can be sent away."""

    def __init__(self, tmp_path: Path, settings: Settings | None = None) -> None:
        self.journal = MemoryJournal()
        clock, settings = FakeClock(), settings or Settings()
        store = InMemoryRunStore(clock, settings, self.journal)
        super().__init__(tmp_path, store=store, clock=clock, settings=settings)

    def away_after(self, line: str) -> None:
        """Send the store away in the moment the trace gets a line."""

        def look(_: Committed) -> None:
            if self.trace[-1] == line:
                self.journal.fault = AWAY

        self.service.listeners.listen(look)

    async def interrupting(self, run_id: str) -> asyncio.Task[Interrupted]:
        """Begin an interrupt; its controller has fired, and it waits for the store."""
        # Who waits for the store already tries again at another time than the interrupt.
        self.clock.advance(STORE_RETRY_S / 4)
        task = asyncio.create_task(self.service.interrupt(run_id, by="person"))
        await self.clock.sleeper(self.settings.interrupt_store_s)
        await self.clock.sleeper(STORE_RETRY_S)
        return task

    async def back(self) -> None:
        """The store works again, and whoever waits for it tries."""
        await self.clock.sleeper(STORE_RETRY_S)
        self.journal.fault = None
        self.clock.advance(STORE_RETRY_S)


async def test_i1_an_interrupt_stops_the_work_although_the_store_is_away_and_says_so(tmp_path: Path) -> None:
    """I1, C4: the caller gets storeUnavailable after `interrupt_store_s`, and the stop is stored later."""
    async with Outage(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        h.journal.fault = AWAY
        interrupting = await h.interrupting(run_id)
        assert not interrupting.done()
        h.clock.advance(h.settings.interrupt_store_s)
        with pytest.raises(StoreUnavailable):
            await interrupting
        assert [(step, reason.kind) for step, reason in h.commands.aborts] == [("only", AbortKind.USER)]
        assert h.journal.runs[run_id].record.status is RunStatus.RUNNING
        await h.back()
        answer = (await task).record
        assert (answer.status, answer.reason) == (RunStatus.INTERRUPTED, "user")


async def test_i5_an_interrupt_of_a_nested_run_stops_the_tree_although_the_store_is_away(tmp_path: Path) -> None:
    """I5, I1: whose root it is, is known without asking the store."""
    child = "from sidestep import command\n\nasync def main():\n    await command(['a'], id='inner')\n"
    folder = tmp_path / "workspace" / ".sidestep" / "workflows"
    folder.mkdir(parents=True)
    (folder / "child.py").write_text(child)
    source = "from sidestep import workflow\n\nasync def main():\n    await workflow('child', id='nested')\n"
    async with Outage(tmp_path) as h:
        task, child_id = await h.running(source, "inner")
        assert child_id != "run_a000000000000001"
        h.journal.fault = AWAY
        interrupting = await h.interrupting(child_id)
        h.clock.advance(h.settings.interrupt_store_s)
        with pytest.raises(StoreUnavailable):
            await interrupting
        assert [(step, reason.kind) for step, reason in h.commands.aborts] == [("inner", AbortKind.PARENT)]
        await h.back()
        answer = (await task).record
        assert (answer.run_id, answer.status, answer.reason) == ("run_a000000000000001", RunStatus.INTERRUPTED, "user")


async def test_s10_a_cancelled_start_is_answered_although_the_store_is_away(tmp_path: Path) -> None:
    """S10, I4, C4: within the grace, once `interrupt_store_s` is over, with the row last known; stored later."""
    async with Outage(tmp_path) as h:
        caller = AbortController()
        task, run_id = await h.running(ONE_STEP, "only", signal=caller)
        h.journal.fault = AWAY
        h.clock.advance(STORE_RETRY_S / 4)
        caller.abort(AbortReason(AbortKind.CANCELLED))
        await asyncio.wait_for(h.clock.sleeper(h.settings.interrupt_store_s), 5)
        await h.clock.sleeper(STORE_RETRY_S)
        assert not task.done()
        assert h.settings.interrupt_store_s <= h.settings.interrupt_grace_s
        h.clock.advance(h.settings.interrupt_store_s)
        with pytest.raises(RequestCancelled) as cancelled:
            await asyncio.wait_for(task, 5)
        known = h.journal.runs[run_id].record
        assert cancelled.value.outcome == {
            "runId": run_id,
            "status": "running",
            "sequence": known.sequence,
            "quiescent": False,
        }
        assert [(step, reason.kind) for step, reason in h.commands.aborts] == [("only", AbortKind.CANCELLED)]
        assert known.status is RunStatus.RUNNING
        stored = asyncio.create_task(h.status(run_id, RunStatus.INTERRUPTED))
        await h.back()
        assert (await stored).reason == "cancelled"


async def test_a_run_stopped_while_an_aborted_sibling_waits_for_the_store_is_interrupted(tmp_path: Path) -> None:
    """I1, P3: the sibling's own write is refused by the fence then; the run did not fail."""
    async with Outage(tmp_path) as h:
        h.commands.held |= {"a", "b", "z"}
        task = h.start(FAN)
        await h.commands.called("b")
        run_id = h.commands.calls[-1].run_id
        h.away_after("told step:failed:b")
        h.commands.fail("b")
        await h.commands.called("z")
        await h.clock.sleeper(STORE_RETRY_S)
        interrupting = await h.interrupting(run_id)
        await h.back()
        assert (await interrupting).record.status is RunStatus.INTERRUPTED
        answer = (await task).record
        assert (answer.status, answer.reason, answer.error) == (RunStatus.INTERRUPTED, "user", None)


@pytest.mark.parametrize("call", ["read_steps", "read_output"])
async def test_c4_a_store_away_for_a_moment_while_a_run_goes_on_does_not_fail_it(tmp_path: Path, call: str) -> None:
    clock = FakeClock()
    # No output stands in its row: each is read by itself.
    store = BrittleStore(clock, Settings(output_inline_bytes_max=1))
    async with Harness(tmp_path, store=store, clock=clock) as h:
        task, run_id = await h.running(TWO_STEPS, "b")
        await h.service.interrupt(run_id, by="person")
        await task
        store.brittle.add(call)
        h.commands.held.clear()
        resuming = h.resume(run_id)
        await clock.sleeper(STORE_RETRY_S)
        clock.advance(STORE_RETRY_S)
        assert (await resuming).status is RunStatus.COMPLETED
        assert h.commands.count("a") == 1


async def test_j6_a_phase_and_a_log_line_told_while_the_store_is_away_keep_their_place(tmp_path: Path) -> None:
    async with Outage(tmp_path) as h:
        h.commands.held.add("b")
        h.away_after("told step:completed:a")
        task = h.start(TWO_STEPS)
        await h.commands.called("b")
        h.commands.finish("b")
        await h.back()
        record = (await task).record
        assert (await h.kinds(record.run_id))[3:8] == [
            "step:completed:a",
            "phase:two",
            "log:half",
            "step:started:b",
            "step:completed:b",
        ]


async def test_a_result_of_a_run_interrupted_while_the_store_is_away_is_not_paid_for_twice(tmp_path: Path) -> None:
    """I3, J4."""
    async with Outage(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        await h.told("told step:started:only")
        h.journal.fault = AWAY
        h.commands.finish("only")
        await h.clock.sleeper(STORE_RETRY_S)
        interrupting = await h.interrupting(run_id)
        await h.back()
        assert (await interrupting).record.status is RunStatus.INTERRUPTED
        await task
        assert any(kind.startswith("step:completed:only") for kind in await h.kinds(run_id))
        assert (await h.resume(run_id)).status is RunStatus.COMPLETED
        assert h.commands.count("only") == 1


async def test_c5_a_damaged_output_fails_only_its_run_and_says_what_is_damaged(tmp_path: Path) -> None:
    async with Outage(tmp_path, Settings(output_inline_bytes_max=10)) as h:
        task, run_id = await h.running(TWO_STEPS, "b")
        await h.service.interrupt(run_id, by="person")
        await task
        other, _ = await h.running(ONE_STEP, "only")
        (name,) = h.journal.outputs
        h.journal.outputs.clear()
        broken = await h.resume(run_id)
        assert broken.status is RunStatus.FAILED
        assert broken.error is not None
        assert broken.error.code is FailureCode.INFRASTRUCTURE
        assert name in broken.error.message
        h.commands.finish("only")
        assert (await other).record.status is RunStatus.COMPLETED
