"""
Keeps apart, over all processes, that what an ended run left is removed and that the run goes on.

Whoever removes looks at the run under a lock, and so sees a claim that was committed before; whoever goes on has its
claim committed first, and waits then for a removal that had not seen it. Work itself holds nothing: from its claim on,
no removal begins.

The locks are a fixed number of files, shared by runs: one for each run would stay for ever.
"""

from __future__ import annotations

import binascii
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sidestep.executors.exclusive_lock import hold_exclusively

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from sidestep.model.abort import AbortSignal

LOCKS = 64
# Git removes a large worktree.
_LOCK_WAIT_S = 60.0


class RunRemovals:
    """
    Args:
        locks: A folder for the lock files; made when missing.
        sleep: Waits a number of seconds, really.
    """

    def __init__(self, locks: Path, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._locks = locks
        self._sleep = sleep

    @asynccontextmanager
    async def removing(self, run_id: str) -> AsyncGenerator[None]:
        """Around a look at the run and the removal. Raises LockHeld after a minute."""
        async with hold_exclusively(self._lock_of(run_id), _LOCK_WAIT_S, self._sleep):
            yield

    async def passed(self, run_id: str, signal: AbortSignal) -> None:
        """
        Wait until nobody removes what the run left, before its work begins. Raises Aborted.

        As long as it takes: a process that dies lets go, and who shares the lock may have a large run to remove.
        """
        async with hold_exclusively(self._lock_of(run_id), math.inf, self._sleep, signal):
            return

    def _lock_of(self, run_id: str) -> Path:
        return self._locks / f"runs-{binascii.crc32(run_id.encode()) % LOCKS:02}.lock"
