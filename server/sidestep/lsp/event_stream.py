"""
The events of one run on their way to one host: a cursor into the run's journal.

A stream that is not live yet catches up from the journal, page by page; once it is, commits feed it. It never waits
for the host: what the host does not read makes it lag, and then it has ended.

Invariant: what is sent goes on where the last sending ended, one sequence after the other: no gap, no duplicate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.lsp import convert
from sidestep.rpc.transport import Lane
from sidestep_protocol import notifications

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from sidestep.lsp.notifier import Send
    from sidestep.model.events import JournalEvent
    from sidestep.model.run import RunRecord


class EventStream:
    """One run's events for one connection."""

    def __init__(
        self,
        send: Send,
        batch_s: float,
        loop: asyncio.AbstractEventLoop,
        after_sequence: int | None,
        ended: Callable[[EventStream], object],
    ) -> None:
        """
        Args:
            batch_s: Commits are gathered for at most this long.
            after_sequence: Where the host is; None for a stream that is live and begins with the next commit.
            ended: Called once, when the stream has lagged or was closed.
        """
        self._send = send
        self._batch_s = batch_s
        self._loop = loop
        self._ended = ended
        # Everything up to here was sent or waits in the batch; None until the first commit.
        self._cursor = after_sequence
        self._is_live = after_sequence is None
        self._has_ended = False
        # The newest sequence heard of while catching up.
        self._heard = 0
        self._batch: list[JournalEvent] = []
        self._record: RunRecord | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_ended(self) -> bool:
        """It lagged, or was closed: nothing more is sent."""
        return self._has_ended

    @property
    def cursor(self) -> int:
        """The last sequence that was sent, or waits for its batch."""
        return self._cursor or 0

    def told(self, record: RunRecord, events: Sequence[JournalEvent]) -> None:
        """A commit to the run, in commit order."""
        self._heard = record.sequence
        if not self._is_live or self._has_ended or not events:
            return
        if self._cursor is None:
            self._cursor = events[0].sequence - 1
        new = [event for event in events if event.sequence > self.cursor]
        if not new:
            return
        if new[0].sequence != self.cursor + 1:
            # An event in between could not be read: the journal itself has to say why.
            self.lag(record.run_id)
            return
        self._record = record
        self._batch += new
        self._cursor = new[-1].sequence
        if self._timer is None:
            self._timer = self._loop.call_later(self._batch_s, self.flush)

    def caught_up(self, page: Sequence[JournalEvent]) -> None:
        """A page of the journal was given to the host otherwise: in the answer to its subscription."""
        if page:
            assert page[0].sequence == self.cursor + 1, "a page goes on where the stream is"
            self._cursor = page[-1].sequence

    def send_page(self, record: RunRecord, page: Sequence[JournalEvent]) -> None:
        """Send a page of the journal."""
        self.caught_up(page)
        self._send_events(record, page)

    def go_live(self, last_sequence: int) -> bool:
        """
        Go over to the commits, if nothing lies between them and the cursor.

        Args:
            last_sequence: The run's, as read last.

        Returns:
            False when the journal has more than was sent.
        """
        self._is_live = self.cursor >= max(last_sequence, self._heard)
        return self._is_live

    def flush(self) -> None:
        """Send what waits for its batch."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        events, self._batch = self._batch, []
        if events and self._record is not None:
            self._send_events(self._record, events)

    def close(self) -> None:
        """Send nothing more. Idempotent."""
        if self._has_ended:
            return
        self._has_ended = True
        self._batch = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ended(self)

    def _send_events(self, record: RunRecord, events: Sequence[JournalEvent]) -> None:
        if self._has_ended or not events:
            return
        batch = notifications.EventsAppendedNotification(
            run_id=record.run_id, events=[convert.event(event, record) for event in events]
        )
        if not self._send("workflow/eventsAppended", batch, Lane.LAGGABLE):
            self._cursor = events[0].sequence - 1
            self.lag(record.run_id)

    def lag(self, run_id: str) -> None:
        """Say that nothing more comes until the host subscribes again, and end; nothing when it has ended."""
        if self._has_ended:
            return
        last_sequence = self._batch[0].sequence - 1 if self._batch else self.cursor
        self.close()
        self._send("workflow/lagged", notifications.LaggedNotification(run_id=run_id, last_sequence=last_sequence))
