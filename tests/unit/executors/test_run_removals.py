"""What an ended run left is not removed under the work of whoever went on with the run meanwhile; with real git."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.run_removals import RunRemovals
from sidestep.executors.step_worktrees import StepWorktrees
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason

from .isolation import RUN, Isolation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


class Removal:
    """A process that removes what a run left, stopped where it has just looked at the run."""

    def __init__(self, worktrees: StepWorktrees, *, has_ended: bool) -> None:
        self._has_ended = has_ended
        self.has_looked = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.task = asyncio.ensure_future(worktrees.remove_run(RUN, self._may_go))

    async def _may_go(self) -> bool:
        self.has_looked.set()
        await self.may_go_on.wait()
        return self._has_ended


@pytest.fixture
def isolation(tmp_path: Path) -> Isolation:
    isolation = Isolation(tmp_path)
    isolation.repository.commit("Ada", {"a.txt": b"a\n"})
    return isolation


@pytest.mark.parametrize("step", ["agent", "apply_patch"])
async def test_a_removal_that_saw_the_run_ended_is_waited_for_before_work_begins(
    isolation: Isolation, step: str
) -> None:
    """Two processes: one sweeps, the other has claimed the run and begins its step."""
    patch = await isolation.patch_of({"new.txt": b"new\n"})
    sweeping, here = (StepWorktrees(isolation.state, isolation.git) for _ in range(2))
    folder = str(isolation.folder)
    await here.open(RUN, "k", folder, isolation.signal)
    removal = Removal(sweeping, has_ended=True)
    await removal.has_looked.wait()
    isolation.patches = here.patches
    work = asyncio.ensure_future(
        here.open(RUN, "k", folder, isolation.signal) if step == "agent" else isolation.apply(patch)
    )
    is_early, _ = await asyncio.wait({work}, timeout=0.2)
    removal.may_go_on.set()
    await removal.task
    assert not is_early
    await work
    left = {"agent": isolation.state / "worktrees" / RUN / "k" / "a.txt", "apply_patch": isolation.folder / "new.txt"}
    assert left[step].is_file()
    known = await here.run_ids()
    assert known == [RUN], "what the step made, or what is known of its patch, is there"


async def test_a_run_that_goes_on_keeps_what_it_has(isolation: Isolation) -> None:
    worktrees = StepWorktrees(isolation.state, isolation.git)
    opened = await worktrees.open(RUN, "k", str(isolation.folder), isolation.signal)
    removal = Removal(worktrees, has_ended=False)
    removal.may_go_on.set()
    await removal.task
    assert (isolation.state / "worktrees" / RUN / "k" / "a.txt").is_file()
    assert opened.cwd == (await worktrees.open(RUN, "k", str(isolation.folder), isolation.signal)).cwd


async def test_a_run_that_left_nothing_is_not_looked_at(isolation: Isolation) -> None:
    removal = Removal(StepWorktrees(isolation.state, isolation.git), has_ended=True)
    await removal.task
    assert not removal.has_looked.is_set()


async def test_work_waits_for_a_slow_git_as_long_as_it_takes_and_no_longer_than_its_signal(tmp_path: Path) -> None:
    """The lock may be another run's: its large worktrees must not make steps fail that have nothing to do with it."""
    waited_s = 0.0
    is_long = asyncio.Event()

    async def sleep(seconds: float) -> None:
        nonlocal waited_s
        waited_s += seconds
        if waited_s > 600:
            is_long.set()
        await asyncio.sleep(0)

    removals, controller = RunRemovals(tmp_path, sleep), AbortController()
    async with removals.removing(RUN):
        working = asyncio.ensure_future(removals.passed(RUN, AbortController().signal))
        stopped = asyncio.ensure_future(removals.passed(RUN, controller.signal))
        long = asyncio.ensure_future(is_long.wait())
        done, _ = await asyncio.wait({working, stopped, long}, return_when=asyncio.FIRST_COMPLETED)
        assert not done & {working, stopped}
        controller.abort(AbortReason(AbortKind.USER))
        with pytest.raises(Aborted):
            await stopped
        assert not working.done()
    await working
