"""
The rows of runs as the writer sees them: read once, changed in memory, written back before the commit.

A step begun and finished in one transaction costs one row, and a run's row is written once however many writes the
transaction has. Rows stay for the next transaction as long as nobody else has committed in between.

Invariant: nothing here outlives a foreign commit or a rollback.
Invariant: what is put is encoded already, so writing back can fail for SQLite's reasons only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import RunNotFound
from sidestep.store.faults import unreadable_run
from sidestep.store.rows import (
    STEP_COLUMNS,
    STEP_SELECTED_WITHOUT_OUTPUT,
    UNREADABLE,
    Inputs,
    decode_record,
    decode_step,
    encode_event_body,
    encode_record,
    pack_key,
    step_values,
    unpack_text,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sidestep.model.events import JournalEvent
    from sidestep.model.run import RunRecord, StepRecord

_SELECT_ROW = "SELECT run, CAST(record AS BLOB), status, owner_id FROM runs WHERE run_id = ?"
_SELECT_INPUTS = (
    "SELECT CAST(args_json AS BLOB), CAST(args_schema_json AS BLOB), CAST(script_ref AS BLOB) FROM inputs WHERE run = ?"
)
_SELECT_STEP = f"SELECT {STEP_SELECTED_WITHOUT_OUTPUT} FROM steps WHERE run = ? AND key = ?"
_UPDATE_ROW = "UPDATE runs SET record = ?, status = ?, owner_id = ? WHERE run = ?"
# SQLite rewrites an index when one of its columns is named, whether it changes or not: a step must not pay for three.
_UPDATE_RECORD = "UPDATE runs SET record = ? WHERE run = ?"
_INSERT_EVENT = "INSERT INTO events (run, sequence, at_ms, body) VALUES (?, ?, ?, ?)"
_INSERT_STEP = (
    f"INSERT INTO steps (run, first_sequence, key, {', '.join(STEP_COLUMNS)}) "
    f"VALUES (?, ?, ?{', ?' * len(STEP_COLUMNS)})"
)
_UPDATE_STEP = f"UPDATE steps SET {', '.join(f'{column} = ?' for column in STEP_COLUMNS)} WHERE run = ? AND key = ?"

# Rows kept between transactions; a run's conductor holds the same objects anyway.
_ROWS_KEPT_MAX = 1000


@dataclass
class _Step:
    """A step's row: as the rules see it, whether it stands in the table, and what is to be written (None: nothing)."""

    record: StepRecord
    is_stored: bool
    values: tuple[Any, ...] | None = None
    # The event that made the row.
    first_sequence: int = 0


@dataclass
class CachedRow:
    """A run's row: its number in the tables, its record, and the JSON to be written (None: nothing)."""

    run: int
    record: RunRecord
    # Status and owner id as they stand in the columns.
    columns: tuple[str, str | None] = ("", None)
    encoded: str | None = None
    # Steps looked up in this transaction, by key.
    steps: dict[str, _Step | None] = field(default_factory=dict[str, "_Step | None"])


class RowCache:
    """The rows one connection's writer works on."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, CachedRow] = {}
        self._changed: dict[str, CachedRow] = {}
        self._events: list[tuple[int, int, int, str]] = []
        self._data_version = -1

    def begin(self, data_version: int) -> bool:
        """
        A transaction has begun and holds the write lock: rows others may have changed are forgotten.

        Returns:
            Whether others have committed since the last transaction here, or there was none.
        """
        others_committed = data_version != self._data_version
        if others_committed or len(self._rows) > _ROWS_KEPT_MAX:
            self._rows.clear()
        self._data_version = data_version
        return others_committed

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._rows.clear()
        self._changed.clear()
        self._events.clear()
        self._data_version = -1

    def drop(self, run_id: str) -> None:
        """The run is gone."""
        self._rows.pop(run_id, None)

    def row(self, run_id: str) -> CachedRow:
        """
        Raises:
            RunNotFound: no such run.
            StoreUnavailable: its row is damaged.
        """
        cached = self._rows.get(run_id)
        if cached is not None:
            return cached
        found = self._connection.execute(_SELECT_ROW, (run_id,)).fetchone()
        if found is None:
            raise RunNotFound(run_id=run_id)
        try:
            inputs = inputs_of_run(self._connection, found[0])
            if inputs is None:
                raise unreadable_run(run_id)
            record = decode_record(found[1], inputs)
        except UNREADABLE as error:
            raise unreadable_run(run_id) from error
        cached = self._rows[run_id] = CachedRow(found[0], record, (found[2], found[3]))
        return cached

    def step(self, row: CachedRow, key: str) -> StepRecord | None:
        """
        A step's row, without its output; None when there is none.

        Raises:
            StoreUnavailable: the row is damaged.
        """
        if key in row.steps:
            known = row.steps[key]
        else:
            found = self._connection.execute(_SELECT_STEP, (row.run, pack_key(key))).fetchone()
            try:
                known = None if found is None else _Step(decode_step(found), is_stored=True)
            except UNREADABLE as error:
                raise unreadable_run(row.record.run_id) from error
            row.steps[key] = known
        return None if known is None else known.record

    def put(
        self, row: CachedRow, record: RunRecord, events: Sequence[JournalEvent], steps: Sequence[StepRecord]
    ) -> None:
        """
        Change a row and append its events; written by `flush`.

        Raises:
            ValueError (a text that cannot be encoded): nothing was changed.
        """
        encoded = encode_record(record)
        new_events = [(row.run, event.sequence, event.at_ms, encode_event_body(event.body)) for event in events]
        new_steps = [(step, step_values(step)) for step in steps]
        for step, values in new_steps:
            known = row.steps.get(step.key)
            if known is None:
                row.steps[step.key] = _Step(step, is_stored=False, values=values, first_sequence=step.sequence)
            else:
                known.record, known.values = step, values
        self._events.extend(new_events)
        row.record, row.encoded = record, encoded
        self._changed[record.run_id] = row

    def flush(self) -> int:
        """Write everything put; returns the position of the last event, 0 when there was none."""
        position = 0
        if self._events:
            self._connection.executemany(_INSERT_EVENT, self._events)
            position = self._connection.execute("SELECT last_insert_rowid()").fetchone()[0]
            self._events.clear()
        for row in self._changed.values():
            self._write_back(row)
        self._changed.clear()
        return position

    def _write_back(self, row: CachedRow) -> None:
        record = row.record
        columns = (record.status.value, record.owner.owner_id if record.owner else None)
        if columns == row.columns:
            self._connection.execute(_UPDATE_RECORD, (row.encoded, row.run))
        else:
            self._connection.execute(_UPDATE_ROW, (row.encoded, *columns, row.run))
        row.columns, row.encoded = columns, None
        for key, step in row.steps.items():
            if step is None or step.values is None:
                continue
            if step.is_stored:
                self._connection.execute(_UPDATE_STEP, (*step.values, row.run, pack_key(key)))
            else:
                self._connection.execute(_INSERT_STEP, (row.run, step.first_sequence, pack_key(key), *step.values))
        # Looked up anew by the next transaction: a run may have any number of steps.
        row.steps = {}
        if not record.is_active:
            self._rows.pop(record.run_id, None)


def inputs_of_run(connection: sqlite3.Connection, run: int) -> Inputs | None:
    """What the run was created with; None when that row is missing."""
    row = connection.execute(_SELECT_INPUTS, (run,)).fetchone()
    return None if row is None else Inputs(*(unpack_text(column) for column in row))
