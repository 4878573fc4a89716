"""
Between the model and the wire, in one place: nothing else builds a wire struct from a row or an event.

Pure functions. Times become RFC 3339, columns become UTF-16 code units, absent values become absent fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET, Raw, UnsetType

from sidestep.model.events import (
    ChildChanged,
    ErrorRaised,
    InteractionChanged,
    Logged,
    PhaseEntered,
    ResultStored,
    SourceChanged,
    StatusChanged,
    StepChanged,
    TimeLimitReached,
    ValidationFailed,
)
from sidestep.model.replay_key import child_run_id
from sidestep.model.run import TERMINAL, RunStatus, StepStatus, loads
from sidestep.model.usage import Spent, Usage
from sidestep_protocol import events as wire_events
from sidestep_protocol import notifications, runs, tasks
from sidestep_protocol.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.events import JournalEvent
    from sidestep.model.problems import ScriptProblem
    from sidestep.model.questions import Question
    from sidestep.model.run import Failure, RunRecord, RunResult, StepCounts, StepRecord
    from sidestep.scripts.discovery import ScriptInfo

T = TypeVar("T")

_SEVERITIES = {"error": 1, "warning": 2, "information": 3, "hint": 4}


def counts(steps: StepCounts) -> runs.StepCounts:
    return runs.StepCounts(completed=steps.completed, reused=steps.reused, failed=steps.failed, running=steps.running)


def failure(error: Failure) -> runs.ErrorInfo:
    return runs.ErrorInfo(
        message=error.message,
        code=error.code.value,
        step_id=_or_absent(error.step_id),
        file=_or_absent(error.file),
        line=_or_absent(error.line),
    )


def result(value: RunResult) -> runs.RunResult:
    data = UNSET if value.data_json is None else Raw(value.data_json.encode("utf-8", "surrogatepass"))
    uri = UNSET if value.file is None else Path(value.file).as_uri()
    return runs.RunResult(report=value.report, data=data, uri=uri)


def outcome(record: RunRecord) -> runs.RunOutcome:
    """The answer of a request that waited for the run."""
    completed = record.status is RunStatus.COMPLETED
    return runs.RunOutcome(
        run_id=record.run_id,
        status=record.status.value,
        sequence=record.sequence,
        steps=counts(record.steps),
        result=result(record.result) if completed and record.result is not None else UNSET,
        error=_error(record),
        reason=_or_absent(record.reason),
    )


def started(record: RunRecord, *, created: bool) -> runs.RunStarted:
    """The answer of a background start."""
    return runs.RunStarted(run_id=record.run_id, status=record.status.value, created=created, sequence=record.sequence)


def run_summary(record: RunRecord, own_id: str) -> runs.RunSummary:
    return runs.RunSummary(**_summary_fields(record, own_id))


def run_detail(record: RunRecord, own_id: str, include: Iterable[str], source: str | None) -> runs.RunDetail:
    """`source` is the snapshot's text, when it was asked for."""
    wanted = set(include)
    return runs.RunDetail(
        **_summary_fields(record, own_id),
        args_schema=loads(record.args_schema_json),
        source_hash=record.source_hash,
        error=_error(record),
        deadline_at=_time(record.deadline_at_ms),
        args=loads(record.args_json) if "args" in wanted else UNSET,
        result=result(record.result) if "result" in wanted and record.result is not None else UNSET,
        source=_or_absent(source),
        usage=usage(record.all_usage),
        kept=kept(record.kept),
    )


def step_summary(step: StepRecord, record: RunRecord, output_json: str | None) -> runs.StepSummary:
    """One step; a start without an outcome in a stopped run shows as interrupted."""
    orphaned = step.status is StepStatus.STARTED and record.is_stopped
    status = StepStatus.INTERRUPTED if orphaned else step.status
    return runs.StepSummary(
        step_id=step.step_id,
        kind=step.kind,
        key=step.key,
        status="failed" if status is StepStatus.SUPERSEDED else status.value,
        attempt=step.attempt,
        started_at=format_timestamp(step.started_at_ms),
        reused=step.status is StepStatus.COMPLETED and step.claim_epoch < record.claim_epoch,
        title=_or_absent(step.title),
        ended_at=_time(step.ended_at_ms),
        phase=_or_absent(step.phase),
        output=UNSET if output_json is None else Raw(output_json.encode("utf-8", "surrogatepass")),
        error=UNSET if step.failure is None else failure(step.failure),
        child_run_id=child_run_id(record.run_id, step.key) if step.kind == "workflow" else UNSET,
        usage=usage(step.usage),
    )


