"""
Who is told about commits and deleted runs: a hub between the store and everybody who shows runs.

Invariant: a listener that raises hurts nobody else (S8); listeners do not block, they queue.
Invariant: commits are told in commit order, so per run event n comes before n+1 (G2).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sidestep.model.errors import RunNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.ports import Committed, Deleted, RunStore
    from sidestep.model.run import RunRecord

log = logging.getLogger("sidestep.listeners")


class Listeners:
    """Fans commits out, and lets callers wait for a commit."""

    def __init__(self, store: RunStore) -> None:
        self._listeners: dict[int, Callable[[Committed], None]] = {}
        self._next = 0
        self._expected: dict[str, list[tuple[Callable[[RunRecord], bool], asyncio.Future[RunRecord]]]] = {}
        self._of_deleted: dict[int, Callable[[Deleted], None]] = {}
        self._unlisten = (store.listen(self._publish), store.listen_deleted(self._publish_deleted))

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        """Tell `listener` every commit from now on; returns the function that ends it."""
        token = self._next
        self._next += 1
        self._listeners[token] = listener

        def unlisten() -> None:
            self._listeners.pop(token, None)

        return unlisten

    def listen_deleted(self, listener: Callable[[Deleted], None]) -> Callable[[], None]:
        """Tell `listener` every root run that is deleted from now on; returns the function that ends it."""
        token = self._next
        self._next += 1
        self._of_deleted[token] = listener

        def unlisten() -> None:
            self._of_deleted.pop(token, None)

        return unlisten

    def expect(self, run_id: str, wanted: Callable[[RunRecord], bool]) -> asyncio.Future[RunRecord]:
        """
        A future of the first commit to `run_id` from now on whose row is `wanted`; `RunNotFound` when it is deleted.

        Read the row *after* calling this, and cancel the future when it is no longer needed.
        """
        found: asyncio.Future[RunRecord] = asyncio.get_running_loop().create_future()
        expected = (wanted, found)
        self._expected.setdefault(run_id, []).append(expected)

        def forget(_: asyncio.Future[RunRecord]) -> None:
            left = [each for each in self._expected.get(run_id, ()) if each is not expected]
            if left:
                self._expected[run_id] = left
            else:
                self._expected.pop(run_id, None)

        found.add_done_callback(forget)
        return found

    def close(self) -> None:
        for unlisten in self._unlisten:
            unlisten()
        self._listeners.clear()
        self._of_deleted.clear()

    def _publish(self, committed: Committed) -> None:
        for listener in list(self._listeners.values()):
            try:
                listener(committed)
            except Exception:
                log.exception("%s: a listener failed", committed.record.run_id)
        for wanted, found in self._expected.get(committed.record.run_id, ()):
            if not found.done() and wanted(committed.record):
                found.set_result(committed.record)

    def _publish_deleted(self, deleted: Deleted) -> None:
        for listener in list(self._of_deleted.values()):
            try:
                listener(deleted)
            except Exception:
                log.exception("%s: a listener failed", deleted.run_id)
        for _, found in self._expected.get(deleted.run_id, ()):
            if not found.done():
                # Stopped and deleted between two looks of ours: nothing is left to wait for.
                found.set_exception(RunNotFound(run_id=deleted.run_id))
                found.exception()
