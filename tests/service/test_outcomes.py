"""An outcome is given to the script while its commit is under way, and nothing follows from it before it is durable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep.engine.journal_writer import STORE_RETRY_S
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.errors import Draining, StoreUnavailable
from sidestep.model.events import StepChanged
from sidestep.model.run import RunStatus, StepStatus
from sidestep.model.writes import Append
from sidestep.runtime.sandbox import MontySandboxSession
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import Harness, StartTask

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.execution import Settled, Turn
    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Write

AWAY = StoreUnavailable(what="The disk is full.", todo="Free some space.")

TELLING = """
from sidestep import command, log

async def main():
    await command(["a"], id="a")
    log("a is done")
    await command(["b"], id="b")
"""

ENDING = """
from sidestep import command

async def main():
    await command(["a"], id="a")
    return "all of it"
"""

ORDERED = """
from sidestep import command, parallel

async def main():
    order = []
    async def one(name: str):
        await command([name], id=name)
        order.append(name)
    await parallel([one("a"), one("b"), one("c")])
    return "".join(order)
"""


def completes(write: Write, step_id: str) -> bool:
    return isinstance(write, Append) and any(
        isinstance(body, StepChanged) and body.status is StepStatus.COMPLETED and body.step_id == step_id
        for body in write.bodies
    )


class SlowStore(InMemoryRunStore):
    """Lets one write wait before it is applied, or refuses it once."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, Settings())
        self.slow: str | None = None
        self.holds_create = False
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.refused: str | None = None

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        if self.holds_create:
            self.reached.set()
            await self.go.wait()
        return await super().create(record, source)

    async def write(self, write: Write) -> RunRecord:
        if self.refused is not None and completes(write, self.refused):
            self.refused = None
            self.reached.set()
            raise AWAY
        if self.slow is not None and completes(write, self.slow):
            self.slow = None
            self.reached.set()
            await self.go.wait()
        return await super().write(write)


def over_slow_store(tmp_path: Path) -> tuple[Harness, SlowStore]:
    clock = FakeClock()
    store = SlowStore(clock)
    return Harness(tmp_path, store=store, clock=clock), store


async def started_abc(h: Harness) -> StartTask:
    """A run of `ORDERED` whose three steps are held."""
    h.commands.held |= {"a", "b", "c"}
    task = h.start(ORDERED)
    for step_id in "abc":
        await h.commands.called(step_id)
    return task


