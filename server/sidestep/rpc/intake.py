"""
The client's bytes on their way in: from chunks to messages, and what has to wait until initialize is answered.

Owns the frame reader, the count of unusable headers, and the messages held back. It must not know what any message
means, save that `exit` and the end of stdin are the client's leaving.

Invariant: what was read is delivered, in the order in which it was sent; nothing is dropped for want of room.
Invariant: what is held is bounded: past the limit the client is not read on, until it is delivered.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from sidestep.rpc.envelope import Notification, Response, decode
from sidestep.rpc.errors import wire_error
from sidestep.rpc.lifecycle import EndCause
from sidestep_protocol.framing import BadFrame, Frame, FrameReader, SkippedFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.rpc.admission import SessionLimits
    from sidestep.rpc.envelope import Message
    from sidestep_protocol.errors import ResponseError
    from sidestep_protocol.framing import Item, SkippedEnds

log = logging.getLogger("sidestep.rpc")

# What a held message takes beside its body, roughly.
_HELD_OVERHEAD_BYTES = 512


class Pace(Protocol):
    """Whoever reads the client."""

    def pause(self) -> None:
        """Read nothing more for now."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...


class Intake:
    """One session's. Everything happens on the event loop's thread."""

    def __init__(
        self,
        limits: SessionLimits,
        *,
        deliver: Callable[[Message | EndCause], object],
        complain: Callable[[ResponseError], object],
        left: Callable[[EndCause], object],
        heard: Callable[[Message], object] | None,
        together: Callable[[Callable[[list[Item]], object], list[Item]], object] | None,
    ) -> None:
        """
        Args:
            deliver: Gets each message, and the end of stdin, once it is its turn.
            complain: Answers what has no id: a bad header, a body that is too long.
            left: Told at once when a client leaves that is being held back: `deliver` hears of it in its turn.
            heard: Told each message as it is read; None for nobody.
            together: Calls its first argument with its second, and lets what is sent meanwhile leave together; None
                where it makes no difference.
        """
        self._limits = limits
        self._deliver = deliver
        self._complain = complain
        self._left = left
        self._heard = heard
        self._together = together
        self._frames = FrameReader(message_bytes_max=limits.message_bytes_max)
        self._bad_frames = 0
        self._held: deque[Message | EndCause] = deque()
        self._held_bytes = 0
        self._is_holding = False
        self._is_closed = False
        self._pace: Pace | None = None
        self._is_paused = False

    def paced_by(self, pace: Pace) -> None:
        """Tell who reads the client; before anything is held."""
        self._pace = pace

    def receive(self, data: bytes) -> None:
        """Take the next bytes. Never waits, never raises; after `close` it ignores them."""
        items = self._frames.feed(data)
        if len(items) > 1 and self._together is not None:
            self._together(self._take_items, items)
        else:
            self._take_items(items)

    def _take_items(self, items: list[Item]) -> None:
        for item in items:
            if self._is_closed:
                return
            if isinstance(item, Frame):
                self._bad_frames = 0
                message = decode(item.body)
                if self._heard is not None:
                    self._heard(message)
                if self._is_holding:
                    self._hold(message, len(item.body))
                else:
                    self._deliver(message)
            elif isinstance(item, BadFrame):
                self._receive_bad_frame(item.reason)
            elif isinstance(item, SkippedFrame):
                self._bad_frames = 0
                self._complain(wire_error("payloadTooLarge", f"a message of {item.length} bytes was skipped"))
            else:
                self._receive_skipped(item)

    def receive_end(self) -> None:
        """Take note that stdin ended."""
        if not self._frames.is_between_frames:
            log.info("stdin ended in the middle of a message")
        self._take(EndCause.EOF, 0)

    def hold(self) -> None:
        """Deliver nothing until `release`."""
        self._is_holding = True

    def release(self) -> None:
        """Deliver what was held, and read on; ends where a delivery calls `hold` again."""
        self._is_holding = False
        while self._held and not self._is_holding:
            self._deliver(self._held.popleft())
        if not self._held:
            self._held_bytes = 0
            if self._is_paused and self._pace is not None:
                self._is_paused = False
                self._pace.resume()

    def close(self) -> None:
        """The session has ended: what comes now is ignored. What is held is still delivered, to be refused."""
        self._is_closed = True

    def _take(self, message: Message | EndCause, body_bytes: int) -> None:
        if self._is_holding:
            self._hold(message, body_bytes)
        else:
            self._deliver(message)

    def _hold(self, message: Message | EndCause, body_bytes: int) -> None:
        if isinstance(message, EndCause):
            self._left(message)
        elif isinstance(message, Notification) and message.method == "exit":
            self._left(EndCause.EXIT)
        self._held.append(message)
        self._held_bytes += body_bytes + _HELD_OVERHEAD_BYTES
        if self._held_bytes > self._limits.held_bytes_max and self._pace is not None and not self._is_paused:
            log.info("initialize is not answered yet, and %d messages wait for it: reading pauses", len(self._held))
            self._is_paused = True
            self._pace.pause()

    def _receive_bad_frame(self, reason: str) -> None:
        self._bad_frames += 1
        self._complain(wire_error("badFraming", f"bad framing: {reason}"))
        if self._bad_frames >= self._limits.bad_frames_max:
            log.error("%d unusable headers in a row", self._bad_frames)
            self._deliver(EndCause.BAD_FRAMING)

    def _receive_skipped(self, ends: SkippedEnds) -> None:
        """A body that was too long may have been an answer; our request must not wait for ever."""
        from sidestep_protocol.oversized import answered_id

        request_id = answered_id(ends.beginning, ends.ending)
        if request_id is not None:
            self._take(Response(request_id, None, None, skipped_bytes=ends.length), 0)
