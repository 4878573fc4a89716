"""
From the end of an execution to the cleared lease, and to the answer of who interrupted it.

I1, I2, I4, C4.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.engine.journal_writer import STORE_RETRY_S
from sidestep.model.errors import StoreUnavailable
from sidestep.model.run import Attention, Owner, RunStatus
from sidestep.model.transitions import RunEvent
from sidestep.model.writes import Claim, Interrupt, Release
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Write


class RefusingStore(InMemoryRunStore):
    """Is away for the first interrupt, and for nothing else; says when it was asked to clear a lease."""

    refused = False

    def __init__(self, clock: FakeClock, settings: Settings) -> None:
        super().__init__(clock, settings)
        self.was_asked_to_release = asyncio.Event()

    async def write(self, write: Write) -> RunRecord:
        if isinstance(write, Interrupt) and not self.refused:
            self.refused = True
            raise StoreUnavailable("The disk is full.", "Free some space.")
        if isinstance(write, Release):
            self.was_asked_to_release.set()
        return await super().write(write)


def held(tmp_path: Path) -> tuple[Harness, HeldStore]:
    clock = FakeClock()
    store = HeldStore(clock, Settings())
    return Harness(tmp_path, store=store, clock=clock), store


async def test_i4_the_lease_is_cleared_right_behind_the_stop(tmp_path: Path) -> None:
    """The store takes writes in order, so the second is asked for before the first is answered."""
    harness, store = held(tmp_path)
    async with harness as h:
        _, run_id = await h.running(ONE_STEP, "only")
        store.hold("Interrupt")
        interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
        await store.reached.wait()
        active = h.service.runs.get(run_id)
        assert active is not None
        await active.quiescent.wait()
        assert (await store.read(run_id)).owner is None
        assert not interrupting.done(), "nobody is told before the stop is known to be durable"
        store.release.set()
        done = await interrupting
        assert (done.record.status, done.record.owner, done.quiescent) == (RunStatus.INTERRUPTED, None, True)


async def test_i4_a_lease_is_not_cleared_before_a_stop_that_the_store_did_not_take(tmp_path: Path) -> None:
    """I1, C4: the work has ended; the run keeps its owner until its stop is stored, and then loses it."""
    clock = FakeClock()
    store = RefusingStore(clock, Settings())
    async with Harness(tmp_path, store=store, clock=clock) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
        await store.was_asked_to_release.wait()
        left = await store.read(run_id)
        assert (left.status, left.owner is None) == (RunStatus.RUNNING, False)
        await clock.sleeper(STORE_RETRY_S)
        clock.advance(STORE_RETRY_S)
        done = await interrupting
        assert (done.record.status, done.record.owner, done.quiescent) == (RunStatus.INTERRUPTED, None, True)
        assert (await task).record.status is RunStatus.INTERRUPTED


async def test_an_interrupt_of_a_run_of_ours_reads_nothing(tmp_path: Path) -> None:
    """What it is answered with came back with the last write; a read is a hand-over to a thread and back."""
    harness, store = held(tmp_path)
    async with harness as h:
        _, run_id = await h.running(ONE_STEP, "only")
        before = store.reads
        done = await h.service.interrupt(run_id, by="person")
        assert store.reads == before
        assert done.record == await store.read(run_id)


async def test_i2_an_interrupt_between_the_cleared_lease_and_its_news_is_answered_with_its_own_epoch(
    tmp_path: Path,
) -> None:
    harness, store = held(tmp_path)
    async with harness as h:
        _, run_id = await h.running(ONE_STEP, "only")
        store.hold("Release")
        first = await h.service.interrupt(run_id, by="person", wait_quiescent=False)
        await store.reached.wait()
        second = asyncio.create_task(h.service.interrupt(run_id, by="another"))
        await h.clock.sleeper(h.settings.interrupt_grace_s)
        store.release.set()
        assert (await second).record.epoch == first.record.epoch + 1
        assert (await second).quiescent


async def test_f3_a_stop_that_waits_for_the_store_leaves_alone_who_has_resumed_the_run_meanwhile(
    tmp_path: Path,
) -> None:
    """Somebody else's stop was stored first, so the run was released: our own stop is answered with that."""
    clock = FakeClock()
    store = RefusingStore(clock, Settings())
    async with Harness(tmp_path, store=store, clock=clock) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        other = InMemoryRunStore(clock, Settings(), store.journal)
        async with other:
            await other.write(Interrupt(run_id, "user", "another window"))
            interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
            await store.was_asked_to_release.wait()
            await clock.sleeper(STORE_RETRY_S)
            released = await h.reached(run_id, lambda record: record.owner is None)
            owner = Owner("owner-b", 1, 1)
            await other.write(Claim(run_id, released.epoch, owner, RunEvent.RESUME, Attention.BLOCKING))
            clock.advance(STORE_RETRY_S)
            await interrupting
            await task
            assert (await other.read(run_id)).status is RunStatus.RUNNING
            await other.write(Interrupt(run_id, "user", "another window"))
            await other.write(Release(run_id, "owner-b", released.epoch + 1))
