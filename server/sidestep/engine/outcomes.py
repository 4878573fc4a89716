"""
The way of an outcome into the journal and to the script.

An outcome that is written alone is given to the script while its commit is under way: a turn of the sandbox and a
commit, the two longest parts of a step, then take place at once. What the script does with it stays in the sandbox
until the outcome is durable: `runner.py` waits for that before it takes the calls of the turn. A commit that the fence
refuses ends the execution, and the turn with it.

Invariant: what follows from an outcome is begun, journaled and told only after that outcome is durable.
Invariant: an outcome given ahead is the next one in the journal, because no other of this execution is written before
it is durable, however long the store is away meanwhile (J3). Those that arrive then go together, in one commit.
Source: Nightingale et al., "Rethink the Sync" (OSDI 2006): waiting is due where the world could see, not before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidestep.engine.journal_writer import JournalWriter
    from sidestep.engine.replay import Deliveries
    from sidestep.model.events import StepChanged
    from sidestep.model.execution import Settled
    from sidestep.model.writes import StepOutput


class Outcomes:
    """The outcomes of one execution's steps."""

    def __init__(self, writer: JournalWriter, deliveries: Deliveries) -> None:
        self._writer = writer
        self._deliveries = deliveries
        self._being_written = 0
        # Arrived while others were written; oldest first.
        self._waiting: list[asyncio.Future[None]] = []

    async def journal(self, body: StepChanged, settled: Settled, output: StepOutput | None = None) -> None:
        """
        Write an outcome, durable on return, and give the script its answer.

        Raises:
            Aborted: the claim is over.
        """
        await self._admitted()
        try:
            if self._being_written > 1:
                self._deliveries.put(settled, await self._writer.write(body, output))
                return
            # No waiting between these two: the next write of this execution must not come first.
            self._deliveries.put_ahead(settled)
            self._deliveries.confirm(settled.call_id, await self._writer.write(body, output))
        finally:
            self._left()

    async def _admitted(self) -> None:
        if self._being_written == 0:
            self._being_written = 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._left()
            raise

    def _left(self) -> None:
        self._being_written -= 1
        if self._being_written == 0:
            admitted = [turn for turn in self._waiting if not turn.cancelled()]
            self._waiting.clear()
            self._being_written = len(admitted)
            for turn in admitted:
                turn.set_result(None)
