"""
Removes what ended runs have left of worktrees and half-applied patches: their process died before it did so itself.

Only runs that completed, failed or are gone: an interrupted one goes on in the worktrees it has, unless it is nested
and its tree has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.errors import RunNotFound, StoreFault
from sidestep.model.run import TERMINAL

if TYPE_CHECKING:
    from sidestep.model.agents import Worktrees
    from sidestep.model.ports import RunStore


async def sweep_worktrees(worktrees: Worktrees, store: RunStore) -> None:
    """Look at every run that has some; one that cannot be read keeps them."""
    for run_id in await worktrees.run_ids():
        try:
            record = await store.read(run_id)
            root = record if record.is_root else await store.read(record.root_run_id)
            is_over = record.status in TERMINAL or root.status in TERMINAL
        except RunNotFound:
            is_over = True
        except StoreFault:
            continue
        if is_over:
            await worktrees.remove_run(run_id)
