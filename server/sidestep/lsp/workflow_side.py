"""
What one connection has to do with runs: its folders, its methods, what it is told, what is resumed for it.

Loaded after the initialize reply, because everything it needs costs more than the reply. Owns the wiring only; the
service outlives no connection, and nothing here knows of stores or sandboxes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.lsp.configuration_warnings import ConfigurationWarnings
from sidestep.lsp.greeting import Greeting
from sidestep.lsp.host_offer import HostOffer, host_offer
from sidestep.lsp.interactions import Interactions
from sidestep.lsp.live_output import LiveOutput
from sidestep.lsp.notifier import Notifier
from sidestep.lsp.recovery_messages import recovery_messages
from sidestep.lsp.server_status import ServerStatus
from sidestep.lsp.subscriptions import Subscriptions
from sidestep.lsp.workflow_methods import WorkflowMethods
from sidestep.lsp.workspace import Workspace
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.errors import Draining, StoreUnavailable, WorkspaceInvalid
from sidestep.model.run import Attention
from sidestep.scripts.folder import FolderKey
from sidestep.service.automatic_resume import AutomaticResume
from sidestep_protocol.capabilities import InitializeParams

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence  # noqa: TC004 -- never decoded

    from sidestep.lsp.host_agent import TasksAtHost
    from sidestep.lsp.plain_editor import PlainEditor
    from sidestep.model.ports import Committed
    from sidestep.rpc.router import RequestContext
    from sidestep.rpc.session import Session
    from sidestep.rpc.writer import Writer
    from sidestep.service.automatic_resume import Recovered
    from sidestep.service.library import Library  # noqa: TC004 -- never decoded
    from sidestep.service.workflows import WorkflowService  # noqa: TC004 -- never decoded
    from sidestep.settings import Settings
    from sidestep_protocol.capabilities import WorkDoneProgressTokenParams
    from sidestep_protocol.tasks import TaskProgressNotification

log = logging.getLogger("sidestep.lsp")


class WorkflowParts(msgspec.Struct, frozen=True):
    """
    What the workflow side needs of the rest of the process.

    Attributes:
        open_service: Answers the service; raises StoreUnavailable as long as its store cannot be opened.
        opened_service: The service if it is open already, else None.
        hear_host: Told what the host offers to agents, before anything runs for it.
        configuration_warnings: What the configuration that holds in a folder (its path) has wrong, for a person.
        agent_names: The agents a script in a folder can name, read anew in any thread.
    """

    open_service: Callable[[], Awaitable[WorkflowService]]
    opened_service: Callable[[], WorkflowService | None]
    library: Library
    hear_host: Callable[[HostOffer], None]
    configuration_warnings: Callable[[str], Sequence[str]]
    agent_names: Callable[[str], Sequence[str]]


class WorkflowSide:
    """One connection's, from its first word to its end."""

    def __init__(
        self,
        parts: WorkflowParts,
        session: Session,
        writer: Writer,
        *,
        settings: Settings,
        versions: dict[str, str],
        loop: asyncio.AbstractEventLoop,
        is_unsaved: Callable[[str], bool],
    ) -> None:
        self._parts = parts
        self._session = session
        self._writer = writer
        self._loop = loop
        self._workspace = Workspace()
        self._greeting = Greeting(InitializeParams())
        self._is_initialized, self._is_shut_down = False, False
        self._warnings = ConfigurationWarnings(session.notify, lambda: self.folders, parts.configuration_warnings)
        self._told: WorkflowService | None = None
        self._automatic: AutomaticResume | None = None
        self._notifier = Notifier(
            session.notify,
            is_mine=self._workspace.owns,
            is_mine_folder=self._workspace.has,
            request_of=self._request_of,
            settings=settings,
            loop=loop,
            end_output=lambda run_id: self._live_output.end(run_id),
        )
        self._subscriptions = Subscriptions(self._notifier, writer.room)
        self._live_output = LiveOutput(
            session.notify,
            wants=lambda run_id: self._greeting.wants_output and self._notifier.follows_output(run_id),
            batch_s=settings.events_batch_ms / 1000,
            loop=loop,
        )
        self._methods = WorkflowMethods(
            open_service=self.service,
            library=parts.library,
            workspace=self._workspace,
            notifier=self._notifier,
            subscriptions=self._subscriptions,
            auto_resume=lambda: self._greeting.params.options.auto_resume,
            wire_health=lambda: (writer.queued_bytes, writer.dropped_bytes),
            versions=versions,
            outputs_bytes_max=settings.outbound_bytes_max // 2,
            answers_as=lambda: self._greeting.client_name,
        )
        self._interactions = Interactions(
            session,
            is_mine_folder=self._workspace.has,
            can_interact=lambda: self._greeting.can_interact,
            answers_as=lambda: self._greeting.client_name,
        )
        self._is_unsaved = is_unsaved
        self._answer_bytes_max = settings.agent_answer_bytes_max
        # Loaded when they are first needed: most hosts need neither.
        self._editor: PlainEditor | None = None
        self._tasks: TasksAtHost | None = None
        self._status = ServerStatus(session.notify, lambda: 0 if self._told is None else len(self._told.runs))
        self._handlers = self._methods.handlers()

    @property
    def folders(self) -> Sequence[FolderKey]:
        """Those the client has open."""
        return self._workspace.folders

    @property
    def editor(self) -> PlainEditor:
        """What a plain editor has of runs; loaded when it is first asked for."""
        if self._editor is None:
            from sidestep.lsp.plain_editor import PlainEditor

            self._editor = PlainEditor(
                self._session,
                open_service=self.service,
                library=self._parts.library,
                workspace=self._workspace,
                notifier=self._notifier,
                greeting=lambda: self._greeting,
                trust=self._trust,
                is_unsaved=self._is_unsaved,
            )
        return self._editor

    def agent_names(self, folder: str | None) -> Sequence[str]:
        """The agents that a script in a folder can name; in any thread."""
        return self._parts.agent_names(folder or "")

    def greeted(self, greeting: Greeting) -> None:
        """The client has introduced itself."""
        self._greeting = greeting
        self._workspace.open_from(greeting.params)
        trust = greeting.params.options.trust
        if trust:
            self._parts.library.trust_for_session(_named_folders(trust.folders))
        if greeting.does_tasks and self._tasks is None:
            from sidestep.lsp.host_agent import TasksAtHost

            self._tasks = TasksAtHost(self._session, answer_bytes_max=self._answer_bytes_max)
        self._parts.hear_host(host_offer(greeting, self._tasks))

    async def call(self, method: str, params: Any, context: RequestContext) -> object:
        """Serve one `workflow/*` request, its params decoded."""
        if method in _RUNNING:
            # Next, while the request waits for its script: the files of the configuration are looked at for that.
            self._loop.call_soon(self._warnings.tell)
        answer = await self._handlers[method](params, context)
        if method == "workflow/trust" and params.trusted:
            self._sweep(self._workspace.folders)
        return answer

    def call_at_once(self, method: str, params: Any) -> object:
        """Serve one of the methods of which nothing has to be waited for."""
        assert method == "workflow/unsubscribe", "Invariant: the table of methods names no other"
        return self._methods.unsubscribe_at_once(params)

    async def service(self) -> WorkflowService:
        """
        The service; from its first opening on this connection is told about commits.

        Raises:
            StoreUnavailable: its store cannot be opened now.
            Draining: the host has shut the server down.
        """
        try:
            service = await self._parts.open_service()
        except StoreUnavailable as away:
            self._status.store_is_away(away)
            raise
        if self._told is not service:
            if self._is_shut_down:
                # It was being opened when the host said so.
                await service.drain(_SHUT_DOWN)
                raise Draining()
            self._told = service
            # First: questions are taken down before the stop of their run is told (G5).
            self._interactions.attend(service)
            if self._is_initialized:
                self._interactions.begin(self._workspace.folders)
            self._status.store_is_back()
            service.store.listen_availability(self._status.store_changed)
            service.listeners.listen(self._tell)
            service.listeners.listen_deleted(self._notifier.deleted)
            service.listeners.listen(self._tell_ending)
            service.listeners.listen_deleted(lambda deleted: self.editor.reports.deleted(deleted))
            service.outputs.listen(self._live_output.told)
            service.pace.folders_open(len(self._workspace.folders))
            self._attend(service)
        return service

    async def open(self) -> str | None:
        """
        Open the service, as far as its store lets us.

        Returns:
            The store's id, or None: a store that cannot be opened stops no static feature.
        """
        try:
            return str((await (await self.service()).health())["storeId"])
        except StoreUnavailable as away:
            log.warning("the store is unavailable: %s", away)
        except Draining:
            log.info("the server stopped before its store was opened")
        return None

    def initialized(self) -> None:
        """The client is ready to be told, and for its runs to go on."""
        self._is_initialized = True
        if self._greeting.is_offered:
            self._status.begin()
        self._warnings.tell()
        self._interactions.begin(self._workspace.folders)
        if self._told is not None:
            self._begin(self._told)

    async def shut_down(self) -> None:
        """Stop every run; a service that is opened from now on is drained at once."""
        self._is_shut_down = True
        if self._editor is not None:
            await self._editor.reports.removed()
        service = self._parts.opened_service()
        if service is not None:
            await service.drain(_SHUT_DOWN)

    async def cancel_progress(self, params: WorkDoneProgressTokenParams) -> None:
        """The person pressed cancel on the progress: an interrupt by the user, not a cancelled request."""
        run_id = self._notifier.run_of(params.token)
        if run_id is not None:
            await (await self.service()).interrupt(run_id, by="progress", wait_quiescent=False)

    def take_progress(self, progress: TaskProgressNotification) -> None:
        """The host tells that a task of its is alive."""
        if self._tasks is not None:
            self._tasks.take_progress(progress)

    def change_folders(self, *, removed: Iterable[str], added: Iterable[str]) -> None:
        """Folders, by their URIs, were closed and opened."""
        self._workspace.close(removed)
        opened = self._workspace.open(added)
        self._notifier.folders_closed()
        self._interactions.folders_closed()
        if self._is_initialized:
            self._interactions.begin(opened)
        if self._told is not None:
            self._told.pace.folders_open(len(self._workspace.folders))
        self._sweep(opened)

    def close(self) -> None:
        if self._automatic is not None:
            self._automatic.close()
        self._interactions.close()
        if self._editor is not None:
            self._editor.close()
        self._subscriptions.close()
        self._live_output.close()
        self._notifier.close()

    def _tell(self, committed: Committed) -> None:
        """The listener: all that one commit has to say leaves in one write, and wakes the host once."""
        self._writer.gather(self._notifier.told, committed)

    def _tell_ending(self, committed: Committed) -> None:
        """The listener: a client that knows our protocol tells its person itself, and who waits for a run is told."""
        record = committed.record
        if self._greeting.is_plain and record.is_stopped and record.attention is Attention.NOTIFY_ON_TERMINAL:
            self.editor.endings.told(committed)

    def _attend(self, service: WorkflowService) -> None:
        """Have the service's interrupted runs resumed, as far as this client wants that and is ready for it."""
        if self._greeting.params.options.auto_resume and self._greeting.is_offered:
            if self._automatic is not None:
                self._automatic.close()
            self._automatic = AutomaticResume(service, service.clock, self._workspace.owns, self._tell_recovered)
        if self._is_initialized:
            self._begin(service)

    def _begin(self, service: WorkflowService) -> None:
        if self._automatic is not None:
            self._automatic.begin(self._workspace.folders)
            return
        for record in service.recovered:
            log.info("%s was interrupted by a crash; resume it to go on", record.run_id)

    def _sweep(self, folders: Iterable[FolderKey]) -> None:
        if self._automatic is not None:
            self._automatic.sweep(folders)

    async def _trust(self, folder: FolderKey) -> None:
        """The person trusts a folder from now on."""
        await (await self.service()).trust([folder], trusted=True, remember=True)
        self._sweep(self._workspace.folders)

    def _tell_recovered(self, recovered: Sequence[Recovered]) -> None:
        for message in recovery_messages(recovered):
            self._session.notify("window/showMessage", message)

    def _request_of(self, run_id: str) -> int | str | None:
        active = self._told.runs.get(run_id) if self._told is not None else None
        return None if active is None else active.request_id


# Requests that have a run begin or go on.
_RUNNING = frozenset({"workflow/start", "workflow/resume", "workflow/retry"})
_SHUT_DOWN = AbortReason(AbortKind.SHUTDOWN, by="host", detail="the host shut the server down")


def _named_folders(uris: Iterable[str]) -> Iterator[FolderKey]:
    """The folders of the disk among what the host trusts; a virtual one can hold no workflow of ours."""
    for uri in uris:
        try:
            yield FolderKey.named(uri)
        except WorkspaceInvalid as error:
            log.info("trust is ignored: %s", error)
