"""
What every journal must look like, read off its events alone: an independent reading of the rules in `model/`.

`fold` goes through a run's events and says what its row must then be; it raises AssertionError at the first event that
may not stand where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.events import InteractionChanged, InteractionStatus, PhaseEntered, StatusChanged, StepChanged
from sidestep.model.run import ACTIVE, STOPPED, RunRecord, RunStatus, StepCounts, StepStatus
from sidestep.model.transitions import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARROWS = {(before, after) for (before, _), after in TRANSITIONS.items()}


@dataclass
class Folded:
    """What a run's events say about it."""

    status: RunStatus | None = None
    reason: str | None = None
    epoch: int = 0
    phase: str | None = None
    reused: int = 0
    # Step keys by the status of their latest event; a failure that a retry set aside is superseded.
    latest: dict[str, StepStatus] = field(default_factory=dict[str, StepStatus])
    # Keys begun under the present claim whose outcome has not come.
    running: set[str] = field(default_factory=set[str])
    completed: set[str] = field(default_factory=set[str])

    @property
    def counts(self) -> StepCounts:
        failed = sum(status is StepStatus.FAILED for status in self.latest.values())
        return StepCounts(len(self.completed), self.reused, failed, len(self.running), len(self.latest))


def fold(bodies: Sequence[Any]) -> Folded:
    """Read a journal from its first event to its last."""
    told = Folded()
    for position, body in enumerate(bodies, start=1):
        where = f"event {position}: {body}"
        if isinstance(body, StatusChanged):
            _status(told, body, where)
        elif told.status in STOPPED:
            late = isinstance(body, StepChanged) and body.late and body.status is StepStatus.COMPLETED
            reopening = type(body).__name__ == "SourceChanged"
            answers = isinstance(body, InteractionChanged) and body.status is InteractionStatus.ANSWERED
            allowed = reopening or ((late or answers) and told.status is RunStatus.INTERRUPTED)
            assert allowed, f"nothing but late results and answers (G5): {where}"
        if isinstance(body, PhaseEntered):
            told.phase = body.name
        elif isinstance(body, StepChanged):
            _step(told, body, where)
    return told


def _status(told: Folded, body: StatusChanged, where: str) -> None:
    assert body.previous is told.status, f"it was {told.status}: {where}"
    if told.status is None:
        assert body.status is RunStatus.PENDING, where
    else:
        assert (told.status, body.status) in _ARROWS, f"no such arrow: {where}"
    reopened = told.status in STOPPED and body.status in ACTIVE
    grows = reopened or (body.status is RunStatus.INTERRUPTED and body.reason != "parent")
    assert body.epoch >= told.epoch + grows, f"the epoch was {told.epoch}: {where}"
    if reopened:
        told.reused = len(told.completed)
        if body.how == "retry":
            for key, status in told.latest.items():
                if status is StepStatus.FAILED:
                    told.latest[key] = StepStatus.SUPERSEDED
    if reopened or body.status in STOPPED:
        told.running.clear()
    told.status, told.reason, told.epoch = body.status, body.reason, body.epoch


def _step(told: Folded, body: StepChanged, where: str) -> None:
    assert body.key not in told.completed, f"a finished step again: {where}"
    assert body.late == (told.status is RunStatus.INTERRUPTED), f"late means after an interrupt: {where}"
    assert told.status is not RunStatus.PENDING, f"a step before the run began: {where}"
    if body.late:
        assert told.latest.get(body.key) is StepStatus.STARTED, f"a late result of work that never began: {where}"
    elif body.status is not StepStatus.STARTED:
        assert body.key in told.running, f"an outcome of work that this claim never began: {where}"
    told.latest[body.key] = body.status
    told.running.discard(body.key)
    if body.status is StepStatus.STARTED:
        told.running.add(body.key)
    elif body.status is StepStatus.COMPLETED:
        told.completed.add(body.key)


def check_journal(record: RunRecord, bodies: Sequence[Any]) -> Folded:
    """One run: its row is what its events say."""
    told = fold(bodies)
    assert record.sequence == len(bodies), f"{record.run_id}: the row has sequence {record.sequence}"
    row = (record.status, record.reason, record.phase, record.steps)
    assert row == (told.status, told.reason, told.phase, told.counts), f"{record.run_id}: {row} is not {told}"
    assert record.epoch >= max(told.epoch, record.claim_epoch), f"{record.run_id}: the epoch only grows"
    assert (record.ended_at_ms is not None) == record.is_stopped, f"{record.run_id}: it has ended, or not"
    assert (record.result is not None) == (record.status is RunStatus.COMPLETED), f"{record.run_id}: result"
    assert (record.error is not None) == (record.status is RunStatus.FAILED), f"{record.run_id}: error"
    return told


def check_owner(record: RunRecord, root: RunRecord) -> None:
    """Lease and fence stand on the root's row; no nested run is active while its root is not."""
    if record.is_root:
        assert record.owner is not None or not record.is_active, f"{record.run_id} is active without an owner"
        terminal = record.is_stopped and record.status is not RunStatus.INTERRUPTED
        assert not terminal or record.owner is None, f"{record.run_id} has ended and is owned"
        return
    assert record.owner is None, f"{record.run_id} is nested and has an owner"
    if record.is_active:
        assert root.is_active, f"{record.run_id} is {record.status} under a root that is {root.status}"
        assert record.claim_epoch == root.claim_epoch, f"{record.run_id} is active under an old claim"
