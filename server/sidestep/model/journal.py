"""
The rules of the journal: who may write what, decided purely.

A store hands `decide` the run's row as it stands inside its transaction and one write; it gets back the new row, the
events with their sequences and the step rows to put. Both stores do exactly what the decision says, so the fence
(epoch, claim epoch) and the transition table cannot differ between them.

The fence, for a runner that writes under its claim epoch C:
    (a) epoch == C: any event the table allows;
    (b) interrupted and claim_epoch == C: only the completion of a step that C started and that has none, marked late;
    (c) otherwise `LeaseLost`, and nothing is written.

Invariant: `decide` is a pure function; it raises before it returns anything to write.
Invariant: sequences are gap-free, and a stopping event is the last one but for late completions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.model.abort import SETTLED_REASONS, AbortKind
from sidestep.model.errors import ClaimSuperseded, InvalidTransition, LeaseLost, RunLeased, StepConflict
from sidestep.model.events import (
    ErrorRaised,
    EventBody,
    JournalEvent,
    PhaseEntered,
    ResultStored,
    SourceChanged,
    StatusChanged,
    StepChanged,
)
from sidestep.model.run import (
    TERMINAL,
    Attention,
    RunRecord,
    RunResult,
    RunStatus,
    StepCounts,
    StepRecord,
    StepStatus,
)
from sidestep.model.transitions import RunEvent, next_status
from sidestep.model.writes import (
    Append,
    Background,
    Begin,
    Claim,
    Finish,
    Interrupt,
    Recover,
    Release,
    StepOutput,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

StepLookup = Callable[[str], StepRecord | None]


_SETTLED_WORDS = frozenset(kind.value for kind in SETTLED_REASONS)


@dataclass(frozen=True)
class Decision:
    """What one write puts: the row, its new events in order, and the step rows that changed."""

    record: RunRecord
    events: tuple[JournalEvent, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    # Every failed step of the run is to be marked superseded, in the same transaction.
    supersede_failed: bool = False


def created(record: RunRecord) -> Decision:
    """
    The first write of a run: `pending`, owned by its creator under epoch 1.

    Args:
        record: The row as the service made it: status pending, epoch and claim epoch 1, sequence 0.
    """
    assert record.status is RunStatus.PENDING, "a run is created pending"
    assert record.epoch == record.claim_epoch == 1, "who creates, owns: epoch 1"
    assert record.owner is not None, "who creates, owns"
    body = StatusChanged(status=RunStatus.PENDING, epoch=1, attention=record.attention)
    return _put(record, record, [body], record.created_at_ms)


def decide(record: RunRecord, write: Write, step: StepLookup, now_ms: int) -> Decision:
    """
    What `write` does to the run, or why it may not.

    Args:
        record: The row inside the transaction.
        step: Looks a step's row up by key, inside the same transaction.
        now_ms: The time of the commit.

    Returns:
        The decision; its record has the same sequence as `record` when nothing is to be written.

    Raises:
        LeaseLost: a runner's claim is over (case c of the fence).
        ClaimSuperseded, RunLeased, InvalidTransition: the claim or status change is not possible.
        StepConflict: a second completion of one step.
    """
    match write:
        case Append():
            return _append(record, write, step, now_ms)
        case Begin():
            _require_claim(record, write.claim_epoch)
            return _change(record, RunEvent.BEGIN, now_ms)
        case Finish():
            return _finish(record, write, now_ms)
        case Interrupt():
            return _interrupt(record, write, now_ms)
        case Claim():
            return _claim(record, write, now_ms)
        case Background():
            return _background(record, now_ms)
        case Release():
            return _release(record, write, now_ms)
        case Recover():
            return _recover(record, write, now_ms)


def _append(record: RunRecord, write: Append, step: StepLookup, now_ms: int) -> Decision:
    if record.epoch != write.claim_epoch:
        return _append_late(record, write, step, now_ms)
    if not record.is_active:
        raise LeaseLost(run_id=record.run_id, claim_epoch=write.claim_epoch)
    changed = record
    bodies: list[EventBody] = []
    rows: dict[str, StepRecord] = {}
    for body in write.bodies:
        sequence = record.sequence + len(bodies) + 1
        if isinstance(body, PhaseEntered):
            changed = replace(changed, phase=body.name)
        elif isinstance(body, StepChanged):
            before = rows.get(body.key) or step(body.key)
            row = _step_row(record, body, before, write.outputs.get(body.key), sequence, now_ms)
            changed = replace(changed, steps=_count(changed.steps, before, body.status, record.claim_epoch))
            rows[body.key] = row
        bodies.append(body)
    return _put(record, changed, bodies, now_ms, steps=rows.values())


def _append_late(record: RunRecord, write: Append, step: StepLookup, now_ms: int) -> Decision:
    """Case (b) of the fence, or (c)."""
    kept: list[EventBody] = []
    rows: dict[str, StepRecord] = {}
    counts = record.steps
    if record.status is RunStatus.INTERRUPTED and record.claim_epoch == write.claim_epoch:
        for body in write.bodies:
            if not isinstance(body, StepChanged) or body.status is not StepStatus.COMPLETED:
                continue
            before = rows.get(body.key) or step(body.key)
            if before is None or before.status is not StepStatus.STARTED or before.claim_epoch != write.claim_epoch:
                continue
            late = replace(body, late=True)
            sequence = record.sequence + len(kept) + 1
            rows[body.key] = _step_row(record, late, before, write.outputs.get(body.key), sequence, now_ms)
            counts = replace(counts, completed=counts.completed + 1)
            kept.append(late)
    if not kept:
        raise LeaseLost(run_id=record.run_id, claim_epoch=write.claim_epoch)
    return _put(record, replace(record, steps=counts), kept, now_ms, steps=rows.values())


def _step_row(
    record: RunRecord,
    body: StepChanged,
    before: StepRecord | None,
    output: StepOutput | None,
    sequence: int,
    now_ms: int,
) -> StepRecord:
    """The step's row after `body`; the pair of assertions that no finished step is ever overwritten."""
    if before is not None and before.status is StepStatus.COMPLETED:
        raise StepConflict(run_id=record.run_id, step_id=body.step_id)
    assert (output is not None) == (body.status is StepStatus.COMPLETED), "a completion, and only it, has an output"
    started = body.status is StepStatus.STARTED
    return StepRecord(
        step_id=body.step_id,
        key=body.key,
        kind=body.kind,
        status=body.status,
        attempt=body.attempt,
        started_at_ms=_began(body, before, now_ms),
        ended_at_ms=None if started else now_ms,
        claim_epoch=record.claim_epoch,
        sequence=sequence,
        title=body.title or (before.title if before else None),
        phase=body.phase or (before.phase if before else None),
        line=body.line or (before.line if before else None),
        output_json=output.json if output else None,
        output_file=output.file if output else None,
        failure=body.error,
        wake_at_ms=body.wake_at_ms or (before.wake_at_ms if before else None),
    )


