"""
Room in the write-ahead log, made while nobody writes.

A commit that makes the log's file longer takes 1.5 to 1.8 times one that writes over what is there, as the file system
has to journal the new length, too. The log of a store that nobody else has open begins empty, so without room all the
commits of a short life are of the slow kind.

The room is what a transaction left that was too large for its cache, and was rolled back: frames without a commit,
which the next transaction writes over, and which a recovery passes by. Nothing of it is ever in the database.

Source: SQLite, "Write-Ahead Logging" and "File Format", 4.5: a reader takes frames up to the last commit.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("sidestep.store")

# Pages; SQLite keeps to a few more.
_SMALLEST_CACHE = 8
# What stays in the cache never gets to the log: so much more is written for it.
_KEPT_BYTES_MAX = 16 * 4096
# So many times the room must be free on the disk: the last of it is for what people want to save there.
_FREE_MIN = 16


def make_room(connection: sqlite3.Connection, database: Path, size: int) -> None:
    """
    Make the log's file `size` bytes long, at least, if nobody holds the write lock. Blocks; on return it is on disk.

    Args:
        connection: In autocommit mode; as it was afterwards, but for `total_changes`.

    What prevents it (a nearly full disk, another writer) is no fault: commits are as slow then as without it.
    """
    path = database.with_name(f"{database.name}-wal")
    try:
        if path.stat().st_size < size and shutil.disk_usage(path.parent).free >= _FREE_MIN * size:
            _spill(connection, size)
            _sync(path)
    except (sqlite3.Error, OSError) as error:
        log.debug("no room was made in the log: %r", error)


def _spill(connection: sqlite3.Connection, size: int) -> None:
    before = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("cache_size", "busy_timeout")}
    try:
        connection.execute(f"PRAGMA cache_size = {_SMALLEST_CACHE:d}")
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO sources (hash, text) VALUES ('', zeroblob(?))", (size + _KEPT_BYTES_MAX,))
    finally:
        # First, because it reads nothing and so cannot fail: without it the next writes would wait for nobody.
        connection.execute(f"PRAGMA busy_timeout = {before['busy_timeout']:d}")
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(f"PRAGMA cache_size = {before['cache_size']:d}")


def _sync(path: Path) -> None:
    # Or the next commit would have to. SQLite has no locks on this file that closing a descriptor could drop.
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
