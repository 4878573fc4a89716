"""
Who hears of commits and of deleted runs. Used on the event loop only.

Invariant: every listener hears every commit, in commit order; one that raises does not keep it from the others (S8).
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, TypeVar

from sidestep.model.ports import Committed, Deleted

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.errors import StoreUnavailable

log = logging.getLogger("sidestep.store")

T = TypeVar("T")


class Listeners:
    """The listeners of one store."""

    def __init__(self) -> None:
        self._tokens = itertools.count()
        self._of_commits: dict[int, Callable[[Committed], None]] = {}
        self._of_deleted: dict[int, Callable[[Deleted], None]] = {}
        self._of_availability: dict[int, Callable[[StoreUnavailable | None], None]] = {}
        self._is_away = False

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        """Call `listener` with each commit until the returned function is called."""
        return self._add(self._of_commits, listener)

    def listen_deleted(self, listener: Callable[[Deleted], None]) -> Callable[[], None]:
        """Call `listener` with each deleted run until the returned function is called."""
        return self._add(self._of_deleted, listener)

    def listen_availability(self, listener: Callable[[StoreUnavailable | None], None]) -> Callable[[], None]:
        """Call `listener` when the store stops taking writes, with why, and with None when it takes them again."""
        return self._add(self._of_availability, listener)

    def tell_availability(self, why_not: StoreUnavailable | None) -> None:
        """Call every listener when that is news; never raises."""
        is_away = why_not is not None
        if is_away is not self._is_away:
            self._is_away = is_away
            _tell(self._of_availability, why_not, "")

    def tell(self, told: Committed | Deleted) -> None:
        """Call every listener; never raises."""
        if isinstance(told, Committed):
            _tell(self._of_commits, told, told.record.run_id)
        else:
            _tell(self._of_deleted, told, told.run_id)

    def _add(self, listeners: dict[int, Callable[[T], None]], listener: Callable[[T], None]) -> Callable[[], None]:
        token = next(self._tokens)
        listeners[token] = listener

        def unlisten() -> None:
            listeners.pop(token, None)

        return unlisten


def _tell(listeners: dict[int, Callable[[T], None]], told: T, run_id: str) -> None:
    for listener in list(listeners.values()):
        try:
            listener(told)
        except Exception:
            # What a listener does with a commit is its own: the commit stands and the others must hear of it.
            log.exception("a listener failed", extra={"run_id": run_id})
