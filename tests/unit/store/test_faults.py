"""C4: a store that cannot be used says what is wrong and what to do, loses nothing, and recovers by itself."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidestep.model.errors import StoreUnavailable
from sidestep.model.ports import RunFilter
from sidestep.model.writes import Append
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.migrations import CURRENT
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import SOURCE, completed, logged, new_run, running, sequences
from tests.support.fake_clock import FakeClock
from tests.support.unprivileged import unprivileged

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = Settings(busy_timeout_ms=50)


def make(
    path: Path, prepare: Callable[[sqlite3.Connection], None] | None = None, mount_table: Path = Path("/none")
) -> SqliteRunStore:
    location = StoreLocation(path)
    if prepare is None:
        return SqliteRunStore(location, FakeClock(), SETTINGS, mount_table=mount_table)
    return SqliteRunStore(location, FakeClock(), SETTINGS, mount_table=mount_table, prepare=prepare)


async def check_refused(store: SqliteRunStore, words: str) -> None:
    """Opening, writing and reading say what is wrong, again and again."""
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=words) as error:
            await store.open()
        assert error.value.what.endswith(".")
        assert error.value.todo.endswith(".")
        assert "{" not in str(error.value)
    with pytest.raises(StoreUnavailable, match=words):
        await store.create(new_run(), SOURCE)
    with pytest.raises(StoreUnavailable, match=words):
        await store.list_runs(RunFilter(), cursor=None, limit=1)


async def test_c4_a_folder_in_place_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.mkdir()
    store = make(path)
    await check_refused(store, "is a folder")
    path.rmdir()
    # By itself: nobody opens it again.
    assert (await store.create(new_run(), SOURCE))[1]
    await store.close()


async def test_c4_listeners_hear_that_it_is_away_and_that_it_is_back_once_each(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.mkdir()
    store = make(path)
    heard: list[StoreUnavailable | None] = []
    store.listen_availability(heard.append)
    await check_refused(store, "is a folder")
    assert len(heard) == 1
    assert heard[0] is not None
    assert "is a folder" in heard[0].what
    path.rmdir()
    await store.create(new_run(), SOURCE)
    await running(store, 2)
    assert heard[1:] == [None]
    await store.close()


async def test_c4_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = make(tmp_path / "file" / "sub" / "store.db")
    await check_refused(store, "cannot be used|cannot be opened")
    (tmp_path / "file").unlink()
    assert (await store.create(new_run(), SOURCE))[1]
    await store.close()


async def test_c4_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("This is a letter, not a database. " * 100)
    store = make(path)
    await check_refused(store, "not an SQLite database")
    assert path.read_text().startswith("This is a letter")
    path.rename(tmp_path / "letter")
    assert (await store.create(new_run(), SOURCE))[1]
    await store.close()


async def test_c4_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        for number in range(1, 40):
            await store.create(new_run(number), SOURCE)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    store = make(path)
    await store.open()
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await store.create(new_run(), SOURCE)
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await store.list_runs(RunFilter(), cursor=None, limit=1)
    await store.close()


async def test_c4_a_newer_store_is_refused_at_opening_and_by_every_write(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("UPDATE meta SET value = '99' WHERE name = 'oldestWriter'")
        other.execute("PRAGMA user_version = 99")
        other.close()
        with pytest.raises(StoreUnavailable, match="newer Sidestep"):
            await store.write(logged(record, "x"))
        await check_refused(store, "newer Sidestep")
        other = sqlite3.connect(path)
        other.execute(f"PRAGMA user_version = {CURRENT.version}")
        other.close()
        assert (await store.write(logged(record, "x"))).sequence == 3


async def test_c4_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    full = {"pages": 0}

    def limit(connection: sqlite3.Connection) -> None:
        if full["pages"]:
            connection.execute(f"PRAGMA max_page_count = {full['pages']}")

    path = tmp_path / "store.db"
    async with make(path, limit) as store:
        record = await running(store)
    full["pages"] = 1
    async with make(path, limit) as store:
        written = 2
        with pytest.raises(StoreUnavailable, match="disk is full"):  # noqa: PT012 -- how many fit is not known
            while written < 1000:
                written = (await store.write(logged(record, "x" * 3000))).sequence
        assert await sequences(store, record.run_id) == list(range(1, written + 1))
        full["pages"] = 100_000
        assert (await store.write(logged(record, "y"))).sequence == written + 1
        assert await sequences(store, record.run_id) == list(range(1, written + 2))


async def test_c4_a_batch_that_cannot_be_committed_fails_whole(tmp_path: Path) -> None:
    fault = {"on": False}

    def spoil(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA query_only = {'ON' if fault['on'] else 'OFF'}")

    path = tmp_path / "store.db"
    async with make(path, spoil) as store:
        record = await running(store)
    fault["on"] = True
    store = make(path, spoil)
    told: list[object] = []
    store.listen(told.append)
    with pytest.raises(StoreUnavailable, match="read-only"):
        await store.open()
    store.write_lazily(logged(record, "lazy"))
    with pytest.raises(StoreUnavailable, match="read-only"):
        await store.write(logged(record, "durable"))
    fault["on"] = False
    assert told == []
    assert (await store.write(completed(record, "a"))).sequence == 3
    await store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
async def test_c4_a_read_only_file_can_be_read_and_written_again_once_it_may(public_folder: Path) -> None:
    path = public_folder / "store.db"
    with unprivileged():
        async with make(path) as store:
            record = await running(store)
        path.chmod(0o444)
        store = make(path)
        await store.open()
        assert (await store.read(record.run_id)).sequence == 2
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.write(logged(record, "x"))
        for name in os.listdir(public_folder):
            os.chmod(public_folder / name, 0o600)
        assert (await store.write(logged(record, "x"))).sequence == 3
        assert (await store.read(record.run_id)).sequence == 3
        await store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
async def test_c4_a_folder_that_may_not_be_entered(public_folder: Path) -> None:
    closed = public_folder / "closed"
    closed.mkdir(mode=0o700)
    closed.chmod(0o000)
    with unprivileged():
        store = make(closed / "store.db")
        await check_refused(store, "cannot be opened")
        await store.close()


async def test_c4_a_lock_held_by_another_program(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked by another program"):
            await store.write(logged(record, "x"))
        # Readers do not wait.
        assert (await store.read(record.run_id)).sequence == 2
        holder.execute("ROLLBACK")
        holder.close()
        assert (await store.write(logged(record, "x"))).sequence == 3


async def test_c4_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"25 1 8:1 / / rw - ext4 /dev/a rw\n30 25 0:4 / {tmp_path} rw shared:1 - nfs4 host:/x rw\n")
    store = make(tmp_path / "store.db", mount_table=mounts)
    await check_refused(store, "network file system .nfs4.")
    assert not (tmp_path / "store.db").exists()
    await store.close()


async def test_c4_a_store_deleted_under_a_running_process_is_made_anew(tmp_path: Path) -> None:
    """Nothing is written into a deleted file as if it were kept."""
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
    store = make(path)
    await store.open()
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    created = False
    for number in range(2, 2000):
        # The look at the file is not taken at every write.
        created = path.exists()
        if created:
            break
        await store.create(new_run(number), SOURCE)
    assert created
    runs = (await store.list_runs(RunFilter(), cursor=None, limit=100)).items
    assert record.run_id not in {run.run_id for run in runs}
    await store.close()


async def test_a_broken_promise_of_a_caller_is_raised_there_and_harms_nobody(tmp_path: Path) -> None:
    async with make(tmp_path / "store.db") as store:
        record = await running(store)
        await store.create(new_run(2), SOURCE)
        with pytest.raises(AssertionError):
            await store.create(new_run(2), SOURCE)
        with pytest.raises(AssertionError):
            await store.create(new_run(3), SOURCE + "# another")
        with pytest.raises(AssertionError):
            await store.write(Append(record.run_id, 1, completed(record, "a").bodies))
        assert (await store.write(logged(record, "x"))).sequence == 3
