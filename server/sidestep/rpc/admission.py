"""
Which requests are let in now, which are told to come again, and which wait for their turn.

Owns the limits of a session. Answers are never dropped, so what bounds them is how many requests are let in.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from sidestep.rpc.errors import overloaded
from sidestep.rpc.router import Admission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.rpc.inbound import InboundRequests
    from sidestep.rpc.router import RequestContext
    from sidestep.rpc.transport import Outbound
    from sidestep_protocol.errors import ResponseError


class SessionLimits(msgspec.Struct, frozen=True):
    """
    Attributes:
        requests_in_flight_max: Counted requests; the next is answered `overloaded`.
        message_bytes_max: A longer body is skipped and answered `payloadTooLarge`.
        retry_after_ms: What an `overloaded` answer advises.
        bad_frames_max: So many unusable headers in a row end the session.
        hung_up_wait_s: So long a client that has gone is still answered its initialize, and what it sent after it; a
            part of the time that a drain may take.
        held_bytes_max: What comes before the initialize result is held back up to here; then reading pauses.
        large_answers_max: So many requests whose answers may be large are served at once; the others wait.
    """

    requests_in_flight_max: int
    message_bytes_max: int
    retry_after_ms: int = 1000
    bad_frames_max: int = 3
    large_answers_max: int = 4
    hung_up_wait_s: float = 2.5
    held_bytes_max: int = 1024 * 1024


class Gate:
    """What every request of one session has to pass."""

    def __init__(
        self,
        limits: SessionLimits,
        inbound: InboundRequests,
        outbound: Outbound,
        has_room: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """
        Args:
            has_room: Waits until the client has read most of what is queued for it; None: large answers never wait.
        """
        self._limits = limits
        self._inbound = inbound
        self._outbound = outbound
        self._has_room = has_room
        # Large answers are not made faster than the client reads.
        self._large = asyncio.Semaphore(limits.large_answers_max)

    def refuse(self, admission: Admission) -> ResponseError | None:
        """What the load says against one more request, if anything."""
        if admission is not Admission.COUNTED:
            return None
        if self._inbound.counted >= self._limits.requests_in_flight_max:
            return self.overloaded("too many requests in flight")
        if self._outbound.is_congested:
            # A client that does not read its answers must not make more of them.
            return self.overloaded("too many answers unread")
        return None

    def overloaded(self, what: str) -> ResponseError:
        return overloaded(what, self._limits.retry_after_ms)

    async def turn(self, context: RequestContext) -> None:
        """Wait for one of the places of large answers, and for room; the place is free when the answer is queued."""
        await self._large.acquire()
        context.after_answer(self._large.release)
        if self._has_room is not None:
            await self._has_room()
