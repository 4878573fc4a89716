"""
One host's connection: the session on the wire, the LSP lifecycle, and what serves its methods.

Owns the wiring, and the moment after the initialize reply in which everything else is loaded: whatever is asked before
that is done waits for it, in order. It knows nothing of runs (`workflow_side.py` does), stores or sandboxes.

Invariant: what this module imports at its top is needed for the initialize reply: the host waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.lsp.greeting import Greeting, position_encoding, shows_messages
from sidestep.lsp.host_log import HostLog
from sidestep.lsp.language_offer import LANGUAGE_METHODS, language_capabilities
from sidestep.lsp.method_table import ADMISSIONS, AT_ONCE, LARGE
from sidestep.rpc.admission import SessionLimits
from sidestep.rpc.errors import RpcError
from sidestep.rpc.lifecycle import LifecycleHooks
from sidestep.rpc.router import NotificationRoute, Route, Router, decode_params
from sidestep.rpc.session import Session
from sidestep.rpc.trace import Trace
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
from sidestep_protocol.schema_constant import SCHEMA_HASH
from sidestep_protocol.tasks import TaskProgressNotification

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence  # noqa: TC004 -- never decoded

    from sidestep.lsp.bridge import Feature, PyglsBridge  # noqa: TC004 -- never decoded
    from sidestep.lsp.pygls_server import PyglsServer
    from sidestep.lsp.workflow_side import WorkflowParts, WorkflowSide  # noqa: TC004 -- never decoded
    from sidestep.rpc.router import RequestContext
    from sidestep.rpc.writer import Writer
    from sidestep.settings import Settings  # noqa: TC004 -- never decoded

log = logging.getLogger("sidestep.lsp")

FEATURES = (
    *("start", "interrupt", "resume", "retry", "background", "list", "events", "subscribe", "output"),
    *("answer", "interact", "runTask", "scripts", "validate", "trust"),
)

# What a client calls itself, where people are told who answered.
_CLIENT_NAME_MAX = 100


class ConnectionParts(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a connection needs of the rest of the process.

    Attributes:
        stored_id: The id of a store that needs nothing done to it; None when only opening the store can tell.
        load: Imports and builds what serves `workflow/*`; asked once, after the initialize reply or when `stored_id`
            has none.
        server_epoch: A fresh word for each start of the server.
        user_workflows: The user's folder of scripts; asked when documents are first served.
    """

    stored_id: Callable[[], Awaitable[str | None]]
    load: Callable[[], Awaitable[WorkflowParts]]
    settings: Settings
    versions: dict[str, str]
    server_epoch: str
    new_incident_id: Callable[[], str]
    bridge: PyglsBridge
    user_workflows: Callable[[], str | None] = lambda: None