def _began(body: StepChanged, before: StepRecord | None, now_ms: int) -> int:
    if body.status is StepStatus.STARTED or before is None:
        return now_ms
    # A `started` record is lazy and may have been committed with the outcome: the duration tells when work began.
    return before.started_at_ms if body.duration_ms is None else min(before.started_at_ms, now_ms - body.duration_ms)


def _count(counts: StepCounts, before: StepRecord | None, status: StepStatus, claim_epoch: int) -> StepCounts:
    """Counters after a step's row went from `before` to `status` while the run is active under `claim_epoch`."""
    # What an earlier claim left started is not running any more.
    was_running = before is not None and before.status is StepStatus.STARTED and before.claim_epoch == claim_epoch
    running = counts.running - was_running
    failed = counts.failed - (before is not None and before.status is StepStatus.FAILED)
    return StepCounts(
        completed=counts.completed + (status is StepStatus.COMPLETED),
        reused=counts.reused,
        failed=failed + (status is StepStatus.FAILED),
        running=running + (status is StepStatus.STARTED),
    )


def _finish(record: RunRecord, write: Finish, now_ms: int) -> Decision:
    _require_claim(record, write.claim_epoch)
    event = RunEvent.FAIL if write.error is not None else RunEvent.COMPLETE
    if write.error is not None:
        first: EventBody = ErrorRaised(error=write.error)
    else:
        result = write.result or RunResult()
        first = ResultStored(has_report=result.report is not None, has_data=result.data_json is not None)
    return _change(
        replace(record, result=write.result, error=write.error, owner=None),
        event,
        now_ms,
        before=[first],
        origin=record,
    )


def _interrupt(record: RunRecord, write: Interrupt, now_ms: int) -> Decision:
    if record.status in TERMINAL:
        return Decision(record)
    fenced = replace(record, epoch=record.epoch + 1)
    settled = record.reason in _SETTLED_WORDS or write.reason != AbortKind.USER.value
    if record.status is RunStatus.INTERRUPTED and settled:
        return Decision(fenced)
    return _change(fenced, RunEvent.INTERRUPT, now_ms, reason=write.reason, by=write.by, origin=record)


