"""
Journal events as hosts see them: one struct per type, a union tagged by `type`.

Owns the wire form only; the journal's own, persisted types are the server's. Every event has its run's `sequence` and
the time it was recorded. An event of a type this version does not know is `UnknownEvent`: see `with_known_events`.
"""

from typing import Annotated, Any, cast

from msgspec import UNSET, UnsetType

from sidestep_protocol.payload import JsonObject, Payload, Sequence, Timestamp, open_values
from sidestep_protocol.runs import (
    Attention,
    ErrorInfo,
    InterruptReason,
    Problem,
    RunResult,
    RunStatus,
    StepKind,
    StepStatus,
    Usage,
)
from sidestep_protocol.tasks import InteractionKind

LogLevel = Annotated[str, open_values(("debug", "info", "warning", "error"))]
TimeoutStage = Annotated[str, open_values(("soft", "hard"))]
InteractionStatus = Annotated[str, open_values(("asked", "answered", "withdrawn"))]


class _Event(Payload, tag_field="type", frozen=True, kw_only=True):
    """What all events have."""

    sequence: Sequence
    at: Timestamp


class StatusEvent(_Event, tag="status", frozen=True, kw_only=True):
    """The run's status changed, or (with `quiescent`) a stopped run has unwound."""

    status: RunStatus
    previous: RunStatus | UnsetType = UNSET
    reason: InterruptReason | UnsetType = UNSET
    quiescent: bool | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class PhaseEvent(_Event, tag="phase", frozen=True, kw_only=True):
    """The script announced a phase."""

    name: str
    details: JsonObject | UnsetType = UNSET


class LogEvent(_Event, tag="log", frozen=True, kw_only=True):
    """The script logged or printed."""

    message: str
    level: LogLevel | UnsetType = UNSET
    data: JsonObject | UnsetType = UNSET


class StepEvent(_Event, tag="step", frozen=True, kw_only=True):
    """A step started or ended. `late`: its result arrived after the run had stopped, and was kept."""

    step_id: str
    kind: StepKind
    key: str
    status: StepStatus
    attempt: int
    late: bool | UnsetType = UNSET
    title: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET
    # The phase the step belongs to, and its line in the author's script (1-based); with status `started`.
    phase: str | UnsetType = UNSET
    line: int | UnsetType = UNSET
    duration_ms: int | UnsetType = UNSET
    # Why it was stopped, with status `interrupted`: `sibling` or `scriptEnded`.
    reason: str | UnsetType = UNSET
    error: ErrorInfo | UnsetType = UNSET
    # What the work used, with its outcome.
    usage: Usage | UnsetType = UNSET


class ValidationEvent(_Event, tag="validation", frozen=True, kw_only=True):
    """An agent's answer did not fit the schema; `attempt` is 1-based and counted across resumes."""

    step_id: str
    key: str
    attempt: int
    problems: list[Problem]


class TimeoutEvent(_Event, tag="timeout", frozen=True, kw_only=True):
    """A step reached its time limit: `soft` asks for what there is, `hard` stops it."""

    step_id: str
    key: str
    stage: TimeoutStage
    limit_ms: int


class InteractionEvent(_Event, tag="interaction", frozen=True, kw_only=True):
    """A question was asked, answered or withdrawn."""

    interaction_id: str
    kind: InteractionKind
    status: InteractionStatus
    step_id: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    answer: Any = UNSET
    # Who answered, for people.
    by: str | UnsetType = UNSET


class ChildEvent(_Event, tag="child", frozen=True, kw_only=True):
    """A nested run was made or changed its status."""

    step_id: str
    child_run_id: str
    status: RunStatus
    name: str | UnsetType = UNSET


class AttentionEvent(_Event, tag="attention", frozen=True, kw_only=True):
    """The run was moved to the background, or back."""

    attention: Attention


class SourceEvent(_Event, tag="source", frozen=True, kw_only=True):
    """A retry took the script's current source: SHA-256 before and after, hexadecimal."""

    old_hash: str
    new_hash: str


class ResultEvent(_Event, tag="result", frozen=True, kw_only=True):
    """`main` returned."""

    result: RunResult


class ErrorEvent(_Event, tag="error", frozen=True, kw_only=True):
    """The run failed."""

    error: ErrorInfo


class UnknownEvent(_Event, tag="unknown", frozen=True, kw_only=True):
    """Stands in for an event of a newer server; never sent. `event` is the event as it came."""

    event: JsonObject


Event = (
    StatusEvent
    | PhaseEvent
    | LogEvent
    | StepEvent
    | ValidationEvent
    | TimeoutEvent
    | InteractionEvent
    | ChildEvent
    | AttentionEvent
    | SourceEvent
    | ResultEvent
    | ErrorEvent
    | UnknownEvent
)

EVENT_TYPES = (
    "status",
    "phase",
    "log",
    "step",
    "validation",
    "timeout",
    "interaction",
    "child",
    "attention",
    "source",
    "result",
    "error",
)


def with_known_events(payload: Any) -> Any:
    """
    Replace events of unknown type in a decoded result or notification, so that it decodes as its struct.

    Args:
        payload: Plain JSON value with `events` at its top, as an older host gets it from a newer server. Other values
            come back as they are.

    Returns:
        The same value; events of unknown type are `{"type": "unknown", "sequence", "at", "event": {...}}`.
    """
    if not isinstance(payload, dict):
        return payload
    fields = cast("dict[str, Any]", payload)
    events = fields.get("events")
    if not isinstance(events, list):
        return fields
    return {**fields, "events": [_known(event) for event in cast("list[Any]", events)]}


def _known(event: Any) -> Any:
    if not isinstance(event, dict):
        return event
    fields = cast("dict[str, Any]", event)
    if fields.get("type") in EVENT_TYPES:
        return fields
    return {"type": "unknown", "sequence": fields.get("sequence"), "at": fields.get("at"), "event": fields}
