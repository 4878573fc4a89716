"""
Threads that work for the event loop: any free one takes the next call.

A turn of the sandbox costs a hand-over to such a thread and one back, which is why this is not `ThreadPoolExecutor`:
that one keeps a lock and a condition for each call and chains two futures, at twice the processor time.

Invariant: a call that was withdrawn never runs, and one that runs is never withdrawn.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class ThreadedCall(Generic[T]):
    """A call on its way to a thread, or in one; await `answer` for what it brings. Made by `CallThreads`."""

    def __init__(self, work: Callable[[], T], ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self._loop.create_future()
        self._work = work
        self._ended = ended
        # Whoever empties it decides what becomes of the call; `pop` is atomic.
        self._undecided = [None]
        self._is_over = False
        self._when_over: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """True when no thread is in it any more; `answer` may be done earlier, by whoever awaits it being cancelled."""
        return self._is_over

    def when_over(self, do: Callable[[], None]) -> None:
        """Call `do` when it is over, now if it is. At most one for each call."""
        assert self._when_over is None, "one waits for the end"
        if self._is_over:
            do()
        else:
            self._when_over = do

    def withdraw(self) -> None:
        """Cancel the answer, unless a thread has begun."""
        if self._decide():
            self.answer.cancel()
            self._end()

    def run(self) -> None:
        """Called in a thread."""
        if not self._decide():
            return
        try:
            settle = partial(self._settle, self._work())
        except BaseException as error:
            # Raised where the answer is awaited: whatever it is, it must not end the thread.
            settle = partial(self._fail, error)
        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:
            # The loop is closed, and nobody waits any more.
            return

    def _decide(self) -> bool:
        try:
            self._undecided.pop()
        except IndexError:
            return False
        return True

    def _settle(self, value: T) -> None:
        self._end()
        if not self.answer.done():
            self.answer.set_result(value)

    def _fail(self, error: BaseException) -> None:
        self._end()
        if not self.answer.done():
            self.answer.set_exception(error)

    def _end(self) -> None:
        self._ended()
        self._is_over = True
        if self._when_over is not None:
            self._when_over()


class CallThreads:
    """At most `threads_max` daemon threads, one more whenever all are busy. Used on the event loop only."""

    def __init__(self, threads_max: int, name: str) -> None:
        self._threads_max = threads_max
        self._name = name
        self._queue: queue.SimpleQueue[ThreadedCall[Any] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0

    def have_one(self) -> None:
        """From then on `submit` never refuses."""
        if not self._threads:
            self._start_one()

    def submit(self, work: Callable[[], T]) -> ThreadedCall[T]:
        """
        Raises:
            RuntimeError: there is no thread yet, and the system has none.
        """
        call = ThreadedCall(work, self._ended)
        if self._under_way >= len(self._threads) < self._threads_max:
            try:
                self._start_one()
            except RuntimeError:
                # The system has no more threads now: those that are there take this call, too.
                if not self._threads:
                    raise
        self._under_way += 1
        self._queue.put(call)
        return call

    def stop(self) -> None:
        """Let the threads end once what was submitted is done."""
        for _ in self._threads:
            self._queue.put(None)

    def wait(self, until: float) -> None:
        """Wait until those that were told to stop have ended, or `time.monotonic()` is `until`. Blocks."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads) + 1}", daemon=True)
        thread.start()
        # Counted once it runs: a system that has no more threads refuses.
        self._threads.append(thread)

    def _serve(self) -> None:
        while (call := self._queue.get()) is not None:
            call.run()
            # Or the last one's work would live on until the next comes.
            del call

    def _ended(self) -> None:
        self._under_way -= 1
