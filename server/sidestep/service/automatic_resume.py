"""
Going on, unasked, with runs that a crash or the end of their host interrupted.

One object for each connection: its client has the folders open. A crash is noticed as it is committed, by whichever
process; runs that were interrupted before are found by a sweep of their folder. Several windows may try the same run:
the claim is an ordinary one, so one of them gets it, and the others say nothing.

Invariant: what a person or a deadline stopped is never gone on with: only the reasons below are, and the claim is a
compare-and-set on the row that was looked at (C3).
Invariant: trust and open folders are asked for at the claim, never remembered (D3).
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from sidestep.model.abort import AbortController, AbortKind
from sidestep.model.errors import (
    ClaimSuperseded,
    Draining,
    InvalidTransition,
    RunLeased,
    RunNotFound,
    SidestepError,
    StoreUnavailable,
    WorkspaceUntrusted,
)
from sidestep.model.events import StatusChanged
from sidestep.model.journal import kept_message
from sidestep.model.ports import RunFilter
from sidestep.model.run import Attention, RunStatus
from sidestep.model.value import Value
from sidestep.service.requests import ResumeRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from sidestep.model.ports import Clock, Committed
    from sidestep.model.run import RunRecord
    from sidestep.scripts.folder import FolderKey
    from sidestep.service.workflows import WorkflowService

log = logging.getLogger("sidestep.recovery")

# Interrupted for these, a run goes on when that is noticed, or at the next look at its folder.
_WHEN_NOTICED = frozenset({AbortKind.CRASH.value})
_WHEN_SWEPT = _WHEN_NOTICED | {AbortKind.SHUTDOWN.value, AbortKind.CLIENT_GONE.value}
_INTERRUPTED = frozenset({RunStatus.INTERRUPTED})
# Automatic resumes of a run since a step was last newly finished.
_ATTEMPTS_MAX = 3
# Claims at once; the others of a sweep wait, so that requests do not.
_CLAIMS_MAX = 4
# Runs read at once.
_PAGE = 100


class Recovered(Value, frozen=True):
    """
    What became of one run that was found interrupted.

    Attributes:
        record: As it goes on, or as it was found.
        message: One sentence for people that names the run.
        is_news: False for a run that stays as it has been for some time: a message would come again at every start.
    """

    record: RunRecord
    resumed: bool
    message: str
    is_news: bool


class AutomaticResume:
    """
    Finds interrupted runs of one connection's folders and goes on with them. Used on the event loop; close it.

    Args:
        is_open: Whether the run's folder is open in this connection now.
        tell: Told what became of the runs that were found together, oldest first, when all of them are decided.
    """

    def __init__(
        self,
        service: WorkflowService,
        clock: Clock,
        is_open: Callable[[RunRecord], bool],
        tell: Callable[[Sequence[Recovered]], None],
    ) -> None:
        self._service = service
        self._store = service.store
        self._clock = clock
        self._is_open = is_open
        self._tell = tell
        self._has_begun = False
        # Found interrupted since the service was opened, and not decided yet.
        self._news = {record.run_id for record in service.recovered}
        self._places = asyncio.Semaphore(_CLAIMS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._decided: dict[str, Recovered] = {}
        self._unlisten = service.listeners.listen(self._notice)

    def begin(self, folders: Iterable[FolderKey]) -> None:
        """The client is ready: sweep its folders, and from now on go on with runs as their crash is noticed."""
        self._has_begun = True
        self.sweep(folders)

    def sweep(self, folders: Iterable[FolderKey]) -> None:
        """Look, in the background, for interrupted runs of folders that were opened or trusted just now."""
        if self._has_begun:
            for folder in folders:
                self._spawn(partial(self._sweep, folder), f"sweep {folder}")

    def close(self) -> None:
        """Look no more; a claim under way ends by itself."""
        self._unlisten()
        self._has_begun = False
        self._decided.clear()
        for task in list(self._tasks):
            task.cancel()

    def _notice(self, committed: Committed) -> None:
        """The listener: a run of ours was interrupted by a crash just now."""
        record = committed.record
        crashed = any(
            isinstance(event.body, StatusChanged) and event.body.reason in _WHEN_NOTICED for event in committed.events
        )
        if crashed and record.reason in _WHEN_NOTICED and self._is_open(record):
            self._news.add(record.run_id)
            if self._has_begun:
                self._spawn(partial(self._consider, record.run_id, _WHEN_NOTICED), f"resume {record.run_id}")

    async def _sweep(self, folder: FolderKey) -> None:
        found: list[str] = []
        cursor: str | None = None
        # From here on a crash that is marked is noticed, so none falls between the list and the first notice.
        await self._service.pace.in_force()
        while True:
            interrupted = RunFilter(folder=folder.path, statuses=_INTERRUPTED)
            page = await self._store.list_runs(interrupted, cursor=cursor, limit=_PAGE)
            found += [record.run_id for record in page.items if record.reason in _WHEN_SWEPT]
            cursor = page.next_cursor
            if cursor is None:
                break
        # Lists are newest first. Tasks get their places in the order in which they were made.
        for run_id in reversed(found):
            self._spawn(partial(self._consider, run_id, _WHEN_SWEPT), f"resume {run_id}")

    async def _consider(self, run_id: str, reasons: frozenset[str]) -> None:
        async with self._places:
            try:
                decided = await self._decide(run_id, reasons)
            finally:
                self._news.discard(run_id)
        if decided is not None:
            log.log(logging.INFO if decided.resumed else logging.WARNING, "%s: %s", run_id, decided.message)
            self._decided[run_id] = decided

    async def _decide(self, run_id: str, reasons: frozenset[str]) -> Recovered | None:
        """What becomes of a run that was found; None when it is not ours to decide, or not any more."""
        try:
            record = await self._store.read(run_id)
        except RunNotFound:
            return None
        if not record.is_root or record.reason not in reasons or not self._is_open(record):
            return None
        return await self._go_on(record)

    async def _go_on(self, record: RunRecord) -> Recovered | None:
        """Resume the run if it may be; None when somebody else came first."""
        why_not = self._why_not(record)
        if why_not is None:
            request = ResumeRequest(
                run_id=record.run_id, attention=Attention.NOTIFY_ON_TERMINAL, automatic_from=record.epoch
            )
            try:
                claimed = await self._service.resume(request, AbortController().signal)
            except (RunLeased, ClaimSuperseded, InvalidTransition, RunNotFound, Draining):
                return None
            except WorkspaceUntrusted:
                why_not = "its folder is not trusted"
            except SidestepError as error:
                why_not = str(error)
            else:
                message = f"{_name(record)}: {kept_message(record)}"
                return Recovered(claimed, True, message, is_news=True) if claimed.is_active else None
        is_news = record.run_id in self._news
        return Recovered(record, False, f"{_name(record)} was not resumed: {why_not}", is_news)

    def _why_not(self, record: RunRecord) -> str | None:
        if not record.auto_resume:
            return "it was started from the command line, or by a host that resumes by hand"
        if record.automatic_resumes >= _ATTEMPTS_MAX:
            return "three attempts in a row finished no new step; resume it by hand"
        if record.deadline_at_ms is not None and record.deadline_at_ms <= self._clock.now_ms():
            return "its deadline passed"
        return None

    def _spawn(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        # Not a TaskGroup: a run that cannot be gone on with must not keep the others.
        task = asyncio.get_running_loop().create_task(self._guarded(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _guarded(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        try:
            await work()
        except StoreUnavailable as away:
            log.warning("%s: %s", name, away)
        except Exception:
            # The edge of a background job: the others go on.
            log.exception("%s failed", name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._decided and not self._tasks:
            decided = sorted(self._decided.values(), key=lambda each: (each.record.created_at_ms, each.record.run_id))
            self._decided.clear()
            self._tell(decided)


def _name(record: RunRecord) -> str:
    return record.label or record.name