class Turns:
    """The turns that sessions have taken, by what began them: a call id, or 0 for the first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[int] = []
        self._changed = asyncio.Event()
        start, settle = MontySandboxSession.start, MontySandboxSession.settle

        async def started(session: MontySandboxSession) -> Turn:
            turn = await start(session)
            self._note(0)
            return turn

        async def settled(session: MontySandboxSession, answer: Settled) -> Turn:
            turn = await settle(session, answer)
            self._note(answer.call_id)
            return turn

        monkeypatch.setattr(MontySandboxSession, "start", started)
        monkeypatch.setattr(MontySandboxSession, "settle", settled)

    async def count(self, number: int) -> None:
        while len(self.taken) < number:
            self._changed.clear()
            await self._changed.wait()

    def _note(self, call_id: int) -> None:
        self.taken.append(call_id)
        self._changed.set()


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(monkeypatch)


async def test_j8_a_script_computes_while_an_outcome_is_committed_and_nothing_of_it_is_seen(
    tmp_path: Path, turns: Turns
) -> None:
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.slow = "a"
        task = h.start(TELLING)
        await store.reached.wait()
        # The turn that brings the log line and the call of b has ended; the commit has not.
        await turns.count(2)
        assert h.commands.count("b") == 0
        assert "told log:a is done" not in h.trace
        store.go.set()
        record = (await task).record
        assert record.status is RunStatus.COMPLETED
        told = [line for line in await h.kinds(record.run_id) if not line.startswith("status")]
        assert told.index("step:completed:a") < told.index("log:a is done") < told.index("step:started:b")


async def test_p10_a_script_that_ends_on_an_outcome_ends_its_run_after_that_outcome(
    tmp_path: Path, turns: Turns
) -> None:
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.slow = "a"
        task = h.start(ENDING)
        await store.reached.wait()
        await turns.count(2)
        store.go.set()
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "all of it"
        assert (await h.kinds(record.run_id))[-3:] == ["step:completed:a", "result", "status:completed"]


async def test_i1_a_run_that_is_interrupted_while_its_script_is_ahead_shows_nothing_of_that(
    tmp_path: Path, turns: Turns
) -> None:
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.slow = "a"
        task = h.start(TELLING)
        await store.reached.wait()
        await turns.count(2)
        run_id = h.commands.calls[-1].run_id
        interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
        await h.told("told status:interrupted")
        store.go.set()
        await interrupting
        await task
        assert h.commands.count("b") == 0
        assert "log:a is done" not in await h.kinds(run_id)
        resumed = await h.resume(run_id)
        assert resumed.status is RunStatus.COMPLETED
        assert h.commands.count("b") == 1


async def test_j3_outcomes_are_given_in_the_order_of_the_journal_also_when_the_first_meets_a_store_that_is_away(
    tmp_path: Path,
) -> None:
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.refused = "a"
        task = await started_abc(h)
        h.commands.finish("a")
        await store.reached.wait()
        await h.clock.sleeper(STORE_RETRY_S)
        # The store is back, and these could be written before the first is tried again.
        h.commands.finish("b")
        h.commands.finish("c")
        await asyncio.sleep(0)
        h.clock.advance(STORE_RETRY_S)
        record = (await task).record
        assert record.result is not None
        journaled = [line[-1] for line in await h.kinds(record.run_id) if line.startswith("step:completed")]
        assert record.result.report == "".join(journaled) == "abc"


async def test_j8_outcomes_that_arrive_while_another_is_written_are_written_together(tmp_path: Path) -> None:
    """None of them waits for more than the commit under way, and none is given before its own."""
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.slow = "a"
        task = await started_abc(h)
        h.commands.finish("a")
        await store.reached.wait()
        h.commands.finish("b")
        h.commands.finish("c")
        await asyncio.sleep(0)
        assert not any(line.startswith("told step:completed") for line in h.trace)
        store.go.set()
        record = (await task).record
        assert record.result is not None
        assert record.result.report == "abc"


async def test_p10_an_outcome_that_waits_for_another_is_journaled_when_its_run_is_stopped(tmp_path: Path) -> None:
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.slow = "a"
        task = await started_abc(h)
        run_id = h.commands.calls[-1].run_id
        h.commands.finish("a")
        await store.reached.wait()
        h.commands.finish("b")
        await asyncio.sleep(0)
        interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
        await h.told("told status:interrupted")
        store.go.set()
        await interrupting
        await task
        late = [line for line in await h.kinds(run_id) if line.startswith("step:completed")]
        assert late == ["step:completed:a:late", "step:completed:b:late"]
        assert [(step, reason.kind) for step, reason in h.commands.aborts] == [("c", AbortKind.USER)]


async def test_s1_a_run_is_durable_before_any_of_its_work(tmp_path: Path, turns: Turns) -> None:
    """Its worker is got and its first turn taken meanwhile."""
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.holds_create = True
        task = h.start(TELLING)
        await store.reached.wait()
        await turns.count(1)
        assert h.commands.calls == []
        store.go.set()
        record = (await task).record
        assert (await h.kinds(record.run_id))[:2] == ["status:pending", "status:running"]


async def test_i1_a_run_that_is_shut_down_while_it_is_created_is_left_interrupted(tmp_path: Path, turns: Turns) -> None:
    harness, store = over_slow_store(tmp_path)
    async with harness as h:
        store.holds_create = True
        task = h.start(TELLING)
        await store.reached.wait()
        await turns.count(1)
        closing = asyncio.create_task(h.service.close(AbortReason(AbortKind.SHUTDOWN)))
        await h.service.runs.draining.signal.wait()
        store.go.set()
        await closing
        with pytest.raises(Draining) as answered:
            await task
        record = await h.store.read(answered.value.outcome["runId"])
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "shutdown")
        assert h.commands.calls == []
