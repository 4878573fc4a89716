"""Whether a run has ended for good, so that what it left may be removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.errors import RunNotFound, StoreFault
from sidestep.model.run import TERMINAL

if TYPE_CHECKING:
    from sidestep.model.ports import RunStore


async def has_ended(store: RunStore, run_id: str) -> bool:
    """
    True for a completed or failed run, for what is nested in one, and for a run that is gone.

    An interrupted one goes on in the worktrees it has; one that cannot be read may be such a one.
    """
    try:
        record = await store.read(run_id)
        root = record if record.is_root else await store.read(record.root_run_id)
    except RunNotFound:
        return True
    except StoreFault:
        return False
    return record.status in TERMINAL or root.status in TERMINAL
