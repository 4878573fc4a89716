"""
Commits of other processes, noticed by the writer's connection.

`PRAGMA data_version` moves when another connection commits and never for one's own commits; the events past the last
position seen, and the notices past the last number seen, are then the others'. Both are given under the write lock, so
they grow in commit order.

Invariant: own events and notices are passed over in the same transaction that wrote them, after the foreign ones before
them were collected; so none is told twice, none is missed, and the order told is the order committed.
Invariant: what is unreadable of one run is logged and passed over; the others' is told (C5).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sidestep.model.ports import Committed, Deleted
from sidestep.store.event_rows import NO_RUN, decode_events, last_position
from sidestep.store.notices import last_notice, notices_after
from sidestep.store.row_cache import inputs_of_run
from sidestep.store.rows import UNREADABLE, decode_record

if TYPE_CHECKING:
    import sqlite3

    from sidestep.model.events import JournalEvent
    from sidestep.model.run import RunRecord

log = logging.getLogger("sidestep.store")

# Rows of events read at once; more are read in further rounds.
_ROWS_READ_MAX = 500


class ForeignCommits:
    """What other processes committed since the last look; off until `start`."""

    def __init__(self) -> None:
        # Everything up to here was told or is ours; None while nobody asks.
        self._position: int | None = None
        # The last notice that was told or is ours.
        self._notice = 0
        # Of the connection looked through last; None asks for a look whatever it says.
        self._data_version: int | None = None
        self._store_id: str | None = None

    @property
    def is_on(self) -> bool:
        return self._position is not None

    def start(self, connection: sqlite3.Connection) -> None:
        """Look from now on: what is committed already is not told."""
        self._store_id = _store_id(connection)
        self._data_version = None
        self._position = last_position(connection)
        self._notice = last_notice(connection)

    def stop(self) -> None:
        self._position = None

    def reconnected(self, connection: sqlite3.Connection) -> None:
        """The connection is a new one: look again; begin anew when even the store is another."""
        self._data_version = None
        if self.is_on and _store_id(connection) != self._store_id:
            self.start(connection)

    def passed(self, own_position: int, own_notice: int) -> None:
        """Our own events up to `own_position`, and notices up to `own_notice`, are committed."""
        if self._position is not None:
            self._position = max(self._position, own_position)
            self._notice = max(self._notice, own_notice)

    def may_have_new(self, data_version: int) -> bool:
        """Whether another connection has committed since the last look."""
        return self.is_on and data_version != self._data_version

    def collect(self, connection: sqlite3.Connection, data_version: int) -> list[Committed | Deleted]:
        """
        What others committed since the last look, in commit order; at most one entry per run with events.

        Must run inside a transaction, so that the rows, the events and `data_version` are of one moment.
        """
        if self._position is None or data_version == self._data_version:
            return []
        position, notice = self._position, self._notice
        events: dict[int, list[JournalEvent]] = {}
        while True:
            rows = connection.execute(
                "SELECT position, run, sequence, at_ms, CAST(body AS BLOB) FROM events WHERE position > ? "
                "AND run != ? ORDER BY position LIMIT ?",
                (position, NO_RUN, _ROWS_READ_MAX),
            ).fetchall()
            if not rows:
                break
            _sort_by_run(events, rows)
            position = rows[-1][0]
            if len(rows) < _ROWS_READ_MAX:
                break
        commits = _with_rows(connection, events)
        told: list[Committed | Deleted] = [*commits]
        # Runs whose row as it is now was told with an event: a notice of the same row is no news.
        runs_told = {committed.record.run_id for committed in commits}
        for number, run_id, deleted_from in notices_after(connection, notice):
            notice = number
            if deleted_from is not None:
                told.append(Deleted(run_id, deleted_from, mine=False))
            elif run_id not in runs_told:
                runs_told.add(run_id)
                told.extend(_changed_row(connection, run_id))
        # Only now: a look that breaks off has told nothing, and the next one begins where this one did.
        self._position, self._notice, self._data_version = position, notice, data_version
        return told


def _sort_by_run(events: dict[int, list[JournalEvent]], rows: list[tuple[int, int, int, int, bytes]]) -> None:
    """Add events of one reading to those of their runs; runs stand in the order of their last event."""
    for position, run, sequence, at_ms, body in rows:
        try:
            read = decode_events(sequence, at_ms, body)
        except UNREADABLE:
            log.exception("events of another process are unreadable", extra={"position": position})
            continue
        # Taken out and put back, at the end.
        of_run = events.pop(run, [])
        of_run += read
        events[run] = of_run


def _with_rows(connection: sqlite3.Connection, events: dict[int, list[JournalEvent]]) -> list[Committed]:
    told: list[Committed] = []
    for run, its_events in events.items():
        row = connection.execute("SELECT CAST(record AS BLOB) FROM runs WHERE run = ?", (run,)).fetchone()
        record = None if row is None else _readable(connection, run, row[0])
        if record is not None:
            told.append(Committed(record, tuple(its_events), mine=False))
    return told


def _changed_row(connection: sqlite3.Connection, run_id: str) -> list[Committed]:
    row = connection.execute("SELECT run, CAST(record AS BLOB) FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    record = None if row is None else _readable(connection, row[0], row[1])
    return [] if record is None else [Committed(record, (), mine=False)]


def _readable(connection: sqlite3.Connection, run: int, stored: bytes) -> RunRecord | None:
    try:
        inputs = inputs_of_run(connection, run)
        return None if inputs is None else decode_record(stored, inputs)
    except UNREADABLE:
        log.exception("a run of another process is unreadable", extra={"run": run})
        return None


def read_data_version(connection: sqlite3.Connection) -> int:
    """A number that moves when another connection has committed, and for one's own commits never; some 3 us."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def _store_id(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'storeId'").fetchone()
    return row[0] if row is not None else None
