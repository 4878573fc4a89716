"""
Removes what runs have left of worktrees, half-applied patches and patches: ended ones whose process died before it did
so itself, and deleted ones.

Of runs that are there, only what completed or failed ones left: an interrupted one goes on in the worktrees it has,
unless it is nested and its tree has ended. Patches stay until their run is deleted.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from sidestep.engine.ended import has_ended
from sidestep.model.errors import RunNotFound, StoreFault
from sidestep.model.ports import RunFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.agents import Worktrees
    from sidestep.model.ports import Clock, RunStore

log = logging.getLogger("sidestep.service")

# A patch that is being made has no run yet that refers to it, for a moment.
PATCH_AGE_S = 24 * 60 * 60
_PAGE = 1000


class WorktreeSweep:
    """The sweep of one process, once at its start, beside everything else."""

    def __init__(self, worktrees: Worktrees, store: RunStore, clock: Clock) -> None:
        self._worktrees = worktrees
        self._store = store
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._swept(), name="worktree sweep")

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def finished(self) -> None:
        """Wait until what ended runs had left at the start is removed."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _swept(self) -> None:
        try:
            await sweep_worktrees(self._worktrees, self._store)
            await sweep_patches(self._worktrees, self._store, self._clock.now_ms())
        except OSError as error:
            log.warning("what ended runs left of worktrees cannot be removed: %s", error)


async def sweep_worktrees(worktrees: Worktrees, store: RunStore) -> None:
    """Look at every run that has some; one that cannot be read keeps them."""
    for run_id in await worktrees.run_ids():
        await worktrees.remove_run(run_id, partial(has_ended, store, run_id))


async def sweep_patches(worktrees: Worktrees, store: RunStore, now_ms: int) -> None:
    """Remove the patches of runs that are gone, and old ones that no run refers to."""
    for run_id in await worktrees.patch_run_ids():
        try:
            await store.read(run_id)
        except RunNotFound:
            await worktrees.forget_patches(run_id)
        except StoreFault:
            continue
    await worktrees.sweep_patches(now_ms / 1000 - PATCH_AGE_S)


async def tree_of(store: RunStore, root_run_id: str) -> list[str]:
    """A run and the runs nested in it; of a tree that cannot be read, what can be."""
    tree = [root_run_id]
    for run_id in tree:
        cursor: str | None = None
        while True:
            try:
                page = await store.list_runs(RunFilter(parent_run_id=run_id), cursor=cursor, limit=_PAGE)
            except StoreFault:
                break
            tree += [child.run_id for child in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    return tree


async def remove_deleted(worktrees: Worktrees, run_ids: Iterable[str]) -> None:
    """Remove everything that deleted runs left; what cannot be removed is logged, and tried again at the next start."""
    for run_id in run_ids:
        try:
            await worktrees.remove_run(run_id, _gone)
            await worktrees.forget_patches(run_id)
        except OSError as error:
            log.warning("%s is deleted, and its worktrees and patches cannot be removed: %s", run_id, error)


async def _gone() -> bool:
    return True
