"""
The client's process, watched because a grandchild of it may hold our pipes open after its death.

A pid that was never visible (a container's, another machine's) is not watched. A pid taken again by a later process is
not the client, and a zombie is no process: where nobody reaps, it stays for ever.
"""

from __future__ import annotations

import asyncio
import os

from sidestep.executors.process_group import living_since


class ClientProcess:
    """One process, told from later ones with its number by when it started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._since = living_since(pid) if pid > 0 else None
        self._is_our_parent = pid == os.getppid()

    @property
    def is_visible(self) -> bool:
        """Whether it could be seen when we began to look."""
        return self._since is not None

    @property
    def is_gone(self) -> bool:
        # Our parent's end is seen even where the process table is not shown.
        return (self._is_our_parent and os.getppid() != self.pid) or living_since(self.pid) != self._since

    async def wait_gone(self, poll_s: float) -> None:
        """Wait for its end; must have been visible. May be cancelled."""
        assert self.is_visible, "what was never seen cannot be seen to go"
        while not self.is_gone:  # noqa: ASYNC110 -- the system has no event for a process that is not our child
            await asyncio.sleep(poll_s)
