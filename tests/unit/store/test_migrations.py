"""C6: a newer schema is made of an older one in one transaction, or not at all; two versions side by side."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from sidestep.model.errors import StoreUnavailable
from sidestep.settings import Settings
from sidestep.store.living import living_owners
from sidestep.store.location import StoreLocation
from sidestep.store.migrations import CURRENT, Schema, migrate, require_known_version, stored_version
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import SOURCE, logged, new_run, running, sequences
from tests.support.fake_clock import FakeClock
from tests.support.neighbour import NEIGHBOUR, neighbour

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDS = "CREATE TABLE later (x);\nALTER TABLE runs ADD COLUMN extra TEXT;"
# What a later version would add, and one that older code must not write to.
LATER = Schema(CURRENT.version + 1, {**CURRENT.migrations, CURRENT.version: ADDS}, CURRENT.breaking)
BREAKS = f"{ADDS}\nUPDATE meta SET value = '{LATER.version}' WHERE name = 'oldestWriter';"
BREAKING = Schema(LATER.version, {**CURRENT.migrations, CURRENT.version: BREAKS}, CURRENT.breaking | {CURRENT.version})


def nobody() -> list[int]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def make(path: Path, schema: Schema = CURRENT) -> SqliteRunStore:
    return SqliteRunStore(StoreLocation(path), FakeClock(), Settings(busy_timeout_ms=50), schema=schema)


def test_c6_every_version_has_a_way_to_the_next() -> None:
    assert sorted(CURRENT.migrations) == list(range(CURRENT.version))


def test_c6_an_empty_file_becomes_the_current_version_once(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, CURRENT, nobody)
    identity = connection.execute("SELECT value FROM meta").fetchall()
    migrate(connection, path, CURRENT, nobody)
    assert stored_version(connection) == CURRENT.version
    assert connection.execute("SELECT value FROM meta").fetchall() == identity


def test_c6_an_older_store_is_migrated_and_keeps_its_rows(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, CURRENT, nobody)
    connection.execute("INSERT INTO sources VALUES ('h', 't')")
    migrate(connection, path, LATER, nobody)
    assert stored_version(connection) == LATER.version
    assert connection.execute("SELECT text FROM sources").fetchall() == [("t",)]
    connection.execute("SELECT extra FROM runs, later")


def test_c6_a_migration_that_fails_changes_nothing(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, CURRENT, nobody)
    twice = "CREATE TABLE later (x);\nCREATE TABLE later (x);"
    broken = Schema(LATER.version, {**CURRENT.migrations, CURRENT.version: twice}, frozenset())
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, broken, nobody)
    assert stored_version(connection) == CURRENT.version
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'later'").fetchone() is None


def test_c6_a_newer_store_that_older_code_would_harm_is_refused(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, BREAKING, nobody)
    with pytest.raises(StoreUnavailable, match="newer Sidestep"):
        migrate(connection, path, CURRENT, nobody)
    with pytest.raises(StoreUnavailable, match="newer Sidestep"):
        require_known_version(connection, path, CURRENT)


def test_c6_a_newer_store_that_does_not_say_who_may_write_is_refused(
    connection: sqlite3.Connection, path: Path
) -> None:
    migrate(connection, path, LATER, nobody)
    connection.execute("DELETE FROM meta WHERE name = 'oldestWriter'")
    with pytest.raises(StoreUnavailable, match="newer Sidestep"):
        migrate(connection, path, CURRENT, nobody)


async def test_c6_an_older_window_keeps_working_beside_a_version_that_only_adds(path: Path) -> None:
    async with make(path) as older:
        record = await running(older)
        async with make(path, LATER) as newer:
            await older.write(logged(record, "old"))
            await newer.write(logged(record, "new"))
            async with make(path) as opened_later:
                await opened_later.write(logged(record, "old again"))
        assert await sequences(older, record.run_id) == [1, 2, 3, 4, 5]
    connection = sqlite3.connect(path)
    assert stored_version(connection) == LATER.version
    connection.close()


async def test_c6_an_older_window_says_why_it_cannot_write_beside_a_breaking_version(path: Path) -> None:
    async with make(path) as older:
        record = await running(older)
        # No owner of it lives: nobody kept the new version from coming.
        async with make(path, BREAKING) as newer:
            with pytest.raises(StoreUnavailable, match="newer Sidestep") as refused:
                await older.write(logged(record, "old"))
            assert refused.value.todo.startswith("Update Sidestep")
            assert await sequences(newer, record.run_id) == [1, 2]


async def test_c6_a_breaking_version_waits_for_the_owners_that_live(path: Path) -> None:
    async with make(path) as older:
        record = await running(older)
        store = make(path, BREAKING)
        with neighbour(path):
            with pytest.raises(StoreUnavailable, match=f"still running .process {NEIGHBOUR}") as refused:
                await store.open()
            assert refused.value.todo.startswith("Close the other windows")
            with pytest.raises(StoreUnavailable, match="still running"):
                await store.read(record.run_id)
            # The older one is not disturbed.
            await older.write(logged(record, "x"))
        # By itself, once they are gone.
        assert (await store.write(logged(record, "y"))).sequence == 4
        await store.close()


async def test_c6_neither_an_added_table_nor_a_new_store_waits_for_anybody(path: Path) -> None:
    with neighbour(path):
        async with make(path) as store:
            await store.create(new_run(), SOURCE)
        async with make(path, LATER) as store:
            await store.create(new_run(2), SOURCE)


def test_c6_a_dead_owner_and_this_process_are_no_living_others(path: Path) -> None:
    folder = StoreLocation(path).owners
    with neighbour(path):
        assert living_owners(folder) == [NEIGHBOUR]
    assert (folder / "owner-other").exists()
    assert living_owners(folder) == []
    with neighbour(path, os.getpid()):
        assert living_owners(folder) == []
    assert living_owners(path / "none") == []


def test_c6_a_step_without_a_place_does_not_keep_a_store_from_its_next_version(
    connection: sqlite3.Connection, path: Path
) -> None:
    """C5: it was unreadable before, and the others are well."""
    before = Schema(3, {version: CURRENT.migrations[version] for version in range(3)}, CURRENT.breaking)
    migrate(connection, path, before, nobody)
    insert = (
        "INSERT INTO steps (run, first_sequence, key, step_id, kind, status, attempt, started_at_ms, claim_epoch, "
        "sequence) VALUES (1, ?, ?, 's', 'command', 'completed', 1, 1, 1, 5)"
    )
    for number, first_sequence in enumerate((3, 4.5, -1, "x", 2**40)):
        connection.execute(insert, (first_sequence, bytes([number]) * 16))
    migrate(connection, path, CURRENT, nobody)
    assert connection.execute("SELECT place FROM steps").fetchall() == [((1 << 32) + 3,)]


def test_c6_a_damaged_store_that_cannot_be_converted_stays_as_it_is_and_says_who_may_read_it(path: Path) -> None:
    before = Schema(3, {version: CURRENT.migrations[version] for version in range(3)}, CURRENT.breaking)
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, path, before, nobody)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        # No page of a table begins so.
        file.write(b"\xff" * 16)
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(StoreUnavailable, match="cannot be converted; nothing in it was changed"):
        migrate(connection, path, CURRENT, nobody)
    assert stored_version(connection) == 3
    connection.close()
