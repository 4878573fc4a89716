"""
One host's connection: the session on the wire, what it is told, and the LSP lifecycle around the service.

Owns the wiring only; the service outlives no connection, and the connection knows nothing of stores or sandboxes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.lsp.error_map import map_error
from sidestep.lsp.host_log import HostLog
from sidestep.lsp.live_output import LiveOutput
from sidestep.lsp.notifier import Notifier
from sidestep.lsp.recovery_messages import recovery_messages
from sidestep.lsp.subscriptions import Subscriptions
from sidestep.lsp.workflow_methods import WorkflowMethods
from sidestep.lsp.workspace import Workspace
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.errors import StoreUnavailable, WorkspaceInvalid
from sidestep.rpc.errors import RpcError
from sidestep.rpc.lifecycle import LifecycleHooks
from sidestep.rpc.router import NotificationRoute, Route, Router, decode_params
from sidestep.rpc.session import Session, SessionLimits
from sidestep.rpc.trace import Trace
from sidestep.scripts.folder import FolderKey
from sidestep.service.automatic_resume import AutomaticResume
from sidestep_protocol import PROTOCOL_VERSION
from sidestep_protocol.capabilities import (
    ClientWorkflowCapability,
    InitializeParams,
    InitializeResult,
    PeerInfo,
    ServerWorkflowCapability,
    WorkDoneProgressTokenParams,
    common_version,
)
from sidestep_protocol.errors import ERROR_CODES, ResponseError
from sidestep_protocol.schema import schema_hash

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from sidestep.lsp.bridge import PyglsBridge
    from sidestep.rpc.router import RequestContext
    from sidestep.rpc.transport import Writer
    from sidestep.service.automatic_resume import Recovered
    from sidestep.service.library import Library
    from sidestep.service.workflows import WorkflowService
    from sidestep.settings import Settings

log = logging.getLogger("sidestep.lsp")

FEATURES = (
    *("start", "interrupt", "resume", "retry", "background", "list", "events", "subscribe", "output"),
    *("scripts", "validate", "trust"),
)


@dataclass(frozen=True)
class ConnectionParts:
    """
    What a connection needs of the rest of the process.

    Attributes:
        open_service: Answers the service; raises StoreUnavailable as long as its store cannot be opened.
        opened_service: The service if it is open already, else None.
        server_epoch: A fresh word for each start of the server.
    """

    open_service: Callable[[], Awaitable[WorkflowService]]
    opened_service: Callable[[], WorkflowService | None]
    library: Library
    settings: Settings
    versions: dict[str, str]
    server_epoch: str
    new_incident_id: Callable[[], str]
    bridge: PyglsBridge


class Connection:
    """
    Wires one session to the service. `session.receive` takes bytes, `writer` sends them.

    Attributes:
        host_log: For the root logger: tells the host of warnings and errors.
    """

    def __init__(self, parts: ConnectionParts, writer: Writer) -> None:
        self._parts = parts
        self._workspace = Workspace()
        self._auto_resume = True
        self._version: int | None = PROTOCOL_VERSION
        self._told: WorkflowService | None = None
        self._automatic: AutomaticResume | None = None
        self._is_initialized = False
        self._has_documents = False
        self._client_process_id: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._notifier = Notifier(
            self._notify,
            is_mine=self._workspace.owns,
            is_mine_folder=self._workspace.has,
            request_of=self._request_of,
            settings=parts.settings,
            loop=asyncio.get_running_loop(),
            end_output=lambda run_id: self._live_output.end(run_id),
        )
        self._subscriptions = Subscriptions(self._notifier, writer.room)
        self._wants_output = False
        self._live_output = LiveOutput(
            self._notify,
            wants=lambda run_id: self._wants_output and self._notifier.follows_output(run_id),
            batch_s=parts.settings.events_batch_ms / 1000,
            loop=asyncio.get_running_loop(),
        )
        methods = WorkflowMethods(
            open_service=self._service,
            library=parts.library,
            workspace=self._workspace,
            notifier=self._notifier,
            subscriptions=self._subscriptions,
            auto_resume=lambda: self._auto_resume,
            wire_health=lambda: (writer.queued_bytes, writer.dropped_bytes),
            versions=parts.versions,
            outputs_bytes_max=parts.settings.outbound_bytes_max // 2,
        )
        self._trace = Trace(writer, asyncio.get_running_loop().time)
        self.session = Session(
            outbound=self._trace,
            router=Router([self._guarded(route) for route in methods.routes()], self._notification_routes()),
            hooks=LifecycleHooks(self._initialize, self._initialized, self._shutdown),
            fallback=parts.bridge,
            map_error=map_error,
            new_incident_id=parts.new_incident_id,
            limits=SessionLimits(
                requests_in_flight_max=parts.settings.requests_in_flight_max,
                message_bytes_max=parts.settings.message_bytes_max,
            ),
            heard=self._trace.received,
            has_room=writer.room,
        )
        self._trace.connect(self.session.notify)
        loop = asyncio.get_running_loop()
        self.host_log = HostLog(self.session.notify, loop=loop, monotonic=loop.time)
        parts.bridge.connect(self.session)

    def close(self) -> None:
        if self._automatic is not None:
            self._automatic.close()
        self._subscriptions.close()
        self._live_output.close()
        self._notifier.close()

    async def client_process_id(self) -> int | None:
        """The process the client named in initialize; waits for that."""
        return await asyncio.shield(self._client_process_id)

    async def _service(self) -> WorkflowService:
        """The service; from its first opening on this connection is told about commits."""
        service = await self._parts.open_service()
        if self._told is not service:
            self._told = service
            service.listeners.listen(self._notifier.told)
            service.listeners.listen_deleted(self._notifier.deleted)
            service.outputs.listen(self._live_output.told)
            service.pace.folders_open(len(self._workspace.folders))
            self._attend(service)
        return service

    def _attend(self, service: WorkflowService) -> None:
        """Have the service's interrupted runs resumed, as far as this client wants that and is ready for it."""
        if not self._auto_resume or self._version is None:
            return
        if self._automatic is not None:
            self._automatic.close()
        self._automatic = AutomaticResume(service, service.clock, self._workspace.owns, self._tell_recovered)
        if self._is_initialized:
            self._automatic.begin(self._workspace.folders)

    def _sweep(self, folders: Iterable[FolderKey]) -> None:
        if self._automatic is not None:
            self._automatic.sweep(folders)

    def _tell_recovered(self, recovered: Sequence[Recovered]) -> None:
        for message in recovery_messages(recovered):
            self._notify("window/showMessage", message)

    async def _initialize(self, raw: msgspec.Raw | None) -> InitializeResult:
        params = decode_params(InitializeParams, raw)
        self._parts.bridge.initialize(raw)
        capability = _workflow_capability(params)
        self._version = PROTOCOL_VERSION if capability is None else common_version(capability)
        self._wants_output = capability is not None and capability.output
        self._has_documents = "textDocument" in params.capabilities
        self._auto_resume = params.options.auto_resume
        self._workspace.open_from(params)
        if not self._client_process_id.done():
            self._client_process_id.set_result(params.process_id)
        if params.options.trust:
            self._parts.library.trust_for_session(_named_folders(params.options.trust.folders))
        store_id = await self._store_id()
        self._trace.set_level(params.trace)
        offered = ServerWorkflowCapability(
            protocol_version=PROTOCOL_VERSION,
            server_version=self._parts.versions["sidestep"],
            schema_hash=schema_hash(),
            store_id=store_id,
            server_epoch=self._parts.server_epoch,
            features=list(FEATURES),
            limits=_limits(self._parts.settings),
        )
        return InitializeResult(
            capabilities={
                "positionEncoding": "utf-16",
                "textDocumentSync": {"openClose": True, "change": 2},
                "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
                "experimental": {"workflow": msgspec.to_builtins(offered)},
            },
            server_info=PeerInfo(name="sidestep", version=self._parts.versions["sidestep"]),
        )

    async def _store_id(self) -> str | None:
        """The store's id, or None: a store that cannot be opened stops no static feature."""
        try:
            return str((await (await self._service()).health())["storeId"])
        except StoreUnavailable as away:
            log.warning("the store is unavailable: %s", away)
            return None

    async def _initialized(self) -> None:
        self._is_initialized = True
        self.host_log.open()
        if self._automatic is not None:
            self._automatic.begin(self._workspace.folders)
        else:
            for record in self._told.recovered if self._told is not None else ():
                log.info("%s was interrupted by a crash; resume it to go on", record.run_id)
        if self._has_documents:
            # An editor opens documents soon. A host without any should not pay half its memory for them.
            await self._parts.bridge.warm_up()

    async def _shutdown(self) -> None:
        service = self._parts.opened_service()
        if service is not None:
            await service.drain(AbortReason(AbortKind.SHUTDOWN, by="host", detail="the host shut the server down"))

    def _notification_routes(self) -> list[NotificationRoute[Any]]:
        return [
            NotificationRoute("window/workDoneProgress/cancel", WorkDoneProgressTokenParams, self._cancel_progress),
            NotificationRoute("workspace/didChangeWorkspaceFolders", _FoldersChanged, self._change_folders),
        ]

    async def _cancel_progress(self, params: WorkDoneProgressTokenParams) -> None:
        """The person pressed cancel on the progress: an interrupt by the user, not a cancelled request."""
        run_id = self._notifier.run_of(params.token)
        if run_id is not None:
            await (await self._service()).interrupt(run_id, by="progress", wait_quiescent=False)

    async def _change_folders(self, params: _FoldersChanged) -> None:
        self._workspace.close(folder.uri for folder in params.event.removed)
        opened = self._workspace.open(folder.uri for folder in params.event.added)
        self._notifier.folders_closed()
        if self._told is not None:
            self._told.pace.folders_open(len(self._workspace.folders))
        self._sweep(opened)

    def _guarded(self, route: Route[Any]) -> Route[Any]:
        """Without a common protocol version plain LSP works and `workflow/*` does not."""

        async def handler(params: Any, context: RequestContext) -> object:
            if self._version is None:
                reason = "protocolVersionUnsupported"
                message = f"this server speaks workflow protocol version {PROTOCOL_VERSION}"
                data = {"reason": reason, "supported": [PROTOCOL_VERSION]}
                raise RpcError(ResponseError(code=ERROR_CODES[reason], message=message, data=data))
            answer = await route.handler(params, context)
            if route.method == "workflow/trust" and params.trusted:
                self._sweep(self._workspace.folders)
            return answer

        return dataclasses.replace(route, handler=handler)

    def _notify(self, method: str, params: object, lane: Any = None) -> bool:
        return self.session.notify(method, params) if lane is None else self.session.notify(method, params, lane)

    def _request_of(self, run_id: str) -> int | str | None:
        active = self._told.runs.get(run_id) if self._told is not None else None
        return None if active is None else active.request_id


class _Folder(msgspec.Struct):
    uri: str


class _FoldersEvent(msgspec.Struct):
    added: list[_Folder] = []
    removed: list[_Folder] = []


class _FoldersChanged(msgspec.Struct):
    event: _FoldersEvent


def _workflow_capability(params: InitializeParams) -> ClientWorkflowCapability | None:
    try:
        return params.workflow_capability()
    except msgspec.ValidationError as error:
        log.warning("the client's experimental.workflow is ignored: %s", error)
        return None


def _named_folders(uris: Iterable[str]) -> Iterator[FolderKey]:
    """The folders of the disk among what the host trusts; a virtual one can hold no workflow of ours."""
    for uri in uris:
        try:
            yield FolderKey.named(uri)
        except WorkspaceInvalid as error:
            log.info("trust is ignored: %s", error)


def _limits(settings: Settings) -> dict[str, int]:
    return {
        "messageBytesMax": settings.message_bytes_max,
        "scriptBytesMax": settings.script_bytes_max,
        "argsBytesMax": settings.args_bytes_max,
        "stepOutputBytesMax": settings.step_output_bytes_max,
        "requestsInFlightMax": settings.requests_in_flight_max,
        "activeRunsMax": settings.active_runs_max,
    }
