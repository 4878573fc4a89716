"""
How long one step has worked, and its places among those that work at once.

A step that waits for a person does not work: its clock stands, so no limit of its own ends the waiting (T1), and its
places are others'. What it was answered is handed on when it has places again; that waiting does not count either.

Invariant: places are taken in the order given, and all given back when the block ends.
Rejected: keeping the places. A question that nobody answers over night would keep every other agent from working.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sidestep.model.abort import AbortSignal
    from sidestep.model.ports import Clock


class WorkTime:
    """One execution of a step, from the moment it has its places. Use as `async with`."""

    def __init__(self, places: Sequence[asyncio.Semaphore], signal: AbortSignal, clock: Clock) -> None:
        """
        Args:
            signal: The step's: when it fires, nobody waits for a place any more.
        """
        self._places = places
        self._signal = signal
        self._clock = clock
        self._held: list[asyncio.Semaphore] = []
        self._began_ms = 0
        # Milliseconds it stood before, and since when it stands now.
        self._stood_before_ms = 0
        self._stands_since_ms: int | None = None
        self._works = asyncio.Event()
        # Questions that wait for a person now.
        self._questions = 0
        self._is_coming_back = False

    async def __aenter__(self) -> WorkTime:
        """Wait for a place of each; that time is not the step's own. Raises Aborted."""
        try:
            await self._take()
        except BaseException:
            self._give_back()
            raise
        self._began_ms = self._clock.now_ms()
        self._works.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    @property
    def elapsed_ms(self) -> int:
        """How long it has worked, by the wall clock; 0 when that was set back behind its beginning."""
        return max(0, self._clock.now_ms() - self._began_ms - self._stood_ms)

    async def until(self, seconds: float) -> None:
        """Wait until it has worked that long. May be cancelled."""
        left_ms = round(seconds * 1000) - self.elapsed_ms
        while left_ms > 0:
            elapsed_ms, stood_ms = self.elapsed_ms, self._stood_ms
            await self._clock.sleep(left_ms / 1000)
            if self._stood_ms == stood_ms:
                # Whatever the wall clock was set to meanwhile.
                return
            left_ms -= max(0, self.elapsed_ms - elapsed_ms)
            await self._works.wait()

    @asynccontextmanager
    async def for_person(self) -> AsyncGenerator[None]:
        """Around waiting for a person. Raises Aborted when the step is aborted, also while it waits for its places."""
        self._questions += 1
        if self._questions == 1 and not self._is_coming_back:
            self._stand()
        try:
            yield
        except BaseException:
            # Nobody wants the answer any more. Who ends must not wait for a place that another has for hours; an agent
            # that withdrew its question works on in the places that are free.
            self._questions -= 1
            if not self._questions and not self._is_coming_back:
                await self._take_free()
                self._go_on()
            raise
        self._questions -= 1
        if not self._questions:
            await self._come_back()

    async def _come_back(self) -> None:
        if self._is_coming_back:
            await self._signal.race(self._works.wait())
            return
        self._is_coming_back = True
        try:
            await self._take()
        finally:
            self._is_coming_back = False
            if self._questions:
                # Another one was asked meanwhile.
                self._give_back()
            else:
                self._go_on()

    async def _take(self) -> None:
        self._signal.throw_if_aborted()
        for place in self._places:
            if place.locked():
                await self._signal.race(self._hold(place))
            else:
                await self._hold(place)

    async def _take_free(self) -> None:
        for place in self._places:
            if not place.locked():
                await self._hold(place)

    async def _hold(self, place: asyncio.Semaphore) -> None:
        # In one piece: whoever is cancelled at this moment has the place, and gives it back.
        await place.acquire()
        self._held.append(place)

    def _give_back(self) -> None:
        while self._held:
            self._held.pop().release()

    def _stand(self) -> None:
        self._give_back()
        self._stands_since_ms = self._clock.now_ms()
        self._works.clear()

    def _go_on(self) -> None:
        self._stood_before_ms, self._stands_since_ms = self._stood_ms, None
        self._works.set()

    @property
    def _stood_ms(self) -> int:
        since_ms = self._stands_since_ms
        return self._stood_before_ms + (0 if since_ms is None else self._clock.now_ms() - since_ms)
