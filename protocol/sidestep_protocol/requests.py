"""
A host's requests on their way, and how they end.

Owns `Request` and the errors it can end with. Knows no process and no method.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from sidestep_protocol.errors import ERROR_DATA, INTERNAL_ERROR, ErrorData

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sidestep_protocol.payload import Id

ResultT = TypeVar("ResultT")


class ClientError(Exception):
    """A request did not get a result."""


class ResponseFailed(ClientError):
    """The server answered with an error; switch on `reason`."""

    def __init__(self, code: int, reason: str, message: str, data: Any = None) -> None:
        """`data` is the error's whole `data`, `reason` the stable word in it ("" when there is none)."""
        super().__init__(f"{message} ({reason or 'no reason'}, {code})")
        self.code = code
        self.reason = reason
        self.message = message
        self.data = data

    @property
    def details(self) -> ErrorData | None:
        """`data` as the struct that belongs to `reason`, `RunLeasedData` for one; None when it is none."""
        try:
            return msgspec.convert(self.data, ERROR_DATA.get(self.reason, ErrorData))
        except msgspec.ValidationError:
            return None


class ServerGone(ClientError):
    """The server process ended, or closed its output, before it answered."""

    def __init__(self, returncode: int | None) -> None:
        """`returncode` is the process's; negative for a signal, None when only its output closed."""
        super().__init__(f"the server is gone ({_ending(returncode)})")
        self.returncode = returncode


class AnswerTooLarge(ClientError):
    """The server's answer was longer than a message may be, so it was passed over: ask for less at a time."""

    def __init__(self, method: str, length_bytes: int, bytes_max: int) -> None:
        """`method` is the request's; what it did, it did."""
        super().__init__(f"the answer to {method} is {length_bytes} bytes long; a message may have {bytes_max}")
        self.method = method
        self.length_bytes = length_bytes
        self.bytes_max = bytes_max


class ServerKeepsDying(ServerGone):
    """One server after the other died, so that no other is spawned: ask the person."""

    def __init__(self, returncode: int | None, deaths: int, within_s: float) -> None:
        """`returncode` is the last one's."""
        super().__init__(returncode)
        self.args = (f"{self}; {deaths} servers died within {within_s:g} s",)
        self.deaths = deaths


class Request(Generic[ResultT]):
    """A request on its way. Await it for the result; it may be awaited more than once."""

    def __init__(self, request_id: Id, method: str, decode: Callable[[msgspec.Raw], ResultT]) -> None:
        """`decode` turns the raw result into what awaiting gives."""
        self.id = request_id
        self.method = method
        self._decode = decode
        self._answer: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        # A request nobody awaits any more may fail quietly.
        self._answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    @property
    def is_answered(self) -> bool:
        """True once there is a result or an error."""
        return self._answer.done()

    def __await__(self) -> Generator[Any, None, ResultT]:
        # Shielded: one waiter that is cancelled leaves the answer to the others.
        return asyncio.shield(self._answer).__await__()

    def succeed(self, raw: msgspec.Raw) -> None:
        """Deliver the raw result."""
        if self._answer.done():
            return
        try:
            self._answer.set_result(self._decode(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            self.fail(ResponseFailed(INTERNAL_ERROR, "badResult", f"result of {self.method}: {problem}"))

    def fail(self, error: ClientError) -> None:
        """Deliver an error."""
        if not self._answer.done():
            self._answer.set_exception(error)


def _ending(returncode: int | None) -> str:
    if returncode is None:
        return "it closed its output"
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
