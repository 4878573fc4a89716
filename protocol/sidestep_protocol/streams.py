"""What a server tells, queued for one reader. Owns the bound of that queue; knows no process and no method."""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

# Notifications kept for a stream nobody reads; the oldest go first.
NOTIFICATIONS_MAX = 10_000


class Notification(msgspec.Struct, frozen=True):
    """One notification; `params` is the method's struct, or a plain value for a method this version does not know."""

    method: str
    params: Any


class Listener(Protocol):
    """Who hears what a server tells, in the order in which it is read, before anything that is read after it."""

    def offer(self, notification: Notification) -> None:
        """A notification was read. Must not raise, nor wait."""

    def end(self) -> None:
        """The server is gone: nothing more comes."""


class NotificationStream:
    """
    Notifications from the moment it was made, in order: `async for notification in stream`. Ends when the server is
    gone.

    Bounded: when nobody reads, the oldest are dropped and counted in `dropped`. Use `close`, or `with`, to stop it
    early.
    """

    def __init__(self, method: str | None, limit: int, on_close: Callable[[NotificationStream], None]) -> None:
        """`method` is the one to take, None takes all; `limit` is in notifications."""
        self.dropped = 0
        self._method = method
        self._limit = limit
        self._on_close = on_close
        self._waiting: collections.deque[Notification] = collections.deque()
        self._changed = asyncio.Event()
        self._ended = False

    def offer(self, notification: Notification) -> None:
        """Take a notification if it is of the method wanted."""
        if self._ended or self._method not in (None, notification.method):
            return
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(notification)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come; what waits is still given out."""
        self._ended = True
        self._changed.set()

    def close(self) -> None:
        """Stop taking notifications."""
        self._on_close(self)
        self.end()

    def __enter__(self) -> NotificationStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> NotificationStream:
        return self

    async def __anext__(self) -> Notification:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()
