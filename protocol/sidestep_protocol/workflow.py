"""
Params and results of every `workflow/*` request from a host.

Owns one struct per direction and method; shared nouns live in `runs` (and are importable from here too). What a host
sends is checked here as far as its shape goes; whether a run's status allows it is the server's.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from sidestep_protocol.events import Event
from sidestep_protocol.notifications import Health
from sidestep_protocol.payload import Id, JsonObject, Payload, Sequence, Timestamp
from sidestep_protocol.runs import (
    Diagnostic,
    ErrorInfo,
    Kept,
    Owner,
    Position,
    Problem,
    Range,
    RunDetail,
    RunOutcome,
    RunProgress,
    RunResult,
    RunStarted,
    RunStatus,
    RunSummary,
    ScriptInfo,
    ScriptRef,
    StepCounts,
    StepSummary,
    Usage,
)
from sidestep_protocol.tasks import Interaction

__all__ = [
    "AnswerParams",
    "AnswerResult",
    "BackgroundParams",
    "BackgroundResult",
    "DeleteParams",
    "Diagnostic",
    "ErrorInfo",
    "EventsParams",
    "EventsResult",
    "GetParams",
    "GetResult",
    "HealthResult",
    "InterruptParams",
    "InterruptResult",
    "Kept",
    "ListParams",
    "ListResult",
    "Mode",
    "Owner",
    "Position",
    "Problem",
    "Range",
    "ResumeParams",
    "RetryParams",
    "RunDetail",
    "RunOutcome",
    "RunProgress",
    "RunResult",
    "RunStarted",
    "RunStatus",
    "RunSummary",
    "ScriptInfo",
    "ScriptRef",
    "ScriptsParams",
    "ScriptsResult",
    "StartParams",
    "StatusFilter",
    "StepCounts",
    "StepSummary",
    "StepsParams",
    "StepsResult",
    "SubscribeParams",
    "SubscribeResult",
    "TrustParams",
    "UnsubscribeParams",
    "Usage",
    "ValidateParams",
    "ValidateResult",
]

# Foreground: the request waits for the run. Background: it is answered after the durable create or claim.
Mode = Literal["foreground", "background"]
# `active` stands for pending, running and backgrounded.
StatusFilter = Literal["active", "pending", "running", "backgrounded", "interrupted", "completed", "failed"]

# At most 366 days, as `sleep`: its end has to be a time that can be written down.
_Seconds = Annotated[float, Meta(gt=0, le=366 * 24 * 3600)]


class StartParams(Payload, frozen=True, kw_only=True):
    """`workflow/start`. Foreground is answered with RunOutcome, background with RunStarted."""

    script: ScriptRef
    args: JsonObject = {}  # noqa: RUF012  # msgspec makes a new one each time.
    mode: Mode = "foreground"
    # May be left out with exactly one folder open.
    workspace_folder: str | UnsetType = UNSET
    # Unique per folder until its run is deleted: the same key, script and arguments find the same run.
    start_key: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    work_done_token: Id | UnsetType = UNSET
    # Send `workflow/eventsAppended` for this run.
    events: bool = False
    # Seconds after which the run is interrupted (deadline), by the wall clock.
    deadline_s: _Seconds | UnsetType = UNSET


class InterruptParams(Payload, frozen=True, kw_only=True):
    """`workflow/interrupt`: answers when the interrupt is durable, or (default) when the run has unwound too."""

    run_id: str
    wait: Literal["durable", "quiescent"] = "quiescent"


class InterruptResult(Payload, frozen=True, kw_only=True):
    """`quiescent` is false when the grace was spent before the run had unwound."""

    run_id: str
    status: RunStatus
    already_terminal: bool
    quiescent: bool
    sequence: Sequence


class BackgroundParams(Payload, frozen=True, kw_only=True):
    """`workflow/background`: release the waiting request, which answers with status `backgrounded`."""

    run_id: str


class BackgroundResult(Payload, frozen=True, kw_only=True):
    """The run's status now."""

    run_id: str
    status: RunStatus


class ResumeParams(Payload, frozen=True, kw_only=True):
    """`workflow/resume`: go on with an interrupted run; answered as a start is."""

    run_id: str
    mode: Mode = "foreground"
    work_done_token: Id | UnsetType = UNSET
    events: bool = False
    deadline_s: _Seconds | UnsetType = UNSET


class RetryParams(Payload, frozen=True, kw_only=True):
    """`workflow/retry`: run a failed run's failed steps again; answered as a start is."""

    run_id: str
    # `current` reads, checks and snapshots the script again.
    source: Literal["snapshot", "current"] = "snapshot"
    mode: Mode = "foreground"
    work_done_token: Id | UnsetType = UNSET
    events: bool = False
    deadline_s: _Seconds | UnsetType = UNSET


