"""
The rules of the journal: who may write what, decided purely.

A store hands `decide` the run's row as it stands inside its transaction, its root's row and one write; it gets back the
new row, the events with their sequences and the step rows to put. Both stores do exactly what the decision says, so the
fence (`progress.py`) and the transition table cannot differ between them.

Invariant: `decide` is a pure function; it raises before it returns anything to write.
"""

from __future__ import annotations

from msgspec.structs import replace

from sidestep.model.abort import SETTLED_REASONS, AbortKind
from sidestep.model.decision import Decision, StepLookup, change_status, put_first, require_claim
from sidestep.model.errors import ClaimSuperseded, InvalidTransition, RunLeased
from sidestep.model.events import ErrorRaised, EventBody, Logged, ResultStored
from sidestep.model.nested import reopened, source_change, suspended
from sidestep.model.progress import append, charge
from sidestep.model.run import TERMINAL, Attention, RunRecord, RunResult, RunStatus
from sidestep.model.transitions import RunEvent
from sidestep.model.usage import spent_text
from sidestep.model.writes import (
    Answer,
    Append,
    Ask,
    Background,
    Charge,
    Claim,
    Finish,
    Interrupt,
    Recover,
    Release,
    Reopen,
    RootWrite,
    Suspend,
    Withdraw,
    Write,
)

_SETTLED_WORDS = frozenset(kind.value for kind in SETTLED_REASONS)


def created(record: RunRecord) -> tuple[Decision, Decision]:
    """
    The first write of a root run: `pending` and `running`, owned by its creator under epoch 1.

    Args:
        record: The row as the service made it: status pending, epoch and claim epoch 1, sequence 0.
    """
    assert record.is_root, "a nested run is created under its root's claim"
    assert record.epoch == record.claim_epoch == 1, "who creates, owns: epoch 1"
    assert record.owner is not None, "who creates, owns"
    return put_first(record, record.attention)


def decide(record: RunRecord, root: RunRecord, write: Write, step: StepLookup, now_ms: int) -> Decision:
    """
    What `write` does to the run, or why it may not.

    Args:
        record: The row inside the transaction.
        root: Its root's row, inside the same transaction; `record` itself for a root run.
        step: Looks a step's row up by key, inside the same transaction.
        now_ms: The time of the commit.

    Returns:
        The decision; its record has the same sequence as `record` when nothing is to be written.

    Raises:
        LeaseLost: a runner's claim is over (case c of the fence).
        ClaimSuperseded, RunLeased, InvalidTransition: the claim or status change is not possible.
        StepConflict: a second completion of one step.
    """
    assert record.root_run_id == root.run_id, "a run is decided with its own root"
    match write:
        case Append():
            return append(record, root, write, step, now_ms)
        case Charge():
            return charge(record, root, write, step)
        case Finish():
            return _finish(record, root, write, now_ms)
        case Reopen():
            return reopened(record, root, write, now_ms)
        case Suspend():
            return suspended(record, root, write, now_ms)
        case Ask() | Answer() | Withdraw():
            raise AssertionError("questions are decided by `questions.decide_question`")
        case Interrupt() | Claim() | Background() | Release() | Recover():
            return _decide_for_root(record, write, now_ms)


def _decide_for_root(record: RunRecord, write: RootWrite, now_ms: int) -> Decision:
    """The writes that are about a whole tree: lease and fence stand on its root's row."""
    if not record.is_root:
        raise InvalidTransition(
            run_id=record.run_id,
            status=record.status.value,
            why="it is a child; ask its root",
            root_run_id=record.root_run_id,
        )
    match write:
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


def _finish(record: RunRecord, root: RunRecord, write: Finish, now_ms: int) -> Decision:
    require_claim(record, root, write.claim_epoch)
    event = RunEvent.FAIL if write.error is not None else RunEvent.COMPLETE
    if write.error is not None:
        first: EventBody = ErrorRaised(error=write.error)
    else:
        result = write.result or RunResult()
        first = ResultStored(has_report=result.report is not None, has_data=result.data_json is not None)
    ended = replace(record, result=write.result, error=write.error, owner=None, pending=0)
    decision = _stopping_members(change_status(record, ended, event, now_ms, before=[first]))
    return decision._replace(withdraws_questions=record.pending > 0)


def _interrupt(record: RunRecord, write: Interrupt, now_ms: int) -> Decision:
    if record.status in TERMINAL or write.claim_epoch not in (None, record.claim_epoch):
        return Decision(record)
    fenced = replace(record, epoch=record.epoch + 1)
    settled = record.reason in _SETTLED_WORDS or write.reason != AbortKind.USER.value
    if record.status is RunStatus.INTERRUPTED and settled:
        return Decision(fenced)
    return _stopping_members(
        change_status(record, fenced, RunEvent.INTERRUPT, now_ms, reason=write.reason, by=write.by)
    )


def _claim(record: RunRecord, write: Claim, now_ms: int) -> Decision:
    if record.epoch != write.expected_epoch and not record.is_active:
        raise ClaimSuperseded(run_id=record.run_id, expected_epoch=write.expected_epoch, epoch=record.epoch)
    may_take_over = record.epoch == write.expected_epoch and write.take_over is not None
    if record.owner is not None and not (may_take_over and record.owner.owner_id == write.take_over):
        raise RunLeased(
            run_id=record.run_id,
            pid=record.owner.pid,
            since_ms=record.owner.since_ms,
            mine=record.owner.owner_id == write.owner.owner_id,
        )
    epoch = record.epoch + 1
    retry = write.event is RunEvent.RETRY
    counts, nested = record.steps, record.nested
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
        kept=record.all_finished,
        nested=replace(nested, steps=replace(nested.steps, reused=nested.steps.completed)),
        automatic_resumes=record.automatic_resumes + 1 if write.automatic else 0,
        error=None,
    )
    how = "automatic" if write.automatic else write.event.value
    told = [Logged(message=kept_message(record), origin="sidestep")] if write.automatic else []
    source = source_change(record, claimed)
    decision = change_status(record, claimed, write.event, now_ms, before=source, after=told, how=how)
    return decision._replace(supersede_failed=retry)


def kept_message(record: RunRecord) -> str:
    """What an automatic resume of a stopped run is announced with."""
    why = {"crash": "after a crash", "shutdown": "after a shutdown", "clientGone": "after its editor had gone"}
    when = why.get(record.reason or "", "by itself")
    saved, steps = spent_text(record.all_finished), record.all_steps
    return f"Resumed {when}: {steps.completed} of {steps.known} steps kept" + (
        f", {saved} not spent again" if saved else ""
    )


def _background(record: RunRecord, now_ms: int) -> Decision:
    if record.status is RunStatus.BACKGROUNDED:
        return Decision(record)
    released = replace(record, attention=Attention.NOTIFY_ON_TERMINAL)
    return change_status(record, released, RunEvent.BACKGROUND, now_ms)


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
    return _stopping_members(change_status(record, fenced, RunEvent.INTERRUPT, now_ms, reason=crash, by=by))


def _stopping_members(decision: Decision) -> Decision:
    return decision._replace(stops_members=decision.record.is_root)
