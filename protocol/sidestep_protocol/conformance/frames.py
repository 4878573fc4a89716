"""
The frames of a server's stdout, strictly: a byte that belongs to no frame is found, never passed over.

Not `sidestep_protocol.framing`: that one goes on after anything, and a kit has to see it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from sidestep_protocol.conformance.check import Message

_LINE = re.compile(rb"([A-Za-z][A-Za-z-]*):[ \t]*([^\r\n]*)\r\n")
# A header line whose end has not come.
_LINE_BEGUN = re.compile(rb"[A-Za-z][A-Za-z-]*(:[^\r\n]*\r?)?|\r")
_SHOWN_BYTES = 200


class StrayBytes(Exception):
    """Something on stdout is no frame; the message shows it."""


class StrictFrames:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[Message]:
        """
        Take the next bytes.

        Raises:
            StrayBytes: They are no frame, or hold no JSON-RPC message. Nothing can be read after that.
        """
        self._buffer += chunk
        found: list[Message] = []
        while (head := self._head()) is not None:
            start, length = head
            if len(self._buffer) < start + length:
                break
            found.append(_message(bytes(self._buffer[start : start + length])))
            del self._buffer[: start + length]
        return found

    def end(self) -> None:
        """Raises: StrayBytes: the output ended inside a frame."""
        if self._buffer:
            raise StrayBytes(f"the output ends inside a frame: {bytes(self._buffer[:_SHOWN_BYTES])!r}")

    def _head(self) -> tuple[int, int] | None:
        """Where the body begins and how long it is; None while the header is not whole."""
        position = 0
        length: int | None = None
        while (line := _LINE.match(self._buffer, position)) is not None:
            position = line.end()
            if line[1].lower() == b"content-length" and line[2].isdigit():
                length = int(line[2])
        rest = bytes(self._buffer[position : position + _SHOWN_BYTES])
        if rest.startswith(b"\r\n") and length is not None:
            return position + 2, length
        if rest and not _LINE_BEGUN.fullmatch(rest):
            raise StrayBytes(f"bytes on stdout that belong to no frame: {rest!r}")
        return None


def _message(body: bytes) -> Message:
    try:
        decoded: Any = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise StrayBytes(f"a body that is no JSON ({problem}): {body[:_SHOWN_BYTES]!r}") from problem
    if not isinstance(decoded, dict):
        raise StrayBytes(f"a body that is no message: {body[:_SHOWN_BYTES]!r}")
    message = cast("Message", decoded)
    is_message = "method" in message or ("id" in message and ("result" in message) != ("error" in message))
    if message.get("jsonrpc") != "2.0" or not is_message:
        raise StrayBytes(f"a body that is no JSON-RPC 2.0 message: {body[:_SHOWN_BYTES]!r}")
    return message