class Connection:
    """
    Wires one session to what serves it. `session.receive` takes bytes, `writer` sends them.

    Attributes:
        host_log: For the root logger: tells the host of warnings and errors.
    """

    def __init__(self, parts: ConnectionParts, writer: Writer) -> None:
        self._parts = parts
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._greeting = Greeting(InitializeParams())
        self._side: WorkflowSide | None = None
        self._loading: asyncio.Task[None] | None = None
        # Set when `_side` is there, or the reason why it never will be. An event wakes its waiters in their order.
        self._is_loaded = asyncio.Event()
        self._load_failure: Exception | None = None
        self._has_waiters = True
        self._opening: asyncio.Task[None] | None = None
        # Of a script's URI, in a thread; nothing is open until pygls is there.
        self._is_unsaved: Callable[[str], bool] = lambda _: False
        self._client_process_id: asyncio.Future[int | None] = self._loop.create_future()
        self._trace = Trace(writer, self._loop.time)
        self.session = Session(
            outbound=self._trace,
            router=Router(self._routes(), self._notification_routes()),
            hooks=LifecycleHooks(self._initialize, self._initialized, self._shutdown, self._answered),
            fallback=parts.bridge,
            map_error=_map_error,
            new_incident_id=parts.new_incident_id,
            limits=SessionLimits(
                requests_in_flight_max=parts.settings.requests_in_flight_max,
                message_bytes_max=parts.settings.message_bytes_max,
            ),
            heard=self._trace.received,
            has_room=writer.room,
            together=writer.gather,
        )
        self._trace.connect(self.session.notify)
        self.host_log = HostLog(self.session.notify, loop=self._loop, monotonic=self._loop.time)
        parts.bridge.connect(self.session)
        parts.bridge.late_features(LANGUAGE_METHODS, self._language_features)

    def close(self) -> None:
        for task in (self._loading, self._opening):
            if task is not None:
                task.cancel()
        if self._side is not None:
            self._side.close()

    async def client_process_id(self) -> int | None:
        """The process the client named in initialize; waits until that is answered."""
        return await asyncio.shield(self._client_process_id)

    # -- The lifecycle

    async def _initialize(self, raw: msgspec.Raw | None) -> InitializeResult:
        params = decode_params(InitializeParams, raw)
        encoding = position_encoding(params)
        self._parts.bridge.initialize(raw, encoding)
        capability = _workflow_capability(params)
        version = PROTOCOL_VERSION if capability is None else common_version(capability)
        can_interact = capability is not None and capability.interaction and version is not None
        self._greeting = Greeting(
            params,
            is_offered=version is not None,
            wants_output=capability is not None and capability.output,
            can_interact=can_interact,
            does_tasks=capability is not None and capability.run_task and version is not None,
            can_be_asked=can_interact or shows_messages(params),
            is_plain=capability is None,
            client_name=_name_of(params),
        )
        if self._side is not None:
            self._side.greeted(self._greeting)
        store_id = await self._parts.stored_id() or await (await self._workflows()).open()
        self._trace.set_level(params.trace)
        offered = ServerWorkflowCapability(
            protocol_version=PROTOCOL_VERSION,
            server_version=self._parts.versions["sidestep"],
            schema_hash=SCHEMA_HASH,
            store_id=store_id,
            server_epoch=self._parts.server_epoch,
            features=list(FEATURES),
            limits=_limits(self._parts.settings),
        )
        return InitializeResult(
            capabilities={
                "positionEncoding": encoding,
                "textDocumentSync": {"openClose": True, "change": 2},
                **language_capabilities(),
                "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
                "experimental": {"workflow": msgspec.to_builtins(offered)},
            },
            server_info=PeerInfo(name="sidestep", version=self._parts.versions["sidestep"]),
        )

    def _answered(self) -> None:
        """The initialize result is out: the first request should find everything there."""
        self._client_process_id.set_result(self._greeting.params.process_id)
        if self._side is None:
            self._opening = self._loop.create_task(self._open(), name="open")

    async def _initialized(self) -> None:
        self.host_log.open()
        (await self._workflows()).initialized()
        if "textDocument" in self._greeting.params.capabilities:
            # An editor opens documents soon. A host without any should not pay half its memory for them.
            await self._parts.bridge.warm_up()

    async def _shutdown(self) -> None:
        if self._loading is not None:
            # What is being loaded has to hear of it, too.
            await self._is_loaded.wait()
        if self._side is not None:
            await self._side.shut_down()

    # -- What is loaded late

    def _language_features(self, server: PyglsServer) -> Mapping[str, Feature]:
        """In the thread that loads pygls."""
        from sidestep.language.surroundings import Surroundings
        from sidestep.lsp.language_methods import LanguageMethods
        from sidestep.lsp.script_runs import ScriptRuns

        settings = self._parts.settings
        surroundings = Surroundings(user_folder=self._parts.user_workflows(), agents=self._agent_names)
        runs = ScriptRuns(self._workflows, settings)
        methods = LanguageMethods(server, surroundings, runs, settings, self._loop, self._refresh_lenses)
        self._is_unsaved = methods.is_unsaved
        return methods.features()

    def _agent_names(self, folder: str | None) -> Sequence[str] | None:
        """In any thread; None as long as nobody can tell."""
        return None if self._side is None else self._side.agent_names(folder)

    def _refresh_lenses(self, answered: Callable[[], None]) -> None:
        if self._greeting.offers("workspace", "codeLens", "refreshSupport"):
            self.session.ask("workspace/codeLens/refresh", None, lambda _: answered())
        else:
            answered()

    async def _workflows(self) -> WorkflowSide:
        """Raises: whatever it cannot be loaded for; Draining when the process is about to end."""
        if self._loading is None:
            self._loading = self._loop.create_task(self._load(), name="load")
        await self._is_loaded.wait()
        if self._side is None:
            assert self._load_failure is not None, "Invariant: what is loaded is there, or failed"
            raise self._load_failure
        return self._side

    async def _load(self) -> None:
        try:
            parts = await self._parts.load()
            # Imported by now.
            from sidestep.lsp.workflow_side import WorkflowSide

            side = WorkflowSide(
                parts,
                self.session,
                self._writer,
                settings=self._parts.settings,
                versions=self._parts.versions,
                loop=self._loop,
                is_unsaved=lambda uri: self._is_unsaved(uri),
            )
            side.greeted(self._greeting)
            self._side = side
        except Exception as failure:  # The edge of a background task: whoever waits is told, now and later.
            self._load_failure = failure
        finally:
            self._is_loaded.set()
            # Called after those it woke up: the loop takes turns in order.
            self._loop.call_soon(self._let_waiters_go)

    def _let_waiters_go(self) -> None:
        self._has_waiters = False

    async def _open(self) -> None:
        try:
            await (await self._workflows()).open()
        except Exception as failure:  # The edge of a background task: the next request meets the same.
            if _map_error(failure) is None:
                log.exception("what serves workflows cannot be opened")

    def _routes(self) -> Iterator[Route[Any]]:
        """Read when the first method is looked up: after the initialize reply."""
        from sidestep_protocol.methods import METHODS

        for method, admission in ADMISSIONS.items():
            at_once = partial(self._serve_at_once, method) if method in AT_ONCE else None
            params = METHODS[method].params
            yield Route(method, params, self._serve, admission, is_large=method in LARGE, at_once=at_once)
        yield Route("workspace/executeCommand", _Command, self._execute)

    async def _execute(self, params: _Command, context: RequestContext) -> object:
        return await (await self._workflows()).editor.commands.execute(params.command, params.arguments)

    def _serve_at_once(self, method: str, params: Any) -> object:
        """None as long as somebody may wait for the side to be loaded: requests are served in order."""
        if self._side is None or self._has_waiters or not self._greeting.is_offered:
            return None
        return self._side.call_at_once(method, params)

    async def _serve(self, params: Any, context: RequestContext) -> object:
        """Without a common protocol version plain LSP works and `workflow/*` does not."""
        if not self._greeting.is_offered:
            reason = "protocolVersionUnsupported"
            message = f"this server speaks workflow protocol version {PROTOCOL_VERSION}"
            data = {"reason": reason, "supported": [PROTOCOL_VERSION]}
            raise RpcError(ResponseError(code=ERROR_CODES[reason], message=message, data=data))
        return await (await self._workflows()).call(context.method, params, context)

    def _notification_routes(self) -> Iterator[NotificationRoute[Any]]:
        yield NotificationRoute("window/workDoneProgress/cancel", WorkDoneProgressTokenParams, self._cancel_progress)
        yield NotificationRoute("workspace/didChangeWorkspaceFolders", _FoldersChanged, self._change_folders)
        yield NotificationRoute("workflow/taskProgress", TaskProgressNotification, self._take_progress)

    async def _cancel_progress(self, params: WorkDoneProgressTokenParams) -> None:
        await (await self._workflows()).cancel_progress(params)

    async def _take_progress(self, progress: TaskProgressNotification) -> None:
        (await self._workflows()).take_progress(progress)

    async def _change_folders(self, params: _FoldersChanged) -> None:
        removed, added = params.event.removed, params.event.added
        side = await self._workflows()
        side.change_folders(removed=[folder.uri for folder in removed], added=[folder.uri for folder in added])


