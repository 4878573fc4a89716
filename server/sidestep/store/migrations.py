"""
The schema's versions: which one this code writes, and how an older store becomes it.

Invariant: a migration keeps everything that is stored. One that older code can go on beside only adds (tables, columns
with defaults, indexes).
Invariant: a store whose newer version this code would harm is refused, at opening and by every write transaction after
another's commit. The store says which code that is: `oldestWriter` in its table `meta`, since version 2.
Invariant: a version that does not let older code go on is not made while somebody else has the store open.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.store.faults import newer_store, older_store_in_use, primary_code, store_that_cannot_be_converted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True)
class Schema:
    """
    A version and the way to it.

    Attributes:
        version: What this code writes; `PRAGMA user_version` of the store.
        migrations: Version n -> the SQL that makes version n + 1 of it. Version 0 is an empty file.
        breaking: Versions whose code cannot go on beside the next one.
    """

    version: int
    migrations: Mapping[int, str]
    breaking: frozenset[int]


def _sql(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


# Version 1 refuses every newer store, version 2 cannot read questions, and version 3 neither steps nor events as they
# are stored now, so what their runs are doing could not be stored any more.
CURRENT = Schema(
    4,
    {0: _sql("schema.sql"), 1: _sql("schema_2.sql"), 2: _sql("schema_3.sql"), 3: _sql("schema_4.sql")},
    breaking=frozenset({1, 2, 3}),
)


def stored_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def require_known_version(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """
    Raises:
        StoreUnavailable: the store is newer than this code knows, and does not say that this code may write.
    """
    found = stored_version(connection)
    if found > schema.version and _oldest_writer(connection, found) > schema.version:
        raise newer_store(path, found, schema.version)


def migrate(connection: sqlite3.Connection, path: Path, schema: Schema, living_owners: Callable[[], list[int]]) -> None:
    """
    Bring the store to the schema's version, all steps in one transaction; nothing is written when it is there already.

    Args:
        living_owners: Answers the process ids of the others that have the store open.

    Raises:
        StoreUnavailable: the store is newer, or a breaking step has to wait for the others.
        sqlite3.Error: it cannot be written; the version is unchanged.
    """
    if stored_version(connection) >= schema.version:
        require_known_version(connection, path, schema)
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated meanwhile.
        found = stored_version(connection)
        steps = range(found, schema.version)
        if found and schema.breaking.intersection(steps) and (others := living_owners()):
            raise older_store_in_use(path, found, others)
        for version in steps:
            for statement in _statements(schema.migrations[version]):
                connection.execute(statement)
        if found < schema.version:
            connection.execute(f"PRAGMA user_version = {schema.version:d}")
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_CORRUPT:
            raise store_that_cannot_be_converted(path, stored_version(connection)) from error
        raise


def _oldest_writer(connection: sqlite3.Connection, found: int) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = 'oldestWriter'").fetchone()
    return found if row is None else int(row[0])


def _statements(script: str) -> Iterator[str]:
    # `executescript` would commit between the statements.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
