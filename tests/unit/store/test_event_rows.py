"""How events stand in their rows: what was committed together together, and read back as it was told."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.errors import DataDamaged
from sidestep.model.events import JournalEvent, Logged, StepChanged, encode_body
from sidestep.model.run import StepStatus
from sidestep.settings import Settings
from sidestep.store.event_rows import EventRows, decode_events
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import completed, heard, key_of, logged, new_run, running, started, step_body, stopped
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Long enough that a lazy write goes only with a durable one.
SETTINGS = Settings(lazy_write_ms=60_000, watch_busy_ms=1)
# Sequence of the last event of a run that was created, begun and finished.
ENDED = 4
LONE_SURROGATE = "\ud800"


def make(path: Path) -> SqliteRunStore:
    return SqliteRunStore(StoreLocation(path), FakeClock(), SETTINGS)


def rows_of(path: Path, run: int = 1) -> list[tuple[int, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sequence, body FROM events WHERE run = ? ORDER BY position", (run,)).fetchall()
    connection.close()
    return rows


def written(rows: EventRows) -> list[tuple[int, int, int, str]]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, run, sequence, at_ms, body)")
    assert rows.write(connection) == connection.execute("SELECT max(position) FROM events").fetchone()[0]
    found = connection.execute("SELECT run, sequence, at_ms, body FROM events ORDER BY position").fetchall()
    connection.close()
    return found


def lines(*numbers: int, at_ms: int = 5, text: str = "") -> list[JournalEvent]:
    return [JournalEvent(number, at_ms, Logged(message=text or str(number))) for number in numbers]


def decoded(rows: Sequence[tuple[int, int, int, str]]) -> list[tuple[int, JournalEvent]]:
    return [(run, event) for run, last, at, body in rows for event in decode_events(last, at, body.encode())]


async def test_a_step_that_began_and_ended_in_one_commit_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
        store.write_lazily(started(record, "a"))
        await store.write(completed(record, "a"))
        events = await store.read_events(record.run_id, after_sequence=2, limit=9)
        assert [(each.sequence, each.body) for each in events] == [
            (3, step_body("a", StepStatus.STARTED)),
            (4, step_body("a", StepStatus.COMPLETED, duration_ms=3)),
        ]
    (last, body) = rows_of(path)[-1]
    assert last == 4
    assert body.count(key_of("a")) == 1


async def test_a_page_of_events_begins_and_ends_anywhere_in_a_row(tmp_path: Path) -> None:
    async with make(tmp_path / "store.db") as store:
        record = await running(store)
        for text in "abc":
            store.write_lazily(logged(record, text))
        await store.write(logged(record, "d"))
        await store.write(logged(record, "e"))
        for after in range(8):
            for limit in range(9):
                page = await store.read_events(record.run_id, after_sequence=after, limit=limit)
                assert [event.sequence for event in page] == list(range(after + 1, 8))[:limit]


def test_a_row_is_closed_when_it_is_large_or_the_time_has_moved() -> None:
    rows = EventRows()
    rows.add(1, lines(1, text="x" * 20_000))
    rows.add(1, lines(2))
    rows.add(1, lines(3, at_ms=6))
    found = written(rows)
    assert [(run, last, at) for run, last, at, _ in found] == [(1, 1, 5), (1, 2, 5), (1, 3, 6)]


def test_many_events_of_one_write_are_several_rows_when_they_are_large() -> None:
    rows = EventRows()
    rows.add(1, lines(*range(1, 11), text="x" * 6_000))
    assert [last for _, last, _, _ in written(rows)] == [3, 6, 9, 10]


def test_rows_stand_in_the_order_of_their_last_events() -> None:
    rows = EventRows()
    rows.add(1, lines(1))
    rows.add(2, lines(1, 2))
    rows.add(1, lines(2))
    assert [(run, last) for run, last, _, _ in written(rows)] == [(2, 2), (1, 2)]


def test_a_key_is_left_out_only_when_the_row_has_said_that_very_key() -> None:
    bodies: list[Any] = [
        step_body("a", StepStatus.STARTED),
        step_body("b", StepStatus.STARTED),
        StepChanged(step_id="a", kind="command", key="other", status=StepStatus.STARTED, attempt=1),
        step_body("b", StepStatus.COMPLETED),
        StepChanged(step_id="a", kind="command", key="other", status=StepStatus.COMPLETED, attempt=1),
        step_body("a", StepStatus.COMPLETED),
    ]
    events = [JournalEvent(number, 5, body) for number, body in enumerate(bodies, start=1)]
    rows = EventRows()
    # Both within one write and over several.
    rows.add(1, events[:2])
    rows.add(1, events[2:])
    found = written(rows)
    assert [event for _, event in decoded(found)] == events
    (text,) = (body for *_, body in found)
    assert text.count('"key":""') == 2
    # The next transaction's row says it anew.
    rows.add(1, [JournalEvent(7, 6, step_body("b", StepStatus.FAILED))])
    assert written(rows)[0][3].count(key_of("b")) == 1


def test_what_cannot_be_encoded_is_refused_and_leaves_nothing() -> None:
    rows = EventRows()
    rows.add(1, [JournalEvent(1, 5, step_body("a", StepStatus.STARTED))])
    broken = [
        JournalEvent(2, 5, step_body("b", StepStatus.STARTED)),
        JournalEvent(3, 5, Logged(message=LONE_SURROGATE)),
    ]
    for run in (1, 2):
        with pytest.raises(ValueError, match="surrogates"):
            rows.add(run, broken)
    rows.add(1, [JournalEvent(2, 5, step_body("b", StepStatus.STARTED))])
    assert [event.sequence for _, event in decoded(written(rows))] == [1, 2]


async def test_c6_an_event_alone_in_its_row_is_stored_as_earlier_versions_stored_all(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        record = await running(store)
        await store.write(logged(record, "x"))
    assert rows_of(path)[-1] == (3, encode_body(Logged(message="x")).decode())


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "[1]",
        "[",
        # A step whose key no event before it has said.
        '[{"type":"step","stepId":"a","kind":"command","key":"","status":"started","attempt":1}]',
    ],
)
async def test_c5_a_damaged_row_of_events_is_refused_with_its_run(tmp_path: Path, body: str) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        bad, good = await running(store, 1), await running(store, 2)
        for record in (bad, good):
            store.write_lazily(logged(record, "x"))
            await store.write(logged(record, "y"))
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("UPDATE events SET body = ? WHERE run = 1 AND sequence = 4", (body,))
        connection.close()
        with pytest.raises(DataDamaged, match=bad.run_id):
            await store.read_events(bad.run_id, after_sequence=0, limit=9)
        assert len(await store.read_events(good.run_id, after_sequence=0, limit=9)) == 4


async def test_a_position_is_never_given_again(tmp_path: Path) -> None:
    """A watcher asks for what came after a position: the events of a run made after a deletion are among them."""
    path = tmp_path / "store.db"
    async with make(path) as watcher, make(path) as other:
        await watcher.watch(True)
        for number in (1, 2, 3):
            run_id = new_run(number).run_id
            await asyncio.gather(heard(watcher, run_id, ENDED), stopped(other, number))
            await other.delete(run_id)
    connection = sqlite3.connect(path)
    kept = connection.execute("SELECT run, body FROM events WHERE run NOT IN (SELECT run FROM runs)").fetchall()
    connection.close()
    assert kept == [(0, "[]")]
