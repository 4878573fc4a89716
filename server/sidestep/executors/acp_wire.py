"""
The wire to an ACP agent: one JSON-RPC message a line, on the pipes of its process.

It is the message transport the SDK's connection takes, and the filter before it. The SDK's own line transport was
rejected: it skips what is no message and waits on, logs to the root logger with a traceback whatever it does not know,
starts a task for every chunk of streamed text, and answers terminal requests nobody offered with null.

Owns framing, what counts as garbage, and which messages reach the SDK. Knows neither processes nor what the messages
mean. Invariants: what reaches the SDK has the shape the SDK relies on; a session update is handed on at once and in
order, without the SDK; at most `REQUESTS_IN_FLIGHT_MAX` requests of the agent are being worked on.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

from sidestep.settings import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

# As the SDK's own limit for one message.
MESSAGE_BYTES_MAX = 50 * MIB
# Written for the agent and not read by it.
UNREAD_BYTES_MAX = 64 * MIB
REQUESTS_IN_FLIGHT_MAX = 32
# Start-up banners of package runners, before the first message.
NOISE_BYTES_MAX = 64 * KIB
_QUOTED_CHARS_MAX = 200

_METHOD_NOT_FOUND = -32601
_INTERNAL_ERROR = -32603
# What the client answers; terminals are not offered.
_REQUESTS = frozenset({"session/request_permission", "fs/read_text_file", "fs/write_text_file"})

Message = dict[str, Any]


class AcpWire:
    """
    Lines of a process in, messages out, and back.

    Attributes:
        problem: Why the wire ended, for people, when the agent broke the protocol; else None.

    Args:
        write: Takes the bytes of one message; returns how many bytes the agent has not read yet.
        update: Takes the parameters of each session update.
        withdrawn: Takes the id of a request that the agent does not want answered any more.
        noise: Takes what the agent printed before its first message and is none.
    """

    def __init__(
        self,
        write: Callable[[bytes], int],
        update: Callable[[Message], None],
        withdrawn: Callable[[object], None],
        noise: Callable[[bytes], None],
    ) -> None:
        self._write = write
        self._update = update
        self._withdrawn = withdrawn
        self._noise = noise
        self._noise_bytes = 0
        self._line = bytearray()
        # Up to here there is no end of a line: a long one is searched once.
        self._searched = 0
        self._is_ended = False
        self._has_spoken = False
        self._in_flight = 0
        # Bounded by what the SDK takes at once: it never waits between two messages.
        self._inbound: asyncio.Queue[Message | None] = asyncio.Queue()
        self.problem: str | None = None

    def feed(self, data: bytes) -> None:
        """Take what the agent printed."""
        if self._is_ended:
            return
        self._line += data
        while not self._is_ended and (end := self._line.find(b"\n", self._searched)) >= 0:
            line = bytes(self._line[:end]).strip()
            del self._line[: end + 1]
            self._searched = 0
            if line:
                self._take_line(line)
        self._searched = len(self._line)
        if self._searched > MESSAGE_BYTES_MAX:
            self._break(f"sent a message of more than {MESSAGE_BYTES_MAX} bytes")

    def end(self) -> None:
        """The agent will say nothing more. Idempotent."""
        if not self._is_ended:
            self._is_ended = True
            self._line.clear()
            self._inbound.put_nowait(None)

    async def send(self, message: Message) -> None:
        """
        Write a message, without waiting for the agent to read it.

        Raises:
            ConnectionError: a request or a notification, and the wire has ended.
        """
        if "method" not in message:
            self._in_flight -= 1
        elif self._is_ended:
            raise ConnectionError("the agent is gone")
        self._put(message)

    async def receive(self) -> Message | None:
        """The next message for the SDK; None at the end."""
        return await self._inbound.get()

    async def close(self) -> None:
        self.end()

    def _put(self, message: Message) -> None:
        if self._is_ended:
            return
        unread = self._write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        if unread > UNREAD_BYTES_MAX:
            self._break(f"has left {unread} bytes unread that it asked for")

    def _take_line(self, line: bytes) -> None:
        message = _parse(line)
        if message is not None:
            self._has_spoken = True
            self._take(message)
            return
        # A package runner may greet; something that looks like a message or like no text is broken for good.
        self._noise_bytes += len(line)
        is_text = line.isascii() and line.decode("ascii").replace("\t", " ").replace("\x1b", " ").isprintable()
        if self._has_spoken or line.startswith((b"{", b"[")) or not is_text or self._noise_bytes > NOISE_BYTES_MAX:
            said = line[: 4 * _QUOTED_CHARS_MAX].decode("utf-8", "replace")[:_QUOTED_CHARS_MAX]
            self._break(f"printed what is no message of the Agent Client Protocol: {said!r}")
        else:
            self._noise(line + b"\n")

    def _take(self, message: Message) -> None:
        method = message.get("method")
        if method is None:
            error = message.get("error")
            if error is not None and not isinstance(error, dict):
                message["error"] = {"code": _INTERNAL_ERROR, "message": str(error)}
            self._inbound.put_nowait(message)
        elif "id" in message:
            self._take_request(method, message)
        else:
            params = _object(message.get("params"))
            if method == "session/update" and params is not None:
                self._update(params)
            elif method == "$/cancel_request" and params is not None:
                self._withdrawn(params.get("requestId"))

    def _take_request(self, method: str, message: Message) -> None:
        if method not in _REQUESTS:
            self._refuse(message, _METHOD_NOT_FOUND, f"there is no {method} here")
            return
        if self._in_flight >= REQUESTS_IN_FLIGHT_MAX:
            self._refuse(message, _INTERNAL_ERROR, f"more than {REQUESTS_IN_FLIGHT_MAX} requests at once")
            return
        params = _object(message.get("params"))
        if params is not None:
            # The SDK spreads these over the arguments of the callback; the agent's own have no business there.
            message["params"] = {**params, "_meta": {"request_id": message["id"]}}
        self._in_flight += 1
        self._inbound.put_nowait(message)

    def _refuse(self, request: Message, code: int, why: str) -> None:
        self._put({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": why}})

    def _break(self, problem: str) -> None:
        self.problem = problem
        self.end()


def _parse(line: bytes) -> Message | None:
    """A line as a message whose envelope is sound, or None."""
    try:
        message = _object(json.loads(line))
    except (ValueError, RecursionError):
        return None
    if (
        message is None
        or not isinstance(message.get("method", ""), str)
        or not ("method" in message or "id" in message)
    ):
        return None
    identity = message.get("id")
    return message if identity is None or (isinstance(identity, int | str)) else None


def _object(value: object) -> Message | None:
    return cast("Message", value) if isinstance(value, dict) else None
