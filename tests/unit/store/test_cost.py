"""What a step costs: commits and bytes that do not grow with the run, nor with what the run was given."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from sidestep.settings import Settings
from sidestep.store import notices
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import SOURCE, completed, logged, new_run, running, started, stopped
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.run import RunRecord

# Long enough that a lazy write goes only with a durable one.
SETTINGS = Settings(lazy_write_ms=60_000, log_room_bytes=0)
WAL_FRAME_BYTES = 4096 + 24


class Measured:
    """A store that counts its commits and never checkpoints, so that its log's size is what was written."""

    def __init__(self, path: Path) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self.commits = 0
        self.store = SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS, prepare=self._count)

    def _count(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.set_trace_callback(self._trace)

    def _trace(self, statement: str) -> None:
        self.commits += statement == "COMMIT"

    def written(self) -> int:
        return self._wal.stat().st_size

    async def steps(self, record: RunRecord, numbers: range) -> tuple[float, float]:
        """Do trivial steps; (commits per step, bytes per step)."""
        commits, written = self.commits, self.written()
        for n in numbers:
            self.store.write_lazily(started(record, f"s{n}"))
            await self.store.write(completed(record, f"s{n}"))
        return (self.commits - commits) / len(numbers), (self.written() - written) / len(numbers)


@pytest.mark.slow
async def test_j8_the_thousandth_step_costs_what_the_first_did(tmp_path: Path) -> None:
    measured = Measured(tmp_path / "store.db")
    async with measured.store:
        record = await running(measured.store)
        commits, first = await measured.steps(record, range(100))
        assert commits == 1
        await measured.steps(record, range(100, 900))
        commits, last = await measured.steps(record, range(900, 1000))
        assert commits == 1
        # A page more now and then: the trees have grown by a level.
        assert last <= first + WAL_FRAME_BYTES
        assert last <= 5 * WAL_FRAME_BYTES


async def test_j8_a_step_costs_the_same_in_a_run_with_a_megabyte_of_arguments(tmp_path: Path) -> None:
    measured = Measured(tmp_path / "store.db")
    async with measured.store:
        small = await running(measured.store, 1)
        large = await running(measured.store, 2, args_json='"' + "x" * 1_000_000 + '"', script_ref="y" * 100_000)
        _, cheap = await measured.steps(small, range(20))
        commits, dear = await measured.steps(large, range(20))
        assert commits == 1
        assert dear <= cheap + WAL_FRAME_BYTES


async def test_a_step_makes_no_notice_and_few_statements(tmp_path: Path) -> None:
    statements: list[str] = []
    path = tmp_path / "store.db"

    def trace(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(statements.append)

    async with SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS, prepare=trace) as store:
        await store.watch(True)
        record = await running(store)
        await store.write(completed(record, "first"))
        statements.clear()
        await store.write(completed(record, "a"))
        words = [statement.split()[0] for statement in statements]
        # Begin, data_version, the step's event, its run's row and its own, commit.
        assert words == ["BEGIN", "PRAGMA", "INSERT", "UPDATE", "INSERT", "COMMIT"]
        assert not any("notices" in statement for statement in statements)


async def test_notices_are_few_whatever_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "KEPT_MAX", 3)
    path = tmp_path / "store.db"
    async with SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS) as store:
        for number in range(1, 9):
            await store.delete((await stopped(store, number)).run_id)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT notice FROM notices").fetchall() == [(6,), (7,), (8,)]
    connection.close()


async def test_writes_made_at_once_share_a_commit(tmp_path: Path) -> None:
    measured = Measured(tmp_path / "store.db")
    async with measured.store as store:
        record = await running(store)
        before = measured.commits
        await asyncio.gather(*(store.write(logged(record, str(n))) for n in range(100)))
        # The first may have gone alone before the others were queued.
        assert measured.commits - before <= 3


async def test_a_step_is_small_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS) as store:
        record = await running(store)
        before = path.stat().st_size
        for n in range(0, 500, 100):
            for k in range(n, n + 100):
                store.write_lazily(started(record, f"s{k}"))
            await asyncio.gather(*(store.write(completed(record, f"s{k}")) for k in range(n, n + 100)))
    assert (path.stat().st_size - before) / 500 <= 560


@pytest.mark.slow
async def test_lists_read_an_index_whatever_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS) as store:
        await asyncio.gather(*(stopped(store, n, folder=f"/w{n % 3}") for n in range(1, 100)))
        await store.create(new_run(100, folder="/w1"), SOURCE)
    connection = sqlite3.connect(path)
    for condition in ("folder = '/w1' AND status = 'completed'", "status = 'completed'"):
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT run FROM runs WHERE parent_run_id IS NULL AND {condition} "
            "AND (created_at_ms, run_id) < (50, 'x') ORDER BY created_at_ms DESC, run_id DESC LIMIT 5"
        ).fetchall()
        words = " ".join(row[3] for row in plan)
        assert "USING INDEX runs_by_" in words or "USING COVERING INDEX runs_by_" in words
        assert "TEMP B-TREE" not in words
    connection.close()


@pytest.mark.slow
async def test_the_log_is_written_over_long_before_it_is_large(tmp_path: Path) -> None:
    """A commit that makes the file longer waits for the disk nearly twice as long."""
    path = tmp_path / "store.db"
    async with SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS) as store:
        record = await running(store)
        for n in range(200):
            await store.write(completed(record, f"s{n}"))
        assert path.with_name("store.db-wal").stat().st_size <= 520 * WAL_FRAME_BYTES
