"""
Two windows on one store: waiting for, interrupting and claiming a run that another process conducts.

S7, I1, I4, I8, I9, F1.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import Draining, RequestCancelled, RunLeased
from sidestep.model.run import RunStatus
from sidestep.settings import Settings
from sidestep.store.memory_journal import MemoryJournal
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners, StartTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sidestep.model.run import RunRecord


class Window(Harness):
    """A service with a process id of its own, which hears what others commit."""

    held: HeldStore


@asynccontextmanager
async def two_windows(tmp_path: Path) -> AsyncIterator[tuple[Window, Window]]:
    journal, clock, settings = MemoryJournal(), FakeClock(), Settings()

    def window(owner_id: str) -> Window:
        store = HeldStore(clock, settings, journal)
        store.watch(busy=True)
        opened = Window(tmp_path, store=store, clock=clock, owners=LivingOwners(owner_id))
        opened.held = store
        return opened

    async with window("owner-a") as a, window("owner-b") as b:
        yield a, b


async def joined(a: Window, b: Window, signal: AbortController | None = None) -> tuple[StartTask, StartTask, str]:
    """A run of `a` that a start with the same key in `b` waits for: (a's start, b's start, the run)."""
    waits = asyncio.Event()

    def on_run(_: str, __: RunRecord | None) -> Callable[[], None]:
        waits.set()
        return lambda: None

    task, run_id = await a.running(ONE_STEP, "only", start_key="k")
    other = b.start(start_key="k", on_run=on_run, signal=signal)
    await waits.wait()
    return task, other, run_id


async def interrupted(h: Window) -> str:
    task, run_id = await h.running(ONE_STEP, "only")
    assert (await h.service.interrupt(run_id, by="person")).quiescent
    await task
    return run_id


async def test_a_wait_for_anothers_run_is_released_by_its_end(tmp_path: Path) -> None:
    """S7."""
    async with two_windows(tmp_path) as (a, b):
        _, other, run_id = await joined(a, b)
        a.commands.finish("only")
        answer = await other
        assert (answer.record.run_id, answer.record.status, answer.created) == (run_id, RunStatus.COMPLETED, False)
        assert b.commands.calls == []


async def test_a_wait_for_anothers_run_is_released_when_it_goes_to_the_background(tmp_path: Path) -> None:
    """S7, B1."""
    async with two_windows(tmp_path) as (a, b):
        _, other, run_id = await joined(a, b)
        await a.service.background(run_id)
        assert (await other).record.status is RunStatus.BACKGROUNDED


async def test_a_wait_for_anothers_run_is_released_by_the_drain_of_its_own_server(tmp_path: Path) -> None:
    """S7: and the run goes on."""
    async with two_windows(tmp_path) as (a, b):
        _, other, run_id = await joined(a, b)
        await b.service.drain(AbortReason(AbortKind.SHUTDOWN))
        with pytest.raises(Draining) as drained:
            await other
        assert drained.value.outcome is not None
        assert drained.value.outcome["detached"] is True
        assert (await a.store.read(run_id)).status is RunStatus.RUNNING


async def test_a_wait_for_anothers_run_is_released_by_its_cancellation(tmp_path: Path) -> None:
    """S7: and the run goes on."""
    async with two_windows(tmp_path) as (a, b):
        caller = AbortController()
        _, other, run_id = await joined(a, b, caller)
        caller.abort(AbortReason(AbortKind.CANCELLED))
        with pytest.raises(RequestCancelled) as cancelled:
            await other
        assert cancelled.value.outcome["detached"] is True
        assert (await a.store.read(run_id)).status is RunStatus.RUNNING


async def test_an_end_between_the_look_and_the_wait_is_not_missed(tmp_path: Path) -> None:
    """S7."""
    async with two_windows(tmp_path) as (a, b):
        task, _ = await a.running(ONE_STEP, "only", start_key="k")
        b.held.hold("find_start_key")
        other = b.start(start_key="k")
        await b.held.reached.wait()
        a.commands.finish("only")
        await task
        b.held.release.set()
        assert (await other).record.status is RunStatus.COMPLETED


async def test_anothers_interrupt_that_meets_a_claim_in_flight_stops_the_execution(tmp_path: Path) -> None:
    """I1, I9."""
    async with two_windows(tmp_path) as (a, b):
        run_id = await interrupted(a)
        a.held.hold("Claim")
        resuming = a.resume(run_id)
        await a.held.reached.wait()
        done = await b.service.interrupt(run_id, by="b", wait_quiescent=False)
        assert done.record.status is RunStatus.INTERRUPTED
        active = a.service.runs.get(run_id)
        assert active is not None
        a.held.release.set()
        await active.quiescent.wait()
        assert (await resuming).status is RunStatus.INTERRUPTED
        assert a.commands.count("only") == 1, "work was begun after a durable interrupt"
        assert (await a.store.read(run_id)).is_quiescent


async def test_f1_the_second_of_two_claimers_is_told_who_has_the_run(tmp_path: Path) -> None:
    """F1, I8: both requests were accepted while the run was free."""
    async with two_windows(tmp_path) as (a, b):
        run_id = await interrupted(a)
        b.held.hold("read_source")
        late = b.resume(run_id)
        await b.held.reached.wait()
        resumed = a.resume(run_id)
        await a.commands.called("only", times=2)
        b.held.release.set()
        with pytest.raises(RunLeased) as leased:
            await late
        assert (leased.value.run_id, leased.value.pid, leased.value.mine) == (run_id, 4711, False)
        assert b.commands.calls == []
        a.commands.finish("only")
        assert (await resumed).status is RunStatus.COMPLETED


async def test_i4_nobody_looks_after_anothers_stuck_run_once_the_interrupt_is_answered(tmp_path: Path) -> None:
    async with two_windows(tmp_path) as (a, b):
        a.commands.deaf.add("only")
        task, run_id = await a.running(ONE_STEP, "only")
        interrupting = asyncio.create_task(b.service.interrupt(run_id, by="b"))
        await b.clock.sleeper(b.settings.interrupt_grace_s)
        b.clock.advance(b.settings.interrupt_grace_s)
        done = await interrupting
        assert (done.record.status, done.quiescent) == (RunStatus.INTERRUPTED, False)
        reads = b.held.reads
        # Any look that is left comes before the patrol's next round.
        b.clock.advance(b.settings.watch_busy_ms / 1000)
        b.clock.advance(1)
        await b.clock.sleeper(0.5)
        assert b.held.reads == reads
        a.commands.finish("only")
        await task
