"""
Who hears of commits. Used on the event loop only.

Invariant: every listener hears every commit, in commit order; one that raises does not keep it from the others (S8).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.ports import Committed

log = logging.getLogger("sidestep.store")


class Listeners:
    """The listeners of one store."""

    def __init__(self) -> None:
        self._by_token: dict[int, Callable[[Committed], None]] = {}
        self._next_token = 0

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        """Call `listener` with each commit until the returned function is called."""
        token = self._next_token
        self._next_token += 1
        self._by_token[token] = listener

        def unlisten() -> None:
            self._by_token.pop(token, None)

        return unlisten

    def tell(self, committed: Committed) -> None:
        """Call every listener; never raises."""
        for listener in list(self._by_token.values()):
            try:
                listener(committed)
            except Exception:
                # What a listener does with a commit is its own: the commit stands and the others must hear of it.
                log.exception("a listener failed", extra={"run_id": committed.record.run_id})
