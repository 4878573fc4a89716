"""
The id of a store that is there, read before the store is opened: what the initialize reply needs of it.

Invariant: this module imports nothing of the store's, and nothing of the model's: the host waits while it is loaded.
"""

from __future__ import annotations

import contextlib
import os

from sidestep.store.file_systems import network_file_system

# Of the stores whose id can be told without opening them: the one this code writes (`migrations.CURRENT`).
SCHEMA_VERSION = 4
_MOUNT_TABLE = "/proc/self/mountinfo"


def stored_id(database: str) -> str | None:
    """
    Look into a database that needs nothing done to it. Blocks on the disk, never on another process's lock.

    Args:
        database: An absolute path.

    Returns:
        The store's id. None when only opening the store can tell: there is none yet, it is of another version, it
        stands where a store cannot be used, or it cannot be read.
    """
    # SQLite's own descriptor only: see `store/connection.py`.
    if not os.path.isfile(database) or network_file_system(database, _MOUNT_TABLE) is not None:
        return None
    import sqlite3

    # Source: SQLite, "Uniform Resource Identifiers", what has to be escaped in a path.
    escaped = database.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        connection = sqlite3.connect(f"file:{escaped}?mode=ro", timeout=0, isolation_level=None, uri=True)
        with contextlib.closing(connection):
            if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                return None
            row = connection.execute("SELECT value FROM meta WHERE name = 'storeId'").fetchone()
    except (sqlite3.Error, UnicodeError):
        # UnicodeError: a path that is no text.
        return None
    return str(row[0]) if row else None
