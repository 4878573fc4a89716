"""
When a script's problems are told to the client: at once when it is opened, and a pause after the last key.

Owns the pace and the order. Checking happens in a thread, one at a time for each document. Invariant: what is told of a
version is never told after that of a later one, and nothing but an empty list after the document is closed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.language.document import Document, Snapshot

# What is found when a script is checked.
Found = TypeVar("Found")

log = logging.getLogger("sidestep.lsp")


class Timer(Protocol):
    """A call that is due."""

    def cancel(self) -> None: ...


class _Watched:
    """One open document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.timer: Timer | None = None
        self.checking: asyncio.Task[None] | None = None
        # Changed while it was being checked, and the pause is over.
        self.is_due = False


class PushedDiagnostics(Generic[Found]):
    """The problems of every open script. Lives on the event loop's thread."""

    def __init__(
        self,
        diagnose: Callable[[Snapshot], Found],
        publish: Callable[[str, tuple[Snapshot, Found] | None], None],
        call_later: Callable[[float, Callable[[], None]], Timer],
        *,
        debounce_s: float,
    ) -> None:
        """
        Args:
            diagnose: Asked in a thread.
            publish: Told the URI, and what was checked with what was found; None when it is closed.
            call_later: The event loop's.
            debounce_s: How long the pause is.
        """
        self._diagnose = diagnose
        self._publish = publish
        self._call_later = call_later
        self._debounce_s = debounce_s
        self._watched: dict[str, _Watched] = {}

    def open(self, uri: str, document: Document) -> None:
        """Check a document that was opened, at once."""
        self.close(uri)
        self._watched[uri] = _Watched(document)
        self._check(uri)

    def changed(self, uri: str) -> None:
        """Check a document when nothing was typed for a while."""
        watched = self._watched[uri]
        if watched.timer is not None:
            watched.timer.cancel()
        watched.timer = self._call_later(self._debounce_s, lambda: self._check(uri))

    def again(self, uri: str) -> None:
        """Check an open document anew: what it is checked against has changed."""
        self._check(uri)

    def close(self, uri: str) -> None:
        """Take a document's problems down."""
        watched = self._watched.pop(uri, None)
        if watched is not None:
            _stop(watched)
            self._publish(uri, None)

    def close_all(self) -> None:
        """Check nothing any more; nothing is told."""
        for watched in self._watched.values():
            _stop(watched)
        self._watched.clear()

    def _check(self, uri: str) -> None:
        watched = self._watched.get(uri)
        if watched is None:
            return
        watched.timer = None
        if watched.checking is not None:
            watched.is_due = True
            return
        watched.checking = asyncio.get_running_loop().create_task(self._checked(uri, watched), name="diagnostics")

    async def _checked(self, uri: str, watched: _Watched) -> None:
        snapshot = watched.document.snapshot
        try:
            told = (snapshot, await asyncio.to_thread(self._diagnose, snapshot))
        except Exception:  # The edge of a background task: the next key is another chance.
            log.exception("%s cannot be checked", uri)
            told = None
        # A document that was closed meanwhile has this task cancelled, so nothing is told of it from here on.
        watched.checking = None
        # What was typed over meanwhile is not told: its pause will come.
        if told is not None and watched.document.snapshot is snapshot:
            self._publish(uri, told)
        if watched.is_due:
            watched.is_due = False
            self._check(uri)


def _stop(watched: _Watched) -> None:
    if watched.timer is not None:
        watched.timer.cancel()
    if watched.checking is not None:
        watched.checking.cancel()
