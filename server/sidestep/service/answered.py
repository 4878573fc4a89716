"""
Who waits for the answer to which question, in this process.

Invariant: the answer itself is read from the store; what is handed on here is only that there is one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.model.events import InteractionChanged, InteractionStatus

if TYPE_CHECKING:
    from sidestep.model.ports import Committed, RunStore


class AnsweredQuestions:
    """The `Answered` port: one listener on commits, also other processes', for any number that wait."""

    def __init__(self, store: RunStore) -> None:
        self._expected: dict[str, set[asyncio.Future[None]]] = {}
        # As long as the store lives, which this does not outlive.
        store.listen(self._hear)

    def expect(self, interaction_id: str) -> asyncio.Future[None]:
        """See `engine/questions.py`."""
        found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._expected.setdefault(interaction_id, set()).add(found)

        def forget(_: asyncio.Future[None]) -> None:
            waiting = self._expected.get(interaction_id, set())
            waiting.discard(found)
            if not waiting:
                self._expected.pop(interaction_id, None)

        found.add_done_callback(forget)
        return found

    def _hear(self, committed: Committed) -> None:
        if not self._expected:
            return
        for event in committed.events:
            body = event.body
            if isinstance(body, InteractionChanged) and body.status is InteractionStatus.ANSWERED:
                for found in tuple(self._expected.get(body.interaction_id, ())):
                    if not found.done():
                        found.set_result(None)
