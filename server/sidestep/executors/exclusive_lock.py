"""
Exclusive kernel locks between processes, waited for without blocking the event loop.

A lock belongs to the open file description: it ends when every descriptor of it is closed, so that of a process that
dies, and of the children that were given the descriptor. Two tasks of one process exclude each other too.
The files are left in place: to remove one that somebody may be waiting for would let two hold it.
"""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sidestep.executors.durable_files import make_folder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from sidestep.model.abort import AbortSignal

# Nothing in POSIX tells that a lock was let go without blocking a thread on it.
_POLL_S = 0.02


class LockHeld(Exception):
    """Somebody else held the lock for longer than was waited."""


@asynccontextmanager
async def hold_exclusively(
    path: Path, wait_s: float, sleep: Callable[[float], Awaitable[None]], signal: AbortSignal | None = None
) -> AsyncGenerator[int]:
    """
    Hold the lock of a file, which is made when it is missing.

    Args:
        wait_s: How long to wait for whoever holds it, counted in the waits asked of `sleep`; 0 to try once.
        signal: Ends the wait when it fires, and nothing after it.

    Yields:
        The descriptor; closed on exec unless it is handed on.

    Raises:
        LockHeld, Aborted.
    """
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        waited_s = 0.0
        while not _take(descriptor):
            if waited_s >= wait_s:
                raise LockHeld(str(path))
            await (sleep(_POLL_S) if signal is None else signal.race(sleep(_POLL_S)))
            waited_s += _POLL_S
        yield descriptor
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
