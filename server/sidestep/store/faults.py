"""
What can be wrong with the store's file, in words a person can act on.

Owns the one mapping from SQLite's and the system's errors to `StoreUnavailable`. Decides by code, never by text.
"""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING

from sidestep.model.errors import DataDamaged, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_ELSEWHERE = "or name another store with --store or SIDESTEP_STORE."

# SQLite's primary result code -> what is wrong, what to do. `{path}` is the database.
_SQLITE_FAULTS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: (
        "The disk is full: the store {path} cannot grow.",
        "Free some space and try again; everything committed is safe.",
    ),
    sqlite3.SQLITE_READONLY: (
        "The store {path} is read-only.",
        f"Make the file, its -wal and -shm files and its folder writable, {_ELSEWHERE}",
    ),
    sqlite3.SQLITE_BUSY: (
        "The store {path} is locked by another program.",
        "Close the program that holds it (a backup, a database browser) and try again.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The store {path} is damaged.",
        f"Move it away together with its -wal and -shm files and restore a copy, {_ELSEWHERE}",
    ),
    sqlite3.SQLITE_NOTADB: (
        "{path} is no store: it is not an SQLite database.",
        f"Move the file away, {_ELSEWHERE}",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The store {path} cannot be opened.",
        f"Check that its folder exists and that you may write there, {_ELSEWHERE}",
    ),
    sqlite3.SQLITE_IOERR: (
        "The disk under the store {path} reports an error.",
        "Check the disk and try again; everything committed is safe.",
    ),
}
_SQLITE_FAULTS[sqlite3.SQLITE_LOCKED] = _SQLITE_FAULTS[sqlite3.SQLITE_BUSY]
_SQLITE_FAULTS[sqlite3.SQLITE_PERM] = _SQLITE_FAULTS[sqlite3.SQLITE_CANTOPEN]
_SQLITE_FAULTS[sqlite3.SQLITE_AUTH] = _SQLITE_FAULTS[sqlite3.SQLITE_CANTOPEN]

_SYSTEM_FAULTS: dict[int, int] = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EACCES: sqlite3.SQLITE_CANTOPEN,
    errno.EPERM: sqlite3.SQLITE_CANTOPEN,
    errno.EIO: sqlite3.SQLITE_IOERR,
}


def primary_code(error: sqlite3.Error) -> int:
    """The primary result code of an SQLite error; 0 for one that Python's module raised by itself."""
    extended: int = getattr(error, "sqlite_errorcode", 0)
    return extended & 0xFF


def store_fault(error: sqlite3.Error | OSError, path: Path) -> StoreUnavailable:
    """The error a caller gets when the database at `path`, or a file beside it, cannot be used."""
    code = primary_code(error) if isinstance(error, sqlite3.Error) else _SYSTEM_FAULTS.get(error.errno or 0, 0)
    what, todo = _SQLITE_FAULTS.get(code, ("The store {path} cannot be used: {error}.", f"Mend it, {_ELSEWHERE}"))
    return StoreUnavailable(what=what.format(path=path, error=error), todo=todo)


def newer_store(path: Path, found: int, known: int) -> StoreUnavailable:
    return StoreUnavailable(
        what=f"The store {path} was written by a newer Sidestep (schema {found}, this one knows {known}).",
        todo=f"Update Sidestep here, {_ELSEWHERE}",
    )


def older_store_in_use(path: Path, found: int, owners: list[int]) -> StoreUnavailable:
    processes = ", ".join(str(pid) for pid in owners)
    return StoreUnavailable(
        what=f"The store {path} is of an older Sidestep (schema {found}) that is still running (process {processes}).",
        todo=f"Close the other windows, or end those processes, and try again; {_ELSEWHERE}",
    )


def store_that_cannot_be_converted(path: Path, found: int) -> StoreUnavailable:
    return StoreUnavailable(
        what=f"The store {path} (schema {found}) is damaged and cannot be converted; nothing in it was changed.",
        todo=f"The Sidestep that wrote it may still read it, or restore a copy of the store; {_ELSEWHERE}",
    )


def folder_in_place_of_store(path: Path) -> StoreUnavailable:
    return StoreUnavailable(what=f"{path} is a folder, not a store.", todo=f"Name a file inside it, {_ELSEWHERE}")


def network_store(path: Path, file_system: str) -> StoreUnavailable:
    return StoreUnavailable(
        what=f"The store {path} stands on a network file system ({file_system}), where its locks do not hold.",
        todo=f"Move it to a local disk, {_ELSEWHERE}",
    )


def unreadable_run(run_id: str) -> DataDamaged:
    """One run's rows are damaged; the others are not touched by it."""
    return DataDamaged(
        what=f"The record of {run_id} is damaged and cannot be read.",
        todo="Restore a copy of the store, or delete the run; the others are well.",
    )


def closed_store() -> StoreUnavailable:
    return StoreUnavailable(what="The store is closed.", todo="Start Sidestep again.")
