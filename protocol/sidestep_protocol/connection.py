"""
A host's end of the wire: one server process, its frames, and who waits for what.

Owns the process and every task that answers it. Knows JSON-RPC and the method table's types, but no method's meaning:
see `client` for that. Everything runs on the event loop that made it.

Invariants:
- The server's stdout is read as it comes, whoever waits; its stderr is never a pipe of ours, so it cannot block.
- Every request ends: with its result, `ResponseFailed`, `AnswerTooLarge`, or `ServerGone`. What the server had written
  before it died is delivered first.
- Inbound and outbound ids live in separate tables.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from sidestep_protocol.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    REQUEST_CANCELLED,
)
from sidestep_protocol.framing import MESSAGE_BYTES_MAX, Frame, FrameReader, SkippedEnds, encode_frame
from sidestep_protocol.inbound import Envelope, decode_params
from sidestep_protocol.methods import decoder
from sidestep_protocol.requests import AnswerTooLarge, Request, ResponseFailed, ResultT, ServerGone
from sidestep_protocol.streams import Listener, Notification
from sidestep_protocol.validation import invalid_params_data

if TYPE_CHECKING:
    from sidestep_protocol.payload import Id

# How long output is still read after the process ended, for a grandchild may hold the pipe open for ever.
LAST_OUTPUT_S = 1.0

Handler = Callable[[Any], Awaitable[Any]]


class Connection(asyncio.SubprocessProtocol):
    """The process and the messages to and from it. Made by `Client.spawn`."""

    def __init__(self) -> None:
        """Nothing is connected yet: asyncio calls `connection_made` when the process is there."""
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader()
        self._next_id = 0
        self._pending: dict[Id, Request[Any]] = {}
        self._listeners: list[Listener] = []
        self._callbacks: dict[str, list[Callable[[Any], None]]] = {}
        self._handlers: dict[str, Handler] = {}
        # The server's requests that are being answered, by their id.
        self._answering: dict[Id, asyncio.Task[Any]] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._exited = asyncio.Event()
        self._output_ended = False
        self._gone = asyncio.Event()
        self._last_call: asyncio.TimerHandle | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process was started."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """The server wrote to its stdout."""
        for item in self._frames.feed(data):
            if isinstance(item, Frame):
                self._dispatch(item.body)
            elif isinstance(item, SkippedEnds):
                self._settle_skipped(item)
            else:
                self._complain(f"the server sent {item}")

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """A pipe was closed; without its stdout the server can answer nothing any more."""
        if fd == 1:
            self._output_ended = True
            self._lose_when_ended()
        else:
            self._writable.set()

    def process_exited(self) -> None:
        """The process ended. What it had written may still be on its way."""
        self._exited.set()
        self._writable.set()
        self._lose_when_ended()

    def pause_writing(self) -> None:
        """The server does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The server reads again."""
        self._writable.set()

    # Out

    def send(self, method: str, params: Any, decode: Callable[[msgspec.Raw], ResultT]) -> Request[ResultT]:
        """Write a request; never waits. Once the server is gone, the request fails at once with ServerGone."""
        self._next_id += 1
        request = Request(self._next_id, method, decode)
        if self.is_gone:
            request.fail(ServerGone(self.returncode))
            return request
        self._pending[request.id] = request
        self.write({"jsonrpc": "2.0", "id": request.id, "method": method, "params": params})
        return request

    def write(self, message: dict[str, Any]) -> None:
        """Write a message; dropped when the server is gone."""
        stdin = cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))
        if not self.is_gone and stdin is not None and not stdin.is_closing():
            stdin.write(encode_frame(msgspec.json.encode(message)))

    async def drain(self) -> None:
        """Wait while the server does not read what was written."""
        await self._writable.wait()

    async def ask(self, method: str, params: Any, decode: Callable[[msgspec.Raw], ResultT]) -> ResultT:
        """
        Send a request and wait for its result. Cancelled, it withdraws the request.

        Args:
            decode: Called as the answer is read, before anything that the server sent after it.
        """
        request = self.send(method, params, decode)
        try:
            await self.drain()
            return await request
        except asyncio.CancelledError:
            if not request.is_answered:
                self.withdraw(request.id)
                self._pending.pop(request.id, None)
            raise

    def withdraw(self, request_id: Id) -> None:
        """Send `$/cancelRequest`."""
        self.write({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": request_id}})

    # In

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who hears the notifications."""
        return tuple(self._listeners)

    def attach(self, listener: Listener) -> None:
        """Let `listener` hear every notification from now on; told at once when the server is gone."""
        if self.is_gone:
            listener.end()
        else:
            self._listeners.append(listener)

    def detach(self, listener: Listener) -> None:
        """Tell `listener` nothing more."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    def on(self, method: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call `callback(params)` for each notification as it is read; returns what takes it off again."""
        callbacks = self._callbacks.setdefault(method, [])
        callbacks.append(callback)

        def off() -> None:
            with contextlib.suppress(ValueError):
                callbacks.remove(callback)

        return off

    def handle(self, method: str, handler: Handler) -> None:
        """Let `handler` answer the server's requests of this method."""
        self._handlers[method] = handler

    def handles(self, method: str) -> bool:
        """True when somebody answers the server's requests of this method."""
        return method in self._handlers

    # The process

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._transport.get_pid()

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while the process runs."""
        return self._transport.get_returncode()

    @property
    def is_gone(self) -> bool:
        """True once the server can say nothing more."""
        return self._gone.is_set()

    async def gone(self) -> None:
        """Wait until the server can say nothing more."""
        await self._gone.wait()

    async def wait(self) -> int:
        """Wait for the process to end, whoever may still hold its pipes."""
        await self._exited.wait()
        return cast("int", self.returncode)

    def close_input(self) -> None:
        """Close the server's stdin: it drains and ends."""
        stdin = self._transport.get_pipe_transport(0)
        if stdin is not None:
            stdin.close()

    def kill(self) -> None:
        """SIGKILL; harmless when the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._transport.kill()

    async def close(self, grace_s: float) -> None:
        """
        End the server and let go of everything: its input is closed, after `grace_s` it is killed, at once when this
        wait is cancelled; handlers are cancelled and awaited.
        """
        self.close_input()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._exited.wait()
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        # Nothing is awaited before the kill: whatever comes, no process is left behind.
        answering = list(self._answering.values())
        try:
            if self.returncode is None:
                self.kill()
                await self._exited.wait()
        finally:
            # First, so that handlers know why they are cancelled.
            self._lose()
            self._transport.close()
            for task in answering:
                task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)

    # Inside

    def _dispatch(self, body: bytes) -> None:
        try:
            envelope = decoder(Envelope).decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            self._complain(f"the server sent what is no message: {problem}")
            return
        if envelope.method is None:
            self._settle(envelope)
        elif envelope.id is None:
            self._notified(envelope.method, envelope.params)
        elif envelope.id in self._answering:
            self._complain(f"the server used the id {envelope.id!r} twice")
        else:
            self._begin_answer(envelope.id, envelope.method, envelope.params)

    def _settle(self, envelope: Envelope) -> None:
        """An answer to a request of ours, or an error without one."""
        request = None if envelope.id is None else self._pending.pop(envelope.id, None)
        error = envelope.error
        if request is None:
            if envelope.id is None and error is not None:
                self._complain(f"the server refused a message: {error.message} ({error.reason})")
        elif error is None:
            request.succeed(envelope.result)
        else:
            data = None if error.data is msgspec.UNSET else error.data
            request.fail(ResponseFailed(error.code, error.reason, error.message, data))

    def _settle_skipped(self, ends: SkippedEnds) -> None:
        """A message that was too long to be read; it was told already. An answer ends its request all the same."""
        from sidestep_protocol.oversized import answered_id

        request_id = answered_id(ends.beginning, ends.ending)
        request = None if request_id is None else self._pending.pop(request_id, None)
        if request is not None:
            request.fail(AnswerTooLarge(request.method, ends.length, MESSAGE_BYTES_MAX))

    def _notified(self, name: str, raw: msgspec.Raw) -> None:
        try:
            params = decode_params(name, raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            self._complain(f"params of {name}: {problem}")
            return
        if name == "$/cancelRequest":
            task = self._answering.get(params.id)
            if task is not None:
                task.cancel()
            return
        notification = Notification(name, params)
        for listener in tuple(self._listeners):
            listener.offer(notification)
        for callback in tuple(self._callbacks.get(name, ())):
            # Through the loop: one that raises goes to the loop's exception handler and stops nobody.
            self._loop.call_soon(callback, params)

    def _begin_answer(self, request_id: Id, name: str, raw: msgspec.Raw) -> None:
        task = self._loop.create_task(self._run_handler(name, raw), name=f"answer {name}")
        self._answering[request_id] = task
        # From the callback, for a task cancelled before its first step never enters its coroutine.
        task.add_done_callback(lambda done: self._end_answer(request_id, name, done))

    async def _run_handler(self, name: str, raw: msgspec.Raw) -> Any:
        handler = self._handlers.get(name)
        if handler is None:
            raise ResponseFailed(METHOD_NOT_FOUND, "methodNotFound", f"no handler for {name}")
        try:
            params = decode_params(name, raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            data = msgspec.to_builtins(invalid_params_data(problem))
            raise ResponseFailed(INVALID_PARAMS, "invalidParams", f"params of {name}: {problem}", data) from problem
        return await handler(params)

    def _end_answer(self, request_id: Id, name: str, done: asyncio.Task[Any]) -> None:
        del self._answering[request_id]
        if done.cancelled():
            error = ResponseFailed(REQUEST_CANCELLED, "requestCancelled", "cancelled")
        elif (problem := done.exception()) is None:
            self.write({"jsonrpc": "2.0", "id": request_id, "result": done.result()})
            return
        elif isinstance(problem, ResponseFailed):
            error = problem
        else:
            error = ResponseFailed(INTERNAL_ERROR, "internal", f"the host failed to answer {name}")
            self._loop.call_exception_handler({"message": f"Sidestep client: handler of {name}", "exception": problem})
        data: dict[str, Any] = {**(error.data or {}), "reason": error.reason}
        self.write(
            {
                "jsonrpc": "2.0",
                "id": request_id,
                "error": {"code": error.code, "message": error.message, "data": data},
            }
        )

    def _lose_when_ended(self) -> None:
        """Of the process's end and its output's, the first waits a little for the second."""
        if self._output_ended and self._exited.is_set():
            self._lose()
        elif not self.is_gone:
            self._last_call = self._loop.call_later(LAST_OUTPUT_S, self._lose)

    def _lose(self) -> None:
        """The server says nothing more: end everything that waits for it."""
        if self._last_call is not None:
            self._last_call.cancel()
        if self.is_gone:
            return
        self._gone.set()
        self._writable.set()
        pending, self._pending = self._pending, {}
        for request in pending.values():
            request.fail(ServerGone(self.returncode))
        for listener in tuple(self._listeners):
            listener.end()

    def _complain(self, message: str) -> None:
        self._loop.call_exception_handler({"message": f"Sidestep client: {message}"})
