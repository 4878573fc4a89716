"""
The rows of events: what one transaction appends to a run's journal stands in one row, or in a few when it is much.

Owns the stored shape of events (`schema_4.sql`): JSON of one body, as earlier versions wrote it, or of a list of them.
A row's sequence is its last event's. In a list a step's key is left empty where an event before it has said it of the
same step id: most steps begin and end in one transaction.

Invariant: what is added is encoded already, so writing the rows can fail for SQLite's reasons only.
Invariant: rows are written in the order of their last events, so that positions tell who changed last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.model.events import EventBody, JournalEvent, StepChanged, decode_bodies, encode_body

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

# The run of the row that keeps the greatest position when its own is deleted.
NO_RUN = 0
# A row that has grown past this takes no more: a page of events should not have to read many more than it shows.
_ROW_BYTES_MAX = 16 * 1024

_INSERT = "INSERT INTO events (run, sequence, at_ms, body) VALUES (?, ?, ?, ?)"


@dataclass
class _Row:
    """A row to be written: its events' bodies as JSON, and the keys they have said, by step id."""

    run: int
    at_ms: int
    sequence: int = 0
    bodies: list[bytes] = field(default_factory=list[bytes])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    size: int = 0

    def copy(self) -> _Row:
        return _Row(self.run, self.at_ms, self.sequence, self.bodies.copy(), self.keys.copy(), self.size)

    def add(self, event: JournalEvent) -> None:
        self.bodies.append(encode_body(self._without_known_key(event.body)))
        self.sequence = event.sequence
        self.size += len(self.bodies[-1])

    def _without_known_key(self, body: EventBody) -> EventBody:
        """The body as the row has it; what it says of its step is known from then on."""
        if not isinstance(body, StepChanged):
            return body
        if self.keys.get(body.step_id) == body.key:
            return replace(body, key="")
        self.keys[body.step_id] = body.key
        return body


class EventRows:
    """The events of a transaction that are still to be written."""

    def __init__(self) -> None:
        self._full: list[_Row] = []
        # The row that takes a run's next event, in the order of their last ones.
        self._open: dict[int, _Row] = {}

    def add(self, run: int, events: Sequence[JournalEvent]) -> None:
        """
        Append the next events of a run.

        Raises:
            ValueError (a text that cannot be encoded): nothing was added.
        """
        if not events:
            return
        at_ms = events[0].at_ms
        before = self._open.get(run)
        goes_on = before is not None and before.at_ms == at_ms
        # A copy takes them, so that an event that cannot be encoded leaves nothing behind.
        rows = [before.copy() if before is not None and goes_on else _Row(run, at_ms)]
        for event in events:
            if rows[-1].size > _ROW_BYTES_MAX:
                rows.append(_Row(run, at_ms))
            rows[-1].add(event)
        # Nothing can fail from here on.
        self._open.pop(run, None)
        if before is not None and not goes_on:
            self._full.append(before)
        self._full += rows[:-1]
        self._open[run] = rows[-1]

    def write(self, connection: sqlite3.Connection) -> int:
        """Write everything added; returns the position of the last row, 0 when there was none."""
        position = 0
        for row in (*self._full, *self._open.values()):
            body = row.bodies[0] if len(row.bodies) == 1 else b"[%b]" % b",".join(row.bodies)
            written = connection.execute(_INSERT, (row.run, row.sequence, row.at_ms, body.decode()))
            assert written.lastrowid is not None, "a row was inserted"
            position = written.lastrowid
        self.clear()
        return position

    def clear(self) -> None:
        self._full.clear()
        self._open.clear()


def decode_events(sequence: int, at_ms: int, stored: bytes) -> list[JournalEvent]:
    """
    The events of a row, at least one.

    Args:
        sequence: The row's, which is its last event's.

    Raises:
        One of `rows.UNREADABLE`: the row is damaged.
    """
    bodies = decode_bodies(stored)
    if not bodies:
        raise ValueError("a row without events")
    keys: dict[str, str] = {}
    events: list[JournalEvent] = []
    for number, body in enumerate(bodies, start=sequence - len(bodies) + 1):
        events.append(JournalEvent(number, at_ms, _with_key(body, keys)))
    return events


def keep_position(connection: sqlite3.Connection, position: int) -> None:
    """`position` was the greatest, and its row may have been deleted: a row of no run and without events keeps it."""
    connection.execute("DELETE FROM events WHERE run = ? AND position < ?", (NO_RUN, position))
    if last_position(connection) < position:
        connection.execute(
            "INSERT INTO events (position, run, sequence, at_ms, body) VALUES (?, ?, ?, 0, '[]')",
            (position, NO_RUN, position),
        )


def last_position(connection: sqlite3.Connection) -> int:
    """The greatest position ever given, 0 before the first."""
    return connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0


def _with_key(body: EventBody, keys: dict[str, str]) -> EventBody:
    if not isinstance(body, StepChanged):
        return body
    if body.key:
        keys[body.step_id] = body.key
        return body
    if body.step_id not in keys:
        raise ValueError("a step without its key")
    return replace(body, key=keys[body.step_id])
