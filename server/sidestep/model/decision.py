"""
What one write puts, and how a change of a run's row becomes its next events. Pure.

The rules of who may write what are `journal.py`'s, `progress.py`'s and `nested.py`'s; they all end here.

Invariant: sequences are gap-free, and a stopping event is the last one but for late completions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from sidestep.model.errors import LeaseLost
from sidestep.model.events import EventBody, JournalEvent, StatusChanged
from sidestep.model.run import TERMINAL, RunRecord, RunStatus, StepRecord
from sidestep.model.transitions import RunEvent, next_status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.questions import Question
    from sidestep.model.run import Attention

StepLookup = Callable[[str], StepRecord | None]


class Decision(NamedTuple):
    """What one write puts: the row, its new events in order, and the step rows that changed."""

    record: RunRecord
    events: tuple[JournalEvent, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    # Every failed step of the run is to be marked superseded, in the same transaction.
    supersede_failed: bool = False
    # A step was finished: the root's automatic resumes are counted anew.
    finishes_step: bool = False
    # The question that changed, and by how much the number of open ones did.
    question: Question | None = None
    pending: int = 0
    # Every open question of the run (of a root: of its tree) is to be withdrawn, in the same transaction.
    withdraws_questions: bool = False
    # Every active nested run of the tree is to be stopped (`nested.stopped_with_root`), in the same transaction.
    stops_members: bool = False


def require_claim(record: RunRecord, root: RunRecord, claim_epoch: int) -> None:
    """
    Raises:
        LeaseLost: the claim is over; the root's row alone says so.
    """
    if root.epoch != claim_epoch:
        raise LeaseLost(run_id=record.run_id, claim_epoch=claim_epoch)


def change_status(
    origin: RunRecord,
    changed: RunRecord,
    event: RunEvent,
    now_ms: int,
    *,
    before: Iterable[EventBody] = (),
    after: Iterable[EventBody] = (),
    reason: str | None = None,
    by: str | None = None,
    how: str | None = None,
) -> Decision:
    """
    The run after `event`.

    Args:
        origin: The row as it was read; its status decides whether the table has such an arrow.
        changed: The row with what else changes.
        before, after: Events around the status event; nothing comes after a stopping one.

    Raises:
        InvalidTransition.
    """
    status = next_status(origin.run_id, origin.status, event)
    body = StatusChanged(
        status=status,
        epoch=changed.epoch,
        previous=origin.status,
        reason=reason,
        by=by or None,
        how=how,
        attention=changed.attention if changed.attention is not origin.attention else None,
    )
    stopped = status in TERMINAL or status is RunStatus.INTERRUPTED
    assert not stopped or not tuple(after), "a stopping event is the last one"
    counts = replace(changed.steps, running=0) if stopped else changed.steps
    record = replace(changed, status=status, reason=reason, ended_at_ms=now_ms if stopped else None, steps=counts)
    return put(origin, record, [*before, body, *after], now_ms)


def put_first(record: RunRecord, attention: Attention | None = None) -> tuple[Decision, Decision]:
    """
    The first two changes of a new run's row, `pending` and `running`.

    Both are one commit: no run is ever found that was created and never begun, and a start waits for one write.
    """
    assert record.status is RunStatus.PENDING, "a run is created pending"
    body = StatusChanged(status=RunStatus.PENDING, epoch=record.epoch, attention=attention)
    created = put(record, record, [body], record.created_at_ms)
    return created, change_status(created.record, created.record, RunEvent.BEGIN, record.created_at_ms)


def put(
    origin: RunRecord,
    changed: RunRecord,
    bodies: list[EventBody],
    now_ms: int,
    *,
    steps: Iterable[StepRecord] = (),
    finishes_step: bool = False,
) -> Decision:
    """`changed` with `bodies` appended to the journal that `origin` ends."""
    events = [JournalEvent(sequence, now_ms, body) for sequence, body in enumerate(bodies, start=origin.sequence + 1)]
    record = replace(changed, sequence=origin.sequence + len(events), updated_at_ms=now_ms)
    return Decision(record, tuple(events), tuple(steps), finishes_step=finishes_step)
