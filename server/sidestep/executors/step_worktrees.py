"""
What others see of worktrees and patches: the `Worktrees` port on git, and the end of what a run left there.

Making, reading and applying are `worktrees.py`'s and `patches.py`'s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.executors.durable_files import in_thread
from sidestep.executors.exclusive_lock import LockHeld
from sidestep.executors.patch_files import PatchFolder
from sidestep.executors.patches import Patches
from sidestep.executors.run_removals import RunRemovals
from sidestep.executors.worktrees import Worktrees
from sidestep.model.agents import PatchInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sidestep.executors.git import Git
    from sidestep.executors.worktrees import Worktree
    from sidestep.model.abort import AbortSignal

log = logging.getLogger("sidestep.worktrees")


@dataclass(frozen=True)
class OpenWorktree:
    """One step's worktree."""

    worktrees: Worktrees
    worktree: Worktree

    @property
    def cwd(self) -> str:
        return self.worktree.cwd

    async def collect(self, signal: AbortSignal) -> PatchInfo:
        """See `model.agents.Worktree`."""
        patch = await self.worktrees.collect(self.worktree, signal)
        return PatchInfo(patch.patch_id, patch.files, patch.additions, patch.deletions)


class StepWorktrees:
    """
    The `Worktrees` port.

    Args:
        state_folder: Of the store; made when it is first needed.
    """

    def __init__(self, state_folder: Path, git: Git) -> None:
        self._worktrees = Worktrees(state_folder, git)
        self._made = PatchFolder(state_folder / "patches")
        self._removals = RunRemovals(state_folder / "locks", git.sleep)
        self.patches = Patches(state_folder, git, self._removals)

    async def open(self, run_id: str, key: str, folder: str, signal: AbortSignal) -> OpenWorktree:
        await self._removals.passed(run_id, signal)
        return OpenWorktree(self._worktrees, await self._worktrees.open(run_id, key, folder, signal))

    async def remove_run(self, run_id: str, may_go: Callable[[], Awaitable[bool]]) -> None:
        if run_id not in await self.run_ids():
            return
        try:
            async with self._removals.removing(run_id):
                if await may_go():
                    await self._worktrees.remove_run(run_id)
                    await self.patches.forget_run(run_id)
        except LockHeld:
            log.warning("%s: another process has been removing its worktrees for a minute", run_id)

    async def run_ids(self) -> list[str]:
        return sorted({*await self._worktrees.runs(), *await self.patches.runs()})

    async def forget_patches(self, run_id: str) -> None:
        try:
            await in_thread(self._made.forget_run, run_id)
        except OSError as error:
            log.warning("%s: its patches cannot be removed: %s", run_id, error)

    async def patch_run_ids(self) -> list[str]:
        return await in_thread(self._made.run_ids)

    async def sweep_patches(self, before_s: float) -> None:
        try:
            await in_thread(self._made.sweep, before_s)
        except OSError as error:
            log.warning("patches that no run refers to cannot be removed: %s", error)
