"""
What a runner may append while it conducts: phases, log lines, steps, and late results. Pure.

The fence, for a runner that writes under its claim epoch C; epoch and claim epoch are the root's:
    (a) epoch == C: any event the table allows;
    (b) interrupted and claim_epoch == C: only the completion of a step that C started and that has none, marked late;
    (c) otherwise `LeaseLost`, and nothing is written.
What a cut-off step had used may be counted in (a) and (b).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.model.decision import Decision, StepLookup, put
from sidestep.model.errors import LeaseLost, StepConflict
from sidestep.model.events import EventBody, PhaseEntered, StepChanged
from sidestep.model.run import RunRecord, RunStatus, StepCounts, StepRecord, StepStatus
from sidestep.model.usage import Usage

if TYPE_CHECKING:
    from sidestep.model.writes import Append, Charge, StepOutput


def append(record: RunRecord, root: RunRecord, write: Append, step: StepLookup, now_ms: int) -> Decision:
    """
    A runner's progress, or what of it may still be kept.

    Raises:
        LeaseLost: the claim is over, and nothing of this was a late completion.
        StepConflict: a second completion of one step.
    """
    if root.epoch != write.claim_epoch:
        return _append_late(record, root, write, step, now_ms)
    if not record.is_active:
        raise LeaseLost(run_id=record.run_id, claim_epoch=write.claim_epoch)
    changed = record
    bodies: list[EventBody] = []
    rows: dict[str, StepRecord] = {}
    # All of them: a step's place is that of its first event, whatever stands between that and its outcome.
    put_rows: list[StepRecord] = []
    finished = 0
    for body in write.bodies:
        sequence = record.sequence + len(bodies) + 1
        if isinstance(body, PhaseEntered):
            changed = replace(changed, phase=body.name)
        elif isinstance(body, StepChanged):
            before = rows.get(body.key) or step(body.key)
            row = _step_row(record, body, before, _output(write, body), sequence, now_ms)
            changed = _charge(changed, body, before)
            changed = replace(changed, steps=_count(changed.steps, before, body.status, record.claim_epoch))
            rows[body.key] = row
            put_rows.append(row)
            finished += body.status is StepStatus.COMPLETED
        bodies.append(body)
    assert finished == len(write.outputs), "a completion, and only it, has an output"
    if finished and changed.automatic_resumes:
        changed = replace(changed, automatic_resumes=0)
    return put(record, changed, bodies, now_ms, steps=put_rows, finishes_step=finished > 0)


def _append_late(record: RunRecord, root: RunRecord, write: Append, step: StepLookup, now_ms: int) -> Decision:
    """Case (b) of the fence, or (c)."""
    kept: list[EventBody] = []
    rows: dict[str, StepRecord] = {}
    changed = record
    claimed = (record.claim_epoch, root.claim_epoch)
    if record.status is RunStatus.INTERRUPTED and claimed == (write.claim_epoch, write.claim_epoch):
        for body in write.bodies:
            if not isinstance(body, StepChanged) or body.status is not StepStatus.COMPLETED:
                continue
            before = rows.get(body.key) or step(body.key)
            if before is None or before.status is not StepStatus.STARTED or before.claim_epoch != write.claim_epoch:
                continue
            late = replace(body, late=True)
            sequence = record.sequence + len(kept) + 1
            rows[body.key] = _step_row(record, late, before, _output(write, body), sequence, now_ms)
            counts = replace(changed.steps, completed=changed.steps.completed + 1)
            changed = replace(_charge(changed, late, before), steps=counts)
            kept.append(late)
    if not kept:
        raise LeaseLost(run_id=record.run_id, claim_epoch=write.claim_epoch)
    changed = replace(changed, automatic_resumes=0)
    return put(record, changed, kept, now_ms, steps=rows.values(), finishes_step=True)


def charge(record: RunRecord, root: RunRecord, write: Charge, step: StepLookup) -> Decision:
    """
    Count what a step has used so far; its row stays as it is but for that.

    No event says so: after a stop nothing follows but late completions and what reopens the run (G5).

    Raises:
        LeaseLost: the claim is over.
    """
    claims = {root.claim_epoch, record.claim_epoch, write.claim_epoch}
    if len(claims) > 1 or not (record.status is RunStatus.INTERRUPTED or root.epoch == write.claim_epoch):
        raise LeaseLost(run_id=record.run_id, claim_epoch=write.claim_epoch)
    before = step(write.key)
    if before is None or before.status is not StepStatus.STARTED or before.claim_epoch != write.claim_epoch:
        # It is over, or its start was never journaled; a second charge could not be told from the first then.
        return Decision(record)
    more = write.usage.minus(before.usage or Usage())
    return Decision(replace(record, usage=record.usage.plus(more)), steps=(replace(before, usage=write.usage),))


def _counted(record: RunRecord, before: StepRecord | None) -> Usage | None:
    """What is counted already of this execution of a step."""
    if before is None or before.status is not StepStatus.STARTED or before.claim_epoch != record.claim_epoch:
        return None
    return before.usage


def _output(write: Append, body: StepChanged) -> StepOutput | None:
    # Its start may stand in the same write, under the same key.
    return write.outputs.get(body.key) if body.status is StepStatus.COMPLETED else None


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
    assert (output is not None) == (body.status is StepStatus.COMPLETED), "a completion has an output"
    started = body.status in (StepStatus.QUEUED, StepStatus.STARTED)
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
        session=body.session or (before.session if before else None),
        # An agent's session is told in the middle of the work, by another started record.
        usage=_counted(record, before) if body.status is StepStatus.STARTED else body.usage,
    )


def _began(body: StepChanged, before: StepRecord | None, now_ms: int) -> int:
    if body.status in (StepStatus.QUEUED, StepStatus.STARTED) or before is None:
        return now_ms
    # A `started` record is lazy and may have been committed with the outcome: the duration tells when work began.
    return before.started_at_ms if body.duration_ms is None else min(before.started_at_ms, now_ms - body.duration_ms)


def _charge(record: RunRecord, body: StepChanged, before: StepRecord | None) -> RunRecord:
    """The sums on the run's row after a step's outcome."""
    usage = body.usage or Usage()
    if body.usage is not None:
        more = usage.minus(_counted(record, before) or Usage())
        record = replace(record, usage=record.usage.plus(more))
    if body.status is not StepStatus.COMPLETED:
        return record
    # The time of a nested run is that of its own steps.
    duration_ms = 0 if body.kind == "workflow" else body.duration_ms or 0
    return replace(record, finished=record.finished.plus(duration_ms, usage))


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
        known=counts.known + (before is None),
    )
