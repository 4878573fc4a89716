"""
The database file and connections to it, each mended by the next use after a failure.

Owns how a connection is set up (WAL, FULL, private files, schema); knows nothing of runs.

Invariant: the database is created with mode 0600, and SQLite gives `-wal` and `-shm` the database's mode.
Invariant: an existing database is never opened but by SQLite: closing any other descriptor of it in this process
would drop SQLite's POSIX locks.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.store.faults import folder_in_place_of_store, network_store, store_fault
from sidestep.store.file_systems import network_file_system
from sidestep.store.living import living_owners
from sidestep.store.migrations import CURRENT, migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.store.migrations import Schema

MOUNT_TABLE = Path("/proc/self/mountinfo")
# Pages after which the log is written back and begun anew, a quarter of SQLite's own number: so many fit into the room
# that is made ahead (`log_room.py`), and a commit that makes the log's file longer takes 1.5 to 1.8 times as long.
_WAL_PAGES_MAX = 250
# A WAL that grew past this is cut back at the next checkpoint.
_WAL_BYTES_KEPT_MAX = 16 * 1024 * 1024
# How often at most it is looked whether the file was replaced.
_IDENTITY_CHECK_S = 0.25


def _decode_damaged(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def no_preparation(connection: sqlite3.Connection) -> None:
    """The usual `prepare` of a `StoreFile`."""


class StoreFile:
    """
    The path of a database and how it is opened.

    Args:
        path: The database; missing folders are made (mode 0700) with it.
        owners: The folder of the owner files of the processes that use it.
        busy_timeout_ms: How long a connection waits for another process's lock.
        mount_table: Where the mounted file systems are listed.
        prepare: Called with each new connection before it is used; fault tests limit or spoil it there.
        schema: The version of the tables.
        connection_type: What connections are made as; fault tests let a commit fail there.
    """

    def __init__(
        self,
        path: Path,
        owners: Path,
        busy_timeout_ms: int,
        mount_table: Path = MOUNT_TABLE,
        prepare: Callable[[sqlite3.Connection], None] = no_preparation,
        schema: Schema = CURRENT,
        connection_type: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self.path = path
        self.schema = schema
        self._owners = owners
        self._busy_timeout_s = busy_timeout_ms / 1000
        self._mount_table = mount_table
        self._prepare = prepare
        self._connection_type = connection_type

    def connect(self, *, read_only: bool) -> sqlite3.Connection:
        """
        A connection in autocommit mode for the calling thread, its schema up to date.

        Raises:
            StoreUnavailable: the path is no place for a store, or the store is newer.
            sqlite3.Error: SQLite refused.
        """
        self._create_file()
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_s, isolation_level=None, factory=self._connection_type
        )
        try:
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT_MAX:d}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES_MAX:d}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection, self.path, self.schema, lambda: living_owners(self._owners))
            # A damaged text makes its own row unreadable, not the question, nor what else its transaction writes (C5).
            connection.text_factory = _decode_damaged
            if read_only:
                connection.execute("PRAGMA query_only = ON")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def identity(self) -> tuple[int, int] | None:
        """What tells this file from another at the same path; None when there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def bytes_on_disk(self) -> int:
        """Size of the database and its write-ahead log."""
        sizes = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with contextlib.suppress(OSError):
                sizes += path.stat().st_size
        return sizes

    def _create_file(self) -> None:
        if os.path.isdir(self.path):
            raise folder_in_place_of_store(self.path)
        file_system = network_file_system(self.path, self._mount_table)
        if file_system is not None:
            raise network_store(self.path, file_system)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # O_EXCL: an existing database must not be opened (and closed) here, see the invariant above.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if not self.path.parent.is_dir():
                raise store_fault(NotADirectoryError(f"{self.path.parent} is no folder"), self.path) from None
        except OSError as error:
            raise store_fault(error, self.path) from error


class Link:
    """
    A connection that lives in one thread and is made anew after a failure or when the file was replaced.

    Attributes:
        made: How many connections were made; state derived from a connection is stale when it grew.
    """

    def __init__(self, store_file: StoreFile, *, read_only: bool) -> None:
        self.store_file = store_file
        self.made = 0
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._identity_due_at = 0.0
        # Connections to a file that another one has replaced; see `get`.
        self._abandoned: list[sqlite3.Connection] = []

    def get(self) -> sqlite3.Connection:
        """
        The connection, made if there is none.

        Raises:
            StoreUnavailable, sqlite3.Error: as `StoreFile.connect`.
        """
        if self._connection is not None and (identity := self._identity_if_due()) != self._identity:
            # Writing on would go to a deleted file, silently. Closing deletes the `-wal` by name: when another store
            # stands there already, that would be its log, so the old connection is left alone.
            if identity is None:
                self.drop()
            else:
                self._abandoned.append(self._connection)
                self._connection = None
        if self._connection is None:
            self._connection = self.store_file.connect(read_only=self._read_only)
            self._identity = self.store_file.identity()
            self.made += 1
        return self._connection

    def _identity_if_due(self) -> tuple[int, int] | None:
        # A replaced file is rare and asking costs as much as a statement: not before each of many writes.
        now = time.monotonic()
        if now < self._identity_due_at:
            return self._identity
        self._identity_due_at = now + _IDENTITY_CHECK_S
        return self.store_file.identity()

    def get_if_made(self) -> sqlite3.Connection | None:
        """The connection, if there is one."""
        return self._connection

    def drop(self) -> None:
        """Close the connection, rolling back what it had begun; the next `get` makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # The file may be broken in a way that makes even closing fail; a new connection will tell.
            with contextlib.suppress(sqlite3.Error):
                connection.close()
