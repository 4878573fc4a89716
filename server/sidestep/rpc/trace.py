"""
`$/setTrace` and `$/logTrace`: what goes in and out, told to the client that asked for it.

Owns the trace level and the text of a trace; stands between the session and its outbound. It must not know any method
but its own two, and says nothing about what was said: a trace is never traced.

Bounds: a message is one line with the method (at most `NAME_CHARS_MAX` characters) and the id. `verbose` adds the
first `VERBOSE_BYTES_MAX` bytes of params, result or error as they travelled: they may hold what a person typed, and go
to the client only, never to the log. Traces are the first thing dropped when the client does not read.

Source: LSP 3.17, "SetTrace Notification", "LogTrace Notification".
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING

import msgspec

from sidestep.rpc.envelope import Malformed, Notification, Request, Response, decode
from sidestep.rpc.transport import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.rpc.envelope import Message, RequestId
    from sidestep.rpc.transport import Outbound

log = logging.getLogger("sidestep.rpc")

VERBOSE_BYTES_MAX = 4096
NAME_CHARS_MAX = 200
# Requests whose method and time are kept for the line of their answer.
REQUESTS_MAX = 1000

_OWN = b'{"jsonrpc":"2.0","method":"$/logTrace"'


class TraceLevel(enum.Enum):
    """How much the client wants to be told."""

    OFF = "off"
    MESSAGES = "messages"  # One line for each message.
    VERBOSE = "verbose"  # Also the beginning of what it carries.


class Trace:
    """The outbound of a session that can be traced. `offer` may be called from any thread, the rest on the loop's."""

    def __init__(self, outbound: Outbound, monotonic: Callable[[], float]) -> None:
        """
        Args:
            monotonic: Seconds, for how long an answer took.
        """
        self._outbound = outbound
        self._monotonic = monotonic
        self._notify: Callable[[str, object, Lane], bool] | None = None
        self._requests: dict[RequestId, tuple[str, float]] = {}
        self._level = TraceLevel.OFF

    def connect(self, notify: Callable[[str, object, Lane], bool]) -> None:
        """Tell how traces are sent: by the session, which knows whether it may speak yet."""
        self._notify = notify

    @property
    def level(self) -> TraceLevel:
        return self._level

    def set_level(self, value: str | None) -> None:
        """Take what `initialize.trace` or `$/setTrace` says; None is off, a word we do not know changes nothing."""
        # Not in LSP, but what VS Code's client calls its short form.
        word = {None: "off", "compact": "messages"}.get(value, value)
        try:
            self._level = TraceLevel(word)
        except ValueError:
            log.info("a trace level we do not know was ignored: %.100r", value)
        if self._level is TraceLevel.OFF:
            self._requests.clear()

    def received(self, message: Message) -> None:
        """Take note of a message as it is read; `$/setTrace` counts from the next one on."""
        if self._level is not TraceLevel.OFF:
            self._tell_received(message)
        if isinstance(message, Notification) and message.method == "$/setTrace":
            self._receive_level(message)

    # -- The outbound

    @property
    def is_congested(self) -> bool:
        return self._outbound.is_congested

    def offer(self, body: bytes, lane: Lane) -> bool:
        """See `Outbound.offer`."""
        taken = self._outbound.offer(body, lane)
        if self._level is not TraceLevel.OFF and taken and not body.startswith(_OWN):
            self._tell_sent(decode(body))
        return taken

    # -- Inside

    def _receive_level(self, message: Notification) -> None:
        try:
            self.set_level(msgspec.json.decode(message.params or b"{}", type=_SetTraceParams).value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.info("a $/setTrace without a value was ignored")

    def _tell_received(self, message: Message) -> None:
        match message:
            case Request():
                if len(self._requests) < REQUESTS_MAX:
                    self._requests[message.id] = (message.method, self._monotonic())
                self._tell(f"received request {_name(message.method)} ({_name(message.id)})", "params", message.params)
            case Notification():
                self._tell(f"received notification {_name(message.method)}", "params", message.params)
            case Response():
                self._tell_response("received", f"({_name(message.id)})", message)
            case Malformed():
                self._tell(f"received a message that is none: {message.error.message}", "", None)

    def _tell_sent(self, message: Message) -> None:
        match message:
            case Request():
                self._tell(f"sent request {_name(message.method)} ({_name(message.id)})", "params", message.params)
            case Notification():
                self._tell(f"sent notification {_name(message.method)}", "params", message.params)
            case Response():
                known = None if message.id is None else self._requests.pop(message.id, None)
                what = f"({_name(message.id)})"
                if known is not None:
                    method, began_s = known
                    what = f"{_name(method)} {what} after {round((self._monotonic() - began_s) * 1000)} ms"
                self._tell_response("sent", what, message)
            case Malformed():
                raise AssertionError("Invariant: what we send is a message")

    def _tell_response(self, verb: str, what: str, response: Response) -> None:
        if response.error is None:
            self._tell(f"{verb} response {what}", "result", response.result)
        else:
            self._tell(f"{verb} error response {what}", "error", response.error)

    def _tell(self, line: str, name: str, payload: msgspec.Raw | None) -> None:
        assert self._notify is not None, "Invariant: the trace is connected before anything is read"
        params = {"message": line}
        if self._level is TraceLevel.VERBOSE and payload is not None:
            params["verbose"] = f"{name}: {_beginning(payload)}"
        self._notify("$/logTrace", params, Lane.DROPPABLE)


class _SetTraceParams(msgspec.Struct):
    value: str


def _name(word: RequestId | None) -> str:
    """A method or an id, on one line; both are the client's, so they may be anything."""
    text = "null" if word is None else str(word)
    printable = text if text.isprintable() else ascii(text)
    return printable if len(printable) <= NAME_CHARS_MAX else f"{printable[:NAME_CHARS_MAX]}..."


def _beginning(payload: msgspec.Raw) -> str:
    with memoryview(payload) as view:
        text = bytes(view[:VERBOSE_BYTES_MAX]).decode("utf-8", "replace")
        return text if len(view) <= VERBOSE_BYTES_MAX else f"{text} ... ({len(view)} bytes in all)"
