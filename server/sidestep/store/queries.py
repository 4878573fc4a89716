"""
The questions a store answers, as SQL on a read-only connection.

Owns the reading side of the tables; changes nothing. Lists walk an index and read no more rows than they show, but for
text searches, which walk on until the page is full.

Invariant: a damaged row is skipped in lists (and logged) and refused by name when it is asked for alone.
"""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import DataDamaged, RunNotFound
from sidestep.model.ports import Page, RunFilter
from sidestep.model.replay_key import hash_text
from sidestep.model.run import RunStatus
from sidestep.store.event_rows import decode_events
from sidestep.store.faults import unreadable_run
from sidestep.store.paging import place_cursor, run_place, step_place
from sidestep.store.rows import (
    SEQUENCE_MAX,
    STEP_SELECTED,
    UNREADABLE,
    Inputs,
    decode_record,
    decode_step,
    first_sequence_at,
    place_of_step,
    places_of_run,
    unpack_text,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from sidestep.model.events import JournalEvent
    from sidestep.model.run import RunRecord, StepRecord

log = logging.getLogger("sidestep.store")

_RECORD = (
    "SELECT r.run_id, CAST(r.record AS BLOB), CAST(i.args_json AS BLOB), CAST(i.args_schema_json AS BLOB), "
    "CAST(i.script_ref AS BLOB) FROM runs r LEFT JOIN inputs i ON i.run = r.run"
)
_SELECT_EVENTS = (
    "SELECT sequence, at_ms, CAST(body AS BLOB) FROM events WHERE run = ? AND sequence >= ? ORDER BY sequence LIMIT ?"
)
_ALL_STATUSES = frozenset(RunStatus)


def read_run(connection: sqlite3.Connection, run_id: str) -> RunRecord:
    """
    Raises:
        RunNotFound, StoreUnavailable: no such run; its row is damaged.
    """
    row = connection.execute(f"{_RECORD} WHERE r.run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunNotFound(run_id=run_id)
    try:
        return _record(row)
    except UNREADABLE as error:
        raise unreadable_run(run_id) from error


def find_start_key(connection: sqlite3.Connection, folder: str, start_key: str) -> RunRecord | None:
    """The run that has a start key in a folder."""
    found = connection.execute(
        "SELECT run_id FROM runs WHERE folder = ? AND start_key = ?", (folder, start_key)
    ).fetchone()
    return None if found is None else read_run(connection, found[0])


def read_source(connection: sqlite3.Connection, source_hash: str) -> str:
    """
    Raises:
        StoreUnavailable: the text is missing, or is not what its hash says (J7).
    """
    row = connection.execute("SELECT CAST(text AS BLOB) FROM sources WHERE hash = ?", (source_hash,)).fetchone()
    if row is not None:
        try:
            text = unpack_text(row[0])
        except ValueError:
            text = ""
        if hash_text(text) == source_hash:
            return text
    raise damaged_source(source_hash)


def damaged_source(source_hash: str) -> DataDamaged:
    return DataDamaged(
        what=f"The stored script {source_hash[:12]} is missing or damaged.",
        todo="Restore a copy of the store, or start the workflow anew.",
    )


def read_steps(
    connection: sqlite3.Connection, run_id: str, step_id: str | None, after: str | None, limit: int | None
) -> Page[StepRecord]:
    """
    Steps by their first start.

    Raises:
        RunNotFound: no such run.
        StoreUnavailable: a row is damaged: a step must not look as if it had never run.
        CursorInvalid: `after` is no cursor of such a page.
    """
    run = _run_number(connection, run_id)
    first, last = places_of_run(run)
    if after is not None:
        first = place_of_step(run, min(step_place(after), SEQUENCE_MAX)) + 1
    asked: list[Any] = [first, last]
    where = "place BETWEEN ? AND ?"
    if step_id is not None:
        where += " AND step_id = ?"
        asked.append(step_id)
    asked.append(-1 if limit is None else limit + 1)
    rows = connection.execute(
        f"SELECT {STEP_SELECTED} FROM steps WHERE {where} ORDER BY place LIMIT ?", asked
    ).fetchall()
    more = limit is not None and len(rows) > limit
    if more:
        rows.pop()
    try:
        steps = [decode_step(row) for row in rows]
    except UNREADABLE as error:
        raise unreadable_run(run_id) from error
    return Page(steps, str(first_sequence_at(rows[-1][0])) if more and rows else None)


def read_events(connection: sqlite3.Connection, run_id: str, after_sequence: int, limit: int) -> Sequence[JournalEvent]:
    """
    Events after a sequence, in order.

    Raises:
        RunNotFound: no such run.
        StoreUnavailable: an event is damaged, or one is missing: a journal has no gap (J1).
    """
    first = max(0, after_sequence) + 1
    events: list[JournalEvent] = []
    # A row holds one event or more, so they are read one by one: a cursor is closed, or it would hold its transaction.
    with closing(connection.execute(_SELECT_EVENTS, (_run_number(connection, run_id), first, limit))) as rows:
        for row in rows:
            try:
                events += (event for event in decode_events(*row) if event.sequence >= first)
            except UNREADABLE as error:
                raise unreadable_run(run_id) from error
            if len(events) >= limit:
                break
    del events[limit:]
    if any(event.sequence != expected for expected, event in enumerate(events, start=first)):
        raise unreadable_run(run_id)
    return events


def list_runs(connection: sqlite3.Connection, run_filter: RunFilter, cursor: str | None, limit: int) -> Page[RunRecord]:
    """
    Newest first.

    Raises:
        CursorInvalid: `cursor` is no cursor of such a page.
    """
    where, asked = _conditions(run_filter, cursor)
    order = "ORDER BY created_at_ms DESC, run_id DESC LIMIT ?"
    statuses = sorted(status.value for status in run_filter.statuses or _ALL_STATUSES)
    if run_filter.statuses is not None and not run_filter.statuses:
        return Page([], None)
    if run_filter.parent_run_id is not None:
        marks = ", ".join("?" * len(statuses))
        chosen = f"SELECT run, created_at_ms, run_id FROM runs WHERE {where} AND status IN ({marks}) {order}"
        parameters = [*asked, *statuses, limit + 1]
    else:
        # One walk of an index per status, each as short as the page, merged: the indexes begin with the status.
        walk = f"SELECT * FROM (SELECT run, created_at_ms, run_id FROM runs WHERE {where} AND status = ? {order})"
        chosen = f"{' UNION ALL '.join([walk] * len(statuses))} {order}"
        parameters = [value for status in statuses for value in (*asked, status, limit + 1)] + [limit + 1]
    rows = connection.execute(chosen, parameters).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    records = [record for run, _, _ in rows if (record := _readable(connection, run)) is not None]
    return Page(records, place_cursor(rows[-1][1], rows[-1][2]) if more and rows else None)


def owner_ids(connection: sqlite3.Connection) -> Sequence[str]:
    """The owners that rows name, each once; walks an index that has no other rows."""
    found = connection.execute("SELECT DISTINCT owner_id FROM runs WHERE owner_id IS NOT NULL").fetchall()
    return [owner_id for (owner_id,) in found]


def owned_runs(connection: sqlite3.Connection, owners: Collection[str] | None) -> Sequence[RunRecord]:
    """Every readable run that names one of these owners; None for any."""
    rows = connection.execute("SELECT run, owner_id FROM runs WHERE owner_id IS NOT NULL ORDER BY run").fetchall()
    runs = [run for run, owner_id in rows if owners is None or owner_id in owners]
    return [record for run in runs if (record := _readable(connection, run)) is not None]


def store_id(connection: sqlite3.Connection) -> str:
    identity: str = connection.execute("SELECT value FROM meta WHERE name = 'storeId'").fetchone()[0]
    return identity


def _conditions(run_filter: RunFilter, cursor: str | None) -> tuple[str, list[Any]]:
    where: list[str] = ["parent_run_id IS NULL"]
    asked: list[Any] = []

    def require(condition: str, *values: Any) -> None:
        where.append(condition)
        asked.extend(values)

    if run_filter.parent_run_id is not None:
        where.clear()
        require("parent_run_id = ?", run_filter.parent_run_id)
    if run_filter.folder is not None:
        require("folder = ?", run_filter.folder)
    if run_filter.name is not None:
        require("name = ?", run_filter.name)
    if run_filter.text:
        require("words LIKE ? ESCAPE '\\'", f"%{_escape_like(run_filter.text.casefold())}%")
    if run_filter.created_after_ms is not None:
        require("created_at_ms > ?", run_filter.created_after_ms)
    if run_filter.created_before_ms is not None:
        require("created_at_ms < ?", run_filter.created_before_ms)
    if cursor is not None:
        require("(created_at_ms, run_id) < (?, ?)", *run_place(cursor))
    return " AND ".join(where), asked


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _run_number(connection: sqlite3.Connection, run_id: str) -> int:
    row = connection.execute("SELECT run FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunNotFound(run_id=run_id)
    return row[0]


def _record(row: tuple[Any, ...]) -> RunRecord:
    if row[2] is None:
        raise ValueError("the run's inputs are missing")
    return decode_record(row[1], Inputs(unpack_text(row[2]), unpack_text(row[3]), unpack_text(row[4])))


def _readable(connection: sqlite3.Connection, run: int) -> RunRecord | None:
    row = connection.execute(f"{_RECORD} WHERE r.run = ?", (run,)).fetchone()
    if row is None:
        return None
    try:
        return _record(row)
    except UNREADABLE:
        log.exception("a stored run is unreadable", extra={"run_id": row[0]})
        return None
