"""
`workflow/subscribe`: a run's past in the answer, its further past in pages, and then its commits as they come.

Owns the tasks that catch up. The journal is read while commits go on; a stream goes live in the one moment in which
nothing lies between what was read and what was told.

Invariant: nothing of a stream is sent before the answer to its subscription.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.model.errors import RunNotFound, SidestepError
from sidestep.rpc.errors import RpcError, invalid_params
from sidestep_protocol.errors import InvalidParamsData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sidestep.lsp.event_stream import EventStream
    from sidestep.lsp.notifier import Notifier
    from sidestep.model.events import JournalEvent
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord
    from sidestep.rpc.router import RequestContext
    from sidestep.service.workflows import WorkflowService

log = logging.getLogger("sidestep.lsp")

# Events in the answer, and in each page after it: a log line may have 16 KiB, and a page has to fit the outbound queue.
_ANSWERED_MAX = 200
_PAGE = 50
# Events that are read at once for several pages: a hand-over to the reading thread and back costs as much as a page,
# and rows hold up to some hundred events, of which those around what was asked for are decoded for nothing.
_READ_MAX = 1000
# Open questions in an answer, the oldest; `pending` of the run counts all.
PENDING_MAX = 100


@dataclass(frozen=True)
class Subscribed:
    """
    What a subscription answers.

    Attributes:
        events: Those after the host's cursor.
        live_from_sequence: Where the stream begins.
        questions: The oldest open ones.
    """

    record: RunRecord
    events: Sequence[JournalEvent]
    live_from_sequence: int
    questions: Sequence[Question] = ()


class Subscriptions:
    """The subscriptions of one connection."""

    def __init__(self, notifier: Notifier, has_room: Callable[[], Awaitable[None]]) -> None:
        """
        Args:
            has_room: Waits until the host has read most of what is queued for it.
        """
        self._notifier = notifier
        self._has_room = has_room
        # Run id -> its requests that are not answered yet, as they came: the last one that succeeds counts.
        self._asked: dict[str, list[object]] = {}
        # The functions that let the service's pace go, of the streams that have not ended.
        self._held: dict[EventStream, Callable[[], None]] = {}
        self._tasks: dict[EventStream, asyncio.Task[None]] = {}
        # One answer or page at a time: all of them would fit into the room that each of them has found.
        self._turn = asyncio.Lock()

    async def subscribe(
        self, service: WorkflowService, run_id: str, after_sequence: int, context: RequestContext
    ) -> Subscribed:
        """
        Begin a stream; an earlier one of this run ends, unless this request fails.

        Raises:
            RunNotFound.
            RpcError: the cursor is ahead of the journal.
        """
        request = object()
        self._asked.setdefault(run_id, []).append(request)
        release = service.pace.expect_others()
        try:
            await service.pace.in_force()
            async with self._turn:
                await self._has_room()
                record, events, questions = await _read(service, run_id, after_sequence)
        except BaseException:
            self._settle(run_id, request, has_failed=True)
            release()
            raise
        # Nothing is awaited from the reading on: no deletion and no other request comes in between.
        if not self._settle(run_id, request, has_failed=False):
            # The host has said something else meanwhile: that it wants no stream, or one from elsewhere.
            release()
            return Subscribed(record, events, _last(events, after_sequence) + 1, questions)
        stream = self._notifier.subscribe(record, after_sequence, self._ended)
        self._held[stream] = release
        stream.caught_up(events)
        context.after_answer(lambda: self._begin(service, stream, run_id))
        return Subscribed(record, events, stream.cursor + 1, questions)

    def unsubscribe(self, run_id: str) -> None:
        """End the stream of a run; nothing when there is none."""
        self._asked.pop(run_id, None)
        self._notifier.unsubscribe(run_id)

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        for release in self._held.values():
            release()
        self._held.clear()

    def _settle(self, run_id: str, request: object, *, has_failed: bool) -> bool:
        """
        A request is about to be answered; one that succeeds takes the place of those that came before it.

        Returns:
            Whether it was still wanted: neither a later one has succeeded nor was the run unsubscribed meanwhile.
        """
        asked = self._asked.get(run_id, [])
        if request not in asked:
            return False
        place = asked.index(request)
        del asked[place if has_failed else 0 : place + 1]
        if not asked:
            del self._asked[run_id]
        return True

    def _begin(self, service: WorkflowService, stream: EventStream, run_id: str) -> None:
        if stream.has_ended:
            return
        task = asyncio.get_running_loop().create_task(self._catch_up(service, stream, run_id), name="subscription")
        self._tasks[stream] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream, None))

    def _ended(self, stream: EventStream) -> None:
        release = self._held.pop(stream, None)
        if release is not None:
            release()
        task = self._tasks.get(stream)
        if task is not None and task is not asyncio.current_task():
            # It may wait for a host that does not read.
            task.cancel()

    async def _catch_up(self, service: WorkflowService, stream: EventStream, run_id: str) -> None:
        """Send the journal in pages until the stream can go live."""
        try:
            # Read after the stream has begun to hear of commits: there is none that neither of both knows.
            record = await service.store.read(run_id)
            while not stream.has_ended and not stream.go_live(record.sequence):
                async with self._turn:
                    await self._has_room()
                    events = await service.store.read_events(run_id, after_sequence=stream.cursor, limit=_READ_MAX)
                    if not events or events[-1].sequence >= record.sequence:
                        # The row holds the result that an event only tells of.
                        record = await service.store.read(run_id)
                    for begin in range(0, len(events), _PAGE):
                        await self._has_room()
                        if stream.has_ended:
                            return
                        stream.send_page(record, events[begin : begin + _PAGE])
        except RunNotFound:
            # Whoever deleted it, the notifier is about to hear of it.
            return
        except SidestepError as error:
            # The store is away, or the run cannot be read: the host subscribes again when it wants to.
            log.info("%s: its subscription ends: %s", run_id, error)
            stream.lag(run_id)


async def _read(
    service: WorkflowService, run_id: str, after_sequence: int
) -> tuple[RunRecord, Sequence[JournalEvent], Sequence[Question]]:
    """
    The row, and what the answer holds of the journal and of the open questions.

    Raises:
        RunNotFound: also when the run's tree was deleted meanwhile: the host has been told so already.
        RpcError: the cursor is ahead of the journal.
    """
    record = await service.store.read(run_id)
    if after_sequence > record.sequence:
        expected = f"at most {record.sequence}, the run's last sequence"
        ahead = InvalidParamsData(reason="invalidParams", path="$.afterSequence", expected=expected)
        raise RpcError(invalid_params(ahead))
    deleted = service.listeners.expect(record.root_run_id, lambda _: False)
    try:
        events = await service.store.read_events(run_id, after_sequence=after_sequence, limit=_ANSWERED_MAX)
        # After the events: what is asked in between stands here and comes as an event, too, so that it is never missed.
        questions = await service.store.open_questions(run_id) if record.pending else ()
        if deleted.done():
            raise RunNotFound(run_id=run_id)
    finally:
        deleted.cancel()
    return record, events, questions[:PENDING_MAX]


def _last(events: Sequence[JournalEvent], after_sequence: int) -> int:
    return events[-1].sequence if events else after_sequence
