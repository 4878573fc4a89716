"""
How asyncio notices that a child has ended: by a descriptor of the process on the event loop, without a thread.

CPython 3.12 does so by itself where the system can. 3.11 has a thread wait for each child, which is 0.12 of a command's
processor time. And that thread reaps: a process's number could be used again long before the loop hears of its end.
Here the loop reaps, and hears of it two turns later.
Rejected: `asyncio.PidfdChildWatcher` of 3.11, which serves one loop only, the main thread's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Self, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Ts = TypeVarTuple("Ts")

log = logging.getLogger("sidestep.executors")

# asyncio's own word for it.
_UNKNOWN_EXIT_CODE = 255


def watch_by_descriptor() -> None:
    """
    Children started from now on are watched by descriptor, where that can be. Idempotent.

    Replaces only what asyncio takes by itself: a program around us that has chosen a watcher keeps its own.
    """
    if sys.platform == "linux" and sys.version_info < (3, 12):
        watcher = asyncio.get_child_watcher()  # pyright: ignore[reportDeprecated] -- 3.11 alone comes here
        if type(watcher) is asyncio.ThreadedChildWatcher:
            asyncio.set_child_watcher(DescriptorWatcher(watcher))  # pyright: ignore[reportDeprecated]


if sys.platform == "linux" and sys.version_info < (3, 12):

    class DescriptorWatcher(asyncio.AbstractChildWatcher):
        """
        Each child is watched on the loop that started it; `otherwise` watches where no descriptor can be had.

        Source: pidfd_open(2), Linux 5.3: the descriptor is readable when the process has ended.
        """

        def __init__(self, otherwise: asyncio.AbstractChildWatcher) -> None:
            self._otherwise = otherwise

        def add_child_handler(self, pid: int, callback: Callable[[int, int, *Ts], object], *args: *Ts) -> None:
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:
                # Too many open files, or a system or a container that does not know it.
                self._otherwise.add_child_handler(pid, callback, *args)
                return
            loop = asyncio.get_running_loop()

            def reap() -> None:
                loop.remove_reader(descriptor)
                os.close(descriptor)
                try:
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                except ChildProcessError:
                    # Reaped by somebody else: asyncio itself while a start is cancelled, or a system that was told to
                    # ignore SIGCHLD. Whoever waits must hear of the end all the same, as with asyncio's own watchers.
                    log.debug("the exit code of child %d is not known any more", pid)
                    code = _UNKNOWN_EXIT_CODE
                callback(pid, code, *args)

            loop.add_reader(descriptor, reap)

        def remove_child_handler(self, pid: int) -> bool:
            """asyncio never asks for this."""
            return False

        def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
            """Every child belongs to its own loop."""

        def is_active(self) -> bool:
            return True

        def close(self) -> None:
            self._otherwise.close()

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is held between two calls."""
