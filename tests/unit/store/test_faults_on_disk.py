"""C4, on the real SQLite and real files: full, read-only, locked, damaged; nothing committed is lost, and it mends."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.errors import StoreUnavailable
from sidestep.model.ports import RunFilter
from sidestep.model.run import RunResult
from sidestep.settings import Settings
from sidestep.store import outputs
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import SOURCE, completed, logged, new_run, running, sequences, stopped
from tests.support.fake_clock import FakeClock
from tests.support.other_program import let_go, other_program
from tests.support.unprivileged import NOBODY, unprivileged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sidestep.model.run import RunRecord

SETTINGS = Settings(busy_timeout_ms=50)
LARGE = '"' + "x" * (256 * 1024) + '"'


def make(path: Path, **wanted: Any) -> SqliteRunStore:
    return SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS, **wanted)


async def check_refused(store: SqliteRunStore, record: RunRecord, words: str) -> None:
    """A write and a read say what is wrong and what to do."""
    for asked in (store.write(logged(record, "x")), store.read(record.run_id)):
        with pytest.raises(StoreUnavailable, match=words) as error:
            await asked
        assert error.value.what.endswith(".")
        assert error.value.todo.endswith(".")


async def check_whole(store: SqliteRunStore, record: RunRecord) -> None:
    """Everything committed is there, and writing goes on."""
    count = (await store.read(record.run_id)).sequence
    assert await sequences(store, record.run_id) == list(range(1, count + 1))
    assert (await store.write(logged(record, "more"))).sequence == count + 1


# -- Full


class FullAtCommit(sqlite3.Connection):
    """A disk that fills up at a commit: the fault point."""

    is_full = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if type(self).is_full and sql == "COMMIT":
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full
        return super().execute(sql, *parameters)


@pytest.fixture
def full_disk() -> Iterator[type[FullAtCommit]]:
    yield FullAtCommit
    FullAtCommit.is_full = False


async def test_c4_a_disk_that_is_full_at_the_commit_loses_the_batch_and_nothing_else(
    tmp_path: Path, full_disk: type[FullAtCommit]
) -> None:
    async with make(tmp_path / "store.db", connection_type=full_disk) as store:
        record = await running(store)
        told: list[int] = []
        store.listen(lambda committed: told.append(committed.record.sequence))
        full_disk.is_full = True
        lazy = store.write_lazily(logged(record, "lazy"))
        with pytest.raises(StoreUnavailable, match="disk is full") as error:
            await store.write(completed(record, "a"))
        assert error.value.todo == "Free some space and try again; everything committed is safe."
        with pytest.raises(StoreUnavailable):
            await lazy
        assert told == []
        assert await sequences(store, record.run_id) == [1, 2]
        full_disk.is_full = False
        assert (await store.write(completed(record, "a"))).sequence == 3
        assert told == [3]
        assert [step.step_id for step in (await store.read_steps(record.run_id)).items] == ["a"]


async def test_c4_a_disk_too_full_for_an_output_file_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
        first = await store.keep_output(LARGE[1:])
        result = RunResult(data_json='"' + "x" * (1024 * 1024) + '"')
        with monkeypatch.context() as patch:
            patch.setattr(outputs.os, "fsync", full)
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await store.keep_output(LARGE)
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await store.keep_result(record.run_id, result)
        assert os.listdir(StoreLocation(path).outputs) == [first.file]
        output = await store.keep_output(LARGE)
        await store.write(completed(record, "a", output))
        (step,) = (await store.read_steps(record.run_id)).items
        assert await store.read_output(step) == LARGE
        assert (await store.keep_result(record.run_id, result)).file is not None


# -- Read-only


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
async def test_c4_a_read_only_folder_is_said_and_written_again_once_it_may(public_folder: Path) -> None:
    closed = public_folder / "state"
    closed.mkdir()
    path = closed / "store.db"
    if os.geteuid() == 0:
        os.chown(closed, NOBODY, NOBODY)
    with unprivileged():
        async with make(path) as store:
            record = await running(store)
        closed.chmod(0o555)
        store = make(path)
        # SQLite needs to write beside a database even to read it.
        with pytest.raises(StoreUnavailable, match="read-only") as error:
            await store.open()
        assert "its folder writable" in error.value.todo
        await check_refused(store, record, "read-only")
        closed.chmod(0o755)
        await check_whole(store, record)
        await store.close()


# -- Locked


@pytest.mark.slow
async def test_c4_a_store_locked_by_another_program_can_be_read_and_is_written_once_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
        with other_program(path, "BEGIN IMMEDIATE") as program:
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="locked by another program") as error:
                    await store.write(logged(record, "x"))
            assert error.value.todo.startswith("Close the program that holds it")
            assert (await store.read(record.run_id)).sequence == 2
            let_go(program)
            await check_whole(store, record)


@pytest.mark.slow
async def test_c4_a_store_that_another_program_holds_for_itself_alone_opens_once_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
    with other_program(path, "PRAGMA locking_mode = EXCLUSIVE;BEGIN EXCLUSIVE") as program:
        store = make(path)
        with pytest.raises(StoreUnavailable, match="locked by another program"):
            await store.open()
        await check_refused(store, record, "locked by another program")
        let_go(program)
        await check_whole(store, record)
        await store.close()


# -- Damaged


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def root_page(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    page: int = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    connection.close()
    return page


def spoil_header(path: Path) -> None:
    overwrite(path, 0, b"\xa5" * 100)


def spoil_middle(path: Path) -> None:
    overwrite(path, (root_page(path, "runs") - 1) * 4096, b"\xa5" * 4096)


def truncate(path: Path) -> None:
    os.truncate(path, 3 * 4096 + 17)


def cut_to_a_part_of_the_header(path: Path) -> None:
    os.truncate(path, 50)


@pytest.mark.parametrize("damage", [spoil_header, spoil_middle, truncate, cut_to_a_part_of_the_header])
async def test_c4_a_damaged_page_is_said_and_a_restored_copy_is_used_at_once(tmp_path: Path, damage: Any) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    async with make(path) as store:
        record = await running(store)
        for number in range(2, 80):
            await store.create(new_run(number), SOURCE)
    shutil.copy(path, copy)
    damage(path)
    damaged = path.read_bytes()
    store = make(path)
    # Which damage is noticed at opening is SQLite's to know.
    with contextlib.suppress(StoreUnavailable):
        await store.open()
    await check_refused(store, record, "is damaged|not an SQLite database")
    # Nothing makes it worse: what is left may still be rescued.
    assert path.read_bytes() == damaged
    for name in ("store.db-wal", "store.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    copy.replace(path)
    await check_whole(store, record)
    assert len((await store.list_runs(RunFilter(), cursor=None, limit=100)).items) == 79
    await store.close()


async def test_c4_a_page_damaged_under_an_open_store_is_said_by_what_needs_it_only(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
        await stopped(store, 2)
    spoil = (root_page(path, "steps") - 1) * 4096
    whole = path.read_bytes()[spoil : spoil + 4096]
    async with make(path) as store:
        overwrite(path, spoil, b"\xa5" * 4096)
        with pytest.raises(StoreUnavailable, match="is damaged"):
            await store.write(completed(record, "a"))
        # What does not need the page goes on.
        assert (await store.write(logged(record, "x"))).sequence == 3
        assert len((await store.list_runs(RunFilter(), cursor=None, limit=9)).items) == 2
        overwrite(path, spoil, whole)
        assert (await store.write(completed(record, "a"))).sequence == 4
        await check_whole(store, record)


async def test_c4_a_log_of_garbage_hides_nothing_that_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
    (tmp_path / "store.db-wal").write_bytes(b"\xa5" * 50_000)
    async with make(path) as store:
        await check_whole(store, record)


async def test_c4_a_log_torn_in_its_last_commit_keeps_the_ones_before(tmp_path: Path) -> None:
    """A power loss in the middle of a commit: it was told to nobody, and all before it stand."""
    path, torn = tmp_path / "store.db", tmp_path / "torn.db"
    async with make(path) as store:
        record = await running(store)
        size = (tmp_path / "store.db-wal").stat().st_size
        assert (await store.write(logged(record, "the last"))).sequence == 3
        shutil.copy(path, torn)
        shutil.copy(tmp_path / "store.db-wal", tmp_path / "torn.db-wal")
    os.truncate(tmp_path / "torn.db-wal", size + 1000)
    async with make(torn) as store:
        assert await sequences(store, record.run_id) == [1, 2]
        await check_whole(store, record)


# -- Missing


async def test_c4_a_missing_folder_is_made(tmp_path: Path) -> None:
    async with make(tmp_path / "a" / "b" / "store.db") as store:
        await check_whole(store, await running(store))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="an open file keeps its folder there")
async def test_c4_a_folder_that_vanishes_under_an_open_store_is_made_again(tmp_path: Path) -> None:
    """As after a store is deleted by hand: a new one is begun, in the open, instead of writing into nothing."""
    path = tmp_path / "state" / "store.db"
    store = make(path)
    await store.open()
    await running(store)
    shutil.rmtree(path.parent)
    number = 1
    while not path.exists():
        number += 1
        assert number < 5000, "the loss is noticed"
        await store.create(new_run(number), SOURCE)
    await check_whole(store, await running(store, 9999))
    await store.close()
