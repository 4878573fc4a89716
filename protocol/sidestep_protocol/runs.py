"""
The nouns of the wire: a run, its steps and its script, as hosts see them.

Owns the structs that several methods and notifications share. Knows no method and no transport; the journal's own
types are the server's. Times are RFC 3339 (`payload.Timestamp`), ids are plain strings.
"""

from typing import Annotated, Any

from msgspec import UNSET, UnsetType

from sidestep_protocol.payload import JsonObject, Payload, Sequence, Timestamp, open_values

RUN_STATUSES = ("pending", "running", "backgrounded", "interrupted", "completed", "failed")
STOPPED_STATUSES = ("interrupted", "completed", "failed")
TERMINAL_STATUSES = ("completed", "failed")
INTERRUPT_REASONS = ("user", "cancelled", "clientGone", "shutdown", "crash", "deadline", "parent")
STEP_STATUSES = ("queued", "started", "completed", "failed", "interrupted")
STEP_KINDS = ("agent", "command", "workflow", "ask", "sleep", "apply_patch")
ATTENTIONS = ("blocking", "notifyOnTerminal")
SCRIPT_SCOPES = ("project", "user", "builtin")
FAILURE_CODES = ("script", "step", "validation", "timeout", "infrastructure", "limit")

RunStatus = Annotated[str, open_values(RUN_STATUSES)]
InterruptReason = Annotated[str, open_values(INTERRUPT_REASONS)]
StepStatus = Annotated[str, open_values(STEP_STATUSES)]
StepKind = Annotated[str, open_values(STEP_KINDS)]
Attention = Annotated[str, open_values(ATTENTIONS)]
ScriptScope = Annotated[str, open_values(SCRIPT_SCOPES)]
FailureCode = Annotated[str, open_values(FAILURE_CODES)]


class ScriptRef(Payload, frozen=True, kw_only=True):
    """
    Which script to run, in exactly one of three forms: `{name}`, `{uri}`, or `{source, name?}` (inline, optionally
    named).

    Raises:
        ValueError: It has none of the forms. While decoding, msgspec makes that a ValidationError with the path.
    """

    name: str | UnsetType = UNSET
    uri: str | UnsetType = UNSET
    source: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise ValueError unless exactly one form is given."""
        forms = {
            (True, False, False),
            (False, True, False),
            (False, False, True),
            (True, False, True),
        }
        if (self.name is not UNSET, self.uri is not UNSET, self.source is not UNSET) not in forms:
            raise ValueError("Expected exactly one of {name}, {uri}, {source, name?}")


class StepCounts(Payload, frozen=True, kw_only=True):
    """How many of a run's steps are in which state. `reused` ones came from the journal and cost nothing this time."""

    completed: int
    reused: int
    failed: int
    running: int


class ErrorInfo(Payload, frozen=True, kw_only=True):
    """Why a run or a step failed. Hosts switch on `code`, never on the message."""

    message: str
    code: FailureCode
    step_id: str | UnsetType = UNSET
    # Where in the author's script: the file as messages name it, and the line, 1-based.
    file: str | UnsetType = UNSET
    line: int | UnsetType = UNSET


class RunResult(Payload, frozen=True, kw_only=True):
    """What `main` returned."""

    # Text for people, Markdown as a rule; null when the script returned none.
    report: str | None
    data: Any = UNSET
    # Where a result over the limit lies instead of in `data`.
    uri: str | UnsetType = UNSET


class RunOutcome(Payload, frozen=True, kw_only=True):
    """Answer of a waiting start, resume or retry. A failed run is a result, not an error of the request."""

    run_id: str
    status: RunStatus
    sequence: Sequence
    steps: StepCounts
    result: RunResult | UnsetType = UNSET
    error: ErrorInfo | UnsetType = UNSET
    reason: InterruptReason | UnsetType = UNSET


class RunStarted(Payload, frozen=True, kw_only=True):
    """Answer of a background start, resume or retry, sent after the durable create or claim."""

    run_id: str
    status: RunStatus
    # False when `startKey` found a run that was there already.
    created: bool
    sequence: Sequence


