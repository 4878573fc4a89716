"""What the writer knows of a run's steps, which no index tells: exact whoever wrote, and however a write ended."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.errors import DataDamaged, StepConflict, StoreUnavailable
from sidestep.model.writes import Finish
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import SOURCE, completed, new_run, running, started
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


def make(path: Path) -> SqliteRunStore:
    return SqliteRunStore(StoreLocation(path), FakeClock(), Settings(busy_timeout_ms=50))


async def check_kept_once(store: SqliteRunStore, run_id: str, *step_ids: str) -> None:
    """Each of the steps has one row, completed, in this order."""
    steps = (await store.read_steps(run_id)).items
    assert [(step.step_id, step.status.value) for step in steps] == [(each, "completed") for each in step_ids]


async def test_p1_a_step_that_another_process_finished_is_not_finished_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store, make(path) as other:
        record = await running(store)
        await store.write(completed(record, "a"))
        await other.write(started(record, "b"))
        await other.write(completed(record, "c"))
        await store.write(completed(record, "b"))
        await other.write(completed(record, "d"))
        for step_id in "abcd":
            for either in (store, other):
                with pytest.raises(StepConflict):
                    await either.write(completed(record, step_id))
        await check_kept_once(store, record.run_id, *"abcd")


class Busy(sqlite3.Connection):
    """Another process holds the lock when this is told to commit; such a connection is kept."""

    is_locked = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and Busy.is_locked:
            Busy.is_locked = False
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return super().execute(sql, *parameters)


async def test_a_step_whose_commit_failed_is_not_known(tmp_path: Path) -> None:
    location = StoreLocation(tmp_path / "store.db")
    async with SqliteRunStore(location, FakeClock(), Settings(), connection_type=Busy) as store:
        record = await running(store)
        await store.write(completed(record, "a"))
        Busy.is_locked = True
        with pytest.raises(StoreUnavailable):
            await store.write(completed(record, "b"))
        await store.write(completed(record, "b"))
        await check_kept_once(store, record.run_id, "a", "b")


async def test_a_run_that_takes_the_number_of_a_deleted_one_has_no_steps_of_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store, make(path) as other:
        first = await running(store, 1)
        await store.write(completed(first, "a"))
        await other.write(completed(first, "b"))
        await store.write(Finish(first.run_id, claim_epoch=1))
        await other.delete(first.run_id)
        second = await running(store, 2)
        for step_id in ("b", "a"):
            await store.write(completed(second, step_id))
        await check_kept_once(other, second.run_id, "b", "a")


async def test_c5_two_rows_of_one_step_are_a_damaged_run(tmp_path: Path) -> None:
    """No index forbids them, so it is seen by who is about to write."""
    path = tmp_path / "store.db"
    async with make(path) as store:
        bad, good = await running(store, 1), await running(store, 2)
        for record in (bad, good):
            await store.write(completed(record, "a"))
            await store.write(completed(record, "b"))
    connection = sqlite3.connect(path, isolation_level=None)
    (key,) = connection.execute("SELECT key FROM steps WHERE place >> 32 = 1 AND step_id = 'a'").fetchone()
    connection.execute("UPDATE steps SET key = ? WHERE place >> 32 = 1", (key,))
    connection.close()
    async with make(path) as store:
        with pytest.raises(DataDamaged, match=bad.run_id):
            await store.write(completed(bad, "c"))
        await store.write(completed(good, "c"))


async def test_a_step_costs_no_look_up(tmp_path: Path) -> None:
    """Whatever the steps before it: one read when the first is written, none for the others."""
    statements: list[str] = []
    store = SqliteRunStore(
        StoreLocation(tmp_path / "store.db"),
        FakeClock(),
        Settings(),
        prepare=lambda connection: connection.set_trace_callback(statements.append),
    )
    async with store:
        record, _ = await store.create(new_run(), SOURCE)
        for number in range(5):
            await store.write(completed(record, f"s{number}"))
        assert sum("FROM steps" in statement for statement in statements) == 1