def event(journaled: JournalEvent, record: RunRecord) -> wire_events.Event:
    """One journal event; `record` is its run's row, which holds the result."""
    sequence, at = journaled.sequence, format_timestamp(journaled.at_ms)
    match journaled.body:
        case StatusChanged() as body:
            return wire_events.StatusEvent(
                sequence=sequence,
                at=at,
                status=body.status.value,
                previous=UNSET if body.previous is None else body.previous.value,
                reason=_or_absent(body.reason),
                detail=_or_absent(body.how or body.by),
            )
        case PhaseEntered() as body:
            return wire_events.PhaseEvent(sequence=sequence, at=at, name=body.name, details=body.details or UNSET)
        case Logged() as body:
            return wire_events.LogEvent(
                sequence=sequence, at=at, message=body.message, level=body.level, data=body.data or UNSET
            )
        case StepChanged() as body:
            return _step_event(body, sequence, at)
        case ChildChanged() as body:
            return wire_events.ChildEvent(
                sequence=sequence,
                at=at,
                step_id=body.step_id,
                child_run_id=body.child_run_id,
                status=body.status.value,
                name=body.name,
            )
        case InteractionChanged() as body:
            return _interaction_event(body, sequence, at)
        case ValidationFailed() as body:
            return wire_events.ValidationEvent(
                sequence=sequence,
                at=at,
                step_id=body.step_id,
                key=body.key,
                attempt=body.attempt,
                problems=[runs.Problem(path=path, message=message) for path, message in body.problems],
            )
        case TimeLimitReached() as body:
            return wire_events.TimeoutEvent(
                sequence=sequence,
                at=at,
                step_id=body.step_id,
                key=body.key,
                stage=body.stage,
                limit_ms=body.limit_ms,
            )
        case SourceChanged() as body:
            return wire_events.SourceEvent(sequence=sequence, at=at, old_hash=body.old_hash, new_hash=body.new_hash)
        case ResultStored():
            stored = runs.RunResult(report=None) if record.result is None else result(record.result)
            return wire_events.ResultEvent(sequence=sequence, at=at, result=stored)
        case ErrorRaised() as body:
            return wire_events.ErrorEvent(sequence=sequence, at=at, error=failure(body.error))


def status_changed(
    record: RunRecord, previous: RunStatus | None, request_id: int | str | None
) -> notifications.StatusChangedNotification:
    """The row as a notification; `requestId` only while it helps a host to find its request."""
    return notifications.StatusChangedNotification(
        run_id=record.run_id,
        status=record.status.value,
        sequence=record.sequence,
        at=format_timestamp(record.updated_at_ms),
        name=record.name,
        attention=record.attention.value,
        summary=runs.RunProgress(steps=counts(record.steps), pending=record.pending, phase=_or_absent(record.phase)),
        previous=UNSET if previous is None else previous.value,
        reason=_or_absent(record.reason),
        label=_or_absent(record.label),
        start_key=_or_absent(record.start_key),
        request_id=_or_absent(request_id),
        quiescent=record.is_quiescent if record.is_stopped else UNSET,
        error=_error(record),
        usage=usage(record.all_usage) if record.status in TERMINAL else UNSET,
        kept=kept(record.kept) if record.status in TERMINAL else UNSET,
    )


def usage(used: Usage | None) -> runs.Usage | UnsetType:
    """Absent when nothing was reported."""
    if used is None or used == Usage():
        return UNSET
    return runs.Usage(
        input_tokens=used.input_tokens, output_tokens=used.output_tokens, cost_usd=used.cost_micro_usd / 1_000_000
    )


def kept(spent: Spent) -> runs.Kept | UnsetType:
    """Absent when nothing was kept."""
    if spent == Spent():
        return UNSET
    return runs.Kept(duration_ms=spent.duration_ms, usage=usage(spent.usage))


def interaction(question: Question) -> tasks.Interaction:
    """A question that waits for its answer."""
    return tasks.Interaction(**_question_fields(question), asked_at=format_timestamp(question.asked_at_ms))


