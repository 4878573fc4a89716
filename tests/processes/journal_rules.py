"""
What every journal must look like after the storm, and what may have been executed: told from the SQLite file alone.

Reads with plain SQL, past all code of ours but the transition table. Each rule is a generator of faults; a fault is one
sentence. `short` is a journal on one page, for whoever has to find out what happened.

The crash sweeps' audit (`tests/crash/journal_audit.py`) knows no retries: there a step has one outcome for ever.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.transitions import TRANSITIONS
from tests.processes.question_rules import question_faults
from tests.support.stored_events import stored_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    Faults = Iterator[str]

ACTIVE = frozenset({"pending", "running", "backgrounded"})
STOPPED = frozenset({"interrupted", "completed", "failed"})
ARROWS = frozenset((before.value, after.value) for (before, _), after in TRANSITIONS.items())
# A run is gone on with unasked after these only, and so often without a newly finished step.
AUTOMATIC_REASONS = frozenset({"crash", "shutdown", "clientGone"})
AUTOMATIC_MAX = 3

_RUNS = "SELECT run, run_id, root_run_id, parent_run_id, folder, status, owner_id, record FROM runs ORDER BY run"
# Where the rows of a table say whose they are. Run 0 is nobody's: its row keeps the greatest position of an event.
_RUN_OF = {"events": "nullif(run, 0)", "steps": "place >> 32", "inputs": "run", "questions": "run"}
_ORPHANS = "SELECT count(*) FROM {} WHERE {} NOT IN (SELECT run FROM runs)"
# Nested runs that are active below a root that is not: of one moment, whenever it is asked.
_LOOSE = """
    SELECT nested.run_id, nested.status, root.run_id, root.status FROM runs nested
    JOIN runs root ON root.run_id = nested.root_run_id
    WHERE nested.status IN ('pending', 'running', 'backgrounded')
    AND root.status NOT IN ('pending', 'running', 'backgrounded')
