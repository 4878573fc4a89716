"""A run that is deleted, here or in another window: everybody hears of it once, and nobody waits for it for ever."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from sidestep.engine.journal_writer import STORE_RETRY_S
from sidestep.model.errors import RunNotFound, StoreUnavailable
from sidestep.model.ports import Deleted
from sidestep.model.run import RunStatus
from sidestep.model.writes import Finish
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import OTHER_OWNER, running
from tests.support.fake_clock import FakeClock
from tests.support.other_program import let_go, other_program
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def two_windows(tmp_path: Path) -> AsyncIterator[tuple[Harness, Harness]]:
    journal, clock, settings = MemoryJournal(), FakeClock(), Settings()

    def window(owner_id: str) -> Harness:
        store = InMemoryRunStore(clock, settings, journal)
        store.watch(busy=True)
        return Harness(tmp_path, store=store, clock=clock, owners=LivingOwners(owner_id))

    async with window("owner-a") as a, window("owner-b") as b:
        yield a, b


async def test_every_window_hears_of_a_deletion_once(tmp_path: Path) -> None:
    async with two_windows(tmp_path) as (a, b):
        record = await a.completed()
        heard: list[tuple[str, Deleted]] = []
        a.service.listeners.listen_deleted(lambda deleted: heard.append(("a", deleted)))
        b.service.listeners.listen_deleted(lambda deleted: heard.append(("b", deleted)))
        await b.service.delete(record.run_id)
        await b.completed()
        gone = Deleted(record.run_id, record.folder)
        assert sorted(heard, key=lambda each: each[0]) == [
            ("a", Deleted(record.run_id, record.folder, mine=False)),
            ("b", gone),
        ]


async def test_s8_a_listener_that_fails_keeps_a_deletion_from_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed()
        heard: list[str] = []

        def fail(_: Deleted) -> None:
            raise RuntimeError("a bad listener")

        h.service.listeners.listen_deleted(fail)
        unlisten = h.service.listeners.listen_deleted(lambda deleted: heard.append(deleted.run_id))
        await h.service.delete(record.run_id)
        unlisten()
        unlisten()
        other = await h.completed()
        await h.service.delete(other.run_id)
        assert heard == [record.run_id]
    assert "a listener failed" in caplog.text


async def test_a_wait_for_anothers_run_ends_when_it_is_deleted(tmp_path: Path) -> None:
    """Its end and its deletion fall between two looks at the other process's commits."""
    clock = FakeClock()
    path = StoreLocation(tmp_path / "store.db")
    async with (
        SqliteRunStore(path, clock, Settings(watch_busy_ms=600_000)) as store,
        SqliteRunStore(path, clock, Settings()) as other,
        Harness(tmp_path, store=store, clock=clock) as h,
    ):
        await store.watch(True)
        record = await running(other, owner=OTHER_OWNER)
        waiting = h.service.listeners.expect(record.run_id, lambda row: row.status is RunStatus.COMPLETED)
        await other.write(Finish(record.run_id, 1))
        await other.delete(record.run_id)
        # A write of ours looks at what others have committed before.
        await store.store_source("x")
        with pytest.raises(RunNotFound):
            await asyncio.wait_for(waiting, 5)


@pytest.mark.slow
async def test_c4_a_step_finished_while_another_program_locks_the_store_is_kept_and_done_once(tmp_path: Path) -> None:
    """On the real SQLite: the run waits, nothing is told, and it goes on by itself when the lock is gone."""
    clock, settings = FakeClock(), Settings(busy_timeout_ms=50, lazy_write_ms=1)
    location = StoreLocation(tmp_path / "store.db")
    async with (
        SqliteRunStore(location, clock, settings) as store,
        Harness(tmp_path, store=store, clock=clock, settings=settings) as h,
    ):
        task, run_id = await h.running(ONE_STEP, "only")
        await h.told("told step:started:only")
        with other_program(location.database, "BEGIN IMMEDIATE") as program:
            h.commands.finish("only")
            await clock.sleeper(STORE_RETRY_S)
            assert "told step:completed:only" not in h.trace
            assert (await store.read(run_id)).status is RunStatus.RUNNING
            with pytest.raises(StoreUnavailable, match="locked by another program"):
                await h.service.store.store_source("x")
            let_go(program)
        clock.advance(STORE_RETRY_S)
        assert (await task).record.status is RunStatus.COMPLETED
        assert h.commands.count("only") == 1
        events = await h.events(run_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
