"""
Exclusive kernel locks on open files, held until the descriptor is closed or its process is gone.

POSIX uses flock, which belongs to the open file description: closing another descriptor of the file in the same
process does not drop it, as it would with fcntl locks. Windows locks one byte far behind the content, so that the
content stays readable.
"""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30

    def hold_lock(descriptor: int) -> None:
        """Take the lock; waits for a moment while somebody tests it."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def is_locked(descriptor: int) -> bool:
        """Whether another description of the file holds the lock. `descriptor` is closed soon after."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return True
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        return False

else:
    import fcntl

    def hold_lock(descriptor: int) -> None:
        """Take the lock; waits for a moment while somebody tests it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def is_locked(descriptor: int) -> bool:
        """Whether another description of the file holds the lock. `descriptor` is closed soon after."""
        # A shared lock: two processes that test at the same time must not take each other for the owner.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