"""


@dataclass
class Journal:
    """
    One run as it is stored.

    Attributes:
        record: The row's JSON.
        events: In order; each is its stored body with `sequence` and `at_ms` added.
        rows: Status of each step's row, by key.
    """

    run_id: str
    root_run_id: str
    parent_run_id: str | None
    folder: str
    status: str
    owner_id: str | None
    record: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_root(self) -> bool:
        return self.parent_run_id is None

    @property
    def label(self) -> str:
        return str(self.record.get("label"))

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def claims(self) -> list[dict[str, Any]]:
        """The beginnings of executions: the first, and each one after a stop."""
        return [event for event in self.of_type("status") if event["status"] == "running"]

    def status_at(self, sequence: int) -> str | None:
        """The status after the event with this sequence."""
        known = [event["status"] for event in self.of_type("status") if event["sequence"] <= sequence]
        return known[-1] if known else None


def read_journals(store: Path) -> list[Journal]:
    """Every run of a store, in order of creation."""
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        connection.execute("BEGIN")
        return [_read(connection, *row) for row in connection.execute(_RUNS).fetchall()]


def _read(connection: sqlite3.Connection, run: int, *columns: Any) -> Journal:
    *named, record = columns
    journal = Journal(*named, json.loads(record))
    journal.events = stored_events(connection, run)
    rows = connection.execute("SELECT lower(hex(key)), status FROM steps WHERE place >> 32 = ?", (run,))
    journal.rows = rows.fetchall()
    return journal


def read_statuses(store: Path) -> dict[str, tuple[str, str]]:
    """Start key -> (run id, status) of every root run."""
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        rows = connection.execute("SELECT start_key, run_id, status FROM runs WHERE parent_run_id IS NULL")
        return {key: (run_id, status) for key, run_id, status in rows}


def loose_children(store: Path) -> Faults:
    """I5: no nested run is active while its root is not, at any moment."""
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        for run_id, status, root, root_status in connection.execute(_LOOSE).fetchall():
            yield f"the nested run {run_id} is {status} below {root}, which is {root_status}"


def leftovers(store: Path) -> Faults:
    """A deleted run leaves nothing in the tables."""
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        for table, run in _RUN_OF.items():
            count = connection.execute(_ORPHANS.format(table, run)).fetchone()[0]
            if count:
                yield f"{count} rows of {table} belong to no run"


def faults_of(journal: Journal) -> list[str]:
    """What is wrong with one run by itself."""
    rules = (gaps, illegal_changes, claims_at_odds, step_faults, unasked_resumes, words_said_twice, question_faults)
    return [fault for rule in rules for fault in rule(journal)]


def gaps(journal: Journal) -> Faults:
    """J1."""
    sequences = [event["sequence"] for event in journal.events]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"the journal has gaps: {sequences}"
    if journal.record["sequence"] != len(sequences):
        yield f"the row says sequence {journal.record['sequence']}, the journal has {len(sequences)} events"


def illegal_changes(journal: Journal) -> Faults:
    """The transition table; G5: after a stop nothing but late completions, answers and what reopens the run."""
    status: str | None = None
    for event, following in zip(journal.events, [*journal.events[1:], None], strict=True):
        where = f"event {event['sequence']}"
        if event["type"] == "status":
            after = event["status"]
            if event.get("previous") != status:
                yield f"{where} says it followed {event.get('previous')}, and it followed {status}"
            if after != "pending" if status is None else (status, after) not in ARROWS:
                yield f"{where} goes from {status} to {after}"
            status = after
        elif event["type"] == "step":
            yield from _step_out_of_place(event, status)
        elif event["type"] in ("result", "error"):
            wanted = "completed" if event["type"] == "result" else "failed"
            if following is None or following.get("status") != wanted:
                yield f"{where} ({event['type']}) has no stop after it"
        elif status not in ("running", "backgrounded") and not _answers_stopped(event, status):
            yield f"{where} ({event['type']}) was appended while the run was {status}"
    if status != journal.status:
        yield f"the row says {journal.status}, the journal {status}"
    if journal.owner_id is not None and (status in ("completed", "failed") or not journal.is_root):
        yield f"it is {status} and has an owner"


def _answers_stopped(event: dict[str, Any], status: str | None) -> bool:
    return (event["type"], event.get("status"), status) == ("interaction", "answered", "interrupted")


def _step_out_of_place(event: dict[str, Any], status: str | None) -> Faults:
    late = bool(event.get("late"))
    if late and (status, event["status"]) != ("interrupted", "completed"):
        yield f"event {event['sequence']}: late, {event['status']}, while the run was {status}"
    if not late and status not in ("running", "backgrounded"):
        yield f"event {event['sequence']}: {event['stepId']} {event['status']} while the run was {status}"


def claims_at_odds(journal: Journal) -> Faults:
    """F2, I8: epochs never shrink, and no two claims have the same one."""
    epoch, claimed = 0, 0
    for event in journal.of_type("status"):
        if event["epoch"] < epoch:
            yield f"the epoch shrinks from {epoch} to {event['epoch']} at event {event['sequence']}"
        epoch = event["epoch"]
        if event["status"] == "running":
            if epoch <= claimed:
                yield f"two executions have the epoch {epoch}, the second from event {event['sequence']} on"
            claimed = epoch


def step_faults(journal: Journal) -> Faults:
    """Promise 2: a step is completed once and then left alone; a failure is redone by a retry only (J5)."""
    completed: set[str] = set()
    failed: dict[str, int] = {}
    for event in journal.of_type("step"):
        key, what = event["key"], f"event {event['sequence']}: {event['stepId']} {event['status']}"
        if key in completed:
            yield f"{what} after its completion"
        if key in failed and not _retried(journal, failed[key], event["sequence"]):
            yield f"{what} after its failure, without a retry"
        if event["status"] == "completed":
            completed.add(key)
        elif event["status"] == "failed":
            failed[key] = event["sequence"]
    wakes = {(event["key"], event["wakeAtMs"]) for event in journal.of_type("step") if "wakeAtMs" in event}
    if len(wakes) > len({key for key, _ in wakes}):
        yield f"a sleep was begun anew: {sorted(wakes)} (P6)"
    if any(count > 1 for count in Counter(key for key, _ in journal.rows).values()):
        yield "a step has two rows"
    stored = {key for key, status in journal.rows if status == "completed"}
    if stored != completed:
        yield f"rows and journal differ about what is completed: {sorted(stored ^ completed)}"


def _retried(journal: Journal, after: int, before: int) -> bool:
    return any(after < claim["sequence"] < before and claim.get("how") == "retry" for claim in journal.claims)


def unasked_resumes(journal: Journal) -> Faults:
    """C2, C3."""
    reason, in_a_row = None, 0
    for event in journal.events:
        if event["type"] == "step" and event["status"] == "completed":
            in_a_row = 0
        elif event["type"] == "status" and event["status"] == "interrupted":
            reason = event.get("reason")
        elif event["type"] == "status" and event["status"] == "running":
            in_a_row = in_a_row + 1 if event.get("how") == "automatic" else 0
            if event.get("how") == "automatic" and reason not in AUTOMATIC_REASONS:
                yield f"event {event['sequence']}: gone on with unasked after an interrupt ({reason})"
            if in_a_row > AUTOMATIC_MAX:
                yield f"event {event['sequence']}: gone on with unasked {in_a_row} times without a newly finished step"


def words_said_twice(journal: Journal) -> Faults:
    """J6: the workflow says nothing twice, and what Sidestep itself says is no part of it."""
    scripts = [e for e in journal.events if e["type"] == "phase" or (e["type"] == "log" and "origin" not in e)]
    words = Counter(event.get("name") or event.get("message") for event in scripts)
    for said, count in words.items():
        if count > 1:
            yield f"said {count} times: {said!r}"


def short(journal: Journal) -> str:
    """The journal on one page."""
    lines = [f"{journal.run_id} ({journal.label}, {journal.record['name']}): {journal.status}"]
    began_at = journal.events[0]["at_ms"] if journal.events else 0
    for event in journal.events:
        words = [event.get(name) for name in ("stepId", "name", "message", "status", "reason", "how", "by")]
        more = ["late"] * bool(event.get("late"))
        more += [f"epoch {event['epoch']}"] if "epoch" in event else []
        told = " ".join(str(word) for word in [*words, *more] if word is not None)
        lines.append(f"  {event['sequence']:3} {event['at_ms'] - began_at:6} ms {event['type']:6} {told}")
    return "\n".join(lines)


def named(journal: Journal, faults: Iterable[str], family: Sequence[Journal]) -> Faults:
    """The faults of a run, with its whole tree after the last one."""
    found = list(faults)
    yield from (f"{journal.label} {journal.run_id}: {fault}" for fault in found)
    if found:
        yield "\n".join(short(member) for member in family if member.root_run_id == journal.root_run_id)
