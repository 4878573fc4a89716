"""
What every journal must look like, whatever happened: told from its events alone, apart from the code that wrote them.

J1, I3, I7, F2, G5, P7 and the transition table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.abort import AbortKind
from sidestep.model.events import (
    ErrorRaised,
    InteractionChanged,
    InteractionStatus,
    JournalEvent,
    ResultStored,
    SourceChanged,
    StatusChanged,
    StepChanged,
)
from sidestep.model.run import ACTIVE, STOPPED, TERMINAL, RunRecord, RunStatus, StepStatus
from sidestep.model.transitions import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ARROWS = {(before, after) for (before, _), after in TRANSITIONS.items()}


def status_at(events: Sequence[JournalEvent], sequence: int) -> RunStatus | None:
    """What the journal says about the run's status after the event with this sequence."""
    status = None
    for event in events[:sequence]:
        if isinstance(event.body, StatusChanged):
            status = event.body.status
    return status


def completions(events: Sequence[JournalEvent]) -> dict[str, int]:
    """Step id -> sequence of its completion."""
    return {
        event.body.step_id: event.sequence
        for event in events
        if isinstance(event.body, StepChanged) and event.body.status is StepStatus.COMPLETED
    }


def wrong_in(row: RunRecord, events: Sequence[JournalEvent]) -> Iterator[str]:
    """Everything that is wrong with a journal; `row` is the run's row after the last event."""
    if [event.sequence for event in events] != list(range(1, len(events) + 1)):
        yield f"the journal has gaps: {[event.sequence for event in events]}"
    status: RunStatus | None = None
    epoch = claimed_at = 0
    completed: set[str] = set()
    questions: dict[str, InteractionStatus | None] = {}
    for event in events:
        body = event.body
        where = f"event {event.sequence}"
        if isinstance(body, StatusChanged):
            if body.previous is not status:
                yield f"{where}: {body.previous} before, but the journal says {status}"
            if status is not None and (status, body.status) not in _ARROWS:
                yield f"{where}: the table has no arrow from {status} to {body.status}"
            if body.epoch < epoch:
                yield f"{where}: the epoch shrinks from {epoch} to {body.epoch}"
            if status in STOPPED and body.status in ACTIVE:
                if body.epoch <= claimed_at:
                    yield f"{where}: two claims with the epoch {body.epoch}"
                claimed_at = body.epoch
            if body.status is RunStatus.FAILED or body.reason == AbortKind.PARENT.value:
                # What is open may be withdrawn with it, without an event of its own.
                questions = {one: None if it is InteractionStatus.ASKED else it for one, it in questions.items()}
            status, epoch = body.status, body.epoch
        elif isinstance(body, StepChanged):
            yield from _wrong_in_step(where, body, status, completed)
        elif isinstance(body, InteractionChanged):
            yield from _wrong_in_question(where, body, status, questions)
        elif status not in ACTIVE and not isinstance(body, SourceChanged):
            yield f"{where}: {type(body).__name__} after the run has stopped"
        elif isinstance(body, ResultStored | ErrorRaised):
            after = events[event.sequence].body if event.sequence < len(events) else None
            if not isinstance(after, StatusChanged) or after.status not in STOPPED:
                yield f"{where}: {type(body).__name__} without a stop after it"
    if status in TERMINAL and row.pending:
        yield f"{row.pending} questions are open, and the run is {status}"
    if row.status is not status or row.sequence != len(events):
        yield f"the row says {row.status} at {row.sequence}, its journal {status} at {len(events)}"
    if row.steps.completed != len(completed):
        yield f"the row counts {row.steps.completed} completed steps, the journal {len(completed)}"


def _wrong_in_step(where: str, body: StepChanged, status: RunStatus | None, completed: set[str]) -> Iterator[str]:
    what = f"{where}: step {body.step_id!r} {body.status.value}"
    if body.key in completed:
        yield f"{what} after its completion"
    if body.late:
        if status is not RunStatus.INTERRUPTED or body.status is not StepStatus.COMPLETED:
            yield f"{what}, late, while the run is {status}"
    elif status not in (RunStatus.RUNNING, RunStatus.BACKGROUNDED):
        yield f"{what} while the run is {status}"
    if body.status is StepStatus.COMPLETED:
        completed.add(body.key)


def _wrong_in_question(
    where: str, body: InteractionChanged, status: RunStatus | None, questions: dict[str, InteractionStatus | None]
) -> Iterator[str]:
    """`questions`: what each is after its last event; None when it is open, unless it was withdrawn silently."""
    what = f"{where}: question {body.interaction_id} {body.status.value}"
    before = questions.get(body.interaction_id, InteractionStatus.WITHDRAWN)
    if body.status is InteractionStatus.ASKED:
        if before in (InteractionStatus.ASKED, InteractionStatus.ANSWERED):
            yield f"{what} again, and it was {before.value} (P7)"
    elif before not in (InteractionStatus.ASKED, None):
        yield f"{what}, and it was {before.value} (P7)"
    if body.status is InteractionStatus.ANSWERED:
        if status in TERMINAL:
            yield f"{what} while the run is {status}"
    elif status not in (RunStatus.RUNNING, RunStatus.BACKGROUNDED):
        yield f"{what} while the run is {status} (G5)"
    questions[body.interaction_id] = body.status
