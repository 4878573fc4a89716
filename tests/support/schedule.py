"""
Orders forced by named points: whoever reaches a point parks, and a seeded chooser says who goes on next.

The chooser acts only when the event loop has nothing else to do, so a seed gives the same order every time, without a
sleep. Work in threads is waited for (`outside`); time jumps when nobody is parked, or when the chooser says so.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")

# How eagerly a point is crossed; each name draws one per schedule, so that some points are slow in some schedules.
_WEIGHTS = (0.02, 0.3, 1.0, 1.0, 8.0)

# The jump of time when nobody can go on, and how many in a row mean that nobody ever will.
_JUMP_S = 0.5
_JUMPS_MAX = 100

# A schedule crosses some hundred points; so many mean that somebody goes round in circles.
_POINTS_MAX = 3000

# Where time flows, how eagerly it does, beside the points.
_TIME_WEIGHT = 0.1


class Stuck(AssertionError):
    """Nobody is parked, nothing runs, and time changes nothing: somebody waits for what will not come."""


class Advances(Protocol):
    """A clock that stands still."""

    def advance(self, seconds: float) -> None: ...


class Schedule:
    """
    Args:
        seed: Decides every choice.
        clock: Is advanced when nobody is parked.
        time_flows: Time passing is a choice like any other; else it passes only when nothing else can happen.
    """

    def __init__(self, seed: int, clock: Advances, *, time_flows: bool = False) -> None:
        self.random = random.Random(seed)
        self._clock = clock
        self._time_flows = time_flows
        self._parked: dict[int, tuple[str, Callable[[], object]]] = {}
        self._weights: dict[str, float] = {}
        self._awaited: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._tokens = 0
        self._outside = 0
        self._jumps = 0
        # The points in the order they were crossed, for people.
        self.crossed: list[str] = []
        # Looked at before every choice; raises when something is wrong already.
        self.inspect: Callable[[], None] = lambda: None

    def park(self, name: str, action: Callable[[], object]) -> int:
        """Do `action` when the chooser says so; returns what `unpark` takes."""
        self._tokens += 1
        self._parked[self._tokens] = (name, action)
        return self._tokens

    def unpark(self, token: int) -> None:
        self._parked.pop(token, None)

    def gate(self, name: str) -> asyncio.Future[None]:
        """A future that is done when the chooser says so; cancelling it takes it away."""
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        token = self.park(name, lambda: passed.done() or passed.set_result(None))
        passed.add_done_callback(lambda _: self.unpark(token))
        return passed

    async def point(self, name: str) -> None:
        """Park here."""
        await self.gate(name)

    async def outside(self, work: Awaitable[T]) -> T:
        """Await work that goes on in a thread: nobody is chosen meanwhile."""
        self._outside += 1
        try:
            return await work
        finally:
            self._outside -= 1

    async def until(self, claim: Callable[[], bool]) -> None:
        """Wait until a claim is true when the loop has nothing to do."""
        became: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append((claim, became))
        await became

    def is_idle(self) -> bool:
        """True when nothing goes on outside, so that a choice would be the same every time."""
        return self._outside == 0

    def choose(self) -> bool:
        """The loop has nothing to do: let one go on. False when something outside is still to come."""
        self.inspect()
        if not self.is_idle():
            return False
        for awaited in self._awaited:
            claim, became = awaited
            if claim():
                self._awaited.remove(awaited)
                became.done() or became.set_result(None)
                return True
        if not self._parked:
            self._jumps += 1
            if self._jumps > _JUMPS_MAX:
                raise Stuck(f"nobody can go on; the last points: {self.crossed[-30:]}")
            self._clock.advance(_JUMP_S)
            return True
        self._jumps = 0
        if len(self.crossed) > _POINTS_MAX:
            raise Stuck(f"this never ends; the last points: {self.crossed[-10:]}")
        tokens = list(self._parked)
        weights = [self._weight(self._parked[token][0]) for token in tokens]
        if self._time_flows and self.random.random() * (sum(weights) + _TIME_WEIGHT) < _TIME_WEIGHT:
            self.crossed.append("time")
            self._clock.advance(self.random.choice((0.5, 2.5, 5.0)))
            return True
        (token,) = self.random.choices(tokens, weights)
        self.cross(token)
        return True

    def parked(self) -> list[tuple[int, str]]:
        """Who is parked, oldest first: what `cross` takes, and the point's name."""
        return [(token, name) for token, (name, _) in self._parked.items()]

    def cross(self, token: int) -> None:
        """Let this one go on."""
        name, action = self._parked.pop(token)
        self.crossed.append(name)
        action()

    def let_go(self) -> bool:
        """The schedule is over: everybody may go on, so that what is left can be cancelled."""
        parked, self._parked = list(self._parked.values()), {}
        for _, action in parked:
            action()
        return bool(parked)

    def weigh(self, name: str, weight: float) -> None:
        """How eagerly a point is crossed; 1 is usual."""
        self._weights[name] = weight

    def _weight(self, name: str) -> float:
        weight = self._weights.get(name)
        if weight is None:
            weight = self._weights[name] = self.random.choice(_WEIGHTS)
        return weight


class _IdleSelector(selectors.DefaultSelector):
    """Tells when the loop has nothing to do but wait."""

    idle: Callable[[], bool] | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self.idle is not None and (timeout is None or timeout > 0) and self.idle():
            timeout = 0
        return super().select(timeout)


class InlineExecutor(ThreadPoolExecutor):
    """`asyncio.to_thread` without a thread: done at once, so that the order is always the same."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # Handed to whoever waits, as a thread would.
            done.set_exception(error)
        return done


class Stage:
    """An event loop on which schedules are run one after another. Use as `with Stage() as stage`."""

    def __init__(self) -> None:
        self._selector = _IdleSelector()
        self._runner = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(self._selector), debug=False)

    def __enter__(self) -> Stage:
        self._runner.get_loop().set_default_executor(InlineExecutor(max_workers=1))
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def run(self, schedule: Schedule, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, with the schedule deciding whenever the loop has nothing to do."""
        self._selector.idle = schedule.choose
        try:
            return self._runner.run(work)
        finally:
            self._selector.idle = schedule.let_go

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run what belongs to no schedule, such as closing what several of them shared."""
        return self._runner.run(work)
