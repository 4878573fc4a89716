"""
The rows of runs as the writer sees them: read once, changed in memory, written back before the commit.

A step begun and finished in one transaction costs one row, and a run's row is written once however many writes the
transaction has. Rows stay for the next transaction as long as nobody else has committed in between.

Invariant: nothing here outlives a foreign commit or a rollback.
Invariant: the texts of what is put have been encoded already, so writing back can fail for SQLite's reasons only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidestep.model.errors import RunNotFound
from sidestep.store.event_rows import EventRows
from sidestep.store.faults import unreadable_run
from sidestep.store.rows import (
    STEP_COLUMNS,
    STEP_SELECTED_WITHOUT_OUTPUT,
    UNREADABLE,
    Inputs,
    decode_record,
    decode_step,
    encode_record,
    pack_key,
    place_of_step,
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
_SELECT_KEYS = "SELECT place, key FROM steps WHERE place BETWEEN ? AND ?"
_SELECT_STEP = f"SELECT {STEP_SELECTED_WITHOUT_OUTPUT} FROM steps WHERE place = ?"
_UPDATE_ROW = "UPDATE runs SET record = ?, status = ?, owner_id = ? WHERE run = ?"
# SQLite rewrites an index when one of its columns is named, whether it changes or not: a step must not pay for three.
_UPDATE_RECORD = "UPDATE runs SET record = ? WHERE run = ?"
_INSERT_STEP = f"INSERT INTO steps (place, key, {', '.join(STEP_COLUMNS)}) VALUES (?, ?{', ?' * len(STEP_COLUMNS)})"
_UPDATE_STEP = f"UPDATE steps SET {', '.join(f'{column} = ?' for column in STEP_COLUMNS)} WHERE place = ?"

# Rows kept between transactions; a run's conductor holds the same objects anyway.
_ROWS_KEPT_MAX = 1000


@dataclass
class _Step:
    """A step's row: as the rules see it, where it stands, whether it does already, and whether it is to be written."""

    record: StepRecord
    place: int
    is_stored: bool
    is_changed: bool


@dataclass
class _Places:
    """
    Where the steps of a run stand, by packed key: what an index would say, without its pages in every commit.

    Complete for the steps that events up to `sequence` made. Steps are never removed but with their run, and a new one
    has a later event; so a run's later sequence says where to read on, whoever wrote meanwhile.
    """

    by_key: dict[bytes | str, int] = field(default_factory=dict[bytes | str, int])
    sequence: int = 0


@dataclass
class CachedRow:
    """A run's row: its number in the tables, and its record."""

    run: int
    record: RunRecord
    # Status and owner id as they stand in the columns.
    columns: tuple[str, str | None] = ("", None)
    # Steps looked up in this transaction, by key.
    steps: dict[str, _Step | None] = field(default_factory=dict[str, "_Step | None"])


class RowCache:
    """The rows one connection's writer works on."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, CachedRow] = {}
        self._changed: dict[str, CachedRow] = {}
        self._events = EventRows()
        # Of active runs that steps were written to, by run id.
        self._places: dict[str, _Places] = {}
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
        if len(self._places) > _ROWS_KEPT_MAX:
            self._places.clear()
        self._data_version = data_version
        return others_committed

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._rows.clear()
        self._places.clear()
        self._changed.clear()
        self._events.clear()
        self._data_version = -1

    def drop(self, run_id: str) -> None:
        """The run is gone."""
        self._rows.pop(run_id, None)
        self._places.pop(run_id, None)

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
            known = row.steps[key] = self._stored_step(row, key)
        return None if known is None else known.record

    def _stored_step(self, row: CachedRow, key: str) -> _Step | None:
        place = self._places_of(row).by_key.get(pack_key(key))
        if place is None:
            return None
        found = self._connection.execute(_SELECT_STEP, (place,)).fetchone()
        if found is None:
            raise unreadable_run(row.record.run_id)
        try:
            return _Step(decode_step(found), place, is_stored=True, is_changed=False)
        except UNREADABLE as error:
            raise unreadable_run(row.record.run_id) from error

    def _places_of(self, row: CachedRow) -> _Places:
        """
        Where the run's stored steps are; reads only what others have added since the last time.

        Raises:
            StoreUnavailable: two rows have one key, so the run is damaged: no index forbids it.
        """
        run_id, sequence = row.record.run_id, row.record.sequence
        places = self._places.setdefault(run_id, _Places())
        if places.sequence < sequence:
            between = place_of_step(row.run, places.sequence + 1), place_of_step(row.run, sequence)
            found = self._connection.execute(_SELECT_KEYS, between).fetchall()
            known = len(places.by_key)
            places.by_key.update((key, place) for place, key in found)
            if len(places.by_key) != known + len(found):
                del self._places[run_id]
                raise unreadable_run(run_id)
            places.sequence = sequence
        return places

    def put(
        self, row: CachedRow, record: RunRecord, events: Sequence[JournalEvent], steps: Sequence[StepRecord]
    ) -> None:
        """
        Change a row and append its events; written by `flush`.

        Args:
            record, steps: What texts they bring stands in `events` too, or was encoded before: a step or a phase that
                begins and ends in one transaction is encoded once.

        Raises:
            ValueError (a text that cannot be encoded): nothing was changed.
        """
        self._events.add(row.run, events)
        for step in steps:
            known = row.steps.get(step.key)
            if known is None:
                place = place_of_step(row.run, step.sequence)
                row.steps[step.key] = _Step(step, place, is_stored=False, is_changed=True)
            else:
                known.record, known.is_changed = step, True
        places = self._places.get(record.run_id)
        if places is not None and places.sequence == row.record.sequence:
            # What is new is in `row.steps` until it is written, and is told from there.
            places.sequence = record.sequence
        row.record = record
        self._changed[record.run_id] = row

    def flush(self) -> int:
        """Write everything put; returns the position of the last event, 0 when there was none."""
        position = self._events.write(self._connection)
        for row in self._changed.values():
            self._write_back(row)
        self._changed.clear()
        return position

    def _write_back(self, row: CachedRow) -> None:
        record = row.record
        columns = (record.status.value, record.owner.owner_id if record.owner else None)
        if columns == row.columns:
            self._connection.execute(_UPDATE_RECORD, (encode_record(record), row.run))
        else:
            self._connection.execute(_UPDATE_ROW, (encode_record(record), *columns, row.run))
        row.columns = columns
        places = self._places.get(record.run_id)
        for key, step in row.steps.items():
            if step is None or not step.is_changed:
                continue
            if step.is_stored:
                self._connection.execute(_UPDATE_STEP, (*step_values(step.record), step.place))
            else:
                packed = pack_key(key)
                self._connection.execute(_INSERT_STEP, (step.place, packed, *step_values(step.record)))
                if places is not None:
                    places.by_key[packed] = step.place
        # Looked up anew by the next transaction: a run may have any number of steps.
        row.steps = {}
        if not record.is_active:
            self.drop(record.run_id)


def inputs_of_run(connection: sqlite3.Connection, run: int) -> Inputs | None:
    """What the run was created with; None when that row is missing."""
    row = connection.execute(_SELECT_INPUTS, (run,)).fetchone()
    return None if row is None else Inputs(*(unpack_text(column) for column in row))
