"""
The one thread of a simulation: an event loop that says when it is idle, and a clock that goes from wake-up to wake-up.

Invariant: nothing here waits for real time, and work for threads is done at once, so a seed gives one schedule.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

# A system that goes on for so many turns without any time passing never comes to rest.
_TURNS_MAX = 50_000


class _AtOnce(ThreadPoolExecutor):
    """Does in the caller's thread what is meant for a thread of its own."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop without threads."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(_AtOnce(max_workers=1))

    @property
    def is_idle(self) -> bool:
        """True when, but for the caller, nothing can go on before time passes or somebody does something."""
        return not self._ready

    async def settle(self, turns: int | None = None) -> None:
        """Let everything go on that can: for so many turns, or until the loop is idle."""
        for _ in range(_TURNS_MAX if turns is None else turns):
            await asyncio.sleep(0)
            if self.is_idle:
                return
        assert turns is not None, "the system comes to rest"


class SimulatedClock(FakeClock):
    """A clock that never jumps over a wake-up."""

    async def pass_time(self, seconds: float, loop: SimulatedLoop) -> None:
        """Go on by `seconds`, and let everything happen at its time."""
        until_ms = self.now_ms() + round(seconds * 1000)
        while (wake_ms := self._next_wake()) is not None and wake_ms <= until_ms:
            self.advance((wake_ms - self.now_ms()) / 1000)
            await loop.settle()
        self.advance((until_ms - self.now_ms()) / 1000)
        await loop.settle()

    def _next_wake(self) -> int | None:
        return min((at_ms for at_ms, _, woken in self._sleepers if not woken.done()), default=None)
