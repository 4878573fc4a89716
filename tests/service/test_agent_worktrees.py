"""Worktrees and patches of agent steps, and the end of what runs leave there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.model.run import RunStatus
from sidestep.model.writes import Finish, Interrupt, Release, Suspend
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.contract.stores import SOURCE, new_child, running
from tests.support.agent_scripts import (
    TEXT,
    beside,
    result,
)
from tests.support.fake_clock import FakeClock
from tests.support.scripted_agents import ScriptedAgent, breaks, never, says
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_worktree_gives_the_result_and_the_patch_and_is_removed_at_the_end(tmp_path: Path) -> None:
    source = TEXT.replace(
        'return await agent("Do it.", id="do")', 'return await agent("Do it.", id="do", isolation="worktree")'
    )
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", says("done")))
        record = await h.completed(source)
        patch = {"id": "patch_1", "files": ["a.py"], "additions": 2, "deletions": 1}
        assert result(record)[1] == {"result": "done", "patch": patch}
        assert agent.tasks[0].cwd == f"/worktrees/{record.run_id}/{agent.tasks[0].key}"
        assert h.agents.worktrees.removed == [record.run_id]


async def test_what_ended_runs_left_of_worktrees_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """Also what a nested run left that was stopped in a tree that has ended: nothing goes on with it."""
    clock = FakeClock()
    store = InMemoryRunStore(clock, Settings())
    over, going = await running(store, 1), await running(store, 2)
    children = [
        (await store.create(new_child(number, root), SOURCE))[0] for number, root in enumerate((over, going), start=3)
    ]
    for child in children:
        await store.write(Suspend(child.run_id, 1))
    await store.write(Finish(over.run_id, 1))
    await store.write(Interrupt(going.run_id, "user"))
    h = Harness(tmp_path, store=store, clock=clock)
    h.agents.worktrees.left = [over.run_id, going.run_id, *(child.run_id for child in children), "run_gone"]
    async with h:
        await h.agents.worktrees.swept(3)
        assert h.agents.worktrees.removed == [over.run_id, children[0].run_id, "run_gone"]


async def test_a_retry_waits_for_the_removal_of_what_its_run_left(tmp_path: Path) -> None:
    """Else the worktree it has just made goes, too."""
    clock = FakeClock()
    async with Harness(tmp_path, clock=clock) as h:
        h.agents.agents.add(ScriptedAgent("tester", breaks()))
        failed = (await h.start(TEXT)).record
        store = beside(h)
    other = Harness(tmp_path, store=store, clock=clock, owners=LivingOwners("owner-b"))
    other.agents.worktrees.left = [failed.run_id]
    other.agents.worktrees.gate = asyncio.Event()
    async with other as h:
        h.agents.agents.add(ScriptedAgent("tester", says("done")))
        retried = h.retry(failed.run_id)
        begun = asyncio.ensure_future(h.status(failed.run_id, RunStatus.RUNNING))
        is_early, _ = await asyncio.wait({begun}, timeout=0.1)
        h.agents.worktrees.gate.set()
        assert not is_early
        await begun
        assert (await retried).status is RunStatus.COMPLETED


async def test_another_process_does_not_remove_what_a_retry_here_works_in(tmp_path: Path) -> None:
    """Its sweep has looked which runs have left something, and goes on when this one was claimed."""
    clock = FakeClock()
    async with Harness(tmp_path, clock=clock) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", breaks()))
        failed = (await h.start(TEXT)).record
        other = Harness(tmp_path, store=beside(h), clock=clock, owners=LivingOwners("owner-b"))
        other.agents.worktrees.left = [failed.run_id]
        other.agents.worktrees.gate = asyncio.Event()
        async with other:
            await other.agents.worktrees.at_gate.wait()
            agent.turns = [never]
            retried = h.retry(failed.run_id)
            await agent.called(2)
            other.agents.worktrees.gate.set()
            await other.service._sweep.finished()
            assert other.agents.worktrees.removed == []
        await h.service.interrupt(failed.run_id, by="person")
        await retried


async def test_a_deleted_run_takes_its_worktrees_along(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", never))
        task = h.start(TEXT)
        await agent.called(1)
        await h.service.interrupt("run_a000000000000001", by="person")
        await task
        h.agents.worktrees.left = ["run_a000000000000001"]
        await h.service.delete("run_a000000000000001")
        assert h.agents.worktrees.removed == ["run_a000000000000001"]


async def test_a_deleted_tree_takes_its_worktrees_and_patches_along(tmp_path: Path) -> None:
    """Those of the runs nested in it, however deep, and nobody else's."""
    clock = FakeClock()
    store = InMemoryRunStore(clock, Settings())
    root, other = await running(store, 1), await running(store, 2)
    child = (await store.create(new_child(3, root), SOURCE))[0]
    grandchild = (await store.create(new_child(4, child), SOURCE))[0]
    for nested in (grandchild, child):
        await store.write(Suspend(nested.run_id, 1))
    for run in (root, other):
        await store.write(Interrupt(run.run_id, "user"))
        await store.write(Release(run.run_id, run.owner.owner_id if run.owner else "", 1))
    async with Harness(tmp_path, store=store, clock=clock) as h:
        await h.service.delete(root.run_id)
        tree = [root.run_id, child.run_id, grandchild.run_id]
        assert h.agents.worktrees.removed == tree
        assert h.agents.worktrees.forgotten == tree


async def test_patches_of_runs_that_are_gone_and_old_unused_ones_are_removed_at_the_next_start(tmp_path: Path) -> None:
    """A completed run's stay: somebody may still apply them."""
    clock = FakeClock()
    store = InMemoryRunStore(clock, Settings())
    over = await running(store, 1)
    await store.write(Finish(over.run_id, 1))
    h = Harness(tmp_path, store=store, clock=clock)
    h.agents.worktrees.with_patches = [over.run_id, "run_gone"]
    async with h:
        await h.agents.worktrees.patches_swept()
        assert h.agents.worktrees.forgotten == ["run_gone"]
        assert h.agents.worktrees.swept_before_s == clock.now_ms() / 1000 - 24 * 60 * 60
