"""
What the races found, each forced by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.run import RunStatus
from sidestep.settings import Settings
from sidestep.store.memory_journal import MemoryJournal
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path


async def test_i4_a_resume_whose_row_was_read_just_before_the_runs_end_is_answered_with_its_outcome(
    tmp_path: Path,
) -> None:
    """
    It was refused as leased, by this very process, although nobody had the run any more.

    Promise 1: the row says running; by the time it is looked at, the run has ended here.
    """
    clock, journal = FakeClock(), MemoryJournal()
    store = HeldStore(clock, Settings(), journal)
    async with Harness(tmp_path, store=store, clock=clock) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        active = h.service.runs.get(run_id)
        assert active is not None
        store.hold("read")
        resuming = h.resume(run_id)
        await store.reached.wait()
        h.commands.finish("only")
        assert (await task).record.status is RunStatus.COMPLETED
        await active.quiescent.wait()
        store.release.set()
        assert (await resuming).status is RunStatus.COMPLETED


class Window(Harness):
    """A service with a process id of its own, on a store that holds."""

    held: HeldStore


async def test_f3_an_owner_woken_after_its_run_was_taken_over_begins_no_step(tmp_path: Path) -> None:
    """
    It stood still between the create of its run and the first call, and its successor has finished the step meanwhile.

    Promise 2, F3: executors look at the claim before their work begins.
    """
    journal, clock, settings = MemoryJournal(), FakeClock(), Settings()

    def window(owner_id: str) -> Window:
        store = HeldStore(clock, settings, journal)
        opened = Window(tmp_path, store=store, clock=clock, owners=LivingOwners(owner_id))
        opened.held = store
        return opened

    async with window("owner-a") as a, window("owner-b") as b:
        a.commands.looks_at_claim = True
        a.held.hold("create")
        starting = a.start()
        await a.held.reached.wait()
        # From here on it stands still, and hears of nobody.
        a.held.watch(None)
        (row,) = await b.store.owned_runs()
        await b.service.interrupt(row.run_id, by="b", wait_quiescent=False)
        resuming = b.resume(row.run_id)
        await clock.sleeper(settings.interrupt_grace_s)
        clock.advance(settings.interrupt_grace_s)
        assert (await resuming).status is RunStatus.COMPLETED
        active = a.service.runs.get(row.run_id)
        assert active is not None
        a.held.release.set()
        await active.quiescent.wait()
        starting.cancel()
        assert (b.commands.count("only"), a.commands.count("only")) == (1, 0)
