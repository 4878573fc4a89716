"""
Files beside the database that no row names: a crash came between a file and its commit, or between a delete and its
files.

Blocking; called from the store's thread for files, once after it was opened, on a connection of its own.

Invariant: a file is removed under the write lock, when no row names it and it is old: nobody can begin to refer to it
meanwhile, and a step that kept the same output just before finds it gone and writes it again (`transaction.py`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.model.errors import StoreUnavailable

if TYPE_CHECKING:
    from sidestep.store.connection import StoreFile

log = logging.getLogger("sidestep.store")

# Removed at once: other processes wait for the lock meanwhile.
_REMOVED_MAX = 500

_OUTPUT = re.compile(r"[0-9a-f]{64}\.json")
_RESULT = re.compile(r"(run_[a-z0-9]{1,64})\.json")
# Half-written files of `outputs.py` and `results.py`.
_TEMPORARY = re.compile(r"\.([0-9a-f]{64}|run_[a-z0-9]{1,64}\.json)\.\d+(\.\d+)?")


def sweep(store_file: StoreFile, folders: tuple[Path, ...], *, before_s: float, files_max: int) -> int:
    """
    Remove old files that nothing names; what cannot be removed is left for the next time.

    Args:
        folders: Where outputs and results are kept; a missing one is empty.
        before_s: Only files changed last before this time, in seconds since the epoch.
        files_max: Files looked at in each folder.

    Returns:
        How many were removed.
    """
    try:
        old = [path for folder in folders for path in _old_files(folder, before_s, files_max)]
        if not old:
            return 0
        with contextlib.closing(store_file.connect(read_only=False)) as connection:
            orphans = [path for path in old if not _is_named(connection, path.name)][:_REMOVED_MAX]
            if not orphans:
                return 0
            connection.execute("BEGIN IMMEDIATE")
            for path in orphans:
                if not _is_named(connection, path.name):
                    path.unlink(missing_ok=True)
            connection.execute("ROLLBACK")
    except (sqlite3.Error, OSError, StoreUnavailable) as error:
        log.debug("looking for files that nothing names failed", exc_info=error)
        return 0
    log.info("removed %d files that nothing named", len(orphans))
    return len(orphans)


def _old_files(folder: Path, before_s: float, files_max: int) -> list[Path]:
    found: list[Path] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for _, entry in zip(range(files_max), entries, strict=False):
            ours = any(pattern.fullmatch(entry.name) for pattern in (_OUTPUT, _RESULT, _TEMPORARY))
            if ours and entry.stat(follow_symlinks=False).st_mtime < before_s:
                found.append(Path(entry.path))
    return found


def _is_named(connection: sqlite3.Connection, name: str) -> bool:
    if _OUTPUT.fullmatch(name):
        row = connection.execute("SELECT 1 FROM steps WHERE output_file = ? LIMIT 1", (name,)).fetchone()
    elif result := _RESULT.fullmatch(name):
        # While the run is there, its next attempt replaces the file or its deletion removes it.
        row = connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (result[1],)).fetchone()
    else:
        return False
    return row is not None
