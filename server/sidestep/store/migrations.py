"""
The schema's versions: which one this code writes, and how an older store becomes it.

Invariant: a migration only adds (tables, columns with defaults, indexes), so what is stored keeps its meaning.
Invariant: a store of a newer version is refused, at opening and by every write transaction after another's commit.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.store.faults import newer_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA_VERSION = 1

# Version n -> the SQL that makes version n + 1 of it. Version 0 is an empty file.
MIGRATIONS: Mapping[int, str] = {0: Path(__file__).with_name("schema.sql").read_text("utf-8")}


def stored_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def require_known_version(connection: sqlite3.Connection, path: Path) -> None:
    """
    Raises:
        StoreUnavailable: another process made the store newer than this code knows.
    """
    version = stored_version(connection)
    if version > SCHEMA_VERSION:
        raise newer_store(path, version, SCHEMA_VERSION)


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    *,
    to: int = SCHEMA_VERSION,
    migrations: Mapping[int, str] = MIGRATIONS,
) -> None:
    """
    Bring the store to version `to`, all steps in one transaction; nothing is written when it is there already.

    Raises:
        StoreUnavailable: the store is newer.
        sqlite3.Error: it cannot be written; the version is unchanged.
    """
    found = stored_version(connection)
    if found == to:
        return
    if found > to:
        raise newer_store(path, found, to)
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated meanwhile.
        for version in range(stored_version(connection), to):
            for statement in _statements(migrations[version]):
                connection.execute(statement)
        if stored_version(connection) < to:
            connection.execute(f"PRAGMA user_version = {to:d}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    # `executescript` would commit between the statements.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
