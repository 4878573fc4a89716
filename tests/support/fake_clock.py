"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq


class FakeClock:
    """Implements `model.ports.Clock`; `advance` wakes sleepers in the order of their times."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._slept = asyncio.Condition()

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep_until(self, at_ms: int) -> None:
        if at_ms <= self._now_ms:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (at_ms, self._count, woken))
        async with self._slept:
            self._slept.notify_all()
        await woken

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self._now_ms + round(seconds * 1000))

    async def sleeper(self, seconds: float) -> None:
        """Wait until somebody sleeps whose time is up in exactly `seconds`."""
        async with self._slept:
            await self._slept.wait_for(
                lambda: any(at == self._now_ms + round(seconds * 1000) and not f.done() for at, _, f in self._sleepers)
            )

    def advance(self, seconds: float) -> None:
        """Move time; whoever's time is up goes on."""
        self._now_ms += round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)
