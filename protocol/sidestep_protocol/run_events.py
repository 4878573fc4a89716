"""
A run's journal as a host reads it: from a cursor on, each event once and in order, whatever happens to the connection.

Owns the cursor, and when to subscribe again: the server says that we lag, we do not read ourselves, or the server died
and there is another. Knows `workflow/subscribe` and its notifications; who spawns servers it does not know.

Invariant: an event is taken only if it is the next one after the last that was taken.
Invariant: an answer and what follows it are taken as they are read from the wire, not when somebody wakes up.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING

from sidestep_protocol.events import Event, StatusEvent
from sidestep_protocol.inbound import tolerant_decode
from sidestep_protocol.methods import decoder
from sidestep_protocol.notifications import DeletedNotification, EventsAppendedNotification, LaggedNotification
from sidestep_protocol.payload import Empty
from sidestep_protocol.requests import ServerGone
from sidestep_protocol.runs import TERMINAL_STATUSES
from sidestep_protocol.workflow import SubscribeParams, SubscribeResult, UnsubscribeParams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    import msgspec

    from sidestep_protocol.connection import Connection
    from sidestep_protocol.streams import Notification

# Events kept for one who does not read; what comes then is fetched from the journal when they were read.
EVENTS_MAX = 10_000


class RunEvents:
    """
    The events of one run: `async for event in events`.

    Ends after the event that brought the run to one of the statuses waited for, and when the run is deleted. Several
    may follow one run. Leave early with `close` or `with`: that ends the subscription.
    """

    def __init__(
        self,
        run_id: str,
        connect: Callable[[], Awaitable[Connection]],
        *,
        after_sequence: int = 0,
        until: Collection[str] = TERMINAL_STATUSES,
        events_max: int = EVENTS_MAX,
    ) -> None:
        """
        Args:
            connect: Gives a connection that is not gone, or raises.
            after_sequence: The last sequence that is known already.
            until: Statuses that end it; none of them: it goes on until the run is deleted.
            events_max: Kept for one who does not read.
        """
        self.run_id = run_id
        # The sequence of the last event given out: where to go on.
        self.cursor = after_sequence
        self._connect = connect
        self._until = until
        self._events_max = events_max
        self._connection: Connection | None = None
        self._waiting: collections.deque[Event] = collections.deque()
        self._changed = asyncio.Event()
        # Notifications of the run go on where `_taken` ends.
        self._is_live = False
        self._taken = after_sequence
        # The run's sequence when we subscribed: a status up to there is history.
        self._past = 0
        # The sequence behind which nothing is waited for; None while the run goes on.
        self._last: int | None = None
        self._root_run_id = run_id
        self._is_deleted = False
        self._is_closed = False

    def close(self) -> None:
        """End the subscription, also one that `events: true` of a start has made. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._changed.set()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.detach(self)
            if self._is_live:
                self._unsubscribe(connection)

    def __enter__(self) -> RunEvents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> RunEvents:
        return self

    async def __anext__(self) -> Event:
        """
        Wait for the next event; when this raises, iterating again goes on where it was.

        Raises:
            ResponseFailed: The server refuses the subscription.
            ServerGone: The server ended, and nobody spawns another.
        """
        while not self._waiting:
            self._changed.clear()
            if self._is_over:
                self.close()
                raise StopAsyncIteration
            if self._is_live:
                await self._changed.wait()
            else:
                await self._subscribe()
        event = self._waiting.popleft()
        self.cursor = event.sequence
        return event

    # What the connection calls

    def offer(self, notification: Notification) -> None:
        """A notification was read."""
        params = notification.params
        if isinstance(params, EventsAppendedNotification):
            if params.run_id == self.run_id:
                self._take(params.events)
        elif isinstance(params, LaggedNotification):
            if params.run_id == self.run_id:
                self._stop_taking()
        elif isinstance(params, DeletedNotification) and params.run_id in (self.run_id, self._root_run_id):
            self._is_deleted = True
            self._changed.set()

    def end(self) -> None:
        """The server is gone."""
        self._connection = None
        self._stop_taking()

    # Inside

    @property
    def _is_over(self) -> bool:
        is_at_end = self._last is not None and self.cursor >= self._last
        return self._is_closed or self._is_deleted or is_at_end

    async def _subscribe(self) -> None:
        connection = await self._connect()
        if connection is not self._connection:
            self._connection = connection
            connection.attach(self)
        # There is one subscription for each run and connection, so that whoever follows it subscribes for all.
        taken = min(events._taken for events in self._group(connection))
        params = SubscribeParams(run_id=self.run_id, after_sequence=taken)
        try:
            await connection.ask("workflow/subscribe", params, lambda raw: self._begin_all(connection, taken, raw))
        except ServerGone:
            # Whether there is another is said by `connect`.
            return
        if self._is_closed:
            self._unsubscribe(connection)

    def _unsubscribe(self, connection: Connection) -> None:
        if not self._group(connection):
            connection.send("workflow/unsubscribe", UnsubscribeParams(run_id=self.run_id), decoder(Empty).decode)

    def _group(self, connection: Connection) -> list[RunEvents]:
        followers = [listener for listener in connection.listeners if isinstance(listener, RunEvents)]
        return [events for events in followers if events.run_id == self.run_id]

    def _begin_all(self, connection: Connection, taken: int, raw: msgspec.Raw) -> None:
        result = tolerant_decode(decoder(SubscribeResult).decode, raw)
        if result.events and result.events[0].sequence != taken + 1:
            raise ValueError(f"events after {taken} begin with {result.events[0].sequence}")
        for events in self._group(connection):
            events._begin(result)

    def _begin(self, result: SubscribeResult) -> None:
        run = result.run
        self._is_live = True
        self._past = run.sequence
        self._last = run.sequence if run.status in self._until else None
        self._root_run_id = run.root_run_id
        self._take(result.events)
        self._changed.set()

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.sequence <= self._taken:
                continue
            if event.sequence != self._taken + 1 or len(self._waiting) >= self._events_max:
                # Not what was promised, or more than is kept: the journal has it.
                self._stop_taking()
                return
            self._taken = event.sequence
            self._waiting.append(event)
            if isinstance(event, StatusEvent) and event.sequence > self._past:
                self._last = event.sequence if event.status in self._until else None
        self._changed.set()

    def _stop_taking(self) -> None:
        self._is_live = False
        self._changed.set()
