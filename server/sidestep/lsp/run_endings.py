"""
How a plain editor's person hears that a run ended which nobody waited for, and is shown its report.

A client that knows our protocol tells its person itself, from `workflow/statusChanged`; this is for all others.
Invariant: a run's end is told once, by the process that conducted it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import msgspec

from sidestep.language.lenses import state_text
from sidestep.lsp.question_messages import MessageItem
from sidestep.lsp.spawned_tasks import SpawnedTasks
from sidestep.model.abort import AbortKind
from sidestep.model.events import StatusChanged
from sidestep.model.run import TERMINAL, Attention, RunStatus
from sidestep.rpc.errors import PeerError, PeerGone

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.lsp.greeting import Greeting
    from sidestep.lsp.run_report import RunReports
    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord

T = TypeVar("T")

log = logging.getLogger("sidestep.lsp")

OPEN_REPORT = "Open report"
_ERROR, _WARNING, _INFO = 1, 2, 3
_CHOSEN = cast("type[MessageItem | None]", MessageItem | None)


class Peer(Protocol):
    """What is needed of the session."""

    def notify(self, method: str, params: object) -> bool: ...

    async def request(self, method: str, params: object, result_type: type[T]) -> T: ...


class _Shown(msgspec.Struct):
    """The answer to `window/showDocument`."""

    success: bool = False


class RunEndings:
    """One connection's."""

    def __init__(self, peer: Peer, reports: RunReports, greeting: Callable[[], Greeting]) -> None:
        self._peer = peer
        self._reports = reports
        self._greeting = greeting
        self._tasks = SpawnedTasks("run endings", "the end of a run was not told")

    def told(self, committed: Committed) -> None:
        """The listener: one commit, told in order."""
        record = committed.record
        if not (committed.mine and record.is_root and self._greeting().is_plain):
            return
        has_changed = any(isinstance(event.body, StatusChanged) for event in committed.events)
        if has_changed and record.attention is Attention.NOTIFY_ON_TERMINAL and _is_end(record):
            self._tasks.spawn(self._tell(record))

    async def show(self, run: RunRecord) -> None:
        """Open the run's report in the editor; one that shows no documents is told where it is shown."""
        uri = await self._reports.write(run) if self._shows_documents else None
        if uri is not None:
            try:
                params = {"uri": uri, "external": False, "takeFocus": True}
                if (await self._peer.request("window/showDocument", params, _Shown)).success:
                    return
            except PeerGone:
                return
            except PeerError as refused:
                log.info("the client shows no document: %s", refused)
        self._message(_INFO, f"{run.name}: {state_text(run)}. {_how_to_see(run)}")

    def close(self) -> None:
        self._tasks.close()

    @property
    def _shows_documents(self) -> bool:
        return bool(self._greeting().offers("window", "showDocument", "support"))

    async def _tell(self, run: RunRecord) -> None:
        kind = {RunStatus.COMPLETED: _INFO, RunStatus.FAILED: _ERROR}.get(run.status, _WARNING)
        text = f"{run.name} {state_text(run)}"
        if self._greeting().can_be_asked and self._shows_documents:
            params = {"type": kind, "message": text, "actions": [{"title": OPEN_REPORT}]}
            try:
                chosen = await self._peer.request("window/showMessageRequest", params, _CHOSEN)
            except PeerGone:
                return
            except PeerError as refused:
                log.info("the client asks nobody: %s", refused)
            else:
                if chosen is not None and chosen.title == OPEN_REPORT:
                    await self.show(run)
                return
        self._message(kind, f"{text}. {_how_to_see(run)}")

    def _message(self, kind: int, text: str) -> None:
        self._peer.notify("window/showMessage", {"type": kind, "message": text})


def _is_end(run: RunRecord) -> bool:
    """Whether a person wants to hear of it: who interrupted a run knows that it stopped."""
    return run.status in TERMINAL or (run.is_stopped and run.reason == AbortKind.DEADLINE.value)


def _how_to_see(run: RunRecord) -> str:
    return f"See it with: sidestep runs show {run.run_id}"
