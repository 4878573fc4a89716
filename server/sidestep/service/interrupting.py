"""
Stopping a run because somebody said so: whoever owns it, and whichever of its tree was named.

Order: the controller of a run of ours fires before any I/O; the durable write follows; the answer comes when the run
is quiescent, or the grace is spent (I1, I4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.engine.timeouts import done_within
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.errors import InvalidTransition, StoreUnavailable
from sidestep.model.run import TERMINAL
from sidestep.model.writes import Interrupt
from sidestep.service.requests import Interrupted

if TYPE_CHECKING:
    from sidestep.engine.runner import RunnerParts
    from sidestep.model.run import RunRecord
    from sidestep.service.active_runs import ActiveRun, ActiveRuns
    from sidestep.service.claims import Claims


class Interrupting:
    """Interrupts runs for whoever asks."""

    def __init__(self, parts: RunnerParts, runs: ActiveRuns, claims: Claims) -> None:
        self._parts = parts
        self._store = parts.store
        self._runs = runs
        self._claims = claims

    async def interrupt(self, run_id: str, by: str, *, wait_quiescent: bool = True) -> Interrupted:
        """
        Stop a run durably, with its whole tree; a nested run's root is stopped. Idempotent; always answers.

        Returns:
            After the durable append, and with `wait_quiescent` when the run is quiescent or the grace is spent.

        Raises:
            RunNotFound.
            StoreUnavailable: the work is stopped, but that could not be stored yet; it still will be.
        """
        root = self._runs.root_of(run_id)
        if root is not None:
            return await self._interrupt_member(run_id, root.run_id, by, wait_quiescent=wait_quiescent)
        try:
            return await self._interrupt(run_id, by, wait_quiescent=wait_quiescent)
        except InvalidTransition as refusal:
            if refusal.root_run_id is None:
                raise
            child = await self._store.read(run_id)
            if child.status in TERMINAL:
                return Interrupted(child, already_terminal=True, quiescent=True)
            return await self._interrupt_member(run_id, refusal.root_run_id, by, wait_quiescent=wait_quiescent)

    async def _interrupt_member(self, run_id: str, root_run_id: str, by: str, *, wait_quiescent: bool) -> Interrupted:
        stopped = await self._interrupt(root_run_id, by, wait_quiescent=wait_quiescent)
        child = await self._store.read(run_id)
        return replace(stopped, record=child, already_terminal=child.status in TERMINAL)

    async def _interrupt(self, run_id: str, by: str, *, wait_quiescent: bool) -> Interrupted:
        active = self._runs.get(run_id)
        reason = AbortReason(AbortKind.USER, by=by)
        if active is not None and active.is_durable and active.stop_written is None:
            # Ours: the controller fires before any I/O.
            record = await self.stopped(active, reason)
        else:
            record = await self._store.write(Interrupt(run_id, reason.kind.value, by))
        if record.status in TERMINAL:
            return Interrupted(record, already_terminal=True, quiescent=record.is_quiescent)
        if wait_quiescent:
            await self._claims.unwound(record)
            latest = None if active is None else active.released
            if latest is None or latest.epoch < record.epoch:
                latest = await self._store.read(run_id)
            if latest.is_active:
                # Claimed since: the execution that was interrupted is over, and the answer is about that one.
                return Interrupted(record, already_terminal=False, quiescent=True)
            record = latest
        return Interrupted(record, already_terminal=False, quiescent=record.owner is None)

    async def stopped(self, active: ActiveRun, reason: AbortReason) -> RunRecord:
        """Stop a run of ours; the row after the durable write, which a store that is away is given a while for."""
        written = self._runs.stop(active, reason)
        if not await done_within(self._parts.settings.interrupt_store_s, written, self._parts.clock):
            raise StoreUnavailable(
                what="The run's work is stopped, but the store takes no writes.",
                todo="Make the store writable: the interrupt is stored as soon as it is.",
            )
        return written.result()
