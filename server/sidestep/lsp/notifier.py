"""
What one connection is told about runs: statuses always, events for what it follows, progress for its tokens.

Everything is derived from commits, in commit order. This module queues messages and never waits for the host.

Invariant: the first `statusChanged` of a run precedes everything else about it (G3); at the end come the remaining
output and events, the stopping `statusChanged`, the progress end (G4), then, from the waiting request, the response.
Invariant: after a stop only late steps and one `statusChanged` with quiescent follow (G5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sidestep.lsp import convert
from sidestep.lsp.event_stream import EventStream
from sidestep.model.events import InteractionChanged, PhaseEntered, StatusChanged
from sidestep.model.run import RunStatus
from sidestep.rpc.transport import Lane
from sidestep_protocol import capabilities, notifications

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sidestep.model.events import JournalEvent
    from sidestep.model.ports import Committed, Deleted
    from sidestep.model.run import RunRecord
    from sidestep.settings import Settings
    from sidestep_protocol.payload import Id


def _nothing_waits(_: str) -> None:
    """What ends the live output of a connection that is told none."""


class Send(Protocol):
    """Queue one notification; False when it was refused because the host does not read."""

    def __call__(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool: ...


@dataclass
class _Followed:
    """One run as this connection is told about it."""

    # The run's events; None when the connection does not follow them.
    stream: EventStream | None = None
    # The host asked for the stream by itself: it goes on when the run has stopped, until the host ends it.
    is_subscribed: bool = False
    # A request of this connection is concerned with it: its status is told whatever its folder, until it is quiescent.
    is_requested: bool = False
    # Such a request is about to go on with it: until it is active, its end is the one before.
    is_awaited: bool = False
    # Progress tokens, and whether their first value was sent.
    progress: dict[Id, bool] = field(default_factory=dict["Id", bool])
    # A status that was held back to keep the pace of one a second.
    held_status: asyncio.TimerHandle | None = None
    status_sent_at: float = 0.0
    # What the last status told; see `_news`.
    status_sent: tuple[int, int] | None = None
    record: RunRecord | None = None

    @property
    def root_run_id(self) -> str | None:
        return None if self.record is None else self.record.root_run_id

    @property
    def has_live_stream(self) -> bool:
        return self.stream is not None and not self.stream.has_ended


class Notifier:
    """Turns commits into messages for one connection."""

    def __init__(
        self,
        send: Send,
        *,
        is_mine: Callable[[RunRecord], bool],
        is_mine_folder: Callable[[str], bool],
        request_of: Callable[[str], Id | None],
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        end_output: Callable[[str], object] = _nothing_waits,
    ) -> None:
        """
        Args:
            is_mine: Whether the run belongs to a folder of this connection.
            is_mine_folder: Whether a folder, by its key, is one of this connection's.
            request_of: The request that started a run, while it is known.
            end_output: Called before a run's stop is told, and when its stream has ended: sends what waits of its live
                output if `follows_output` still says so, and forgets it.
        """
        self._send = send
        self._is_mine = is_mine
        self._is_mine_folder = is_mine_folder
        self._request_of = request_of
        self._settings = settings
        self._loop = loop
        self._end_output = end_output
        self._runs: dict[str, _Followed] = {}

    def follow(
        self, run_id: str, attached: RunRecord | None, *, events: bool = False, token: Id | None = None
    ) -> Callable[[], None]:
        """
        Tell this connection about a run, whatever its folder; call it before the commit that must not be missed.

        Args:
            attached: The run's row, when it is active already. None when a request is about to create or claim it: what
                is told until it is active is about the execution before.
            events: Send the run's events from the next commit on.
            token: Report the run's progress under this token of the host's, until it stops or goes to the background.

        Returns:
            The function that undoes this, for a run that did not come into being.
        """
        is_new = run_id not in self._runs
        run = self._runs.setdefault(run_id, _Followed())
        was_requested = run.is_requested
        run.is_requested = True
        run.is_awaited = attached is None
        if run.record is None:
            run.record = attached
        if events and run.stream is None:
            run.stream = self._stream(run_id, None, None)
        if token is not None:
            run.progress[token] = False
            # The progress of a stopped run begins when it goes on.
            if run.record is not None and run.record.is_active and not run.is_awaited:
                self._tell_progress(run, run.record)

        def undo() -> None:
            run.is_awaited = False
            run.is_requested = was_requested
            if is_new and (run.record is None or run.record.is_stopped):
                self._forget(run_id)
            elif token is not None and run.progress.get(token) is False:
                del run.progress[token]

        return undo

    def show_progress(self, run_id: str, token: Id) -> None:
        """Report the run's progress under a token of ours that the client agreed to; nothing when the run is over."""
        run = self._runs.get(run_id)
        if run is None or (run.record is not None and run.record.is_stopped and not run.is_awaited):
            return
        run.progress[token] = False
        if run.record is not None and not run.is_awaited:
            self._tell_progress(run, run.record)

    def subscribe(self, record: RunRecord, after_sequence: int, ended: Callable[[EventStream], object]) -> EventStream:
        """
        A stream of the run's events for this connection, in the place of any other; it is not live yet.

        Args:
            record: The run as it was read before.
            ended: Called once, when the stream has lagged or was closed.
        """
        run = self._runs.setdefault(record.run_id, _Followed())
        if run.record is None:
            run.record = record
        earlier, run.stream = run.stream, self._stream(record.run_id, after_sequence, ended)
        run.is_subscribed = True
        if earlier is not None:
            # In this order: the end of the earlier one is not the end of the run's entry.
            earlier.close()
        return run.stream

    def unsubscribe(self, run_id: str) -> None:
        """End a run's stream; nothing when there is none."""
        run = self._runs.get(run_id)
        if run is not None and run.stream is not None:
            run.stream.close()

    def follows_events(self, run_id: str) -> bool:
        """Whether this connection is told the run's events as they come."""
        run = self._runs.get(run_id)
        return run is not None and run.has_live_stream

    def follows_output(self, run_id: str) -> bool:
        """Whether this connection is told what the run prints: as long as it is told the events of an active run."""
        run = self._runs.get(run_id)
        if run is None or run.record is None:
            return False
        return run.has_live_stream and run.record.is_active and (run.is_subscribed or not run.is_awaited)

    def folders_closed(self) -> None:
        """Forget the runs that are of no open folder any more, save those the host follows or has asked for."""
        for run_id, run in list(self._runs.items()):
            if not run.has_live_stream and not self._concerns(run):
                self._forget(run_id)

    def run_of(self, token: Id) -> str | None:
        """The run whose progress is shown under a token."""
        return next((run_id for run_id, run in self._runs.items() if token in run.progress), None)

    def deleted(self, deleted: Deleted) -> None:
        """The listener: a run is gone, whoever deleted it; told of open folders and of what is followed."""
        followed = [run_id for run_id, run in self._runs.items() if deleted.run_id in (run_id, run.root_run_id)]
        for run_id in followed:
            self._forget(run_id)
        if followed or self._is_mine_folder(deleted.folder):
            self._send("workflow/deleted", notifications.DeletedNotification(run_id=deleted.run_id))

    def told(self, committed: Committed) -> None:
        """The listener: one commit, told in order."""
        record = committed.record
        run = self._runs.get(record.run_id)
        if run is None:
            # A change of the row alone is news only of a run whose end is still awaited, or that waits for a person.
            if not (committed.events or record.is_active) or not self._is_mine(record):
                return
            run = self._runs[record.run_id] = _Followed()
        was_quiescent = run.record is None or run.record.is_quiescent
        pending_changed = _pending_changed(run.record, committed)
        if record.is_stopped:
            # Before the row is the stopped one: of that, no output is wanted (G5).
            self._end_output(record.run_id)
        run.record = record
        run.is_awaited = run.is_awaited and not record.is_active
        status = _last_status(committed.events)
        if status is not None and status.status is RunStatus.PENDING:
            self._send_status(run, record, None)
        if run.stream is not None and (run.is_subscribed or not run.is_awaited):
            run.stream.told(record, committed.events)
        if status is not None and status.status is not RunStatus.PENDING:
            self._flush(run)
            self._send_status(run, record, status.previous)
        elif not committed.events and record.is_quiescent and not was_quiescent:
            # What arrived late comes before the word that nothing is left.
            self._flush(run)
            self._send_status(run, record, None)
        elif pending_changed or any(isinstance(event.body, PhaseEntered) for event in committed.events):
            self._hold_status(run)
        if status is not None and not run.is_awaited:
            self._tell_progress(run, record)
        if record.is_quiescent and not run.is_awaited:
            self._flush(run)
            run.is_requested = False
            if not run.is_subscribed:
                self._runs.pop(record.run_id, None)

    def close(self) -> None:
        for run_id in list(self._runs):
            self._forget(run_id)

    def _stream(
        self, run_id: str, after_sequence: int | None, ended: Callable[[EventStream], object] | None
    ) -> EventStream:
        def over(stream: EventStream) -> None:
            if ended is not None:
                ended(stream)
            run = self._runs.get(run_id)
            if run is None or run.stream is not stream:
                return
            self._end_output(run_id)
            run.stream = None
            run.is_subscribed = False
            if not self._concerns(run) or (run.record is not None and run.record.is_quiescent):
                self._forget(run_id)

        return EventStream(self._send, self._settings.events_batch_ms / 1000, self._loop, after_sequence, over)

    def _concerns(self, run: _Followed) -> bool:
        """Whether the host is told a run's status without following its events."""
        return run.is_requested or (run.record is not None and self._is_mine(run.record))

    def _flush(self, run: _Followed) -> None:
        if run.stream is not None:
            run.stream.flush()

    def _send_status(self, run: _Followed, record: RunRecord, previous: RunStatus | None) -> None:
        if run.held_status is not None:
            run.held_status.cancel()
            run.held_status = None
        run.status_sent_at = self._loop.time()
        run.status_sent = _news(record)
        if not record.is_root:
            # Its events are followed; what became of it is its root's to tell.
            return
        told = convert.status_changed(record, previous, self._request_of(record.run_id))
        self._send("workflow/statusChanged", told)

    def _hold_status(self, run: _Followed) -> None:
        """A phase or the number of open questions changed: say so, at most once a second."""
        if run.held_status is not None:
            return
        due = run.status_sent_at + self._settings.status_min_interval_ms / 1000
        run.held_status = self._loop.call_at(max(due, self._loop.time()), self._send_held_status, run)

    def _send_held_status(self, run: _Followed) -> None:
        run.held_status = None
        if run.record is not None and run.record.is_active:
            self._flush(run)
            # A question that came and went in the meantime leaves no news.
            if _news(run.record) != run.status_sent:
                self._send_status(run, run.record, None)
            self._tell_progress(run, run.record)

    def _tell_progress(self, run: _Followed, record: RunRecord) -> None:
        message = record.phase or record.status.value
        released = record.is_stopped or record.status is RunStatus.BACKGROUNDED
        for token, begun in run.progress.items():
            run.progress[token] = True
            if not begun:
                title = record.label or record.name
                begin = capabilities.WorkDoneProgressBegin(title=title, cancellable=True, message=message)
                self._progress(token, begin)
            elif not released:
                self._progress(token, capabilities.WorkDoneProgressReport(message=message))
            if released:
                self._progress(token, capabilities.WorkDoneProgressEnd(message=record.status.value))
        if released:
            run.progress.clear()

    def _progress(self, token: Id, value: object) -> None:
        self._send("$/progress", capabilities.ProgressParams(token=token, value=value))

    def _forget(self, run_id: str) -> None:
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        self._end_output(run_id)
        if run.stream is not None:
            run.stream.close()
        if run.held_status is not None:
            run.held_status.cancel()


def _pending_changed(before: RunRecord | None, committed: Committed) -> bool:
    """Whether an active run waits for more answers or fewer than it was known to; of a stopped one it is no news."""
    record = committed.record
    if not record.is_active:
        return False
    if before is not None:
        return record.pending != before.pending
    return not committed.events or any(isinstance(event.body, InteractionChanged) for event in committed.events)


def _last_status(events: tuple[JournalEvent, ...]) -> StatusChanged | None:
    bodies = [event.body for event in events if isinstance(event.body, StatusChanged)]
    return bodies[-1] if bodies else None


def _news(record: RunRecord) -> tuple[int, int]:
    """What makes two statuses of a run differ: its journal, and the open questions of its tree."""
    return record.sequence, record.pending
