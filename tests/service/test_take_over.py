"""
Claiming a run whose owner lives and does not let go: a process that was stopped (SIGSTOP), as another window sees it.

F1, F2, F3, F4, I3, I4, I8.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import Draining, RequestCancelled, RunLeased
from sidestep.model.run import RunStatus
from sidestep.model.writes import Finish, Interrupt
from sidestep.service.watch_pace import Pace
from sidestep.settings import Settings
from sidestep.store.memory_journal import MemoryJournal
from tests.contract.stores import OTHER_OWNER, new_run, running
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sidestep.model.events import JournalEvent

GRACE_S = Settings().interrupt_grace_s


class HeldOwners(LivingOwners):
    """Ends no process before it may; says when it was asked to."""

    def __init__(self, owner_id: str, dead: set[str]) -> None:
        super().__init__(owner_id, dead)
        self.asked = threading.Event()
        self.may = threading.Event()
        self.may.set()

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        self.asked.set()
        assert self.may.wait(10)
        return super().stop_groups(owner_id, run_id)


class Window(Harness):
    """A service with a process id of its own."""

    held: HeldStore
    owners: HeldOwners

    def sleep_as_if_stopped(self) -> None:
        """Hear no more of other processes, as one that got SIGSTOP."""
        self.store.watch(None)

    async def claiming(self, run_id: str) -> asyncio.Task[object]:
        """Ask for the run, and wait until the grace of its old execution runs."""
        task = self.resume(run_id)
        await self.clock.sleeper(GRACE_S)
        return task

    async def begun(self, run_id: str) -> list[JournalEvent]:
        """The journal, once it says that the step of the run taken over was begun here."""
        await self.reached(run_id, lambda record: record.claim_epoch > 1 and record.steps.running == 1)
        return await self.events(run_id)


@asynccontextmanager
async def two_windows(tmp_path: Path) -> AsyncIterator[tuple[Window, Window]]:
    journal, clock, settings = MemoryJournal(), FakeClock(), Settings()
    dead: set[str] = set()

    def window(letter: str) -> Window:
        store = HeldStore(clock, settings, journal)
        store.watch(busy=True)
        opened = Window(tmp_path, store=store, clock=clock, owners=HeldOwners(f"owner-{letter}", dead))
        opened.held = store
        opened.commands.held.add("only")
        return opened

    async with window("a") as a, window("b") as b:
        yield a, b


async def interrupted_while_stopped(a: Window, b: Window, **wanted: object) -> tuple[asyncio.Task[object], str]:
    """A run of `a`, which was stopped in its step, after `b` has interrupted it: (a's start, the run)."""
    task, run_id = await a.running(ONE_STEP, "only", **wanted)
    a.sleep_as_if_stopped()
    interrupting = asyncio.create_task(b.service.interrupt(run_id, by="b"))
    await b.clock.sleeper(GRACE_S)
    b.clock.advance(GRACE_S)
    done = await interrupting
    assert (done.record.status, done.quiescent) == (RunStatus.INTERRUPTED, False)
    return task, run_id


async def test_f3_a_stopped_owner_is_overpowered_when_the_grace_is_spent(tmp_path: Path) -> None:
    """F3, F4, I4: its processes first, then the claim; woken, it writes nothing and stays usable."""
    async with two_windows(tmp_path) as (a, b):
        task, run_id = await interrupted_while_stopped(a, b)
        b.owners.may.clear()
        resuming = await b.claiming(run_id)
        assert not b.owners.asked.is_set(), "the grace is not spent"
        b.clock.advance(GRACE_S)
        assert await asyncio.to_thread(b.owners.asked.wait, 10)
        row = await b.store.read(run_id)
        assert (row.status, row.owner and row.owner.owner_id) == (RunStatus.INTERRUPTED, "owner-a")
        b.owners.may.set()
        await b.commands.called("only")
        assert b.owners.stopped_groups == [("owner-a", run_id)]
        before = await b.begun(run_id)
        row = await b.store.read(run_id)
        assert (row.status, row.owner and row.owner.owner_id) == (RunStatus.RUNNING, "owner-b")

        a.commands.finish("only")
        active = a.service.runs.get(run_id)
        assert active is not None
        await active.quiescent.wait()
        assert await b.events(run_id) == before, "a result that comes after the next claim is dropped"
        assert await b.store.read(run_id) == row, "the woken owner's release is not of this claim"
        a.commands.held.clear()
        await a.completed()

        b.commands.finish("only")
        assert (await resuming).status is RunStatus.COMPLETED
        assert b.commands.count("only") == 1
        task.cancel()


async def test_i4_an_owner_that_lets_go_within_the_grace_is_not_overpowered(tmp_path: Path) -> None:
    async with two_windows(tmp_path) as (a, b):
        a.commands.deaf.add("only")
        task, run_id = await a.running(ONE_STEP, "only")
        await b.service.interrupt(run_id, by="b", wait_quiescent=False)
        resuming = await b.claiming(run_id)
        active = a.service.runs.get(run_id)
        assert active is not None
        a.commands.fail("only")
        await active.quiescent.wait()
        await task
        b.clock.advance(b.settings.watch_busy_ms / 1000)
        await b.commands.called("only")
        assert b.owners.stopped_groups == []
        b.commands.finish("only")
        assert (await resuming).status is RunStatus.COMPLETED


async def test_f3_an_owner_that_dies_while_it_is_waited_for_is_recovered(tmp_path: Path) -> None:
    """By the patrol; the claim is then an ordinary one."""
    async with two_windows(tmp_path) as (a, b):
        task, run_id = await interrupted_while_stopped(a, b)
        resuming = await b.claiming(run_id)
        released = b.service.listeners.expect(run_id, lambda record: record.owner is None)
        a.owners.dead.add("owner-a")
        b.clock.advance(1)
        await released
        await b.clock.sleeper(b.settings.watch_busy_ms / 1000)
        b.clock.advance(b.settings.watch_busy_ms / 1000)
        await b.commands.called("only")
        b.commands.finish("only")
        assert (await resuming).status is RunStatus.COMPLETED
        task.cancel()


async def test_i4_our_own_execution_that_does_not_unwind_is_never_overpowered(tmp_path: Path) -> None:
    """F1: what runs in this process, nobody can end for it; the answer says that it is ours."""
    async with two_windows(tmp_path) as (a, _):
        a.commands.deaf.add("only")
        task, run_id = await a.running(ONE_STEP, "only")
        await a.service.interrupt(run_id, by="person", wait_quiescent=False)
        resuming = await a.claiming(run_id)
        a.clock.advance(GRACE_S)
        with pytest.raises(RunLeased) as leased:
            await resuming
        assert (leased.value.mine, leased.value.quiescent) == (True, False)
        assert a.owners.stopped_groups == []
        a.commands.finish("only")
        await task


async def test_i4_a_run_that_was_taken_over_does_not_come_back_while_its_old_copy_still_works(tmp_path: Path) -> None:
    """F4: the lease is free, and what is left of the old execution is in the very process that asks."""
    async with two_windows(tmp_path) as (a, b):
        a.commands.deaf.add("only")
        task, run_id = await interrupted_while_stopped(a, b)
        resuming = await b.claiming(run_id)
        b.clock.advance(GRACE_S)
        await b.commands.called("only")
        await b.service.interrupt(run_id, by="b")
        await resuming
        assert (await b.store.read(run_id)).is_quiescent
        again = await a.claiming(run_id)
        a.clock.advance(GRACE_S)
        with pytest.raises(RunLeased) as leased:
            await again
        assert leased.value.mine is True
        active = a.service.runs.get(run_id)
        assert active is not None
        a.commands.finish("only")
        await active.quiescent.wait()
        a.commands.held.clear()
        assert (await a.resume(run_id)).status is RunStatus.COMPLETED
        task.cancel()


async def test_i8_an_interrupt_while_the_old_processes_are_ended_wins_over_the_claim(tmp_path: Path) -> None:
    async with two_windows(tmp_path) as (a, b):
        task, run_id = await interrupted_while_stopped(a, b)
        b.owners.may.clear()
        resuming = await b.claiming(run_id)
        b.clock.advance(GRACE_S)
        assert await asyncio.to_thread(b.owners.asked.wait, 10)
        await a.store.write(Interrupt(run_id, "user", "person"))
        b.owners.may.set()
        assert (await resuming).status is RunStatus.INTERRUPTED
        assert b.commands.calls == []
        task.cancel()


async def test_f1_an_owner_that_woke_and_claimed_its_run_again_keeps_it(tmp_path: Path) -> None:
    """F1, F4: in the moment in which it was about to be overpowered."""
    async with two_windows(tmp_path) as (a, b):
        task, run_id = await interrupted_while_stopped(a, b)
        b.owners.may.clear()
        resuming = await b.claiming(run_id)
        b.clock.advance(GRACE_S)
        assert await asyncio.to_thread(b.owners.asked.wait, 10)
        a.commands.fail("only")
        await task
        again = a.resume(run_id)
        await a.commands.called("only", 2)
        b.owners.may.set()
        with pytest.raises(RunLeased) as leased:
            await resuming
        assert leased.value.mine is False
        assert b.commands.calls == []
        a.commands.finish("only")
        assert (await again).status is RunStatus.COMPLETED


async def test_f4_the_processes_of_nested_runs_are_ended_too(tmp_path: Path) -> None:
    """They are listed under the nested run's id; one that completed has none."""
    async with two_windows(tmp_path) as (a, b):
        root = await running(b.store, 1, owner=OTHER_OWNER, folder=b.folder.path)
        for number, parent, depth in ((2, 1, 1), (3, 2, 2), (4, 1, 1)):
            child = new_run(
                number,
                owner=None,
                folder=b.folder.path,
                root_run_id=root.run_id,
                parent_run_id=new_run(parent).run_id,
                depth=depth,
            )
            await b.store.create(child, "async def main():\n    return None\n")
        await b.store.write(Finish(new_run(4).run_id, claim_epoch=1))
        b.owners.dead.add(OTHER_OWNER.owner_id)
        await b.clock.sleeper(0.5)
        b.clock.advance(0.5)
        assert (await b.status(root.run_id, RunStatus.INTERRUPTED)).reason == "crash"
        # Whichever of the two looked first.
        ended = {run_id for window in (a, b) for _, run_id in window.owners.stopped_groups}
        assert ended == {new_run(number).run_id for number in (1, 2, 3)}


async def test_f3_an_owner_that_was_stopped_before_its_first_step_begins_nothing_when_it_wakes(tmp_path: Path) -> None:
    """F3, F4: between its claim's commit and the executor; it has heard of nothing yet."""
    async with two_windows(tmp_path) as (a, b):
        task, run_id = await a.running(ONE_STEP, "only")
        await a.service.interrupt(run_id, by="person")
        await task
        a.commands.looks_at_claim = True
        a.held.hold("Claim")
        stopped = a.resume(run_id)
        await a.held.reached.wait()
        a.sleep_as_if_stopped()
        await b.service.interrupt(run_id, by="b", wait_quiescent=False)
        resuming = await b.claiming(run_id)
        b.clock.advance(GRACE_S)
        await b.commands.called("only")

        active = a.service.runs.get(run_id)
        assert active is not None
        a.held.release.set()
        await active.quiescent.wait()
        assert a.commands.count("only") == 1, "only what it did before"
        b.commands.finish("only")
        assert (await resuming).status is RunStatus.COMPLETED
        stopped.cancel()


async def test_f3_a_deadline_that_passed_while_the_owner_was_stopped_is_not_its_to_write(tmp_path: Path) -> None:
    """F3: woken after a take-over, the old owner writes nothing: not its old deadline either."""
    async with two_windows(tmp_path) as (a, b):
        task, run_id = await interrupted_while_stopped(a, b, deadline_s=60)
        resuming = asyncio.create_task(_resumed_without_deadline(b, run_id))
        await b.commands.called("only")
        b.clock.advance(60)
        b.commands.finish("only")
        assert (await resuming).status is RunStatus.COMPLETED
        task.cancel()


@pytest.mark.parametrize("end", ["drain", "cancel"])
async def test_f3_the_end_of_the_old_owners_host_is_no_interrupt_of_a_run_that_was_taken_over(
    tmp_path: Path, end: str
) -> None:
    """F3: nor is the cancellation of the request that once started it; that one lets go."""
    async with two_windows(tmp_path) as (a, b):
        caller = AbortController()
        task, run_id = await interrupted_while_stopped(a, b, signal=caller)
        resuming = await b.claiming(run_id)
        b.clock.advance(GRACE_S)
        await b.commands.called("only")
        journal = await b.begun(run_id)
        if end == "drain":
            await a.service.drain(AbortReason(AbortKind.CLIENT_GONE))
            with pytest.raises(Draining) as drained:
                await asyncio.wait_for(task, 5)
            assert drained.value.outcome["detached"] is True
        else:
            caller.abort(AbortReason(AbortKind.CANCELLED))
            with pytest.raises(RequestCancelled) as cancelled:
                await task
            assert cancelled.value.outcome["detached"] is True
        assert await b.events(run_id) == journal
        b.commands.finish("only")
        assert (await resuming).status is RunStatus.COMPLETED


@pytest.mark.parametrize("end", ["end", "drain", "cancel"])
async def test_f3_a_request_whose_run_was_taken_over_waits_for_the_new_owner(tmp_path: Path, end: str) -> None:
    """F3, S10: woken, its own execution is over; it is answered by the run's end there, or lets go."""
    async with two_windows(tmp_path) as (a, b):
        # As a process without a folder: only who waits makes it look for what others do.
        a.service.pace.folders_open(0)
        caller = AbortController()
        task, run_id = await interrupted_while_stopped(a, b, signal=caller)
        resuming = await b.claiming(run_id)
        b.clock.advance(GRACE_S)
        await b.commands.called("only")
        active = a.service.runs.get(run_id)
        assert active is not None
        a.commands.finish("only")
        await active.quiescent.wait()
        journal = await b.events(run_id)
        assert not task.done()
        if end == "drain":
            await a.service.drain(AbortReason(AbortKind.SHUTDOWN))
            with pytest.raises(Draining) as drained:
                await asyncio.wait_for(task, 5)
            assert drained.value.outcome["detached"] is True
        elif end == "cancel":
            caller.abort(AbortReason(AbortKind.CANCELLED))
            with pytest.raises(RequestCancelled) as cancelled:
                await asyncio.wait_for(task, 5)
            assert cancelled.value.outcome["detached"] is True
        assert await b.events(run_id) == journal
        b.commands.finish("only")
        assert (await resuming).status is RunStatus.COMPLETED
        if end == "end":
            assert (await asyncio.wait_for(task, 5)).record.status is RunStatus.COMPLETED
        assert a.service.pace.pace is Pace.REST


async def _resumed_without_deadline(b: Window, run_id: str) -> object:
    task = b.resume(run_id, deadline_s=1000)
    await b.clock.sleeper(GRACE_S)
    b.clock.advance(GRACE_S)
    return await task
