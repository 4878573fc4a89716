"""
The event loop's side of the writer: who waits for what, and which writes may wait for others.

A lazy write begins no commit of its own: it is held here and handed to the thread with the next durable one, or after
`lazy_write_ms`. The thread and its transactions are `writer_thread.py`'s.

Invariant: writes reach the thread in the order they were made here, lazy or not.
Invariant: listeners hear a commit before the caller that waited for it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import StoreUnavailable
from sidestep.store.faults import closed_store
from sidestep.store.writer_thread import Delivery, Job, Pace, Stop, WriterThread

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sidestep.model.ports import Clock, Committed, Deleted
    from sidestep.store.connection import Link
    from sidestep.store.transaction import Tables
    from sidestep.store.writer_thread import Apply

log = logging.getLogger("sidestep.store")

# Lazy jobs held back; more go at once.
_LAZY_JOBS_MAX = 1000


class Writer:
    """
    Bound to the event loop it is made on; `stop` it there.

    Args:
        tell: Called on the loop with each commit, own and foreign, in commit order; must not raise.
        tell_availability: Called on the loop after each write with why the store took none, or None; must not raise.
        lazy_write_s: How long a lazy write waits for a durable one to ride with.
        log_room: As `WriterThread`.
    """

    def __init__(
        self,
        link: Link,
        make_tables: Callable[[sqlite3.Connection], Tables],
        clock: Clock,
        tell: Callable[[Committed | Deleted], None],
        tell_availability: Callable[[StoreUnavailable | None], None],
        lazy_write_s: float,
        log_room: tuple[int, float],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tell = tell
        self._tell_availability = tell_availability
        self._lazy_write_s = lazy_write_s
        # Oldest first.
        self._lazy: list[Job] = []
        self._lazy_until = 0.0
        self._lazy_timer: asyncio.TimerHandle | None = None
        self._is_stopped = False
        self._thread = WriterThread(link, make_tables, self._deliver_from_thread, clock, log_room)

    async def stop(self) -> None:
        """Write everything queued, also what is lazy, and end the thread."""
        self._is_stopped = True
        self._send_lazy()
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()
        ended: asyncio.Future[Any] = self._loop.create_future()
        self._thread.put(Stop(ended))
        await ended

    async def submit(self, apply: Apply) -> Any:
        """
        Apply a write; returns its answer once it is durable. A caller cancelled meanwhile does not undo it.

        Raises:
            StoreUnavailable: nothing was written.
            What `apply` raises: nothing was written.
        """
        self._require_running()
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._send_lazy()
        self._thread.put(Job(apply, answer))
        return await answer

    def submit_lazily(self, apply: Apply) -> asyncio.Future[Any]:
        """Apply a write with the next durable one, or by itself a little later."""
        self._require_running()
        if not self._lazy:
            self._lazy_until = self._loop.time() + self._lazy_write_s
            if self._lazy_timer is None:
                self._lazy_timer = self._loop.call_at(self._lazy_until, self._send_overdue)
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._lazy.append(Job(apply, answer))
        if len(self._lazy) >= _LAZY_JOBS_MAX:
            self._send_lazy()
        return answer

    def set_pace(self, seconds: float | None) -> asyncio.Future[Any]:
        """Look for foreign commits every so often, or stop looking; the future ends when that is in force."""
        self._require_running()
        in_force: asyncio.Future[Any] = self._loop.create_future()
        self._thread.put(Pace(seconds, in_force))
        return in_force

    def _require_running(self) -> None:
        if self._is_stopped:
            raise closed_store()

    def _send_lazy(self) -> None:
        for job in self._lazy:
            self._thread.put(job)
        self._lazy.clear()

    def _send_overdue(self) -> None:
        # One timer serves many lazy writes: most rode along before it fired, and a younger one gets its full time.
        self._lazy_timer = None
        if not self._lazy:
            return
        if self._loop.time() >= self._lazy_until:
            self._send_lazy()
        else:
            self._lazy_timer = self._loop.call_at(self._lazy_until, self._send_overdue)

    def _deliver_from_thread(self, delivery: Delivery) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver, delivery)
        except RuntimeError:
            # The loop is closed: nobody is left to tell, and what is durable is read at the next start.
            log.debug("the event loop was closed before a commit could be told")

    def _deliver(self, delivery: Delivery) -> None:
        for committed in delivery.told:
            self._tell(committed)
        for settled in delivery.settled:
            answer = settled.answer
            if answer.done():
                continue
            if settled.error is not None:
                answer.set_exception(settled.error)
            else:
                answer.set_result(settled.value)
        if delivery.settled:
            away = (each.error for each in delivery.settled if isinstance(each.error, StoreUnavailable))
            self._tell_availability(next(away, None))
