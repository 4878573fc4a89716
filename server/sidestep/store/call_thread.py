"""
A thread that does blocking work for the event loop, one thing after the other.

Knows nothing of stores but the error for one that is closed.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from sidestep.store.faults import closed_store

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

log = logging.getLogger("sidestep.store")


def _nothing() -> None:
    return None


class CallThread:
    """A daemon thread that runs functions in order; bound to the event loop it is made on."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[], T]) -> T:
        """
        Run `function` in the thread. A caller cancelled meanwhile does not stop it.

        Raises:
            StoreUnavailable: the thread was stopped.
            What `function` raises.
        """
        if self._is_stopped:
            raise closed_store()
        return await self.send(function)

    def send(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """As `call`, without waiting; for functions that do not raise the future may be ignored."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((function, answer))
        return answer

    async def stop(self, last: Callable[[], Any] = _nothing) -> None:
        """End the thread after everything asked so far and `last`."""
        if self._is_stopped:
            return
        self._is_stopped = True
        ended = self.send(last)
        self._queue.put(None)
        await ended

    def _serve(self) -> None:
        while (asked := self._queue.get()) is not None:
            function, answer = asked
            try:
                value, error = function(), None
            except Exception as raised:
                # Handed to the caller, where it is raised.
                value, error = None, raised
            try:
                self._loop.call_soon_threadsafe(_settle, answer, value, error)
            except RuntimeError:
                log.debug("the event loop was closed before an answer could be given")


def _settle(answer: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(value)
