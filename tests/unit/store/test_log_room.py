"""Room in the write-ahead log: there when nobody writes, and nothing but room."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from typing import TYPE_CHECKING

from sidestep.settings import Settings
from sidestep.store import writer_thread
from sidestep.store.connection import StoreFile
from sidestep.store.location import StoreLocation
from sidestep.store.log_room import make_room
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import completed, kinds, running
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ROOM = 256 * 1024


def opened(path: Path) -> sqlite3.Connection:
    return StoreFile(path, path.with_name("owners"), busy_timeout_ms=10_000).connect(read_only=False)


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def contents(path: Path) -> list[str]:
    """Everything in the database as SQL, read through another connection."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def commit(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("INSERT INTO sources (hash, text) VALUES (?, 'text')", (f"hash {number}",))


def test_room_is_on_disk_and_in_no_table(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = opened(path)
    commit(connection, 1)
    before, (pages,) = contents(path), connection.execute("PRAGMA page_count").fetchone()
    make_room(connection, path, ROOM)
    assert log_of(path).stat().st_size >= ROOM
    assert contents(path) == before
    # The last to close writes the log back.
    connection.close()
    assert contents(path) == before
    assert path.stat().st_size == pages * 4096


def test_commits_write_over_the_room(tmp_path: Path) -> None:
    """That is what it is for: the log's file grows by none of them."""
    path = tmp_path / "store.db"
    connection = opened(path)
    make_room(connection, path, ROOM)
    size = log_of(path).stat().st_size
    for number in range(20):
        commit(connection, number)
    assert log_of(path).stat().st_size == size
    # Where there is enough, none is made.
    make_room(connection, path, ROOM)
    assert log_of(path).stat().st_size == size
    connection.close()


def test_p1_a_recovery_passes_by_the_room(tmp_path: Path) -> None:
    """P1: killed with room in its log, before and after commits in it, the store has what was committed."""
    path = tmp_path / "store.db"
    connection = opened(path)
    commit(connection, 1)
    make_room(connection, path, ROOM)
    for number in (2, 3):
        dead = tmp_path / f"dead {number}"
        dead.mkdir()
        for file in (path, log_of(path)):
            shutil.copy(file, dead / file.name)
        left = opened(dead / path.name)
        found = left.execute("SELECT hash FROM sources ORDER BY hash").fetchall()
        assert found == [(f"hash {each}",) for each in range(1, number)]
        assert left.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        left.close()
        commit(connection, number)
    connection.close()


def test_the_connection_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = opened(path)

    def state() -> list[object]:
        names = ("cache_size", "busy_timeout", "synchronous", "journal_mode", "data_version")
        return [connection.in_transaction, *(connection.execute(f"PRAGMA {name}").fetchone() for name in names)]

    before = state()
    make_room(connection, path, ROOM)
    assert state() == before
    connection.close()


def test_who_writes_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection, other = opened(path), opened(path)
    other.execute("BEGIN IMMEDIATE")
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    make_room(connection, path, ROOM)
    connection.set_trace_callback(None)
    assert asked.index("PRAGMA busy_timeout = 0") < asked.index("BEGIN IMMEDIATE")
    assert log_of(path).stat().st_size < ROOM
    other.execute("ROLLBACK")
    commit(connection, 1)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (10_000,)
    for each in (connection, other):
        each.close()


def test_a_store_that_may_not_grow_goes_on_without_room(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = opened(path)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    make_room(connection, path, ROOM)
    assert not connection.in_transaction
    commit(connection, 1)
    assert connection.execute("SELECT hash FROM sources").fetchall() == [("hash 1",)]
    connection.close()


async def test_a_store_makes_room_once_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, made = asyncio.get_running_loop(), asyncio.Event()
    sizes: list[int] = []

    def noted(connection: sqlite3.Connection, database: Path, size: int) -> None:
        make_room(connection, database, size)
        sizes.append(log_of(database).stat().st_size)
        loop.call_soon_threadsafe(made.set)

    monkeypatch.setattr(writer_thread, "make_room", noted)
    path = tmp_path / "store.db"
    settings = Settings(log_room_bytes=ROOM, log_room_after_ms=0)
    async with SqliteRunStore(StoreLocation(path), FakeClock(), settings) as store:
        record = await running(store)
        await made.wait()
        for number in range(3):
            await store.write(completed(record, f"s{number}"))
        steps = ["step:completed"] * 3
        assert await kinds(store, record.run_id) == ["status:pending", "status:running", *steps]
        # Once is enough.
        assert len(sizes) == 1
        assert log_of(path).stat().st_size == sizes[0] >= ROOM


async def test_a_store_that_is_to_have_no_room_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_thread, "make_room", None)
    settings = Settings(log_room_bytes=0, log_room_after_ms=0)
    async with SqliteRunStore(StoreLocation(tmp_path / "store.db"), FakeClock(), settings) as store:
        # The second comes after the thread had nothing to do.
        await store.write(completed(await running(store), "a"))
