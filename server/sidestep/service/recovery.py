"""
What to do about owners that died: stop what they left running, and mark their runs interrupted (crash).

Any process may do this for any dead owner; each run is one compare-and-set on its owner, so two that try do it once.
Life is asked of the owner's kernel lock, never of a clock.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sidestep.model.errors import DataDamaged, RunNotFound, StoreUnavailable
from sidestep.model.ports import RunFilter
from sidestep.model.run import TERMINAL, RunStatus
from sidestep.model.writes import Recover

if TYPE_CHECKING:
    from sidestep.model.ports import Clock, OwnerRegistry, RunStore
    from sidestep.model.run import RunRecord
    from sidestep.service.watch_pace import WatchPace

log = logging.getLogger("sidestep.recovery")

# A dead owner is noticed within a second.
_PATROL_S = 0.5
# Nested runs read at once.
_PAGE = 100
# A nested run ends after its steps have.
_UNFINISHED = frozenset(RunStatus) - TERMINAL


class Recovery:
    """Finds dead owners on start and while running."""

    def __init__(self, store: RunStore, owners: OwnerRegistry, clock: Clock, pace: WatchPace) -> None:
        self._store = store
        self._owners = owners
        self._clock = clock
        self._pace = pace

    async def recover_dead(self) -> list[RunRecord]:
        """
        Mark every run of a dead owner, durably.

        Returns:
            The rows that became interrupted (crash).
        """
        recovered: list[RunRecord] = []
        dead = [owner_id for owner_id in await self._store.owner_ids() if not self._owners.is_alive(owner_id)]
        for record in await self._store.owned_runs(dead) if dead else ():
            if record.owner is None or record.owner.owner_id not in dead:
                # Recovered, or claimed by a living owner too, since it was looked up.
                continue
            try:
                marked = await self.recover(record)
            except RunNotFound:
                # Deleted meanwhile.
                continue
            except DataDamaged as damaged:
                # Its own row cannot be written: the others' can (C5).
                log.warning("%s: cannot be recovered: %s", record.run_id, damaged)
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
        await self.stop_processes(record)
        return await self._store.write(Recover(record.run_id, record.owner.owner_id))

    async def stop_processes(self, record: RunRecord) -> None:
        """
        Kill what a run's owner has running for it and for its nested runs, and wait until that is gone (F4).

        The owner is dead, or it was given the interrupt grace to do so itself.
        """
        assert record.owner is not None, "only an owned run can have processes"
        for run_id in await self._tree(record.run_id):
            await asyncio.to_thread(self._owners.stop_groups, record.owner.owner_id, run_id)

    async def _tree(self, root_run_id: str) -> list[str]:
        """The run and every run below it that may have processes: groups are listed under the run that asked."""
        found = [root_run_id]
        for parent in found:
            cursor: str | None = None
            while True:
                below = RunFilter(parent_run_id=parent, statuses=_UNFINISHED)
                page = await self._store.list_runs(below, cursor=cursor, limit=_PAGE)
                found += [child.run_id for child in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
        return found

    async def patrol(self) -> None:
        """Look for dead owners again and again; ends only by being cancelled."""
        while True:
            await self._pace.awake()
            await self._clock.sleep(_PATROL_S)
            try:
                for record in await self.recover_dead():
                    log.info("%s: its process died; it is interrupted and can be resumed", record.run_id)
            except StoreUnavailable as away:
                log.debug("patrol: %s", away)
            except Exception:
                # The edge of a background job: the next round may go better.
                log.exception("the patrol failed")
