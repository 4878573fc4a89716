"""
Reads a store with plain SQL, past all code of ours, and says what is wrong with it.

The audit knows the promises, not the machinery: journals without gaps, legal by the transition table, one completion
for a key, nothing said twice, nothing asked twice, nothing told that is not stored.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.run import RunStatus
from sidestep.model.transitions import TRANSITIONS
from tests.support.stored_events import stored_events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_STOPPED = {"interrupted", "completed", "failed"}
_ARROWS = {(before.value, after.value) for (before, _), after in TRANSITIONS.items()}


@dataclass
class Journal:
    """
    One run as it is stored.

    Attributes:
        events: In order; each is its stored body with its `sequence` and `at_ms` added.
        record: The row's JSON.
    """

    run_id: str
    parent_run_id: str | None
    status: str
    owner_id: str | None
    record: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    step_rows: list[tuple[str, str, str]] = field(default_factory=list)

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def finished(self) -> dict[str, int]:
        """Step id -> sequence of its outcome, for every step that has one; ids are unique in the crash workflow."""
        ends = ("completed", "failed")
        return {event["stepId"]: event["sequence"] for event in self.of_type("step") if event["status"] in ends}

    @property
    def answers(self) -> dict[str, Any]:
        """Interaction id -> the recorded answer."""
        answered = [event for event in self.of_type("interaction") if event["status"] == "answered"]
        return {event["interactionId"]: event["answer"] for event in answered}

    @property
    def said(self) -> list[str]:
        """Phases and log lines, in order."""
        spoken = [event for event in self.events if event["type"] in ("phase", "log")]
        return [json.dumps({**event, "sequence": 0, "at_ms": 0, "line": 0}, sort_keys=True) for event in spoken]

    def claims_before(self, sequence: int) -> int:
        """How many executions had begun by then: the first, and each claim."""
        return sum(e["status"] == "running" and e["sequence"] < sequence for e in self.of_type("status"))


def read_journals(store: Path) -> list[Journal]:
    """Every run of a store, root runs first, in order of creation; none when there is no store yet."""
    if not store.exists():
        return []
    with closing(sqlite3.connect(store, timeout=10)) as connection:
        known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'runs'").fetchone()
        return [] if known is None else [_read(connection, *row) for row in connection.execute(_RUNS).fetchall()]


_RUNS = "SELECT run, run_id, parent_run_id, status, owner_id, record FROM runs ORDER BY parent_run_id NOTNULL, run"


def _read(
    connection: sqlite3.Connection, run: int, run_id: str, parent: str | None, status: str, owner: str | None, row: Any
) -> Journal:
    journal = Journal(run_id, parent, status, owner, json.loads(row))
    journal.events = stored_events(connection, run)
    rows = connection.execute("SELECT step_id, hex(key), status FROM steps WHERE place >> 32 = ?", (run,))
    journal.step_rows = rows.fetchall()
    return journal


def faults_of(journal: Journal) -> list[str]:
    """What is wrong with one run by itself (J1, J6, P7, the transition table)."""
    return [
        f"{journal.run_id}: {fault}"
        for fault in (
            *_gaps(journal),
            *_illegal_changes(journal),
            *_step_faults(journal),
            *_repeated_words(journal),
            *_question_faults(journal),
        )
    ]


def _gaps(journal: Journal) -> Iterable[str]:
    sequences = [event["sequence"] for event in journal.events]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"the journal has gaps: {sequences}"
    if journal.record["sequence"] != len(sequences):
        yield f"the row says sequence {journal.record['sequence']}, the journal has {len(sequences)} events"


def _illegal_changes(journal: Journal) -> Iterable[str]:
    status, epoch = None, 0
    for event in journal.events:
        if event["type"] == "status":
            after = event["status"]
            if event.get("previous") != status:
                yield f"event {event['sequence']} says it followed {event.get('previous')}, and it followed {status}"
            if (after != "pending") if status is None else ((status, after) not in _ARROWS):
                yield f"event {event['sequence']} goes from {status} to {after}"
            if event["epoch"] < epoch:
                yield f"the epoch shrank at event {event['sequence']}"
            status, epoch = after, event["epoch"]
        elif status in _STOPPED and not _may_follow_a_stop(journal, event, status):
            yield f"event {event['sequence']} ({event['type']}) was appended while the run was {status}"
    if status != journal.status:
        yield f"the row says {journal.status}, the journal {status}"
    if status is not None and RunStatus(status).value in ("completed", "failed") and journal.owner_id is not None:
        yield "it has ended and still has an owner"
    created = sum(event["status"] == "pending" for event in journal.of_type("status"))
    if created != 1:
        yield f"it was created {created} times"


def _may_follow_a_stop(journal: Journal, event: dict[str, Any], status: str) -> bool:
    """G5: late results, answers to open questions, and what a claim changes."""
    answers = event["type"] == "interaction" and event["status"] == "answered" and status == "interrupted"
    return bool(event.get("late")) or answers or _opens(journal, event)


def _opens(journal: Journal, event: dict[str, Any]) -> bool:
    """A claim may write what it changes before its status event, in one commit."""
    later = journal.events[event["sequence"] :]
    return event["type"] == "source" and bool(later) and later[0]["type"] == "status"


def _step_faults(journal: Journal) -> Iterable[str]:
    ends = Counter(e["key"] for e in journal.of_type("step") if e["status"] in ("completed", "failed"))
    for key, count in ends.items():
        if count > 1:
            yield f"step {key} has {count} outcomes"
    rows = Counter(key for _, key, _ in journal.step_rows)
    if any(count > 1 for count in rows.values()):
        yield "a step has two rows"
    # P6: the end of a sleep is fixed by its first start.
    wakes = {(e["key"], e["wakeAtMs"]) for e in journal.of_type("step") if "wakeAtMs" in e}
    if len(wakes) > len({key for key, _ in wakes}):
        yield f"a sleep was begun anew: {sorted(wakes)}"
    finished = {step_id for step_id, _, status in journal.step_rows if status in ("completed", "failed")}
    if finished != set(journal.finished):
        yield f"rows and journal differ about what is finished: {sorted(finished ^ set(journal.finished))}"


def _repeated_words(journal: Journal) -> Iterable[str]:
    # The crash workflow says one line twice, and everything else once.
    for words, count in Counter(journal.said).items():
        if count > (2 if '"around"' in words else 1):
            yield f"said {count} times: {words}"


def _question_faults(journal: Journal) -> Iterable[str]:
    """P7: each step that asks has one question, asked once, answered once; nothing here is withdrawn."""
    changes = journal.of_type("interaction")
    for step_id in sorted({event["stepId"] for event in changes}):
        mine = [event for event in changes if event["stepId"] == step_id]
        if len({event["interactionId"] for event in mine}) > 1:
            yield f"{step_id} has several questions: {mine}"
        said = [event["status"] for event in mine]
        if said not in (["asked"], ["asked", "answered"]):
            yield f"the question of {step_id} was {said}"
        finished = journal.finished.get(step_id)
        if finished is not None and not any(e["status"] == "answered" and e["sequence"] < finished for e in mine):
            yield f"{step_id} is finished, and its question was {said}"
    ended = journal.status in ("completed", "failed")
    if ended and journal.record.get("pending"):
        yield f"it is {journal.status}, and {journal.record['pending']} questions are open"


def untold_truths(journals: list[Journal], messages: Iterable[dict[str, Any]]) -> list[str]:
    """What a host was told and the store does not hold (G1, promise 1)."""
    by_id = {journal.run_id: journal for journal in journals}
    faults: list[str] = []
    for message in messages:
        about = message.get("params") or message.get("result") or {}
        run_id = about.get("runId") if isinstance(about, dict) else None
        if run_id is None:
            continue
        journal = by_id.get(run_id)
        if journal is None:
            faults.append(f"{run_id} was told and is not stored: {_short(message)}")
        elif message.get("method") == "workflow/eventsAppended":
            faults += [f"told, not stored: {_short(e)}" for e in about["events"] if not _is_stored(journal, e)]
        elif "status" in about and not _was_status(journal, about):
            faults.append(f"told, not stored: {_short(message)}")
    return faults


def _is_stored(journal: Journal, told: dict[str, Any]) -> bool:
    if not 0 < told["sequence"] <= len(journal.events):
        return False
    stored = journal.events[told["sequence"] - 1]
    same = ("type", "status", "stepId", "key", "attempt", "name", "message")
    return all(stored.get(name) == told.get(name) for name in same if name in told and name in stored) and (
        stored["type"] == told["type"]
    )


def _was_status(journal: Journal, about: dict[str, Any]) -> bool:
    """The status told is the journal's at the sequence told with it."""
    sequence = about.get("sequence", len(journal.events))
    if sequence > len(journal.events):
        return False
    known = [event["status"] for event in journal.of_type("status") if event["sequence"] <= sequence]
    return bool(known) and known[-1] == about["status"]


def _short(message: dict[str, Any]) -> str:
    return json.dumps(message)[:300]