def interact(question: Question, *, redelivery: bool) -> tasks.InteractParams:
    """The request that asks a client's person."""
    return tasks.InteractParams(**_question_fields(question), redelivery=redelivery)


def diagnostics(problems: Iterable[ScriptProblem], source: str) -> list[runs.Diagnostic]:
    """Problems of a script as LSP diagnostics; `source` is the text they were found in."""
    lines = source.splitlines()
    return [
        runs.Diagnostic(
            range=runs.Range(
                start=_position(lines, problem.line, problem.column),
                end=_position(lines, problem.end_line or problem.line, problem.end_column or problem.column + 1),
            ),
            severity=_SEVERITIES[problem.severity],
            message=problem.message,
            code=problem.code,
            source="sidestep",
        )
        for problem in problems
    ]


def script_info(script: ScriptInfo) -> runs.ScriptInfo:
    return runs.ScriptInfo(
        name=script.name,
        scope=script.scope,
        description=script.description,
        args_schema=script.args_schema,
        runnable=script.runnable,
        uri=script.uri,
        blocked_reason=_or_absent(script.blocked_reason),
    )


def _step_event(body: StepChanged, sequence: int, at: str) -> wire_events.StepEvent:
    return wire_events.StepEvent(
        sequence=sequence,
        at=at,
        step_id=body.step_id,
        kind=body.kind,
        key=body.key,
        status=body.status.value,
        attempt=body.attempt,
        late=body.late or UNSET,
        title=_or_absent(body.title),
        task_id=_or_absent(body.task_id),
        phase=_or_absent(body.phase),
        line=_or_absent(body.line),
        reason=_or_absent(body.reason),
        duration_ms=_or_absent(body.duration_ms),
        error=UNSET if body.error is None else failure(body.error),
        usage=usage(body.usage),
    )


def _interaction_event(body: InteractionChanged, sequence: int, at: str) -> wire_events.InteractionEvent:
    return wire_events.InteractionEvent(
        sequence=sequence,
        at=at,
        interaction_id=body.interaction_id,
        kind=body.kind,
        status=body.status.value,
        step_id=body.step_id,
        title=_or_absent(body.title),
        answer=body.answer,
        by=_or_absent(body.by),
    )


def _question_fields(question: Question) -> dict[str, Any]:
    choices = [tasks.Choice(id=choice.id, title=choice.title) for choice in question.choices]
    return {
        "interaction_id": question.interaction_id,
        "run_id": question.run_id,
        "kind": question.kind.value,
        "title": question.title,
        "step_id": question.step_id,
        "detail": _or_absent(question.detail),
        "choices": choices or UNSET,
        "schema": UNSET if question.schema_json is None else loads(question.schema_json),
    }


def _summary_fields(record: RunRecord, own_id: str) -> dict[str, Any]:
    owner = record.owner
    return {
        "run_id": record.run_id,
        "name": record.name,
        "workspace_folder": record.folder_uri,
        "status": record.status.value,
        "attention": record.attention.value,
        "created_at": format_timestamp(record.created_at_ms),
        "updated_at": format_timestamp(record.updated_at_ms),
        "sequence": record.sequence,
        "root_run_id": record.root_run_id,
        "steps": counts(record.steps),
        "pending": record.pending,
        "label": _or_absent(record.label),
        "reason": _or_absent(record.reason),
        "ended_at": _time(record.ended_at_ms),
        "parent_run_id": _or_absent(record.parent_run_id),
        "phase": _or_absent(record.phase),
        "owner": UNSET
        if owner is None
        else runs.Owner(pid=owner.pid, since=format_timestamp(owner.since_ms), mine=owner.owner_id == own_id),
    }


def _error(record: RunRecord) -> runs.ErrorInfo | UnsetType:
    failed = record.status is RunStatus.FAILED and record.error is not None
    return failure(record.error) if failed and record.error is not None else UNSET


def _position(lines: list[str], line: int, column: int) -> runs.Position:
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    before = text[: max(column - 1, 0)]
    return runs.Position(line=max(line - 1, 0), character=len(before.encode("utf-16-le", "surrogatepass")) // 2)


def _time(at_ms: int | None) -> str | UnsetType:
    return UNSET if at_ms is None else format_timestamp(at_ms)


def _or_absent(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
