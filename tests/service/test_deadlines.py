"""P6 and T2: ends that were fixed by the wall clock, and outlive interrupts, restarts and a machine that slept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep import system
from sidestep.model.events import StepChanged
from sidestep.model.run import RunStatus, StepStatus
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from sidestep.system import SystemClock
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners, patient

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.run import RunRecord

NAP = """
from sidestep import command, sleep

async def main():
    await sleep(100, id="nap")
    await command(["after"], id="after")
    return "rested"
"""


async def napping(h: Harness) -> tuple[str, int]:
    """Start the nap and wait until its end is durable: (the run's id, when it began)."""
    task = h.start(NAP, **patient())
    await h.told("told step:started:nap")
    return (await task).record.run_id, h.clock.now_ms()


async def wake_times(h: Harness, run_id: str) -> list[int | None]:
    """The end of each start of the nap, in journal order."""
    bodies = [event.body for event in await h.events(run_id)]
    started = [body for body in bodies if isinstance(body, StepChanged) and body.status is StepStatus.STARTED]
    return [body.wake_at_ms for body in started if body.step_id == "nap"]


async def interrupted_in_step(h: Harness, **wanted: object) -> RunRecord:
    """A run that was interrupted in its step, and is quiescent."""
    task, run_id = await h.running(ONE_STEP, "only", **wanted)
    done = await h.service.interrupt(run_id, by="test")
    await task
    return done.record


async def expired(h: Harness, run_id: str) -> RunRecord:
    """Wait until the run's deadline has interrupted it and nothing of it is left."""
    record = await h.status(run_id, RunStatus.INTERRUPTED)
    active = h.service.runs.get(run_id)
    if active is not None:
        await active.quiescent.wait()
    assert record.reason == "deadline"
    return record


# Sleep.


async def test_p6_the_end_of_a_sleep_is_fixed_by_its_first_start(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        run_id, began_ms = await napping(h)
        for seconds in (30, 30):
            h.clock.advance(seconds)
            await h.service.interrupt(run_id, by="test")
            await h.resume(run_id, **patient())
            await h.clock.sleeper(100 - (h.clock.now_ms() - began_ms) / 1000)
        h.clock.advance(39.999)
        assert (await h.store.read(run_id)).is_active
        h.clock.advance(0.001)
        await h.status(run_id, RunStatus.COMPLETED)
        assert set(await wake_times(h, run_id)) == {began_ms + 100_000}


async def test_p6_a_sleep_whose_end_passed_while_the_run_was_stopped_is_over_at_once(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        run_id, began_ms = await napping(h)
        await h.service.interrupt(run_id, by="test")
        h.clock.advance(100)
        assert (await h.resume(run_id)).status is RunStatus.COMPLETED
        assert h.clock.now_ms() == began_ms + 100_000


async def test_p6_a_sleep_outlives_the_death_of_its_process(tmp_path: Path) -> None:
    """C2: the next process takes the end from the journal."""
    clock, journal = FakeClock(), MemoryJournal()
    dead: set[str] = set()
    first = InMemoryRunStore(clock, Settings(), journal)
    second = InMemoryRunStore(clock, Settings(), journal)
    async with Harness(tmp_path, store=first, clock=clock, owners=LivingOwners("owner-a", dead)) as a:
        run_id, began_ms = await napping(a)
        clock.advance(60)
        dead.add("owner-a")
        async with Harness(tmp_path, store=second, clock=clock, owners=LivingOwners("owner-b", dead)) as b:
            assert [(record.run_id, record.reason) for record in b.service.recovered] == [(run_id, "crash")]
            resumed = b.resume(run_id)
            await b.told("told step:started:nap")
            clock.advance(39.999)
            assert (await second.read(run_id)).is_active
            clock.advance(0.001)
            assert (await resumed).status is RunStatus.COMPLETED
            assert set(await wake_times(b, run_id)) == {began_ms + 100_000}


async def test_p6_a_finished_sleep_is_not_slept_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("after")
        run_id, _ = await napping(h)
        h.clock.advance(100)
        await h.commands.called("after")
        await h.service.interrupt(run_id, by="test")
        h.commands.held.clear()
        assert (await h.resume(run_id)).status is RunStatus.COMPLETED
        assert len(await wake_times(h, run_id)) == 1


# Deadlines.


async def test_p6_t2_the_deadline_stands_on_the_row_from_the_start(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        started = await h.start(NAP, deadline_s=60, **patient())
        assert started.record.deadline_at_ms == h.clock.now_ms() + 60_000
        await h.clock.sleeper(60)
        h.clock.advance(59.999)
        assert (await h.store.read(started.record.run_id)).is_active
        h.clock.advance(0.001)
        await expired(h, started.record.run_id)


async def test_t2_a_machine_that_slept_through_the_deadline_interrupts_when_it_wakes(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only", deadline_s=60)
        await h.clock.sleeper(60)
        h.clock.advance(8 * 3600)
        record = (await task).record
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "deadline")
        assert [reason.kind.value for _, reason in h.commands.aborts] == ["deadline"]
        assert (await h.kinds(run_id))[-1] == "status:interrupted"


async def test_t2_the_real_clock_looks_at_the_wall_clock_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop's own clock stands still while the machine sleeps."""

    class Woken(SystemClock):
        looks = 0

        def now_ms(self) -> int:
            self.looks += 1
            return 0 if self.looks == 1 else 3_600_000

    monkeypatch.setattr(system, "_WALL_CLOCK_CHECK_S", 0.001)
    clock = Woken()
    await asyncio.wait_for(clock.sleep_until(3_600_000), 30)
    assert clock.looks == 2


async def test_t2_a_run_that_has_no_step_yet_is_interrupted_too(tmp_path: Path) -> None:
    """S5: the deadline passes between the create and what the first turn asks for."""
    clock = FakeClock()
    store = HeldStore(clock, Settings())
    async with Harness(tmp_path, store=store, clock=clock) as h:
        store.hold("create")
        task = h.start(deadline_s=60)
        await store.reached.wait()
        clock.advance(60)
        store.release.set()
        record = (await task).record
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "deadline")
        assert h.commands.calls == []
        await expired(h, record.run_id)


async def test_p6_a_resume_before_the_deadline_keeps_it(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        stopped = await interrupted_in_step(h, deadline_s=100)
        h.clock.advance(70)
        resumed = await h.resume(stopped.run_id, **patient())
        assert resumed.deadline_at_ms == stopped.deadline_at_ms == h.clock.now_ms() + 30_000
        await h.clock.sleeper(30)
        h.clock.advance(30)
        await expired(h, stopped.run_id)


async def test_p6_a_resume_after_the_deadline_drops_it(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        stopped = await interrupted_in_step(h, deadline_s=100)
        h.clock.advance(100)
        resumed = await h.resume(stopped.run_id, **patient())
        assert (resumed.status, resumed.deadline_at_ms) == (RunStatus.RUNNING, None)
        await h.commands.called("only", times=2)
        h.commands.finish("only")
        await h.status(stopped.run_id, RunStatus.COMPLETED)


@pytest.mark.parametrize("away_s", [10, 1000])
async def test_p6_a_named_deadline_replaces_the_old_one_before_and_after_it_passed(
    tmp_path: Path, away_s: float
) -> None:
    async with Harness(tmp_path) as h:
        stopped = await interrupted_in_step(h, deadline_s=100)
        h.clock.advance(away_s)
        resumed = await h.resume(stopped.run_id, deadline_s=500, **patient())
        assert resumed.deadline_at_ms == h.clock.now_ms() + 500_000
        await h.clock.sleeper(500)
        h.clock.advance(499)
        assert (await h.store.read(stopped.run_id)).is_active
        h.clock.advance(1)
        await expired(h, stopped.run_id)


async def test_p6_a_retry_treats_the_deadline_as_a_resume_does(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("only")
        task = h.start(deadline_s=100)
        await h.commands.called("only")
        h.commands.fail("only")
        failed = (await task).record
        assert failed.status is RunStatus.FAILED
        h.clock.advance(40)
        retried = await h.retry(failed.run_id, **patient())
        assert retried.deadline_at_ms == failed.deadline_at_ms
        await h.clock.sleeper(60)
        h.clock.advance(60)
        stopped = await expired(h, failed.run_id)
        resumed = await h.resume(stopped.run_id, **patient())
        assert resumed.deadline_at_ms is None


async def test_t2_the_deadline_of_a_run_that_ended_does_nothing(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed(deadline_s=60)
        before = await h.events(record.run_id)
        h.clock.advance(1000)
        # What would follow has followed once another run is through.
        await h.completed()
        assert await h.events(record.run_id) == before


async def test_t2_a_deadline_is_settled_and_a_person_s_interrupt_adds_nothing(tmp_path: Path) -> None:
    """I2."""
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only", deadline_s=60)
        await h.clock.sleeper(60)
        h.clock.advance(60)
        await task
        before = await h.events(run_id)
        done = await h.service.interrupt(run_id, by="person")
        assert (done.record.reason, await h.events(run_id)) == ("deadline", before)
