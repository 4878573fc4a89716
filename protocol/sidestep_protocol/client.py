"""
A small asyncio client for hosts: spawn a server, talk to it in types.

    async with Client.spawn(["sidestep", "serve", "--stdio"]) as client:
        await client.initialize(folders=[workspace], trust=True)
        outcome = await client.start(ScriptRef(name="repo-report"), workspace_folder=workspace.as_uri())
        await client.shutdown()

Owns the meaning of methods towards a caller; `connection` owns the process and the wire. A request whose awaiting
task is cancelled is withdrawn with `$/cancelRequest`. A client is one server: `sidecar` goes on with the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, overload

import msgspec

from sidestep_protocol import PROTOCOL_VERSION
from sidestep_protocol.capabilities import (
    ClientWorkflowCapability,
    InitializationOptions,
    InitializeParams,
    InitializeResult,
    PeerInfo,
    ServerWorkflowCapability,
    SessionTrust,
    WorkspaceFolder,
)
from sidestep_protocol.connection import Connection, Handler
from sidestep_protocol.errors import INTERNAL_ERROR
from sidestep_protocol.inbound import tolerant_decode
from sidestep_protocol.methods import decoder, find_method
from sidestep_protocol.payload import Empty, Id
from sidestep_protocol.requests import (
    AnswerTooLarge,
    ClientError,
    Request,
    ResponseFailed,
    ResultT,
    ServerGone,
    ServerKeepsDying,
)
from sidestep_protocol.run_events import RunEvents
from sidestep_protocol.runs import TERMINAL_STATUSES
from sidestep_protocol.streams import NOTIFICATIONS_MAX, Notification, NotificationStream
from sidestep_protocol.tasks import InteractParams, InteractResult
from sidestep_protocol.workflow_calls import WorkflowCalls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence

__all__ = [
    "AnswerTooLarge",
    "Client",
    "ClientError",
    "Notification",
    "NotificationStream",
    "Request",
    "ResponseFailed",
    "RunEvents",
    "ServerGone",
    "ServerKeepsDying",
]


class Client(WorkflowCalls):
    """A connected server. Made by `spawn`; not thread-safe."""

    def __init__(self, connection: Connection) -> None:
        """`connection` is open; `spawn` closes it."""
        self._connection = connection
        # What the server said in `initialize`; None before, and when no protocol version is shared.
        self.server: ServerWorkflowCapability | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def spawn(
        cls,
        command: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stderr: int | IO[Any] | None = None,
        close_grace_s: float = 5.0,
    ) -> AsyncGenerator[Client, None]:
        """
        Run a server for the length of an `async with`.

        Args:
            command: Program and arguments; no shell.
            env: Its whole environment; None inherits ours.
            cwd: Its working directory; None inherits ours.
            stderr: Where its log goes: None inherits ours, else a file, a descriptor, or `subprocess.DEVNULL`.
            close_grace_s: How long the way out waits for a server that still runs, once its stdin is closed, before it
                is killed.

        Raises:
            ValueError: `stderr` is a pipe, which nobody would read.
            OSError: The program could not be started.
        """
        if stderr == asyncio.subprocess.PIPE:
            raise ValueError("stderr has to be inherited, a file, or DEVNULL: nobody reads a pipe")
        loop = asyncio.get_running_loop()
        _, connection = await loop.subprocess_exec(
            Connection, *command, env=None if env is None else dict(env), cwd=cwd, stderr=stderr
        )
        try:
            yield cls(connection)
        finally:
            await connection.close(close_grace_s)

    @property
    def connection(self) -> Connection:
        """The process and the wire."""
        return self._connection

    # The process

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._connection.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while the server runs."""
        return self._connection.returncode

    @property
    def is_gone(self) -> bool:
        """True once the server can say nothing more: it ended, or closed its output."""
        return self._connection.is_gone

    def kill(self) -> None:
        """SIGKILL the server, now. What waits fails with ServerGone."""
        self._connection.kill()

    async def wait(self) -> int:
        """Wait for the server to end; returns its exit code."""
        return await self._connection.wait()

    async def shutdown(self, *, timeout_s: float = 10.0) -> int:
        """Send `shutdown` and `exit`, wait for the end, kill after `timeout_s`. Returns the exit code."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                with contextlib.suppress(ClientError):
                    await self.request("shutdown")
                await self.notify("exit")
                return await self.wait()
        self.kill()
        return await self.wait()

    # Any method

    @overload
    def send(self, method: str, params: Any = None) -> Request[Any]: ...
    @overload
    def send(self, method: str, params: Any, result_type: type[ResultT]) -> Request[ResultT]: ...
    def send(self, method: str, params: Any = None, result_type: Any = None) -> Request[Any]:
        """
        Send a request and go on; await what comes back for the result.

        Args:
            method: Any method of the server.
            params: Struct or dict; None is `{}`.
            result_type: What to decode the result as; None takes it from the method table, plain JSON if it is not
            there.
        """
        return self._connection.send(method, _sent(params), _decoder(method, result_type))

    @overload
    async def request(self, method: str, params: Any = None) -> Any: ...
    @overload
    async def request(self, method: str, params: Any, result_type: type[ResultT]) -> ResultT: ...
    async def request(self, method: str, params: Any = None, result_type: Any = None) -> Any:
        """
        Send a request and wait for its result; see `send`. Cancelled, it withdraws the request.

        Raises:
            ResponseFailed: The server answered with an error.
            AnswerTooLarge: Its answer is longer than a message may be.
            ServerGone: It ended first.
        """
        return await self._connection.ask(method, _sent(params), _decoder(method, result_type))

    async def cancel(self, request: Request[Any] | Id) -> None:
        """Send `$/cancelRequest` for a request, which then still gets its one answer."""
        self._connection.withdraw(request.id if isinstance(request, Request) else request)

    async def notify(self, method: str, params: Any = None) -> None:
        """Send a notification. Written at once, without waiting for the server to read."""
        self._connection.write({"jsonrpc": "2.0", "method": method, "params": _sent(params)})

    def notifications(self, method: str | None = None, *, limit: int = NOTIFICATIONS_MAX) -> NotificationStream:
        """Open a stream of notifications from now on, of one method or of all."""
        stream = NotificationStream(method, limit, self._connection.detach)
        self._connection.attach(stream)
        return stream

    def follow(self, run_id: str, *, after_sequence: int = 0, until: Collection[str] = TERMINAL_STATUSES) -> RunEvents:
        """
        A run's events from a cursor on, each once and in order: `async for event in client.follow(run_id)`.

        Nothing is sent before the iteration begins. A host that was too slow (`workflow/lagged`) reads on from the
        journal by itself. Iterating raises ServerGone when the server ends; another client goes on with
        `follow(run_id, after_sequence=events.cursor)`, and `Sidecar.follow` does that by itself.

        Args:
            run_id: The run; it may be another window's.
            after_sequence: The last sequence that is known already.
            until: Ends when the run reached one of these statuses; an interrupted run may be resumed, so it is none of
                them unless you say so (`runs.STOPPED_STATUSES`).
        """
        return RunEvents(run_id, self._live_connection, after_sequence=after_sequence, until=until)

    def on(self, method: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call `callback(params)` for each notification of a method; returns what takes it off again."""
        return self._connection.on(method, callback)

    def handle(self, method: str, handler: Handler) -> None:
        """
        Answer the server's requests of a method: `await handler(params)` gives the result, struct or plain JSON.

        Raise ResponseFailed in it to answer with an error. It is cancelled when the server withdraws the request.
        Methods without a handler are answered with methodNotFound.
        """
        self._connection.handle(method, handler)

    def handle_questions(self, ask: Callable[[InteractParams], Awaitable[Any]]) -> None:
        """
        Ask a person what the server asks: `await ask(params)` gives the answer, a choice's id, a value or text.

        It is cancelled when the question was answered elsewhere. A question comes again after a restart, under the same
        `interaction_id`. For agent steps see `host_tasks`.
        """

        async def answer(params: InteractParams) -> InteractResult:
            return InteractResult(answer=await ask(params))

        self.handle("workflow/interact", answer)

    # The handshake

    async def initialize(
        self,
        *,
        folders: Sequence[str | os.PathLike[str]] = (),
        trust: bool = False,
        events: bool = True,
        output: bool = False,
        run_task: bool | None = None,
        interaction: bool | None = None,
        options: InitializationOptions | None = None,
        protocol_versions: Sequence[int] = (PROTOCOL_VERSION,),
        client_info: PeerInfo | None = None,
    ) -> InitializeResult:
        """
        Shake hands: `initialize`, then `initialized`.

        Args:
            folders: Paths of the open folders.
            trust: Trust them for this session.
            events, output: What the host wants to be told.
            run_task, interaction: What the host can do; None says yes when it has a handler for it.
            options: Everything else the server may be told at the start.
            protocol_versions: Versions the host speaks.
            client_info: The host's name and version.
        """
        opened = [WorkspaceFolder(uri=uri_of(folder), name=Path(folder).name) for folder in folders]
        chosen = options or InitializationOptions()
        if trust:
            chosen = msgspec.structs.replace(chosen, trust=SessionTrust(folders=[folder.uri for folder in opened]))
        capability = ClientWorkflowCapability(
            protocol_versions=[*protocol_versions],
            events=events,
            output=output,
            run_task=self._connection.handles("workflow/runTask") if run_task is None else run_task,
            interaction=self._connection.handles("workflow/interact") if interaction is None else interaction,
        )
        params = InitializeParams(
            process_id=os.getpid(),
            root_uri=opened[0].uri if opened else None,
            capabilities={"experimental": {"workflow": msgspec.to_builtins(capability)}},
            client_info=client_info,
            workspace_folders=opened,
            initialization_options=chosen,
        )
        result = await self.request("initialize", params, InitializeResult)
        try:
            self.server = result.workflow_capability()
        except msgspec.ValidationError as problem:
            raise ResponseFailed(INTERNAL_ERROR, "badResult", f"the server's capability: {problem}") from problem
        await self.notify("initialized")
        return result

    async def _live_connection(self) -> Connection:
        if self.is_gone:
            raise ServerGone(self.returncode)
        return self._connection


def _sent(params: Any) -> Any:
    return Empty() if params is None else params


def _decoder(method: str, result_type: Any) -> Callable[[msgspec.Raw], Any]:
    known = find_method(method)
    if result_type is not None:
        decode = decoder(result_type).decode
    else:
        decode = decoder(Any).decode if known is None else known.decode_result
    return lambda raw: tolerant_decode(decode, raw)


def uri_of(path: str | os.PathLike[str]) -> str:
    """The `file:` URI of a path, made absolute but not resolved: servers echo it as it is."""
    return Path(path).absolute().as_uri()
