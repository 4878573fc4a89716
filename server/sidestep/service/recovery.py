"""
What to do about owners that died: stop what they left running, and mark their runs interrupted (crash).

Any process may do this for any dead owner; each run is one compare-and-set on its owner, so two that try do it once.
Life is asked of the owner's kernel lock, never of a clock.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sidestep.model.errors import RunNotFound, StoreUnavailable
from sidestep.model.writes import Recover

if TYPE_CHECKING:
    from sidestep.model.ports import Clock, OwnerRegistry, RunStore
    from sidestep.model.run import RunRecord

log = logging.getLogger("sidestep.recovery")

# A dead owner is noticed within a second.
_PATROL_S = 0.5


class Recovery:
    """Finds dead owners on start and while running."""

    def __init__(self, store: RunStore, owners: OwnerRegistry, clock: Clock) -> None:
        self._store = store
        self._owners = owners
        self._clock = clock

    async def recover_dead(self) -> list[RunRecord]:
        """
        Mark every run of a dead owner, durably.

        Returns:
            The rows that became interrupted (crash).
        """
        recovered: list[RunRecord] = []
        for record in await self._store.owned_runs():
            if not self.is_dead(record):
                continue
            try:
                marked = await self.recover(record)
            except RunNotFound:
                # Deleted meanwhile.
                continue
            if marked.is_stopped and not record.is_stopped:
                recovered.append(marked)
        return recovered

    def is_dead(self, record: RunRecord) -> bool:
        """True when the run's row names an owner that no longer lives."""
        return record.owner is not None and not self._owners.is_alive(record.owner.owner_id)

    async def recover(self, record: RunRecord) -> RunRecord:
        """
        Take a run out of its dead owner's hands: its listed processes first, then its row (F4).

        Returns:
            The row afterwards: no longer owned by the dead one.
        """
        assert record.owner is not None, "only an owned run can be recovered"
        dead = record.owner.owner_id
        await asyncio.to_thread(self._owners.stop_groups, dead, record.run_id)
        return await self._store.write(Recover(record.run_id, dead))

    async def patrol(self) -> None:
        """Look for dead owners again and again; ends only by being cancelled."""
        while True:
            await self._clock.sleep(_PATROL_S)
            try:
                for record in await self.recover_dead():
                    log.info("%s: its process died; it is interrupted and can be resumed", record.run_id)
            except StoreUnavailable as away:
                log.debug("patrol: %s", away)
            except Exception:
                # The edge of a background job: the next round may go better.
                log.exception("the patrol failed")