def _claim(record: RunRecord, write: Claim, now_ms: int) -> Decision:
    if record.epoch != write.expected_epoch and not record.is_active:
        raise ClaimSuperseded(run_id=record.run_id, expected_epoch=write.expected_epoch, epoch=record.epoch)
    if record.owner is not None:
        raise RunLeased(
            run_id=record.run_id,
            pid=record.owner.pid,
            since_ms=record.owner.since_ms,
            mine=record.owner.owner_id == write.owner.owner_id,
        )
    next_status(record.run_id, record.status, write.event)
    epoch = record.epoch + 1
    retry = write.event is RunEvent.RETRY
    counts = record.steps
    deadline = write.deadline_at_ms
    if deadline is None and record.deadline_at_ms is not None and record.deadline_at_ms > now_ms:
        deadline = record.deadline_at_ms
    claimed = replace(
        record,
        epoch=epoch,
        claim_epoch=epoch,
        owner=write.owner,
        attention=write.attention,
        deadline_at_ms=deadline,
        source_hash=write.source_hash or record.source_hash,
        args_schema_json=write.args_schema_json or record.args_schema_json,
        steps=replace(counts, reused=counts.completed, running=0, failed=0 if retry else counts.failed),
        error=None,
        ended_at_ms=None,
    )
    source: list[EventBody] = []
    if claimed.source_hash != record.source_hash:
        source = [SourceChanged(old_hash=record.source_hash, new_hash=claimed.source_hash)]
    decision = _change(claimed, write.event, now_ms, before=source, how=write.event.value, origin=record)
    return Decision(decision.record, decision.events, supersede_failed=retry)


def _background(record: RunRecord, now_ms: int) -> Decision:
    if record.status is RunStatus.BACKGROUNDED:
        return Decision(record)
    return _change(replace(record, attention=Attention.NOTIFY_ON_TERMINAL), RunEvent.BACKGROUND, now_ms, origin=record)


def _release(record: RunRecord, write: Release, now_ms: int) -> Decision:
    owner = record.owner
    if owner is None or owner.owner_id != write.owner_id or record.claim_epoch != write.claim_epoch:
        return Decision(record)
    if record.is_active:
        raise InvalidTransition(
            run_id=record.run_id, status=record.status.value, why="an active run keeps its owner until it has stopped"
        )
    return Decision(replace(record, owner=None, updated_at_ms=now_ms))


def _recover(record: RunRecord, write: Recover, now_ms: int) -> Decision:
    if record.owner is None or record.owner.owner_id != write.dead_owner_id:
        return Decision(record)
    freed = replace(record, owner=None)
    if not record.is_active:
        return Decision(replace(freed, updated_at_ms=now_ms))
    fenced = replace(freed, epoch=record.epoch + 1)
    crash, by = AbortKind.CRASH.value, f"process {record.owner.pid}"
    return _change(fenced, RunEvent.INTERRUPT, now_ms, reason=crash, by=by, origin=record)


def _require_claim(record: RunRecord, claim_epoch: int) -> None:
    if record.epoch != claim_epoch:
        raise LeaseLost(run_id=record.run_id, claim_epoch=claim_epoch)


def _change(
    record: RunRecord,
    event: RunEvent,
    now_ms: int,
    *,
    origin: RunRecord | None = None,
    before: Iterable[EventBody] = (),
    reason: str | None = None,
    by: str | None = None,
    how: str | None = None,
) -> Decision:
    """`record` after `event`, with its status event last; `origin` is the row as it was read."""
    origin = origin or record
    status = next_status(record.run_id, origin.status, event)
    body = StatusChanged(
        status=status,
        epoch=record.epoch,
        previous=origin.status,
        reason=reason,
        by=by or None,
        how=how,
        attention=record.attention if record.attention is not origin.attention else None,
    )
    stopped = status in TERMINAL or status is RunStatus.INTERRUPTED
    counts = replace(record.steps, running=0) if stopped else record.steps
    changed = replace(record, status=status, reason=reason, ended_at_ms=now_ms if stopped else None, steps=counts)
    return _put(origin, changed, [*before, body], now_ms)


def _put(
    origin: RunRecord,
    changed: RunRecord,
    bodies: list[EventBody],
    now_ms: int,
    *,
    steps: Iterable[StepRecord] = (),
) -> Decision:
    events = tuple(
        JournalEvent(sequence=origin.sequence + offset, at_ms=now_ms, body=body)
        for offset, body in enumerate(bodies, start=1)
    )
    record = replace(changed, sequence=origin.sequence + len(events), updated_at_ms=now_ms)
    return Decision(record, events, tuple(steps))
