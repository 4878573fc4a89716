"""
The protocol's requests as typed functions, for whoever can send one.

Owns how `workflow/*` reads in Python. Knows no process and no wire: `request` is the subclass's (`client.Client`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from msgspec import UNSET, UnsetType

from sidestep_protocol.payload import Empty, Id, JsonObject
from sidestep_protocol.workflow import (
    AnswerParams,
    AnswerResult,
    BackgroundParams,
    BackgroundResult,
    DeleteParams,
    EventsParams,
    EventsResult,
    GetParams,
    GetResult,
    HealthResult,
    InterruptParams,
    InterruptResult,
    ListParams,
    ListResult,
    ResumeParams,
    RetryParams,
    RunOutcome,
    RunStarted,
    ScriptRef,
    ScriptsParams,
    ScriptsResult,
    StartParams,
    StepsParams,
    StepsResult,
    SubscribeParams,
    SubscribeResult,
    TrustParams,
    UnsubscribeParams,
    ValidateParams,
    ValidateResult,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sidestep_protocol.requests import ResultT
    from sidestep_protocol.runs import RunSummary, StepSummary
    from sidestep_protocol.workflow import StatusFilter

# The most a page holds, and what it holds when nothing is said.
EVENTS_MAX = 500


class ContinueOptions(TypedDict, total=False):
    """What may be said when a run begins or goes on; the fields are those of the contract."""

    work_done_token: Id
    # Tell the run's events to `notifications`; `follow` needs it not.
    events: bool
    deadline_s: float


class StartOptions(ContinueOptions, total=False):
    """What may be said of a new run."""

    workspace_folder: str
    start_key: str
    label: str


class RetryOptions(ContinueOptions, total=False):
    """What may be said of a retry."""

    source: Literal["snapshot", "current"]


class StepsOptions(TypedDict, total=False):
    """Which steps to send."""

    step_id: str
    outputs: bool
    cursor: str
    limit: int


class ListOptions(TypedDict, total=False):
    """Which runs to send."""

    workspace_folder: str
    status: list[StatusFilter]
    name: str
    text: str
    parent_run_id: str
    created_after: str
    created_before: str
    cursor: str
    limit: int


class WorkflowCalls(ABC):
    """One function per request. Each raises ResponseFailed and ServerGone, as `request` does."""

    @abstractmethod
    async def request(self, method: str, params: Any, result_type: type[ResultT]) -> ResultT:
        """Send a request and wait for its result, decoded as `result_type`."""

    async def start(
        self, script: ScriptRef, args: JsonObject | None = None, **options: Unpack[StartOptions]
    ) -> RunOutcome:
        """Start a run and wait for it. To be able to cancel it, `send` StartParams instead."""
        params = StartParams(script=script, args=args or {}, **options)
        return await self.request("workflow/start", params, RunOutcome)

    async def start_background(
        self, script: ScriptRef, args: JsonObject | None = None, **options: Unpack[StartOptions]
    ) -> RunStarted:
        """Start a run and go on once it is stored."""
        params = StartParams(script=script, args=args or {}, mode="background", **options)
        return await self.request("workflow/start", params, RunStarted)

    async def interrupt(self, run_id: str, *, wait: Literal["durable", "quiescent"] = "quiescent") -> InterruptResult:
        """Stop a run durably; it may be resumed."""
        return await self.request("workflow/interrupt", InterruptParams(run_id=run_id, wait=wait), InterruptResult)

    async def background(self, run_id: str) -> BackgroundResult:
        """Release the request that waits for a run."""
        return await self.request("workflow/background", BackgroundParams(run_id=run_id), BackgroundResult)

    async def resume(self, run_id: str, **options: Unpack[ContinueOptions]) -> RunOutcome:
        """Go on with an interrupted run and wait for it."""
        return await self.request("workflow/resume", ResumeParams(run_id=run_id, **options), RunOutcome)

    async def resume_background(self, run_id: str, **options: Unpack[ContinueOptions]) -> RunStarted:
        """Go on with an interrupted run, without waiting for it."""
        params = ResumeParams(run_id=run_id, mode="background", **options)
        return await self.request("workflow/resume", params, RunStarted)

    async def retry(self, run_id: str, **options: Unpack[RetryOptions]) -> RunOutcome:
        """Run a failed run's failed steps again and wait for it."""
        return await self.request("workflow/retry", RetryParams(run_id=run_id, **options), RunOutcome)

    async def retry_background(self, run_id: str, **options: Unpack[RetryOptions]) -> RunStarted:
        """Run a failed run's failed steps again, without waiting for it."""
        params = RetryParams(run_id=run_id, mode="background", **options)
        return await self.request("workflow/retry", params, RunStarted)

    async def get(self, run_id: str, *include: Literal["result", "source", "args"]) -> GetResult:
        """One run in full."""
        return await self.request("workflow/get", GetParams(run_id=run_id, include=[*include]), GetResult)

    async def steps(self, run_id: str, **options: Unpack[StepsOptions]) -> StepsResult:
        """A page of a run's steps."""
        return await self.request("workflow/steps", StepsParams(run_id=run_id, **options), StepsResult)

    async def all_steps(self, run_id: str, **options: Unpack[StepsOptions]) -> AsyncGenerator[StepSummary, None]:
        """A run's steps, page after page."""
        while True:
            page = await self.steps(run_id, **options)
            for step in page.steps:
                yield step
            if page.next_cursor is None:
                return
            options["cursor"] = page.next_cursor

    async def events(self, run_id: str, *, after_sequence: int = 0, limit: int = EVENTS_MAX) -> EventsResult:
        """A page of a run's journal, at most 500 events; `follow` reads all of it and what comes."""
        params = EventsParams(run_id=run_id, after_sequence=after_sequence, limit=limit)
        return await self.request("workflow/events", params, EventsResult)

    async def subscribe(self, run_id: str, *, after_sequence: int = 0) -> SubscribeResult:
        """A run's journal so far; what follows comes as `workflow/eventsAppended`. `follow` puts both together."""
        params = SubscribeParams(run_id=run_id, after_sequence=after_sequence)
        return await self.request("workflow/subscribe", params, SubscribeResult)

    async def unsubscribe(self, run_id: str) -> None:
        """End a subscription."""
        await self.request("workflow/unsubscribe", UnsubscribeParams(run_id=run_id), Empty)

    async def answer(self, interaction_id: str, answer: Any) -> AnswerResult:
        """Answer a question."""
        params = AnswerParams(interaction_id=interaction_id, answer=answer)
        return await self.request("workflow/answer", params, AnswerResult)

    async def scripts(self, workspace_folder: str | UnsetType = UNSET) -> ScriptsResult:
        """The scripts that can be started by name."""
        return await self.request("workflow/scripts", ScriptsParams(workspace_folder=workspace_folder), ScriptsResult)

    async def validate(self, *, uri: str | UnsetType = UNSET, source: str | UnsetType = UNSET) -> ValidateResult:
        """Check a script, by its file or by its text, without running it."""
        return await self.request("workflow/validate", ValidateParams(uri=uri, source=source), ValidateResult)

    async def trust(self, folders: Sequence[str], *, trusted: bool, remember: bool = False) -> None:
        """Trust folders (URIs), or withdraw it."""
        params = TrustParams(folders=[*folders], trusted=trusted, remember=remember)
        await self.request("workflow/trust", params, Empty)

    async def delete(self, run_id: str) -> None:
        """Delete a stopped run and its tree."""
        await self.request("workflow/delete", DeleteParams(run_id=run_id), Empty)

    async def health(self) -> HealthResult:
        """How the server is."""
        return await self.request("workflow/health", Empty(), HealthResult)

    async def all_runs(self, **filters: Unpack[ListOptions]) -> AsyncGenerator[RunSummary, None]:
        """Runs, page after page, newest first."""
        while True:
            page = await self.list(**filters)
            for run in page.runs:
                yield run
            if page.next_cursor is None:
                return
            filters["cursor"] = page.next_cursor

    # Last, for inside the class it hides the type of the same name.
    async def list(self, **filters: Unpack[ListOptions]) -> ListResult:
        """A page of runs, newest first."""
        return await self.request("workflow/list", ListParams(**filters), ListResult)
