"""C6: a newer schema is made of an older one in one transaction, or not at all."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from sidestep.model.errors import StoreUnavailable
from sidestep.store.migrations import MIGRATIONS, SCHEMA_VERSION, migrate, stored_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What a later version would add.
LATER = {**MIGRATIONS, SCHEMA_VERSION: "CREATE TABLE later (x);\nALTER TABLE runs ADD COLUMN extra TEXT;"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def test_c6_every_version_has_a_way_to_the_next() -> None:
    assert sorted(MIGRATIONS) == list(range(SCHEMA_VERSION))


def test_c6_an_empty_file_becomes_the_current_version_once(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path)
    identity = connection.execute("SELECT value FROM meta").fetchall()
    migrate(connection, path)
    assert stored_version(connection) == SCHEMA_VERSION
    assert connection.execute("SELECT value FROM meta").fetchall() == identity


def test_c6_an_older_store_is_migrated_and_keeps_its_rows(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path)
    connection.execute("INSERT INTO sources VALUES ('h', 't')")
    migrate(connection, path, to=SCHEMA_VERSION + 1, migrations=LATER)
    assert stored_version(connection) == SCHEMA_VERSION + 1
    assert connection.execute("SELECT text FROM sources").fetchall() == [("t",)]
    connection.execute("SELECT extra FROM runs, later")


def test_c6_a_migration_that_fails_changes_nothing(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path)
    broken = {**LATER, SCHEMA_VERSION: "CREATE TABLE later (x);\nCREATE TABLE later (x);"}
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, to=SCHEMA_VERSION + 1, migrations=broken)
    assert stored_version(connection) == SCHEMA_VERSION
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'later'").fetchone() is None


def test_c6_a_newer_store_is_refused(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, to=SCHEMA_VERSION + 1, migrations=LATER)
    with pytest.raises(StoreUnavailable, match="newer Sidestep"):
        migrate(connection, path)
