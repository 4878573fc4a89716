"""
The `workflow/*` requests: decode, call the service, convert, return. No handler knows what a run's status means.

Invariant: every method of `method_table` has one handler here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UnsetType

from sidestep.lsp import convert
from sidestep.lsp.subscriptions import PENDING_MAX
from sidestep.model.errors import WorkspaceInvalid
from sidestep.model.ports import RunFilter
from sidestep.model.run import ACTIVE, Attention, RunStatus
from sidestep.rpc.errors import RpcError, invalid_params
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import FileScript, InlineScript, NamedScript
from sidestep.service.requests import ResumeRequest, RetryRequest, StartRequest
from sidestep_protocol import workflow
from sidestep_protocol.errors import InvalidParamsData
from sidestep_protocol.payload import Empty
from sidestep_protocol.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.lsp.notifier import Notifier
    from sidestep.lsp.subscriptions import Subscriptions
    from sidestep.lsp.workspace import Workspace
    from sidestep.model.run import RunRecord
    from sidestep.rpc.router import RequestContext
    from sidestep.scripts.resolver import ScriptReference
    from sidestep.service.library import Library
    from sidestep.service.requests import OnRun
    from sidestep.service.workflows import WorkflowService

    Handler = Callable[[Any, RequestContext], Awaitable[object]]
    WaitParams = workflow.StartParams | workflow.ResumeParams | workflow.RetryParams

T = TypeVar("T")


class WorkflowMethods:
    """The handlers of one connection."""

    def __init__(
        self,
        open_service: Callable[[], Awaitable[WorkflowService]],
        library: Library,
        workspace: Workspace,
        notifier: Notifier,
        subscriptions: Subscriptions,
        auto_resume: Callable[[], bool],
        wire_health: Callable[[], tuple[int, int]],
        versions: dict[str, str],
        outputs_bytes_max: int,
        answers_as: Callable[[], str],
    ) -> None:
        """
        Args:
            open_service: The service; tries to open its store as long as that fails, raising StoreUnavailable.
            wire_health: Bytes queued for the host, and bytes of output dropped.
            outputs_bytes_max: A page of steps with outputs ends before it holds more.
            answers_as: What the client is called where it is told who answered a question.
        """
        self._service = open_service
        self._library = library
        self._workspace = workspace
        self._notifier = notifier
        self._subscriptions = subscriptions
        self._auto_resume = auto_resume
        self._wire_health = wire_health
        self._versions = versions
        self._outputs_bytes_max = outputs_bytes_max
        self._answers_as = answers_as

    def handlers(self) -> dict[str, Handler]:
        """One for each method of `method_table`."""
        return {
            "workflow/start": self.start,
            "workflow/resume": self.resume,
            "workflow/retry": self.retry,
            "workflow/interrupt": self.interrupt,
            "workflow/background": self.background,
            "workflow/list": self.list,
            "workflow/get": self.get,
            "workflow/steps": self.steps,
            "workflow/events": self.events,
            "workflow/subscribe": self.subscribe,
            "workflow/unsubscribe": self.unsubscribe,
            "workflow/answer": self.answer,
            "workflow/scripts": self.scripts,
            "workflow/validate": self.validate,
            "workflow/trust": self.trust,
            "workflow/delete": self.delete,
            "workflow/health": self.health,
        }

    async def start(self, params: workflow.StartParams, context: RequestContext) -> object:
        folder, folder_uri = self._workspace.folder(_given(params.workspace_folder))
        request = StartRequest(
            script=_reference(params.script),
            args=params.args,
            folder=folder,
            folder_uri=folder_uri,
            start_key=_given(params.start_key),
            label=_given(params.label),
            auto_resume=self._auto_resume(),
            attention=_attention(params),
            deadline_s=_given(params.deadline_s),
            request_id=context.request_id,
            on_run=self._on_run(params),
        )
        started = await (await self._service()).start(request, context.signal)
        return _answer(params, started.record, created=started.created)

    async def resume(self, params: workflow.ResumeParams, context: RequestContext) -> object:
        request = ResumeRequest(
            run_id=params.run_id,
            attention=_attention(params),
            deadline_s=_given(params.deadline_s),
            request_id=context.request_id,
            on_run=self._on_run(params),
        )
        return _answer(params, await (await self._service()).resume(request, context.signal), created=False)

    async def retry(self, params: workflow.RetryParams, context: RequestContext) -> object:
        request = RetryRequest(
            run_id=params.run_id,
            current_source=params.source == "current",
            attention=_attention(params),
            deadline_s=_given(params.deadline_s),
            request_id=context.request_id,
            on_run=self._on_run(params),
        )
        return _answer(params, await (await self._service()).retry(request, context.signal), created=False)

    async def interrupt(self, params: workflow.InterruptParams, context: RequestContext) -> workflow.InterruptResult:
        service = await self._service()
        done = await service.interrupt(params.run_id, by="host", wait_quiescent=params.wait == "quiescent")
        return workflow.InterruptResult(
            run_id=params.run_id,
            status=done.record.status.value,
            already_terminal=done.already_terminal,
            quiescent=done.quiescent,
            sequence=done.record.sequence,
        )

    async def background(self, params: workflow.BackgroundParams, context: RequestContext) -> workflow.BackgroundResult:
        record = await (await self._service()).background(params.run_id)
        return workflow.BackgroundResult(run_id=record.run_id, status=record.status.value)

    async def list(self, params: workflow.ListParams, context: RequestContext) -> workflow.ListResult:
        folder = _given(params.workspace_folder)
        run_filter = RunFilter(
            folder=None if folder is None else FolderKey.named(folder).path,
            statuses=_statuses(_given(params.status)),
            name=_given(params.name),
            text=_given(params.text),
            parent_run_id=_given(params.parent_run_id),
            created_after_ms=_milliseconds(params.created_after, "$.createdAfter"),
            created_before_ms=_milliseconds(params.created_before, "$.createdBefore"),
        )
        service = await self._service()
        page = await service.store.list_runs(run_filter, cursor=_given(params.cursor), limit=params.limit)
        return workflow.ListResult(
            runs=[convert.run_summary(record, service.owner_id) for record in page.items], next_cursor=page.next_cursor
        )

    async def get(self, params: workflow.GetParams, context: RequestContext) -> workflow.GetResult:
        service = await self._service()
        store = service.store
        record = await store.read(params.run_id)
        source = await store.read_source(record.source_hash) if "source" in params.include else None
        questions = await store.open_questions(params.run_id) if record.pending else ()
        return workflow.GetResult(
            run=convert.run_detail(record, service.owner_id, params.include, source),
            pending=[convert.interaction(question) for question in questions[:PENDING_MAX]],
        )

    async def steps(self, params: workflow.StepsParams, context: RequestContext) -> workflow.StepsResult:
        store = (await self._service()).store
        record = await store.read(params.run_id)
        step_id, after = _given(params.step_id), _given(params.cursor)
        page = await store.read_steps(params.run_id, step_id=step_id, after=after, limit=params.limit)
        summaries: list[workflow.StepSummary] = []
        outputs_bytes = 0
        for step in page.items:
            output = await store.read_output(step) if params.outputs and step.has_output else None
            outputs_bytes += len(output or "")
            if summaries and outputs_bytes > self._outputs_bytes_max:
                # A page ends early rather than outgrow a message.
                page = await store.read_steps(params.run_id, step_id=step_id, after=after, limit=len(summaries))
                break
            summaries.append(convert.step_summary(step, record, output))
        return workflow.StepsResult(steps=summaries, next_cursor=page.next_cursor)

    async def events(self, params: workflow.EventsParams, context: RequestContext) -> workflow.EventsResult:
        store = (await self._service()).store
        record = await store.read(params.run_id)
        page = await store.read_events(params.run_id, after_sequence=params.after_sequence, limit=params.limit)
        last = page[-1].sequence if page else params.after_sequence
        return workflow.EventsResult(
            events=[convert.event(event, record) for event in page],
            last_sequence=record.sequence,
            has_more=last < record.sequence,
        )

    async def subscribe(self, params: workflow.SubscribeParams, context: RequestContext) -> workflow.SubscribeResult:
        service = await self._service()
        begun = await self._subscriptions.subscribe(service, params.run_id, params.after_sequence, context)
        return workflow.SubscribeResult(
            run=convert.run_summary(begun.record, service.owner_id),
            events=[convert.event(event, begun.record) for event in begun.events],
            live_from_sequence=begun.live_from_sequence,
            pending=[convert.interaction(question) for question in begun.questions],
        )

    async def unsubscribe(self, params: workflow.UnsubscribeParams, context: RequestContext) -> Empty:
        return self.unsubscribe_at_once(params)

    def unsubscribe_at_once(self, params: workflow.UnsubscribeParams) -> Empty:
        """Nothing of it waits."""
        self._subscriptions.unsubscribe(params.run_id)
        return Empty()

    async def answer(self, params: workflow.AnswerParams, context: RequestContext) -> workflow.AnswerResult:
        service = await self._service()
        given = await service.answer(params.interaction_id, params.answer, self._answers_as())
        return workflow.AnswerResult(accepted=given.accepted, recorded=given.recorded)

    async def scripts(self, params: workflow.ScriptsParams, context: RequestContext) -> workflow.ScriptsResult:
        folder = _given(params.workspace_folder)
        alone = len(self._workspace.folders) == 1
        listed = None if folder is None and not alone else self._workspace.folder(folder)[0]
        found = await self._library.scripts(listed)
        return workflow.ScriptsResult(scripts=[convert.script_info(script) for script in found])

    async def validate(self, params: workflow.ValidateParams, context: RequestContext) -> workflow.ValidateResult:
        source, problems = await self._library.check_text(_given(params.uri), _given(params.source))
        return workflow.ValidateResult(diagnostics=convert.diagnostics(problems, source))

    async def trust(self, params: workflow.TrustParams, context: RequestContext) -> Empty:
        folders = [_named_folder(uri, f"$.folders[{index}]") for index, uri in enumerate(params.folders)]
        await (await self._service()).trust(folders, trusted=params.trusted, remember=params.remember)
        return Empty()

    async def delete(self, params: workflow.DeleteParams, context: RequestContext) -> Empty:
        await (await self._service()).delete(params.run_id)
        return Empty()

    async def health(self, params: Empty, context: RequestContext) -> workflow.HealthResult:
        found = await (await self._service()).health()
        queued_bytes, dropped_bytes = self._wire_health()
        return workflow.HealthResult(
            status="ok",
            active_runs=found["activeRuns"],
            queued_bytes=queued_bytes,
            dropped_output_bytes=dropped_bytes,
            store_path=found["storePath"],
            store_bytes=found["storeBytes"],
            versions=self._versions,
        )

    def _on_run(self, params: WaitParams) -> OnRun:
        """What this connection wants to be told about the run, arranged before its first commit."""
        token = _given(params.work_done_token)
        return lambda run_id, attached: self._notifier.follow(run_id, attached, events=params.events, token=token)


def _reference(script: workflow.ScriptRef) -> ScriptReference:
    if not isinstance(script.source, UnsetType):
        return InlineScript(script.source, _given(script.name))
    if not isinstance(script.uri, UnsetType):
        return FileScript(script.uri)
    assert not isinstance(script.name, UnsetType), "the decoder requires exactly one form"
    return NamedScript(script.name)


def _answer(params: WaitParams, record: RunRecord, *, created: bool) -> object:
    if params.mode == "background":
        return convert.started(record, created=created)
    return convert.outcome(record)


def _attention(params: WaitParams) -> Attention:
    return Attention.BLOCKING if params.mode == "foreground" else Attention.NOTIFY_ON_TERMINAL


def _given(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _named_folder(uri: str, path: str) -> FolderKey:
    try:
        return FolderKey.named(uri)
    except WorkspaceInvalid as error:
        raise replace(error, path=path) from error


def _statuses(words: list[workflow.StatusFilter] | None) -> frozenset[RunStatus] | None:
    if words is None:
        return None
    named = {RunStatus(word) for word in words if word != "active"}
    return frozenset(named | ACTIVE if "active" in words else named)


def _milliseconds(text: str | UnsetType, path: str) -> int | None:
    if isinstance(text, UnsetType):
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        data = InvalidParamsData(reason="invalidParams", path=path, expected="an RFC 3339 time with an offset")
        raise RpcError(invalid_params(data)) from error
