"""
The abort signal carried inside the process, with the reason of the abort.

An `AbortController` owns one `AbortSignal`; aborting is final and the first reason wins.
This module knows asyncio only for waiting; it does no I/O and starts no work.

Invariant: a listener runs at most once, and one that raises does not stop the others.
Invariant: the youngest listener runs first, as a stack is unwound: a child process is told before what waits for it.
Invariant: everything here happens on the event loop's thread.
Source: WHATWG DOM, "AbortController"; trio keeps one reason per cancellation (`Cancelled.source`), and so do we.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("sidestep.abort")

T = TypeVar("T")


class AbortKind(enum.Enum):
    """Why work is stopped; the first seven are also the durable reasons of an interrupted run."""

    USER = "user"  # A person asked for the run to stop.
    CANCELLED = "cancelled"  # The request that waited for the run was cancelled.
    CLIENT_GONE = "clientGone"  # The host disconnected.
    SHUTDOWN = "shutdown"  # The host shut the server down.
    CRASH = "crash"  # The process that owned the run died.
    DEADLINE = "deadline"  # The run's own deadline passed.
    PARENT = "parent"  # The run's parent was interrupted.
    LEASE_LOST = "leaseLost"  # Another claim or an interrupt fenced this execution off.
    TIMEOUT = "timeout"  # The step's own time limit passed.
    SIBLING = "sibling"  # A sibling in the same `parallel` failed.
    SCRIPT_ENDED = "scriptEnded"  # `main` ended while the step was in flight.


# Kinds that may become the durable reason of an interrupted run.
INTERRUPT_REASONS = frozenset(
    {
        AbortKind.USER,
        AbortKind.CANCELLED,
        AbortKind.CLIENT_GONE,
        AbortKind.SHUTDOWN,
        AbortKind.CRASH,
        AbortKind.DEADLINE,
        AbortKind.PARENT,
    }
)

# An interrupt for one of these is settled: a later one adds nothing to the journal (I2).
SETTLED_REASONS = frozenset({AbortKind.USER, AbortKind.CANCELLED, AbortKind.DEADLINE})

# The whole server stops, not this run alone.
DRAIN_REASONS = frozenset({AbortKind.SHUTDOWN, AbortKind.CLIENT_GONE})


@dataclass(frozen=True)
class AbortReason:
    """
    Why something was aborted.

    Attributes:
        kind: The closed set above.
        by: Who asked, for people (a client's name, a process id); may be empty.
        detail: One sentence for people; may be empty.
    """

    kind: AbortKind
    by: str = ""
    detail: str = ""


class Aborted(Exception):
    """Raised by `AbortSignal.race` when the signal fires before the work is done."""

    def __init__(self, reason: AbortReason) -> None:
        super().__init__(reason.kind.value)
        self.reason = reason


class AbortSignal:
    """The listening side. Get one from `AbortController.signal`."""

    def __init__(self) -> None:
        self._reason: AbortReason | None = None
        self._listeners: dict[int, Callable[[AbortReason], object]] = {}
        self._next_listener = 0

    @property
    def reason(self) -> AbortReason | None:
        """The first reason given, or None while nothing was aborted."""
        return self._reason

    @property
    def is_aborted(self) -> bool:
        return self._reason is not None

    def listen(self, listener: Callable[[AbortReason], object]) -> Callable[[], None]:
        """
        Call `listener(reason)` once when the signal fires; at once if it already has.

        Returns:
            A function that takes the listener away; calling it again, or after the signal fired, does nothing.
        """
        if self._reason is not None:
            _call(listener, self._reason)
            return lambda: None
        token = self._next_listener
        self._next_listener += 1
        self._listeners[token] = listener

        def unlisten() -> None:
            self._listeners.pop(token, None)

        return unlisten

    def throw_if_aborted(self) -> None:
        """
        Raises:
            Aborted: the signal has fired.
        """
        if self._reason is not None:
            raise Aborted(self._reason)

    async def race(self, work: Awaitable[T]) -> T:
        """
        Await `work`, or stop waiting for it when the signal fires.

        The work is cancelled and awaited before `Aborted` is raised, so nothing it started is left behind; work that
        finished at the same moment wins, because a result must not be lost.

        Raises:
            Aborted: the signal fired first.
        """
        task = asyncio.ensure_future(work)
        unlisten = self.listen(lambda _: task.cancel())
        try:
            return await task
        except asyncio.CancelledError:
            # Either the caller is being cancelled, or our listener cancelled the work: only the latter is an abort.
            if self._reason is not None and not _caller_is_cancelled():
                raise Aborted(self._reason) from None
            raise
        finally:
            unlisten()

    async def wait(self) -> AbortReason:
        """Wait until the signal fires. May be cancelled."""
        if self._reason is not None:
            return self._reason
        fired: asyncio.Future[AbortReason] = asyncio.get_running_loop().create_future()
        unlisten = self.listen(lambda reason: None if fired.done() else fired.set_result(reason))
        try:
            return await fired
        finally:
            unlisten()

    def _fire(self, reason: AbortReason) -> None:
        self._reason = reason
        listeners, self._listeners = list(self._listeners.values()), {}
        for listener in reversed(listeners):
            _call(listener, reason)


class AbortController:
    """The firing side of one signal."""

    def __init__(self) -> None:
        self.signal = AbortSignal()

    def abort(self, reason: AbortReason) -> bool:
        """
        Fire the signal. The first reason wins.

        Returns:
            True when this call fired it, False when it had fired before.
        """
        if self.signal.is_aborted:
            return False
        self.signal._fire(reason)  # pyright: ignore[reportPrivateUsage] -- the pair shares one secret
        return True

    def follow(self, signal: AbortSignal) -> Callable[[], None]:
        """Abort when `signal` does, with its reason. Returns the function that ends this."""
        return signal.listen(self.abort)


def _caller_is_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _call(listener: Callable[[AbortReason], object], reason: AbortReason) -> None:
    try:
        listener(reason)
    except Exception:
        # A listener's failure is its own: the abort must reach every other one.
        log.exception("a listener of an abort (%s) failed", reason.kind.value)
