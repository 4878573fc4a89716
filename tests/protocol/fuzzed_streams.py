"""Streams of bytes for fuzzing, and how many answers the contract wants for one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sidestep.rpc.envelope import Malformed, Request, Response, decode
from sidestep_protocol.framing import BadFrame, Frame, FrameReader, SkippedFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD_FRAMES_MAX = 3

HELD = ("test/hold", "test/wait")
METHODS = (
    *("test/echo", "test/typed", "test/hold", "test/wait", "test/fail", "test/unserialisable", "test/notify", "none"),
    *("initialize", "shutdown", "initialized", "$/cancelRequest", "test/tell", "textDocument/hover", ""),
)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(exclude_categories=()), max_size=6),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["id", "a", "", "runId"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_ids = st.one_of(st.integers(0, 12), st.sampled_from(["", "1", "sidestep-1"]), _scalars)


@st.composite
def _bodies(draw: st.DrawFn, methods: Sequence[str]) -> bytes:
    """Mostly messages, some of them damaged, some of them anything."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=40))
    if kind == 1:
        return json.dumps(draw(_values)).encode()
    if kind == 3:
        cancel = {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": draw(st.integers(0, 1))}}
        return json.dumps(cancel).encode()
    if kind in (4, 5):
        # In flight until the end: an id used twice, and something to cancel.
        method = draw(st.sampled_from([name for name in methods if name in HELD] or methods))
        return json.dumps({"jsonrpc": "2.0", "id": draw(st.integers(0, 1)), "method": method, "params": {}}).encode()
    message: dict[str, object] = {"jsonrpc": "2.0"}
    if draw(st.integers(0, 9)):
        message["method"] = draw(st.sampled_from(methods))
    if draw(st.integers(0, 3)):
        message["id"] = draw(_ids)
    for member in ("params", "result", "error"):
        if not draw(st.integers(0, 1 if member == "params" else 6)):
            message[member] = draw(_values)
    body = json.dumps(message).encode()
    if kind == 2:
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=3)) + body[draw(st.integers(place, min(place + 3, len(body)))) :]
    return body


@st.composite
def _blocks(draw: st.DrawFn, methods: Sequence[str]) -> bytes:
    """A message in a good frame, rarely in a bad one."""
    body = draw(_bodies(methods))
    header = draw(
        st.sampled_from(
            [b"Content-Length: %d\r\n\r\n"] * 8
            + [
                b"content-length:%d\n\n",
                b"Content-Type: x\r\nContent-Length: %d\r\n\r\n",
                b"\r\nContent-Length: %d\r\n\r\n",
            ]
        )
    )
    length = len(body)
    if not draw(st.integers(0, 15)):
        header = draw(
            st.sampled_from([b"Content-Length: -%d\r\n\r\n", b"X: %d\r\n\r\n", b"%d\r\n", b"Content-Length: %dx\n\n"])
        )
    elif not draw(st.integers(0, 15)):
        length = max(0, length + draw(st.integers(-5, 5)))
    return header % length + body


def streams(methods: Sequence[str] = METHODS) -> st.SearchStrategy[bytes]:
    """Messages one after the other, with garbage in between now and then."""
    garbage = st.binary(max_size=30)
    block = _blocks(methods)
    part = st.one_of(block, block, block, block, block, block, block, garbage)
    return st.lists(part, max_size=14).map(b"".join)


def splits(stream: bytes, data: st.DataObject) -> list[bytes]:
    """The stream in chunks, cut anywhere, or everywhere."""
    if not data.draw(st.integers(0, 3), "cut everywhere if 0"):
        return [stream[place : place + 1] for place in range(len(stream))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10), "cuts"))
    return [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@dataclass(frozen=True)
class Wanted:
    """
    Attributes:
        answers: How many responses.
        ends: Bad framing ends the session.
        is_whole: No message is broken off at the end.
    """

    answers: int
    ends: bool
    is_whole: bool


def wanted_answers(stream: bytes, message_bytes_max: int) -> Wanted:
    """
    What the contract wants for a stream.

    Each request wants one, and so does each header block, body or message that cannot be used; answers,
    notifications and nothing else want none.
    """
    wanted = bad_in_a_row = 0
    reader = FrameReader(message_bytes_max=message_bytes_max)
    for item in reader.feed(stream):
        if isinstance(item, BadFrame):
            wanted += 1
            bad_in_a_row += 1
            if bad_in_a_row == BAD_FRAMES_MAX:
                return Wanted(wanted, ends=True, is_whole=False)
            continue
        bad_in_a_row = 0
        if not isinstance(item, Frame):
            wanted += isinstance(item, SkippedFrame)
            continue
        message = decode(item.body)
        is_empty = isinstance(message, Response) and message.result is None and message.error is None
        wanted += isinstance(message, Request | Malformed) or is_empty
    return Wanted(wanted, ends=False, is_whole=reader.is_between_frames)
