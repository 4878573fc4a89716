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

from sidestep.model.errors import SidestepError
from sidestep.rpc.errors import RpcError, invalid_params
from sidestep_protocol.errors import InvalidParamsData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sidestep.lsp.event_stream import EventStream
    from sidestep.lsp.notifier import Notifier
    from sidestep.model.events import JournalEvent
    from sidestep.model.run import RunRecord
    from sidestep.rpc.router import RequestContext
    from sidestep.service.workflows import WorkflowService

log = logging.getLogger("sidestep.lsp")

# Events in the answer, and in each page after it: a log line may have 16 KiB, and a page has to fit the outbound queue.
_ANSWERED_MAX = 200
_PAGE = 50


@dataclass(frozen=True)
class Subscribed:
    """What a subscription answers: the row, events after the host's cursor, and the sequence the stream begins at."""

    record: RunRecord
    events: Sequence[JournalEvent]
    live_from_sequence: int


class Subscriptions:
    """The subscriptions of one connection."""

    def __init__(self, notifier: Notifier, has_room: Callable[[], Awaitable[None]]) -> None:
        """
        Args:
            has_room: Waits until the host has read most of what is queued for it.
        """
        self._notifier = notifier
        self._has_room = has_room
        # Run id -> the function that lets the service's pace go.
        self._held: dict[str, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def subscribe(
        self, service: WorkflowService, run_id: str, after_sequence: int, context: RequestContext
    ) -> Subscribed:
        """
        Begin a stream; an earlier one of this run ends.

        Raises:
            RunNotFound.
            RpcError: the cursor is ahead of the journal.
        """
        release = service.pace.expect_others()
        try:
            await service.pace.in_force()
            stream = self._notifier.subscribe(run_id, after_sequence)
            try:
                record = await service.store.read(run_id)
                if after_sequence > record.sequence:
                    expected = f"at most {record.sequence}, the run's last sequence"
                    raise RpcError(
                        invalid_params(
                            InvalidParamsData(reason="invalidParams", path="$.afterSequence", expected=expected)
                        )
                    )
                events = await service.store.read_events(run_id, after_sequence=after_sequence, limit=_ANSWERED_MAX)
            except BaseException:
                self._notifier.unsubscribe(run_id, stream)
                raise
        except BaseException:
            release()
            raise
        self._let_go(run_id)
        self._held[run_id] = release
        stream.caught_up(events)
        live_from = stream.cursor + 1
        context.after_answer(lambda: self._begin(service, stream, record))
        return Subscribed(record, events, live_from)

    def unsubscribe(self, run_id: str) -> None:
        """End the stream of a run; nothing when there is none."""
        self._notifier.unsubscribe(run_id)
        self._let_go(run_id)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for run_id in list(self._held):
            self._let_go(run_id)

    def _begin(self, service: WorkflowService, stream: EventStream, record: RunRecord) -> None:
        task = asyncio.get_running_loop().create_task(self._catch_up(service, stream, record), name="subscription")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _catch_up(self, service: WorkflowService, stream: EventStream, record: RunRecord) -> None:
        """Send the journal in pages until the stream can go live."""
        try:
            while not stream.has_ended and not stream.go_live(record.sequence):
                await self._has_room()
                page = await service.store.read_events(record.run_id, after_sequence=stream.cursor, limit=_PAGE)
                record = await service.store.read(record.run_id)
                stream.send_page(record, page)
        except SidestepError as error:
            # Deleted, or the store is away: the host subscribes again when it wants to.
            log.info("%s: its subscription ends: %s", record.run_id, error)
            stream.lag(record.run_id)

    def _let_go(self, run_id: str) -> None:
        release = self._held.pop(run_id, None)
        if release is not None:
            release()
