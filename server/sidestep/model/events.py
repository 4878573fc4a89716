"""
The journal's events: persisted, versioned, never changed once written.

A journal is a gap-free list of `JournalEvent`, sequence 1, 2, 3 ... Bodies are a union tagged by `type`.
A released body's fields are never removed or retyped; new ones have defaults, so that old journals replay (C6).
These are not the wire's structs: `lsp/convert.py` translates.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from sidestep.model.run import Attention, Failure, RunStatus, StepStatus
from sidestep.model.usage import Usage


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", tag_field="type"):
    """A body is stored as JSON; defaults are left out to keep a step under 500 bytes."""


class StatusChanged(_Body, frozen=True, kw_only=True, tag="status"):
    """The run changed status; the fence's epoch after it."""

    status: RunStatus
    epoch: int
    previous: RunStatus | None = None
    # Why an interrupted run was interrupted, and by whom.
    reason: str | None = None
    by: str | None = None
    # How a run became running again: "resume", "automatic" (a resume nobody asked for) or "retry".
    how: str | None = None
    attention: Attention | None = None


class PhaseEntered(_Body, frozen=True, kw_only=True, tag="phase"):
    name: str
    details: dict[str, Any] = {}


class Logged(_Body, frozen=True, kw_only=True, tag="log"):
    """A line of the script's log. `origin` is "script", "print" or "sidestep"."""

    message: str
    data: dict[str, Any] = {}
    origin: str = "script"
    level: str = "info"
    line: int | None = None


class StepChanged(_Body, frozen=True, kw_only=True, tag="step"):
    """A step began or got its outcome; outputs stand on the step's row, not here."""

    step_id: str
    kind: str
    key: str
    status: StepStatus
    attempt: int
    title: str | None = None
    phase: str | None = None
    line: int | None = None
    task_id: str | None = None
    duration_ms: int | None = None
    # True for a result that arrived after its run had been interrupted.
    late: bool = False
    error: Failure | None = None
    # Why it was stopped, for status interrupted.
    reason: str | None = None
    wake_at_ms: int | None = None
    # An agent's own session, with status started: told again when it is known.
    session: str | None = None
    # What the work used, with its outcome.
    usage: Usage | None = None


class ChildChanged(_Body, frozen=True, kw_only=True, tag="child"):
    """A step of this run made a nested run, or reopened it; what became of it stands in the child's own journal."""

    step_id: str
    child_run_id: str
    name: str
    status: RunStatus


class InteractionStatus(enum.Enum):
    """Where a question is."""

    ASKED = "asked"  # It waits for its answer.
    ANSWERED = "answered"  # The first answer is recorded.
    WITHDRAWN = "withdrawn"  # Nobody needs the answer any more.


class InteractionChanged(_Body, frozen=True, kw_only=True, tag="interaction"):
    """A question was asked, answered or withdrawn; it stands whole among the questions (`model/questions.py`)."""

    interaction_id: str
    # "question" or "permission".
    kind: str
    status: InteractionStatus
    step_id: str
    # With status asked.
    title: str | None = None
    # With status answered: the answer, and who gave it.
    answer: Any = msgspec.UNSET
    by: str | None = None


class ValidationFailed(_Body, frozen=True, kw_only=True, tag="validation"):
    """An agent's answer did not fit the schema; `attempt` is 1-based and counted over all executions of the step."""

    step_id: str
    key: str
    attempt: int
    # (path, message) of each problem.
    problems: tuple[tuple[str, str], ...]


class TimeLimitReached(_Body, frozen=True, kw_only=True, tag="timeout"):
    """A step's time is up: `soft` asks for what there is, `hard` stops it."""

    step_id: str
    key: str
    stage: str
    limit_ms: int


class SourceChanged(_Body, frozen=True, kw_only=True, tag="source"):
    """A retry took the current script instead of the snapshot."""

    old_hash: str
    new_hash: str


class ResultStored(_Body, frozen=True, kw_only=True, tag="result"):
    """`main` returned; the result stands on the run's row."""

    has_report: bool
    has_data: bool


class ErrorRaised(_Body, frozen=True, kw_only=True, tag="error"):
    """The run failed."""

    error: Failure


# What a runner appends while it conducts.
RunnerEvent = PhaseEntered | Logged | StepChanged | ChildChanged | ValidationFailed | TimeLimitReached
EventBody = RunnerEvent | StatusChanged | InteractionChanged | SourceChanged | ResultStored | ErrorRaised


class JournalEvent(msgspec.Struct, frozen=True):
    """
    One committed event.

    Attributes:
        sequence: 1-based, gap-free within its run.
        at_ms: When it was committed, milliseconds since the Unix epoch.
        body: What happened.
    """

    sequence: int
    at_ms: int
    body: EventBody


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EventBody)
_list_decoder = msgspec.json.Decoder(list[EventBody])


def encode_body(body: EventBody) -> bytes:
    """JSON bytes of a body, as stored."""
    return _encoder.encode(body)


def decode_body(stored: bytes | str) -> EventBody:
    """
    The body that `encode_body` wrote.

    Raises:
        msgspec.MsgspecError: the bytes are no event; callers report the run as unreadable (C5).
    """
    return _decoder.decode(stored)


def decode_bodies(stored: bytes) -> list[EventBody]:
    """
    The bodies of a JSON list of what `encode_body` wrote, or of one of them.

    Raises:
        msgspec.MsgspecError: as `decode_body`.
    """
    return _list_decoder.decode(stored) if stored.startswith(b"[") else [_decoder.decode(stored)]
