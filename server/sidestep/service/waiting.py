"""
Requests that wait for a run: how their cancellation reaches it, and what they are answered.

A run belongs to the service, not to the request that started it: a request may wait for it and may interrupt it.
The table is the contract's "Cancellation" (protocol/README.md); the durable status is the only thing it turns on.

Invariant: the caller's signal is unwired on every path out, and an interrupt it caused is awaited (S10), at most
`interrupt_store_s` when the store is away: it is stored later then.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sidestep.engine.timeouts import done_within
from sidestep.model.abort import DRAIN_REASONS, AbortKind, AbortReason
from sidestep.model.errors import Draining, RequestCancelled
from sidestep.model.run import TERMINAL, RunStatus

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from sidestep.engine.runner import RunnerParts
    from sidestep.model.abort import AbortSignal
    from sidestep.model.run import RunRecord
    from sidestep.service.active_runs import ActiveRun, ActiveRuns
    from sidestep.service.listeners import Listeners
    from sidestep.service.watch_pace import WatchPace

# A run stopped for these is answered as "the server drains".
_DRAINED = frozenset(kind.value for kind in DRAIN_REASONS)


def _is_stopped(record: RunRecord) -> bool:
    return record.is_stopped


def releases_waiters(record: RunRecord) -> bool:
    """True when nobody needs to wait any longer: the run stopped, or was moved to the background."""
    return record.is_stopped or record.status is RunStatus.BACKGROUNDED


class Waiting:
    """Waits for runs on behalf of requests."""

    def __init__(self, parts: RunnerParts, runs: ActiveRuns, listeners: Listeners, pace: WatchPace) -> None:
        self._pace = pace
        self._runs = runs
        self._store = parts.store
        self._clock = parts.clock
        self._settings = parts.settings
        self._listeners = listeners
        # Writes of stops that were waited for long enough already; nobody waits for them a second time.
        self._overdue: set[asyncio.Task[RunRecord]] = set()

    @asynccontextmanager
    async def wired(self, active: ActiveRun, signal: AbortSignal) -> AsyncGenerator[None]:
        """
        Within the body, `signal` aborts the run, unless another request of this process waits for it too.

        Before the run is durable only the controller fires; whoever makes it durable looks at it afterwards.
        """
        active.waiters += 1
        waits = True

        def leave() -> None:
            nonlocal waits
            active.waiters -= waits
            waits = False

        def cancel(_: AbortReason) -> None:
            leave()
            if active.waiters:
                return
            reason = AbortReason(AbortKind.CANCELLED, by="host", detail="the request was cancelled")
            if active.is_durable:
                self._runs.stop(active, reason)
            else:
                active.controller.abort(reason)

        unlisten = signal.listen(cancel)
        try:
            yield
        finally:
            unlisten()
            leave()
            if active.stop_written is not None:
                await self._written(active.stop_written)

    async def wait(self, active: ActiveRun, record: RunRecord, signal: AbortSignal) -> RunRecord:
        """
        Wait, inside `wired`, until the run stops or is moved to the background, whoever conducts it by then.

        Args:
            record: The row as last read; nothing is waited for when it says the run has stopped.

        Raises:
            RequestCancelled: the request was cancelled; says what became of the run.
            Draining: the server drains; says so too.
            RunNotFound: it stopped elsewhere and was deleted.
        """
        releases = _is_stopped if record.status is RunStatus.BACKGROUNDED else releases_waiters
        released = self._listeners.expect(record.run_id, releases)
        cancelled = asyncio.ensure_future(signal.wait())
        unwound = asyncio.ensure_future(active.quiescent.wait())
        try:
            if active.latest is not None and releases(active.latest):
                return await self._answer(active, active.latest, signal)
            await asyncio.wait({released, cancelled, unwound}, return_when=asyncio.FIRST_COMPLETED)
            if released.done():
                return await self._answer(active, released.result(), signal)
            if not cancelled.done():
                # Our execution is over and the run is not: another process took it over while this one stood still.
                return await self._wait_elsewhere(record, signal, releases)
            if active.stop_written is None:
                # Another request waits for the run: only this one lets go.
                raise RequestCancelled({**_told(active.latest or record), "detached": True})
            stopped = await self._written(active.stop_written)
            if stopped is None:
                raise _cancelled_unwritten(active.latest or record)
            return await self._answer(active, stopped, signal)
        finally:
            for future in (released, cancelled, unwound):
                future.cancel()

    async def attach(self, active: ActiveRun, record: RunRecord, signal: AbortSignal) -> RunRecord:
        """Wait for a run that is being conducted already."""
        async with self.wired(active, signal):
            return await self.wait(active, active.latest or record, signal)

    async def wait_elsewhere(self, record: RunRecord, signal: AbortSignal) -> RunRecord:
        """Wait for a run that another process conducts; a cancellation lets go of it."""
        return await self._wait_elsewhere(record, signal, releases_waiters)

    async def _wait_elsewhere(
        self, record: RunRecord, signal: AbortSignal, releases: Callable[[RunRecord], bool]
    ) -> RunRecord:
        rest = self._pace.expect_others()
        released = self._listeners.expect(record.run_id, releases)
        cancelled = asyncio.ensure_future(signal.wait())
        drained = asyncio.ensure_future(self._runs.draining.signal.wait())
        try:
            await self._pace.in_force()
            record = await self._store.read(record.run_id)
            if releases(record):
                return record
            await asyncio.wait({released, cancelled, drained}, return_when=asyncio.FIRST_COMPLETED)
            if released.done():
                return released.result()
            outcome = {**_told(record), "detached": True}
            raise RequestCancelled(outcome) if cancelled.done() else Draining(outcome)
        finally:
            rest()
            for future in (released, cancelled, drained):
                future.cancel()

    async def _answer(self, active: ActiveRun, record: RunRecord, signal: AbortSignal) -> RunRecord:
        if record.status is RunStatus.BACKGROUNDED and active.stop_written is not None:
            # Cancelled in the moment it was moved to the background: the interrupt wins (B2).
            stopped = await self._written(active.stop_written)
            if stopped is None and signal.is_aborted:
                raise _cancelled_unwritten(active.latest or record)
            record = stopped or record
        if record.status in TERMINAL or record.status is RunStatus.BACKGROUNDED:
            return record
        if record.is_active:
            # Another process has taken the run over: this request lets go of it.
            raise RequestCancelled({**_told(record), "detached": True})
        drained = record.reason in _DRAINED
        if not drained and not (signal.is_aborted and record.reason == AbortKind.CANCELLED.value):
            return record
        quiescent = await self._runs.unwound(active)
        outcome = {**_told(active.latest or record), "resumable": True, "quiescent": quiescent}
        raise Draining(outcome) if drained else RequestCancelled(outcome)

    async def _written(self, stop: asyncio.Task[RunRecord]) -> RunRecord | None:
        """The row after the durable stop; None when the store was away for `interrupt_store_s`. The write goes on."""
        if not stop.done() and stop not in self._overdue:
            if await done_within(self._settings.interrupt_store_s, stop, self._clock):
                return stop.result()
            self._overdue.add(stop)
            stop.add_done_callback(self._overdue.discard)
        return stop.result() if stop.done() else None


def _cancelled_unwritten(record: RunRecord) -> RequestCancelled:
    """The work is stopped, and the store is away: the row last known, which is not interrupted yet."""
    return RequestCancelled({**_told(record), "quiescent": False})


def _told(record: RunRecord) -> dict[str, Any]:
    return {"runId": record.run_id, "status": record.status.value, "sequence": record.sequence}
