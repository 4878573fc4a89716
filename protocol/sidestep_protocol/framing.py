"""
LSP's base protocol without I/O: bytes in, frames out.

    FrameReader.feed(chunk) -> [Frame | BadFrame | SkippedFrame | SkippedEnds, ...]

Owns the header grammar. Knows no JSON: a body is bytes.

Invariants:
- However the bytes are split into chunks, the same items come out in the same order.
- No bytes raise. Memory stays under one message plus one chunk, whatever length a header claims.
- Every byte is looked at a bounded number of times: the cost is linear in what was fed.

A header block is lines `Name: value` up to an empty line; CRLF and LF both end a line, names ignore case, the space is
optional, headers other than Content-Length are ignored, empty lines before a block are too. A block without exactly one
usable length is bad: it is told once, and reading goes on at the next `Content-Length` line, even one glued to the
rest of a body that was longer than its header had said, or at the next header after an empty line.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TypeAlias

import msgspec

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
HEADER_BYTES_MAX = 8 * 1024
# So much of either end of a body that is passed over is handed on.
ENDS_BYTES = 512
# A longer length is no message that is too large, but a header that cannot be meant.
LENGTH_MAX = 1024 * 1024 * 1024

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# A Content-Length header at the end of a line that began with something else. The value is narrow on purpose: text that
# merely speaks of Content-Length is no header.
_GLUED = re.compile(rb"(?<!-)content-length[ \t]*:[ \t]*(?P<value>[-+.\w]{0,32})[ \t]*\Z", re.IGNORECASE)
# The longest tail of a line that `_GLUED` is tried on; keeps endless lines out of memory while resynchronising.
_GLUED_BYTES_MAX = 128
_EMPTY_LINES = re.compile(rb"(?:\r?\n)+")
# A whole block as nearly everybody writes it. Other spellings, and longer numbers, are read line by line.
_PLAIN = re.compile(rb"Content-Length: ([0-9]{1,9})\r\n\r\n")
_TOO_LONG = "the header is too long"


class Frame(msgspec.Struct, frozen=True):
    """One whole message; the body may still be no JSON."""

    body: bytes


class BadFrame(msgspec.Struct, frozen=True):
    """A header block that cannot be used; `reason` is for people. The reader has already moved on."""

    reason: str


class SkippedFrame(msgspec.Struct, frozen=True):
    """A body over the limit, told as soon as its header is read; its `length` bytes are passed over, never kept."""

    length: int


class SkippedEnds(msgspec.Struct, frozen=True):
    """
    The first and the last `ENDS_BYTES` of the body of the `SkippedFrame` before, told once it was passed over.

    Of a shorter body both are all of it. They say whom an answer was for.
    """

    length: int
    beginning: bytes
    ending: bytes


Item: TypeAlias = Frame | BadFrame | SkippedFrame | SkippedEnds


class _State(Enum):
    # Reading header lines; garbage here is told.
    HEADER = "header"
    # Collecting `_length` bytes.
    BODY = "body"
    # Passing over `_length` bytes.
    SKIP = "skip"
    # After a bad block: looking for the beginning of the next one; garbage here was told already.
    RESYNC = "resync"


def encode_frame(body: bytes) -> bytes:
    """Put a body in its frame."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class FrameReader:
    """Finds the frames in a stream of bytes. One per stream; not thread-safe."""

    def __init__(self, *, message_bytes_max: int = MESSAGE_BYTES_MAX, header_bytes_max: int = HEADER_BYTES_MAX) -> None:
        """
        Args:
            message_bytes_max: Longer bodies are skipped.
            header_bytes_max: A longer header block is bad.
        """
        self._message_bytes_max = message_bytes_max
        self._header_bytes_max = header_bytes_max
        self._buffer = bytearray()
        self._position: int = 0
        # Where to go on looking for the line's end, so that no byte is searched twice.
        self._searched: int = 0
        self._state = _State.HEADER
        self._length: int = 0
        # Of the body that is being passed over: its whole length, its first bytes, and the last ones so far.
        self._skipped_length: int = 0
        self._beginning = bytearray()
        self._ending = bytearray()
        # Bytes of the present header block so far.
        self._block_bytes: int = 0
        # False while only empty lines have come.
        self._has_headers = False
        # Values of its Content-Length headers.
        self._lengths: list[bytes] = []
        # True for a block found while resynchronising.
        self._is_tentative = False
        # While resynchronising: an empty line stands before this one, so that a block may begin here.
        self._is_after_empty_line = False

    @property
    def is_between_frames(self) -> bool:
        """True when the stream may end here without cutting a message off."""
        return self._state is _State.HEADER and not self._block_bytes and self._position == len(self._buffer)

    def feed(self, chunk: bytes | bytearray | memoryview) -> list[Item]:
        """
        Take the next bytes of the stream, at most a few hundred KiB at a time.

        Returns:
            What they complete, in order. Never raises, whatever the bytes are.
        """
        items: list[Item] = []
        if not self._buffer and self._state is _State.HEADER and not self._block_bytes:
            # As nearly always: whole frames, which need not be put together.
            taken = self._take_plain_frames(chunk, 0, items)
            if taken == len(chunk):
                return items
            chunk = chunk[taken:]
        self._buffer += chunk
        while self._step(items):
            if self._state is _State.HEADER and not self._block_bytes:
                self._position = self._take_plain_frames(self._buffer, self._position, items)
                self._searched = self._position
        del self._buffer[: self._position]
        self._searched -= self._position
        self._position = 0
        return items

    def _take_plain_frames(self, data: bytes | bytearray | memoryview, position: int, items: list[Item]) -> int:
        """Between frames: take those whose headers are plain, the last perhaps without its body. Returns the end."""
        with memoryview(data) as view:
            while (header := _PLAIN.match(view, position)) is not None:
                length = int(header[1])
                if length > self._message_bytes_max:
                    break
                begin = header.end()
                position = begin + length
                if position > len(view):
                    self._state, self._length, position = _State.BODY, length, begin
                    break
                items.append(Frame(bytes(view[begin:position])))
            # It would keep the buffer from being cut.
            del header
        return position

    def _step(self, items: list[Item]) -> bool:
        """Take one line or body; False when more bytes are needed."""
        if self._state is _State.BODY:
            return self._take_body(items)
        if self._state is _State.SKIP:
            return self._pass_over(items)
        if not self._has_headers:
            self._pass_over_empty_lines()
        line = self._take_line()
        if line is None:
            return self._handle_unfinished_line(items)
        if self._state is _State.RESYNC:
            self._resynchronise(line)
        else:
            self._take_header_line(line, items)
        return True

    def _pass_over_empty_lines(self) -> None:
        """Empty lines before a block mean nothing; taken one by one, a flood of them would be slow."""
        empty = _EMPTY_LINES.match(self._buffer, self._position)
        if empty is not None:
            self._position = self._searched = empty.end()
            self._begin_block()
            self._is_after_empty_line = True

    def _take_line(self) -> bytes | None:
        """Take a line without its end, or None when its end has not come."""
        end = self._buffer.find(b"\n", max(self._searched, self._position))
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[self._position : end])
        self._block_bytes += end + 1 - self._position
        self._position = self._searched = end + 1
        return line.removesuffix(b"\r")

    def _handle_unfinished_line(self, items: list[Item]) -> bool:
        """Keep an endless line from filling memory."""
        waiting = len(self._buffer) - self._position
        if self._state is _State.HEADER and self._block_bytes + waiting > self._header_bytes_max:
            if not self._is_tentative:
                items.append(BadFrame(_TOO_LONG))
            self._state = _State.RESYNC
            self._is_after_empty_line = False
        # Twice the tail, so that the line's end may still take a byte or two of it.
        if self._state is _State.RESYNC and waiting > 2 * _GLUED_BYTES_MAX:
            self._position = len(self._buffer) - 2 * _GLUED_BYTES_MAX
        return False

    def _take_header_line(self, line: bytes, items: list[Item]) -> None:
        problem = _TOO_LONG if self._block_bytes > self._header_bytes_max else ""
        if not problem:
            if not line.strip(b" \t\r"):
                self._end_block(items)
                return
            problem = self._read_header(line)
        if problem:
            # In a block found while resynchronising, such a line shows that it was no block: told already.
            if not self._is_tentative:
                items.append(BadFrame(problem))
            self._is_after_empty_line = False
            self._resynchronise(line)

    def _read_header(self, line: bytes) -> str:
        """Take `Name: value` into the block; returns what is wrong with it, empty when nothing is."""
        raw_name, colon, value = line.partition(b":")
        name = raw_name.strip(b" \t").lower()
        if not colon or not _NAME.fullmatch(name):
            return "a line is not a header"
        if name.endswith(b"content-length") and not name.endswith(b"-content-length") and name != b"content-length":
            return "bytes stand before a header"
        self._has_headers = True
        if name == b"content-length":
            self._lengths.append(value.strip(b" \t"))
        return ""

    def _end_block(self, items: list[Item]) -> None:
        """An empty line: decide what the block says."""
        has_headers, lengths = self._has_headers, self._lengths
        self._begin_block()
        if not has_headers:
            return
        length, problem = _usable_length(lengths)
        if problem:
            items.append(BadFrame(problem))
            self._state = _State.RESYNC
            self._is_after_empty_line = True
            return
        self._length = length
        if length > self._message_bytes_max:
            items.append(SkippedFrame(length))
            self._state = _State.SKIP
            self._skipped_length = length
        else:
            self._state = _State.BODY

    def _resynchronise(self, line: bytes) -> None:
        """Begin a new block if `line` ends in a Content-Length header, or is a header at the right place."""
        self._state = _State.RESYNC
        glued = _GLUED.search(line[-_GLUED_BYTES_MAX:])
        may_begin = self._is_after_empty_line and self._is_header(line)
        self._begin_block()
        self._is_after_empty_line = not line
        if glued is not None or may_begin:
            self._state = _State.HEADER
            self._is_tentative = True
            self._has_headers = True
            self._block_bytes = len(line if glued is None else glued[0])
        if glued is not None:
            self._lengths.append(glued["value"])

    def _is_header(self, line: bytes) -> bool:
        # A longer line may have been cut: whether it is one must not depend on that.
        name, colon, _ = line[: _GLUED_BYTES_MAX + 1].partition(b":")
        return bool(colon) and len(line) <= _GLUED_BYTES_MAX and _NAME.fullmatch(name.strip(b" \t")) is not None

    def _take_body(self, items: list[Item]) -> bool:
        end = self._position + self._length
        if len(self._buffer) < end:
            return False
        # A memoryview copies once where a slice of a bytearray would copy twice.
        with memoryview(self._buffer) as view:
            items.append(Frame(bytes(view[self._position : end])))
        self._position = self._searched = end
        self._state = _State.HEADER
        return True

    def _pass_over(self, items: list[Item]) -> bool:
        passed = min(self._length, len(self._buffer) - self._position)
        begin, end = self._position, self._position + passed
        if len(self._beginning) < ENDS_BYTES:
            self._beginning += self._buffer[begin : min(end, begin + ENDS_BYTES - len(self._beginning))]
        self._ending += self._buffer[max(begin, end - ENDS_BYTES) : end]
        del self._ending[:-ENDS_BYTES]
        self._position = self._searched = end
        self._length -= passed
        if self._length:
            return False
        items.append(SkippedEnds(self._skipped_length, bytes(self._beginning), bytes(self._ending)))
        self._beginning.clear()
        self._ending.clear()
        self._state = _State.HEADER
        return True

    def _begin_block(self) -> None:
        self._block_bytes = 0
        self._has_headers = False
        self._lengths = []
        self._is_tentative = False


def _usable_length(values: list[bytes]) -> tuple[int, str]:
    """Read the one length of a block: `(length, "")`, or `(0, what is wrong)`."""
    if not values:
        return 0, "no Content-Length"
    if any(value != values[0] for value in values):
        return 0, "several Content-Lengths"
    digits = values[0]
    if not digits.isdigit():
        return 0, "Content-Length is not a number of bytes"
    # Python refuses to read numbers of more than 4,300 digits.
    significant = digits.lstrip(b"0")
    if len(significant) > len(str(LENGTH_MAX)) or int(significant or b"0") > LENGTH_MAX:
        return 0, "Content-Length is over 1 GiB"
    return int(significant or b"0"), ""
