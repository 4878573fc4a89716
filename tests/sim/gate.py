"""
The border of one simulated process: what it asks of the world, and what the world tells it, passes one gate.

A shut gate is a process that got SIGSTOP: nothing it asks is done, nothing it is told arrives; when the gate opens, all
of it happens in its order. A gate that never opens again is a process that got SIGKILL.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import StoreUnavailable
from sidestep.model.writes import Claim

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.model.ports import Clock, Committed, Deleted, RunStore
    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Append, Write


class Gate:
    """Open, or shut for now, or (`is_dead`) for ever."""

    def __init__(self) -> None:
        self.is_open = True
        self.is_dead = False
        self._parked: deque[Callable[[], object]] = deque()

    def shut(self) -> None:
        self.is_open = False

    def open(self, parked_max: int | None = None) -> None:
        """Let what waits happen, in order; after `parked_max` of it the gate is still shut for the rest."""
        assert not self.is_dead, "nobody wakes the dead"
        while self._parked:
            if parked_max is not None:
                if parked_max == 0:
                    return
                parked_max -= 1
            self._parked.popleft()()
        self.is_open = True

    def kill(self) -> None:
        self.is_open, self.is_dead = False, True
        self._parked.clear()

    def do(self, work: Callable[[], object]) -> None:
        """Do it now, or when the gate opens."""
        if self.is_open:
            work()
        elif not self.is_dead:
            self._parked.append(work)

    async def passed(self) -> None:
        """Wait until the gate is open."""
        if self.is_open:
            return
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.is_dead:
            self._parked.append(lambda: opened.done() or opened.set_result(None))
        await opened

    async def through(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask, and take the answer, on this side of the gate."""
        await self.passed()
        try:
            return await ask()
        finally:
            await self.passed()


class GatedClock:
    """The world's clock, as a process sees it that may be stopped."""

    def __init__(self, clock: Clock, gate: Gate) -> None:
        self._clock = clock
        self._gate = gate

    def now_ms(self) -> int:
        return self._clock.now_ms()

    async def sleep_until(self, at_ms: int) -> None:
        await self._clock.sleep_until(at_ms)
        await self._gate.passed()

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.now_ms() + round(seconds * 1000))


class GatedStore:
    """A `RunStore` behind a gate; `enter` runs a listener as a part of its process."""

    def __init__(self, inner: RunStore, gate: Gate, enter: Callable[[Callable[[], object]], object]) -> None:
        self._inner = inner
        self._gate = gate
        self._enter = enter

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        return self._inner.listen(lambda told: self._gate.do(lambda: self._enter(lambda: listener(told))))

    def listen_deleted(self, listener: Callable[[Deleted], None]) -> Callable[[], None]:
        return self._inner.listen_deleted(lambda told: self._gate.do(lambda: self._enter(lambda: listener(told))))

    def write_lazily(self, write: Append) -> asyncio.Future[RunRecord]:
        answer: asyncio.Future[RunRecord] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)

        def pass_on(written: asyncio.Future[RunRecord]) -> None:
            if answer.done() or written.cancelled():
                return
            error = written.exception()
            if error is None:
                answer.set_result(written.result())
            else:
                answer.set_exception(error)

        def send() -> None:
            try:
                written = self._inner.write_lazily(write)
            except StoreUnavailable as away:
                answer.set_exception(away)
            else:
                written.add_done_callback(lambda done: self._gate.do(lambda: pass_on(done)))

        self._gate.do(send)
        return answer

    def watch(self, busy: bool | None) -> object:
        if not self._gate.is_dead:
            return self._inner.watch(busy)
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return never

    async def write(self, write: Write) -> RunRecord:
        record = await self._gate.through(lambda: self._inner.write(write))
        if isinstance(write, Claim):
            assert record.epoch >= write.expected_epoch + 1, f"the claim {write} answers {record}"
            assert record.claim_epoch == write.expected_epoch + 1, f"the claim {write} is no compare-and-set: {record}"
        return record

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Every other method of the port is a question that is awaited."""
        ask = getattr(self._inner, name)

        async def through_gate(*given: Any, **named: Any) -> Any:
            return await self._gate.through(lambda: ask(*given, **named))

        return through_gate
