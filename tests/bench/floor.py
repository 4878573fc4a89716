"""The physical limit to compare with: one SQLite commit, WAL and FULL, on the disk the store stands on."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


# Until the log's file was full once: before, a commit makes the file longer, and takes up to twice as long.
_WARMING_COMMITS = 1_000


class CommitFloor:
    """A database of one table; `measure` times single-row commits, each of which writes over what is in the log."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, body TEXT)")
        self.measure(_WARMING_COMMITS)

    def measure(self, commits: int) -> list[float]:
        """Seconds of each of `commits` commits of one 200-byte row."""
        body = "x" * 200
        times: list[float] = []
        for _ in range(commits):
            began = time.perf_counter()
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT INTO rows (body) VALUES (?)", (body,))
            self._connection.execute("COMMIT")
            times.append(time.perf_counter() - began)
        return times

    def measure_groups(self, rows: int, commits: int) -> list[float]:
        """Seconds for each row of `commits` commits of so many rows."""
        body = "x" * 200
        times: list[float] = []
        for _ in range(commits):
            began = time.perf_counter()
            self._connection.execute("BEGIN IMMEDIATE")
            for _ in range(rows):
                self._connection.execute("INSERT INTO rows (body) VALUES (?)", (body,))
            self._connection.execute("COMMIT")
            times.append((time.perf_counter() - began) / rows)
        return times

    def close(self) -> None:
        self._connection.close()