class ListParams(Payload, frozen=True, kw_only=True):
    """`workflow/list`: newest first; root runs unless `parentRunId` is given."""

    workspace_folder: str | UnsetType = UNSET
    status: list[StatusFilter] | UnsetType = UNSET
    name: str | UnsetType = UNSET
    # Words to look for in name and label.
    text: str | UnsetType = UNSET
    parent_run_id: str | UnsetType = UNSET
    created_after: Timestamp | UnsetType = UNSET
    created_before: Timestamp | UnsetType = UNSET
    cursor: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class ListResult(Payload, frozen=True, kw_only=True):
    """A page; `nextCursor` is null on the last one."""

    runs: list[RunSummary]
    next_cursor: str | None


class GetParams(Payload, frozen=True, kw_only=True):
    """`workflow/get`."""

    run_id: str
    include: list[Literal["result", "source", "args"]] = []  # noqa: RUF012  # msgspec makes a new one each time.


class GetResult(Payload, frozen=True, kw_only=True):
    """The run, and the questions it waits for: the oldest 100 of a run, of a root: of its tree."""

    run: RunDetail
    pending: list[Interaction]


class StepsParams(Payload, frozen=True, kw_only=True):
    """`workflow/steps`: in the order the steps first started."""

    run_id: str
    step_id: str | UnsetType = UNSET
    # Send each step's output, if it is small enough.
    outputs: bool = False
    cursor: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=200)] = 200


class StepsResult(Payload, frozen=True, kw_only=True):
    """A page; `nextCursor` is null on the last one."""

    steps: list[StepSummary]
    next_cursor: str | None


class EventsParams(Payload, frozen=True, kw_only=True):
    """`workflow/events`: the journal after a sequence, in order."""

    run_id: str
    after_sequence: Sequence = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 500


class EventsResult(Payload, frozen=True, kw_only=True):
    """`lastSequence` is the run's, whether or not this page reaches it."""

    events: list[Event]
    last_sequence: Sequence
    has_more: bool


class SubscribeParams(Payload, frozen=True, kw_only=True):
    """`workflow/subscribe`: one subscription per run and connection."""

    run_id: str
    after_sequence: Sequence = 0


class SubscribeResult(Payload, frozen=True, kw_only=True):
    """The past up to `liveFromSequence`; from there on `workflow/eventsAppended`. No gap, no duplicate."""

    run: RunSummary
    events: list[Event]
    live_from_sequence: Sequence
    pending: list[Interaction]


class UnsubscribeParams(Payload, frozen=True, kw_only=True):
    """`workflow/unsubscribe`."""

    run_id: str


class AnswerParams(Payload, frozen=True, kw_only=True):
    """`workflow/answer`: a choice's id, a value that fits the schema, or text."""

    interaction_id: str
    answer: Any


class AnswerResult(Payload, frozen=True, kw_only=True):
    """The first durable answer wins; `recorded` is the one that did."""

    accepted: bool
    recorded: Any


class ScriptsParams(Payload, frozen=True, kw_only=True):
    """`workflow/scripts`."""

    workspace_folder: str | UnsetType = UNSET


class ScriptsResult(Payload, frozen=True, kw_only=True):
    """Every script that can be started by name there."""

    scripts: list[ScriptInfo]


class ValidateParams(Payload, frozen=True, kw_only=True):
    """
    `workflow/validate`: check a script without running it, by `{uri}` or by `{source}`.

    Raises:
        ValueError: Both or neither are given. While decoding, msgspec makes that a ValidationError.
    """

    uri: str | UnsetType = UNSET
    source: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.uri is UNSET) == (self.source is UNSET):
            raise ValueError("Expected exactly one of {uri}, {source}")


class ValidateResult(Payload, frozen=True, kw_only=True):
    """Empty when the script is fine."""

    diagnostics: list[Diagnostic]


class TrustParams(Payload, frozen=True, kw_only=True):
    """`workflow/trust`: for this session, or with `remember` for this user. Withdrawn, the folders' runs stop."""

    folders: list[str]
    trusted: bool
    remember: bool = False


class DeleteParams(Payload, frozen=True, kw_only=True):
    """`workflow/delete`: a stopped, quiescent run with its whole tree."""

    run_id: str


class HealthResult(Payload, frozen=True, kw_only=True):
    """How the server is. Sizes in bytes."""

    status: Health
    active_runs: int
    queued_bytes: int
    dropped_output_bytes: int
    store_path: str
    store_bytes: int
    # Component name to version.
    versions: dict[str, str]
