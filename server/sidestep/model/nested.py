"""
What nested runs may do: they are made, reopened and stopped under their root's claim. Pure.

A root run and its nested runs are one unit of ownership: lease and fence stand on the root's row, so whoever stops the
root stops the tree in the same transaction, and whoever claims it may reopen what it needs.

Invariant: no nested run is active while its root is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.model.abort import AbortKind
from sidestep.model.decision import Decision, change_status, put_first, require_claim
from sidestep.model.errors import InvalidTransition, LeaseLost
from sidestep.model.events import SourceChanged
from sidestep.model.run import NestedSums, RunRecord, RunStatus, StepCounts
from sidestep.model.transitions import RunEvent
from sidestep.model.usage import Spent, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.events import EventBody
    from sidestep.model.writes import Reopen, Suspend


def created_under(record: RunRecord, root: RunRecord) -> tuple[Decision, Decision]:
    """
    The first write of a nested run: `pending` and `running`.

    Args:
        record: The row as the engine made it: pending, no owner, epoch and claim epoch the root's, sequence 0.

    Raises:
        LeaseLost: the root's claim is over.
    """
    assert not record.is_root, "a nested run has another root"
    assert record.owner is None, "the lease stands on the root's row"
    _require_active(record, root, record.claim_epoch)
    return put_first(record)


def reopened(record: RunRecord, root: RunRecord, write: Reopen, now_ms: int) -> Decision:
    """
    A stopped nested run that is conducted again: interrupted ones go on, failed ones are retried (P8).

    Raises:
        LeaseLost: the root's claim is over.
        InvalidTransition: it completed, or it is active.
    """
    _require_active(record, root, write.claim_epoch)
    event = RunEvent.RETRY if record.status is RunStatus.FAILED else write.event
    retry = event is RunEvent.RETRY
    counts = record.steps
    again = replace(
        record,
        epoch=root.epoch,
        claim_epoch=root.epoch,
        attention=root.attention,
        source_hash=write.source_hash or record.source_hash,
        args_schema_json=write.args_schema_json or record.args_schema_json,
        kept=record.finished,
        steps=replace(counts, reused=counts.completed, running=0, failed=0 if retry else counts.failed),
        error=None,
    )
    decision = change_status(record, again, event, now_ms, before=source_change(record, again), how=event.value)
    return Decision(decision.record, decision.events, supersede_failed=retry)


def suspended(record: RunRecord, root: RunRecord, write: Suspend, now_ms: int) -> Decision:
    """
    A nested run whose step was given up while the tree goes on; one that has stopped already needs no answers any more.

    Raises:
        LeaseLost: the root's claim is over.
    """
    require_claim(record, root, write.claim_epoch)
    if not record.is_active:
        return Decision(replace(record, pending=0), withdraws_questions=record.pending > 0)
    idle = replace(record, pending=0)
    return stopped_with_root(idle, root, now_ms)._replace(withdraws_questions=record.pending > 0)


def stopped_with_root(record: RunRecord, root: RunRecord, now_ms: int) -> Decision:
    """An active nested run after its root, or its parent's step, was stopped: interrupted (parent)."""
    fenced = replace(record, epoch=root.epoch)
    return change_status(record, fenced, RunEvent.INTERRUPT, now_ms, reason=AbortKind.PARENT.value)


def with_nested(root: RunRecord, before: RunRecord, after: RunRecord) -> RunRecord:
    """A root's row after one of its nested runs' went from `before` to `after`."""
    sums = root.nested
    steps = replace(
        sums.steps,
        completed=sums.steps.completed + after.steps.completed - before.steps.completed,
        known=sums.steps.known + after.steps.known - before.steps.known,
    )
    usage = sums.usage.plus(after.usage.minus(before.usage))
    spent = after.finished.duration_ms - before.finished.duration_ms
    finished = sums.finished.plus(spent, after.finished.usage.minus(before.finished.usage))
    return replace(root, nested=NestedSums(steps, usage, finished))


def recounted(root: RunRecord, members: Iterable[RunRecord]) -> RunRecord:
    """A root's row with the sums of the runs nested in it counted anew: an older version beside this one drops them."""
    nothing = replace(root, steps=StepCounts(), usage=Usage(), finished=Spent())
    whole = replace(root, nested=NestedSums())
    for member in members:
        whole = with_nested(whole, nothing, member)
    return whole


def source_change(before: RunRecord, after: RunRecord) -> list[EventBody]:
    """The event that says so, when a run goes on with another source."""
    if before.source_hash == after.source_hash:
        return []
    return [SourceChanged(old_hash=before.source_hash, new_hash=after.source_hash)]


def _require_active(record: RunRecord, root: RunRecord, claim_epoch: int) -> None:
    if record.is_root:
        raise InvalidTransition(run_id=record.run_id, status=record.status.value, why="it is no nested run")
    require_claim(record, root, claim_epoch)
    if not root.is_active:
        raise LeaseLost(run_id=record.run_id, claim_epoch=claim_epoch)
