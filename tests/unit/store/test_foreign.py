"""What one look at other processes' commits tells: each run once, with its row as it is now (J10, G5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.ports import Committed, Deleted
from sidestep.model.writes import Release
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import OWNER, interrupt, logged, running, stopped
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


def make(path: Path) -> SqliteRunStore:
    """One that looks only when it writes."""
    return SqliteRunStore(StoreLocation(path), FakeClock(), Settings(watch_busy_ms=600_000))


async def test_a_stop_and_its_release_found_by_one_look_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store, make(path) as other:
        record = await running(other)
        await store.watch(True)
        told: list[Committed] = []
        store.listen(told.append)
        await other.write(interrupt(record))
        freed = await other.write(Release(record.run_id, OWNER.owner_id, 1))
        await store.store_source("a write of ours looks")
        assert [(one.record, [event.sequence for event in one.events], one.mine) for one in told] == [
            (freed, [3], False)
        ]


async def test_a_run_that_came_and_went_between_two_looks_is_told_as_deleted_only(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store, make(path) as other:
        await store.watch(True)
        told: list[Committed | Deleted] = []
        store.listen(told.append)
        store.listen_deleted(told.append)
        gone = await stopped(other, 1)
        await other.delete(gone.run_id)
        await store.store_source("a write of ours looks")
        assert told == [Deleted(gone.run_id, gone.folder, mine=False)]


async def test_more_than_one_reading_has_is_told_whole_and_each_run_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store, make(path) as other:
        record = await running(other)
        await store.watch(True)
        told: list[Committed] = []
        store.listen(told.append)
        for burst in range(3):
            for n in range(299):
                other.write_lazily(logged(record, f"{burst}.{n}"))
            await other.write(logged(record, "end of a burst"))
        await store.store_source("a write of ours looks")
        assert [event.sequence for one in told for event in one.events] == list(range(3, 903))
        assert [one.record.sequence for one in told] == [902]
