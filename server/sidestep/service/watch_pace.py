"""
How often this process looks for what other processes commit (I9, J10).

Owns the one answer to "how urgent is it", from what the rest of the service says about itself, and tells the store when
that answer changes; looking is the store's, and who is told of a finding is `listeners.py`'s.

    runs active here, waits for others' runs, followers    -> busy   (`watch_busy_ms`)
    none of them, but an open folder                       -> idle   (`watch_idle_ms`)
    nothing at all                                         -> rest   (not looked at)

Invariant: the store is told only when the pace changes, however often the counts do.
Invariant: everything here happens on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace(enum.Enum):
    """How often other processes' work is looked for."""

    BUSY = True  # Somebody here waits for what another process may do: an interrupt, a result, an event.
    IDLE = False  # A folder is open: its runs in other windows are shown, a little later.
    REST = None  # Nobody here would be told.


class WatchPace:
    """Told of what goes on in the process; tells `watch` how often to look. Rests until something is told."""

    def __init__(self, watch: Callable[[bool | None], asyncio.Future[object]]) -> None:
        """
        Args:
            watch: `RunStore.watch`: True busy, False idle, None not at all; its future ends when that is in force.
        """
        self._watch = watch
        self._runs = 0
        self._folders = 0
        self._expecting = 0
        self._pace = Pace.REST
        self._in_force: asyncio.Future[object] | None = None
        self._awake = asyncio.Event()
        self._is_closed = False

    @property
    def pace(self) -> Pace:
        return self._pace

    def runs_active(self, count: int) -> None:
        """So many runs are active in this process now: another process may interrupt any of them (I9)."""
        assert count >= 0, "a count is not negative"
        self._runs = count
        self._settle()

    def folders_open(self, count: int) -> None:
        """So many workspace folders are open in this process now."""
        assert count >= 0, "a count is not negative"
        self._folders = count
        self._settle()

    def expect_others(self) -> Callable[[], None]:
        """
        Somebody waits for another process's run or lease, or follows a run (J10).

        Returns:
            The function that ends this; calling it again does nothing.
        """
        self._expecting += 1
        self._settle()
        is_over = False

        def rest() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._expecting -= 1
                self._settle()

        return rest

    async def in_force(self) -> None:
        """
        Wait until the store looks at the pace told last: from then on nothing that is committed is missed.

        Who waits for a commit of another process awaits this between `expect_others` and reading the row.
        """
        if self._in_force is not None:
            await asyncio.shield(self._in_force)

    async def awake(self) -> None:
        """Wait until there is a reason to look; at once while there is one. May be cancelled."""
        await self._awake.wait()

    def close(self) -> None:
        """Tell the store nothing any more: it is being closed."""
        self._is_closed = True

    def _settle(self) -> None:
        pace = self._needed()
        if pace is self._pace or self._is_closed:
            return
        self._pace = pace
        if pace is Pace.REST:
            self._awake.clear()
        else:
            self._awake.set()
        self._in_force = self._watch(pace.value)

    def _needed(self) -> Pace:
        if self._runs or self._expecting:
            return Pace.BUSY
        return Pace.IDLE if self._folders else Pace.REST