class Owner(Payload, frozen=True, kw_only=True):
    """The process that may run a run."""

    pid: int
    since: Timestamp
    # True when it is the process that answers.
    mine: bool


class RunSummary(Payload, frozen=True, kw_only=True):
    """A run in a list."""

    run_id: str
    name: str
    # The client's own URI, echoed.
    workspace_folder: str
    status: RunStatus
    attention: Attention
    created_at: Timestamp
    updated_at: Timestamp
    sequence: Sequence
    root_run_id: str
    steps: StepCounts
    # Questions that wait for an answer.
    pending: int
    label: str | UnsetType = UNSET
    reason: InterruptReason | UnsetType = UNSET
    ended_at: Timestamp | UnsetType = UNSET
    parent_run_id: str | UnsetType = UNSET
    phase: str | UnsetType = UNSET
    # Absent when nobody holds the run: lease cleared, quiescent.
    owner: Owner | UnsetType = UNSET


class Usage(Payload, frozen=True, kw_only=True):
    """What steps used, as their agents reported it; 0 for what they did not say."""

    input_tokens: int
    output_tokens: int
    # Dollars.
    cost_usd: float


class Kept(Payload, frozen=True, kw_only=True):
    """What a run did not do again when it went on: the work of its finished steps, side by side counted twice."""

    duration_ms: int
    usage: Usage | UnsetType = UNSET


class RunDetail(RunSummary, frozen=True, kw_only=True):
    """One run in full; `args`, `result` and `source` only when `include` names them."""

    # JSON schema of the arguments, from `main`'s signature.
    args_schema: JsonObject
    # SHA-256 of the snapshotted source, hexadecimal.
    source_hash: str
    error: ErrorInfo | UnsetType = UNSET
    deadline_at: Timestamp | UnsetType = UNSET
    args: JsonObject | UnsetType = UNSET
    result: RunResult | UnsetType = UNSET
    source: str | UnsetType = UNSET
    # Of all its steps, also failed ones and those of earlier executions; absent when no agent said anything.
    usage: Usage | UnsetType = UNSET
    # Absent when it was never resumed or retried, or nothing was finished by then.
    kept: Kept | UnsetType = UNSET


class StepSummary(Payload, frozen=True, kw_only=True):
    """One step of a run; (stepId, key) is its identity, `key` the hash of its input."""

    step_id: str
    kind: StepKind
    key: str
    status: StepStatus
    attempt: int
    started_at: Timestamp
    # True when the present execution of the run took the result from the journal.
    reused: bool
    title: str | UnsetType = UNSET
    ended_at: Timestamp | UnsetType = UNSET
    phase: str | UnsetType = UNSET
    # Only when outputs were asked for, and small enough.
    output: Any = UNSET
    output_uri: str | UnsetType = UNSET
    error: ErrorInfo | UnsetType = UNSET
    child_run_id: str | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET


class RunProgress(Payload, frozen=True, kw_only=True):
    """The part of a run that changes while it runs, as `workflow/statusChanged` carries it."""

    steps: StepCounts
    pending: int
    phase: str | UnsetType = UNSET


class ScriptInfo(Payload, frozen=True, kw_only=True):
    """A script that can be named in `workflow/start`."""

    name: str
    scope: ScriptScope
    description: str
    args_schema: JsonObject
    runnable: bool
    uri: str | UnsetType = UNSET
    # Why it is not runnable, for people.
    blocked_reason: str | UnsetType = UNSET


class Position(Payload, frozen=True, kw_only=True):
    """A place in a text as LSP counts: line and UTF-16 code unit, both 0-based."""

    line: int
    character: int


class Range(Payload, frozen=True, kw_only=True):
    """From `start` up to but not including `end`."""

    start: Position
    end: Position


class Diagnostic(Payload, frozen=True, kw_only=True):
    """One problem in a script, in LSP's shape: a host may show it as it is."""

    range: Range
    # 1 error, 2 warning, 3 information, 4 hint.
    severity: int
    message: str
    code: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    # For quick fixes; hosts hand it back unread.
    data: Any = UNSET


class Problem(Payload, frozen=True, kw_only=True):
    """One value that does not fit; `path` is a JSON pointer, empty for the whole."""

    path: str
    message: str