class _Command(msgspec.Struct):
    command: str
    arguments: list[Any] | None = None


class _Folder(msgspec.Struct):
    uri: str


class _FoldersEvent(msgspec.Struct):
    added: list[_Folder] = []
    removed: list[_Folder] = []


class _FoldersChanged(msgspec.Struct):
    event: _FoldersEvent


def _name_of(params: InitializeParams) -> str:
    return (params.client_info.name[:_CLIENT_NAME_MAX] if params.client_info is not None else "") or "host"


def _workflow_capability(params: InitializeParams) -> ClientWorkflowCapability | None:
    try:
        return params.workflow_capability()
    except msgspec.ValidationError as error:
        log.warning("the client's experimental.workflow is ignored: %s", error)
        return None


def _map_error(error: BaseException) -> ResponseError | None:
    # Imported late: it knows every error and half of the wire's types.
    from sidestep.lsp.error_map import map_error

    return map_error(error)


def _limits(settings: Settings) -> dict[str, int]:
    return {
        "messageBytesMax": settings.message_bytes_max,
        "scriptBytesMax": settings.script_bytes_max,
        "argsBytesMax": settings.args_bytes_max,
        "stepOutputBytesMax": settings.step_output_bytes_max,
        "requestsInFlightMax": settings.requests_in_flight_max,
        "activeRunsMax": settings.active_runs_max,
    }
