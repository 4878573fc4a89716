"""Room in the write-ahead log: there when nobody writes, and nothing but room."""

from __future__ import annotations

import asyncio
import queue
import shutil
import sqlite3
import threading
from typing import TYPE_CHECKING

from sidestep.settings import Settings
from sidestep.store import writer_thread
from sidestep.store.connection import Link, StoreFile
from sidestep.store.location import StoreLocation
from sidestep.store.log_room import make_room
from sidestep.store.outputs import OutputFolder
from sidestep.store.sqlite import SqliteRunStore
from sidestep.store.transaction import Tables
from sidestep.store.writer_thread import Delivery, Job, Pace, Stop, WriterThread
from tests.contract.stores import completed, kinds, running
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from sidestep.store.transaction import Applied

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


def test_the_room_is_as_large_as_was_asked_for(tmp_path: Path) -> None:
    """Or whoever opens the store next would make it again. The log of a store that is opened again begins empty."""
    path = tmp_path / "store.db"
    opened(path).close()
    connection = opened(path)
    size = Settings().log_room_bytes
    make_room(connection, path, size)
    assert log_of(path).stat().st_size >= size
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


def test_a_lock_is_waited_for_again_whatever_went_wrong(tmp_path: Path) -> None:
    """Another program spoils the schema meanwhile, so that there is more to read than can be read."""
    path = tmp_path / "store.db"
    connection, other = opened(path), opened(path)
    other.execute("PRAGMA writable_schema = ON")
    other.execute("INSERT INTO sqlite_schema VALUES ('table', 'spoilt', 'spoilt', 0, 'CREATE TABLE spoilt (')")
    other.execute("PRAGMA schema_version = 1000")
    make_room(connection, path, ROOM)
    assert log_of(path).stat().st_size < ROOM
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (10_000,)
    assert not connection.in_transaction
    for each in (connection, other):
        each.close()


def test_a_disk_that_is_nearly_full_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C4: the last megabyte is for what somebody wants to save there."""
    path = tmp_path / "store.db"
    connection = opened(path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * ROOM))
    make_room(connection, path, ROOM)
    assert log_of(path).stat().st_size < ROOM
    connection.close()


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


class Waits(queue.SimpleQueue[Job | Pace | Stop]):
    """A queue that notes how long the thread was ready to wait each time."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[float | None] = []
        self._noted = threading.Condition()

    def get(self, block: bool = True, timeout: float | None = None) -> Job | Pace | Stop:
        if block:
            with self._noted:
                self.timeouts.append(timeout)
                self._noted.notify_all()
        return super().get(block, timeout)

    def wait_for(self, number: int) -> None:
        with self._noted:
            assert self._noted.wait_for(lambda: len(self.timeouts) >= number, timeout=10)


class Thread:
    """A writer's thread on a store of its own, with what it waits for and the rooms it makes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, idle_s: float) -> None:
        self.waits = Waits()
        self.rooms: list[int] = []
        monkeypatch.setattr(writer_thread.queue, "SimpleQueue", lambda: self.waits)
        monkeypatch.setattr(writer_thread, "make_room", lambda connection, path, size: self.rooms.append(size))
        self.delivered: queue.Queue[Delivery] = queue.Queue()
        link = Link(StoreFile(folder / "store.db", folder / "owners", busy_timeout_ms=50), read_only=False)
        self.thread = WriterThread(
            link,
            lambda connection: Tables(connection, OutputFolder(folder / "outputs"), lambda name: False),
            self.delivered.put,
            FakeClock(),
            (ROOM, idle_s),
        )

    def ask(self, order: Job | Pace | Stop) -> Delivery:
        self.thread.put(order)
        return self.delivered.get(timeout=10)


async def test_a_thread_that_lost_its_connection_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle process does nothing, also when its store cannot be used."""
    future = asyncio.get_running_loop().create_future

    def fail(tables: Tables, now_ms: int) -> Applied:
        raise sqlite3.DatabaseError("the disk broke")

    thread = Thread(tmp_path, monkeypatch, idle_s=0)
    assert thread.ask(Job(fail, future())).settled[0].error is not None
    thread.waits.wait_for(2)
    assert thread.waits.timeouts[1] is None
    thread.ask(Stop(future()))
    assert thread.rooms == []


async def test_a_look_for_others_commits_is_not_a_time_without_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = asyncio.get_running_loop().create_future
    thread = Thread(tmp_path, monkeypatch, idle_s=3600)
    thread.ask(Pace(0, future()))
    thread.waits.wait_for(5)
    thread.ask(Stop(future()))
    assert thread.rooms == []
