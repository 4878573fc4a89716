"""
The news that no event tells: a run's row changed by itself (its lease was cleared), or a run was deleted.

Owns the table `notices`, through which other processes hear of them: written in the transaction of the change, read
by their looks for foreign commits (`foreign.py`).

Invariant: a notice's number is given under the write lock and never again, so numbers grow in commit order.
Invariant: the table holds the newest `KEPT_MAX` notices; a process looks far more often than so many are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

KEPT_MAX = 10_000


class Notices:
    """The table as one connection's writer adds to it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Number of the transaction's last notice, 0 without one.
        self.last = 0
        # Rows whose change this transaction has told: readers see the last state of each.
        self._changed: set[str] = set()

    def begin(self) -> None:
        """A transaction has begun."""
        self.last = 0
        self._changed.clear()

    def row_changed(self, run_id: str) -> None:
        """The run's row has changed, and no event says so; told once a transaction."""
        if run_id not in self._changed:
            self._changed.add(run_id)
            self._add(run_id, None)

    def deleted(self, run_id: str, folder: str) -> None:
        """A root run of `folder` is gone with its tree."""
        self._add(run_id, folder)

    def _add(self, run_id: str, deleted_from: str | None) -> None:
        added = self._connection.execute(
            "INSERT INTO notices (run_id, deleted_from) VALUES (?, ?)", (run_id, deleted_from)
        )
        assert added.lastrowid is not None, "a row was inserted"
        self.last = added.lastrowid
        self._connection.execute("DELETE FROM notices WHERE notice <= ?", (self.last - KEPT_MAX,))


def last_notice(connection: sqlite3.Connection) -> int:
    """Number of the newest notice ever given, 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'notices'").fetchone()
    return row[0] if row is not None else 0


def notices_after(connection: sqlite3.Connection, notice: int) -> list[tuple[int, str, str | None]]:
    """(number, run id, folder it was deleted from or None) of every later notice, in order."""
    return connection.execute(
        "SELECT notice, run_id, deleted_from FROM notices WHERE notice > ? ORDER BY notice", (notice,)
    ).fetchall()
