"""
The opening of an execution: a session for its script, and the script's first turn.

Neither leaves the sandbox, so they need not wait until it is durable whose run it is: those of a new run are under way
while it is being created. What the turn asks for is done, and journaled, by the runner alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import KnownAnswer, Program, Sandbox, SandboxSession, Turn


class Opening:
    """
    Begins at once, on the event loop. Whoever made it, or was given it, closes it.

    When `signal` fires, the script is stopped, whatever it does then or would do later.
    """

    def __init__(
        self, sandbox: Sandbox, program: Program, signal: AbortSignal, known: KnownAnswer | None = None
    ) -> None:
        self._signal = signal
        self._session: SandboxSession | None = None
        # Until it is asked for: a turn may be large, and is not kept as long as the run lives.
        self._first: tuple[SandboxSession, Turn] | None = None
        self._taking = asyncio.get_running_loop().create_task(self._take(sandbox, program, known), name="opening")
        self._unlisten = signal.listen(lambda _: self._stop())

    async def first_turn(self) -> tuple[SandboxSession, Turn]:
        """
        The session, and what its first turn brought; to be asked once.

        Raises:
            Aborted: the signal fired first.
        """
        await self._signal.race(self._taking)
        first, self._first = self._first, None
        assert first is not None, "the first turn is given once"
        return first

    async def close(self) -> None:
        """Stop the script, also in the middle of a turn, and wait until nothing of it goes on. Idempotent."""
        self._unlisten()
        self._stop()
        if not self._taking.done():
            await asyncio.wait([self._taking])
        if self._session is not None:
            await self._session.close()

    def _stop(self) -> None:
        self._taking.cancel()
        if self._session is not None:
            self._session.kill()

    async def _take(self, sandbox: Sandbox, program: Program, known: KnownAnswer | None) -> None:
        self._session = session = await sandbox.open(program, known)
        self._first = session, await session.start()
