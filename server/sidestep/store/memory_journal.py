"""
What the store without a disk holds, and how a decision is put there.

Knows nothing of who waits, listens or watches: that is `memory.py`'s.

Invariant: bodies are stored encoded, as on disk, so a value its caller goes on changing does not change the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.model.events import InteractionStatus, encode_body
from sidestep.model.run import RunStatus, StepStatus
from sidestep.store.questions import encode_question
from sidestep.store.rows import search_words

if TYPE_CHECKING:
    from sidestep.model.errors import StoreUnavailable
    from sidestep.model.journal import Decision
    from sidestep.model.ports import RunFilter
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord, StepRecord
    from sidestep.store.memory import InMemoryRunStore


@dataclass
class StoredRun:
    """One run: its row, its events as (time, body), its steps by key in order of first start."""

    record: RunRecord
    events: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    steps: dict[str, tuple[int, StepRecord]] = field(default_factory=dict[str, "tuple[int, StepRecord]"])
    # By interaction id, in the order they were first asked.
    questions: dict[str, Question] = field(default_factory=dict[str, "Question"])


@dataclass
class MemoryJournal:
    """
    What a file would hold, shared by the stores opened on it.

    Attributes:
        fault: When set, every call of every store raises it, and nothing is written.
    """

    runs: dict[str, StoredRun] = field(default_factory=dict[str, StoredRun])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    # Run id -> a result too large for its row.
    results: dict[str, str] = field(default_factory=dict[str, str])
    stores: list[InMemoryRunStore] = field(default_factory=list["InMemoryRunStore"])
    fault: StoreUnavailable | None = None


def put_decision(run: StoredRun, decision: Decision) -> None:
    """
    Do what was decided.

    Raises:
        ValueError (a text that cannot be encoded): nothing was changed.
    """
    encoded = [(event.at_ms, encode_body(event.body)) for event in decision.events]
    if decision.question is not None:
        encode_question(decision.question)
    assert not decision.events or decision.events[0].sequence == len(run.events) + 1, "sequences have no gap"
    run.record = decision.record
    run.events.extend(encoded)
    for step in decision.steps:
        first = run.steps[step.key][0] if step.key in run.steps else step.sequence
        run.steps[step.key] = (first, step)
    if decision.question is not None:
        run.questions[decision.question.interaction_id] = decision.question
    if decision.supersede_failed:
        for key, (first, step) in run.steps.items():
            if step.status is StepStatus.FAILED:
                run.steps[key] = (first, replace(step, status=StepStatus.SUPERSEDED))


def open_questions(journal: MemoryJournal, record: RunRecord) -> list[Question]:
    """What is open of a run, of a root: of its tree; oldest first."""
    found = [question for run in _members(journal, record) for question in run.questions.values() if question.is_open]
    return sorted(found, key=lambda question: question.place)


def withdraw_questions(journal: MemoryJournal, record: RunRecord) -> dict[str, int]:
    """Withdraw what is open of a run, of a root: of its tree; answers how many questions of each run that were."""
    withdrawn: dict[str, int] = {}
    for run in _members(journal, record):
        opened = [question for question in run.questions.values() if question.is_open]
        for question in opened:
            run.questions[question.interaction_id] = replace(question, status=InteractionStatus.WITHDRAWN)
        if opened:
            withdrawn[run.record.run_id] = len(opened)
    return withdrawn


def _members(journal: MemoryJournal, record: RunRecord) -> list[StoredRun]:
    runs = journal.runs.values()
    return [run for run in runs if record.run_id in (run.record.run_id, record.is_root and run.record.root_run_id)]


def list_place(record: RunRecord) -> tuple[int, str]:
    """What lists are ordered by, newest last."""
    return record.created_at_ms, record.run_id


def matches_filter(record: RunRecord, run_filter: RunFilter) -> bool:
    """Whether a list with this filter shows the run."""
    statuses = run_filter.statuses if run_filter.statuses is not None else frozenset(RunStatus)
    after, before = run_filter.created_after_ms, run_filter.created_before_ms
    return (
        record.parent_run_id == run_filter.parent_run_id
        and record.status in statuses
        and run_filter.folder in (None, record.folder)
        and run_filter.name in (None, record.name)
        and (run_filter.text or "").casefold() in search_words(record)
        and (after is None or record.created_at_ms > after)
        and (before is None or record.created_at_ms < before)
    )
