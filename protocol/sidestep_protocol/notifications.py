"""What a server tells its host unasked. Owns the params of the `workflow/*` notifications towards the host."""

from typing import Annotated

from msgspec import UNSET, UnsetType

from sidestep_protocol.events import Event
from sidestep_protocol.payload import Id, Payload, Sequence, Timestamp, open_values
from sidestep_protocol.runs import Attention, ErrorInfo, InterruptReason, Kept, RunProgress, RunStatus, Usage

Health = Annotated[str, open_values(("ok", "warning", "error"))]
OutputStream = Annotated[str, open_values(("stdout", "stderr", "agent", "progress"))]


class StatusChangedNotification(Payload, frozen=True, kw_only=True):
    """
    `workflow/statusChanged`: a root run of the client's folders changed, in whichever window it runs.

    Sent only after the change is durable; the first one of a run precedes everything else about it (G1, G3).
    """

    run_id: str
    status: RunStatus
    sequence: Sequence
    at: Timestamp
    name: str
    attention: Attention
    summary: RunProgress
    previous: RunStatus | UnsetType = UNSET
    reason: InterruptReason | UnsetType = UNSET
    label: str | UnsetType = UNSET
    start_key: str | UnsetType = UNSET
    # Id of the start request that made the run, if this connection sent it.
    request_id: Id | UnsetType = UNSET
    quiescent: bool | UnsetType = UNSET
    error: ErrorInfo | UnsetType = UNSET
    # With a terminal status, as in RunDetail.
    usage: Usage | UnsetType = UNSET
    kept: Kept | UnsetType = UNSET


class EventsAppendedNotification(Payload, frozen=True, kw_only=True):
    """`workflow/eventsAppended`: new journal events of a run, batched for at most 50 ms."""

    run_id: str
    events: list[Event]


class LaggedNotification(Payload, frozen=True, kw_only=True):
    """`workflow/lagged`: this host reads too slowly; nothing more for the run until it subscribes again."""

    run_id: str
    last_sequence: Sequence


class DeletedNotification(Payload, frozen=True, kw_only=True):
    """`workflow/deleted`: the run and its tree are gone."""

    run_id: str


class OutputNotification(Payload, frozen=True, kw_only=True):
    """`workflow/output`: what a step's process prints while it runs. Ephemeral; dropped first when a host is slow."""

    run_id: str
    step_id: str
    stream: OutputStream
    text: str
    dropped_bytes: int


class InteractionResolvedNotification(Payload, frozen=True, kw_only=True):
    """`workflow/interactionResolved`: a question was answered or withdrawn, or its run stopped; hosts take it down."""

    interaction_id: str
    # Who answered, for people; `run` when nobody did.
    by: str


class ServerStatusNotification(Payload, frozen=True, kw_only=True):
    """`workflow/serverStatus`: how the server is."""

    health: Health
    active_runs: int
    message: str | UnsetType = UNSET
