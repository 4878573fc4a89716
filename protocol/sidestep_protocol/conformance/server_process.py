"""
One server process and everything said on both sides.

Owns the process and its pipes. Knows JSON-RPC's envelope, the handshake and no other method. Waiting is always for
something: a predicate over what the server has said. It ends early when nothing more can come.

Invariants:
- Writing never waits: what the server does not read waits in this process.
- stderr is a file, so a server that logs much cannot block on us.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import tempfile
from typing import TYPE_CHECKING, Any, TypeVar

from sidestep_protocol.conformance.answers import is_same_id, params_of, refused, result_of, shorten
from sidestep_protocol.conformance.check import CheckFailed, CheckSkipped
from sidestep_protocol.conformance.frames import StrayBytes, StrictFrames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidestep_protocol.conformance.check import Message
    from sidestep_protocol.payload import Id

FoundT = TypeVar("FoundT")
_CHUNK_BYTES = 64 * 1024
# A server that has just been started has longer for its first answer.
_START_FACTOR = 3
# How long a killed process's pipes are waited for.
_END_S = 2.0
_SHOWN_BYTES = 240
_SHOWN_CHARS = 600


class ServerProcess:
    """A server under test. Made by `spawn`, ended by `close`."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: Any, answer_s: float) -> None:
        """
        Args:
            stderr: The open file that takes the process's stderr.
            answer_s: How long to wait for anything the server owes us.
        """
        # Everything the server said, in order; checks that share a server begin with none of it.
        self.received: list[Message] = []
        # `features` of the initialize answer.
        self.features: frozenset[str] = frozenset()
        # The server's own part of the initialize answer.
        self.capability: dict[str, Any] = {}
        # The folder it was initialized with.
        self.folder_uri = ""
        self._process = process
        self._stderr = stderr
        self._answer_s = answer_s
        self._ids = itertools.count(1)
        # Both sides: who spoke (`->` is us, `<-` the server), and what; made readable only when a check fails.
        self._said: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        # Why nothing more can be read, once that is so.
        self._ended = ""
        self._reading = asyncio.create_task(self._read(), name="read the server")

    @classmethod
    async def spawn(cls, command: Sequence[str], environment: Mapping[str, str], answer_s: float) -> ServerProcess:
        """
        Start the command where we are, in a process group of its own.

        Raises:
            CheckFailed: It cannot be started.
        """
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  # Closed by `close`.
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except OSError as problem:
            stderr.close()
            raise CheckFailed("a server that starts", str(problem)) from problem
        return cls(process, stderr, answer_s)

    async def close(self) -> None:
        """Kill what is left of it."""
        self.send_signal(signal.SIGKILL)
        self._may_read.set()
        self.close_input()
        # Not for long: somebody else may hold the other end of its stdout.
        ending = asyncio.create_task(self._process.wait(), name="wait for the server's end")
        await asyncio.wait([ending, self._reading], timeout=_END_S)
        ending.cancel()
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._stderr.close()

    # Sending

    def send_bytes(self, data: bytes, *, shown: str | None = None) -> None:
        """Send anything; `shown` is for the transcript."""
        self._said.append(("->", shown if shown is not None else data))
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(data)

    def send_bodies(self, *bodies: bytes) -> None:
        """Send bodies in frames, all in one write."""
        shown = " + ".join(repr(body[:_SHOWN_BYTES]) for body in bodies)
        self.send_bytes(b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies), shown=shown)

    def send(self, *messages: Message) -> None:
        """Send messages in one write; `jsonrpc` is added."""
        whole = [{"jsonrpc": "2.0", **message} for message in messages]
        bodies = [json.dumps(message).encode() for message in whole]
        shown = " + ".join(shorten(message) for message in messages)
        self.send_bytes(b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies), shown=shown)

    def new_id(self) -> int:
        """An id that was not used yet."""
        return next(self._ids)

    def request(self, method: str, params: Any = None) -> int:
        """Send a request; returns its id."""
        number = self.new_id()
        self.send({"id": number, "method": method, "params": {} if params is None else params})
        return number

    def notify(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self.send({"method": method, "params": {} if params is None else params})

    def cancel(self, request_id: Id) -> None:
        """Withdraw a request."""
        self.notify("$/cancelRequest", {"id": request_id})

    # Waiting

    async def until(self, find: Callable[[], FoundT | None], expected: str) -> FoundT:
        """
        Wait until `find` finds something; it is asked after each message.

        Raises:
            CheckFailed: Time is up, or the server can say nothing more.
        """
        answer_s = self._answer_s if self.received else _START_FACTOR * self._answer_s
        try:
            async with asyncio.timeout(answer_s):
                while True:
                    self._changed.clear()
                    found = find()
                    if found is not None:
                        return found
                    if self._ended:
                        raise CheckFailed(expected, self._ended)
                    await self._changed.wait()
        except TimeoutError:
            raise CheckFailed(expected, f"no answer within {answer_s:g} s") from None

    def responses(self, request_id: Id | None) -> list[Message]:
        """All answers under this id so far; `1` and `"1"` differ."""
        return [m for m in self.received if "method" not in m and is_same_id(m.get("id"), request_id)]

    async def response(self, request_id: Id | None, what: str = "", *, since: int = 0) -> Message:
        """Wait for the answer under this id."""

        def find() -> Message | None:
            found = [m for m in self.received[since:] if "method" not in m and is_same_id(m.get("id"), request_id)]
            return found[0] if found else None

        return await self.until(find, f"a response with id {json.dumps(request_id)}{what and f' ({what})'}")

    async def call(self, method: str, params: Any = None) -> Message:
        """Send a request and wait for its answer."""
        return await self.response(self.request(method, params), method)

    async def result(self, method: str, params: Any = None) -> Any:
        """Send a request and wait for its result. Raises: CheckFailed: it is an error."""
        return result_of(await self.call(method, params), method)

    async def refusal(self, reason: str, method: str, params: Any = None) -> Message:
        """Send a request that has to be refused for this reason; returns the error."""
        return refused(await self.call(method, params), reason, method)

    def mark(self) -> int:
        """Where `received` ends now."""
        return len(self.received)

    async def notified(self, method: str, *, since: int = 0, **wanted: Any) -> Message:
        """Wait for a notification whose params have these members; returns the params."""

        def find() -> Message | None:
            for message in self.received[since:]:
                if message.get("method") == method and "id" not in message:
                    params = params_of(message)
                    if all(key in params and params[key] == value for key, value in wanted.items()):
                        return params
            return None

        shown = ", ".join(f"{key} {value!r}" for key, value in wanted.items())
        return await self.until(find, f"{method}{shown and f' with {shown}'}")

    async def round_trip(self) -> None:
        """Everything the server said before it read this has come: what has not come by now does not come."""
        if self.capability:
            await self.result("workflow/health")
        else:
            await self.call("$/roundTrip")

    # The handshake

    async def initialize(
        self,
        *,
        folder_uri: str,
        trusted: bool = True,
        versions: Sequence[int] = (1,),
        capability: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Shake hands; returns the initialize result. Runs are not resumed by themselves unless `options` say so."""
        self.folder_uri = folder_uri
        trust = {"trust": {"folders": [folder_uri]}} if trusted else {}
        result: dict[str, Any] = await self.result(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": None,
                "capabilities": {
                    "experimental": {
                        "workflow": {"protocolVersions": list(versions), "events": True, **(capability or {})}
                    }
                },
                "workspaceFolders": [{"uri": folder_uri, "name": "conformance"}],
                "initializationOptions": {"autoResume": False, **trust, **(options or {})},
            },
        )
        self.notify("initialized")
        experimental: Any = result.get("capabilities", {}).get("experimental") or {}
        self.capability = experimental.get("workflow") or {}
        self.features = frozenset(self.capability.get("features", ()))
        return result

    def need(self, features: Sequence[str]) -> None:
        """Raises: CheckSkipped: the server does not offer one of them."""
        missing = [feature for feature in features if feature not in self.features]
        if missing:
            raise CheckSkipped(f"feature not offered: {', '.join(missing)}")

    # The process

    def close_input(self) -> None:
        """End its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def pause_reading(self) -> None:
        """Read no more of its stdout after the read under way."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    def send_signal(self, number: signal.Signals) -> None:
        """To its whole group, for the command may be a wrapper. A process that is gone hears nothing."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.send_signal(signal.SIGKILL)
        await self.exit_code()

    async def exit_code(self) -> int:
        """Wait for its end. Raises: CheckFailed: it is still there."""
        try:
            async with asyncio.timeout(self._answer_s):
                return await self._process.wait()
        except TimeoutError:
            raise CheckFailed("the end of the process", f"it still runs after {self._answer_s:g} s") from None

    def transcript(self, lines: int) -> list[str]:
        """The last lines said on both sides, and what it logged last."""
        log_bytes = 2000
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - log_bytes))
        logged = self._stderr.read().decode(errors="replace").splitlines()[-4:]
        said = [f"{who} {_readable(what)}" for who, what in self._said[-lines:]]
        return [*said, *(f"stderr: {line}" for line in logged)]

    # Inside

    async def _read(self) -> None:
        assert self._process.stdout is not None
        frames = StrictFrames()
        try:
            while True:
                await self._may_read.wait()
                chunk = await self._process.stdout.read(_CHUNK_BYTES)
                for message in frames.feed(chunk):
                    self.received.append(message)
                    self._said.append(("<-", message))
                if not chunk:
                    frames.end()
                    break
                self._changed.set()
            self._ended = "the server's stdout ended"
        except StrayBytes as stray:
            self._ended = str(stray)
        self._said.append(("<-", f"({self._ended})"))
        self._changed.set()
        # What else comes is read and dropped, so that the process can end.
        while await self._process.stdout.read(_CHUNK_BYTES):
            pass


def _readable(what: Any) -> str:
    if isinstance(what, bytes):
        return repr(what[:_SHOWN_BYTES])
    return what[:_SHOWN_CHARS] if isinstance(what, str) else shorten(what)
