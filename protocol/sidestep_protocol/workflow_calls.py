"""
The protocol's requests as typed functions, for whoever can send one.

Owns how `workflow/*` reads in Python. Knows no process and no wire: `request` is the subclass's (`client.Client`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

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
    from collections.abc import Sequence

    from sidestep_protocol.requests import ResultT


class WorkflowCalls(ABC):
    """One function per request. Each raises ResponseFailed and ServerGone, as `request` does."""

    @abstractmethod
    async def request(self, method: str, params: Any, result_type: type[ResultT]) -> ResultT:
        """Send a request and wait for its result, decoded as `result_type`."""

    async def start(
        self,
        script: ScriptRef,
        args: JsonObject | None = None,
        *,
        workspace_folder: str | UnsetType = UNSET,
        start_key: str | UnsetType = UNSET,
        label: str | UnsetType = UNSET,
        work_done_token: Id | UnsetType = UNSET,
        events: bool = False,
        deadline_s: float | UnsetType = UNSET,
    ) -> RunOutcome:
        """Start a run and wait for it. To be able to cancel it, `send` StartParams instead."""
        params = StartParams(
            script=script,
            args=args or {},
            workspace_folder=workspace_folder,
            start_key=start_key,
            label=label,
            work_done_token=work_done_token,
            events=events,
            deadline_s=deadline_s,
        )
        return await self.request("workflow/start", params, RunOutcome)

    async def start_background(
        self,
        script: ScriptRef,
        args: JsonObject | None = None,
        *,
        workspace_folder: str | UnsetType = UNSET,
        start_key: str | UnsetType = UNSET,
        label: str | UnsetType = UNSET,
        events: bool = False,
        deadline_s: float | UnsetType = UNSET,
    ) -> RunStarted:
        """Start a run and go on once it is stored."""
        params = StartParams(
            script=script,
            args=args or {},
            mode="background",
            workspace_folder=workspace_folder,
            start_key=start_key,
            label=label,
            events=events,
            deadline_s=deadline_s,
        )
        return await self.request("workflow/start", params, RunStarted)

    async def interrupt(self, run_id: str, *, wait: Literal["durable", "quiescent"] = "quiescent") -> InterruptResult:
        """Stop a run durably; it may be resumed."""
        return await self.request("workflow/interrupt", InterruptParams(run_id=run_id, wait=wait), InterruptResult)

    async def background(self, run_id: str) -> BackgroundResult:
        """Release the request that waits for a run."""
        return await self.request("workflow/background", BackgroundParams(run_id=run_id), BackgroundResult)

    async def resume(self, run_id: str, *, events: bool = False, deadline_s: float | UnsetType = UNSET) -> RunOutcome:
        """Go on with an interrupted run and wait for it."""
        params = ResumeParams(run_id=run_id, events=events, deadline_s=deadline_s)
        return await self.request("workflow/resume", params, RunOutcome)

    async def retry(
        self,
        run_id: str,
        *,
        source: Literal["snapshot", "current"] = "snapshot",
        events: bool = False,
        deadline_s: float | UnsetType = UNSET,
    ) -> RunOutcome:
        """Run a failed run's failed steps again and wait for it."""
        params = RetryParams(run_id=run_id, source=source, events=events, deadline_s=deadline_s)
        return await self.request("workflow/retry", params, RunOutcome)

    async def get(self, run_id: str, *include: Literal["result", "source", "args"]) -> GetResult:
        """One run in full."""
        return await self.request("workflow/get", GetParams(run_id=run_id, include=[*include]), GetResult)

    async def steps(self, params: StepsParams) -> StepsResult:
        """A page of a run's steps."""
        return await self.request("workflow/steps", params, StepsResult)

    async def events(self, params: EventsParams) -> EventsResult:
        """A page of a run's journal."""
        return await self.request("workflow/events", params, EventsResult)

    async def subscribe(self, run_id: str, *, after_sequence: int = 0) -> SubscribeResult:
        """A run's journal so far; what follows comes as `workflow/eventsAppended`."""
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

    async def validate(self, params: ValidateParams) -> ValidateResult:
        """Check a script without running it."""
        return await self.request("workflow/validate", params, ValidateResult)

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

    # Last, for inside the class it hides the type of the same name.
    async def list(self, params: ListParams | None = None) -> ListResult:
        """A page of runs."""
        return await self.request("workflow/list", params or ListParams(), ListResult)
