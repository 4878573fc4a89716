"""A root run and its nested runs are one unit of ownership (P8, I5): fence, stop and deletion of a tree."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from sidestep.model.errors import InvalidTransition, LeaseLost
from sidestep.model.ports import RunFilter
from sidestep.model.run import Failure, FailureCode, RunStatus, StepStatus
from sidestep.model.transitions import RunEvent
from sidestep.model.usage import Spent, Usage
from sidestep.model.writes import (
    Append,
    Background,
    Charge,
    Finish,
    Interrupt,
    Recover,
    Release,
    Reopen,
    StepOutput,
    Suspend,
)
from tests.contract.stores import (
    OTHER_OWNER,
    OWNER,
    SOURCE,
    Told,
    child_of,
    claim,
    completed,
    heard,
    interrupt,
    kinds,
    new_child,
    running,
    sequences,
    started,
    step_body,
)

if TYPE_CHECKING:
    from tests.contract.stores import Backend

FAILED = Failure(FailureCode.SCRIPT, "no")


async def test_p8_a_nested_run_is_made_once_whatever_comes_of_it(backend: Backend) -> None:
    """P8: its id is derived from its step; asked again, the store answers the run that is there."""
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        assert await store.create(new_child(2, root), SOURCE) == (child, False)
        assert await kinds(store, child.run_id) == ["status:pending", "status:running"]
        assert (child.owner, child.depth, child.root_run_id) == (None, 1, root.run_id)
        listed = await store.list_runs(RunFilter(parent_run_id=root.run_id), cursor=None, limit=9)
        assert listed.items == [child]


async def test_i5_an_interrupt_of_the_root_stops_the_whole_tree_in_one_commit(backend: Backend) -> None:
    """I5: children and grandchildren are interrupted with reason parent; finished ones stay finished."""
    async with backend.store() as store, backend.store() as other:
        told, elsewhere = Told(store), Told(other)
        await other.watch(busy=True)
        root = await running(store, 1)
        finished = await child_of(store, 2, root)
        await store.write(Finish(finished.run_id, root.claim_epoch))
        child = await child_of(store, 3, root)
        grandchild = await child_of(store, 4, child)
        stranger = await running(store, 5)
        seen = len(told.commits)
        reached = asyncio.ensure_future(heard(other, grandchild.run_id, grandchild.sequence + 1))
        await asyncio.sleep(0)
        await store.write(interrupt(root))
        await reached
        for member in (child, grandchild):
            record = await store.read(member.run_id)
            assert (record.status, record.reason, record.epoch) == (RunStatus.INTERRUPTED, "parent", 2)
            assert await sequences(store, member.run_id) == list(range(1, record.sequence + 1))
        assert (await store.read(finished.run_id)).status is RunStatus.COMPLETED
        assert (await store.read(stranger.run_id)).status is RunStatus.RUNNING
        stopped = [commit.record.run_id for commit in told.commits[seen:]]
        assert stopped == [root.run_id, child.run_id, grandchild.run_id]
        assert [commit.record.run_id for commit in elsewhere.commits if commit.record.is_stopped][-3:] == stopped


@pytest.mark.parametrize("end", ["recovered", "finished", "failed"])
async def test_p10_no_nested_run_is_active_while_its_root_is_not(backend: Backend, end: str) -> None:
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        error = FAILED if end == "failed" else None
        write = Recover(root.run_id, OWNER.owner_id) if end == "recovered" else Finish(root.run_id, 1, error=error)
        await store.write(write)
        record = await store.read(child.run_id)
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "parent")


async def test_i3_the_root_fences_its_nested_runs(backend: Backend) -> None:
    """I3: (a) under the claim anything, (b) interrupted only a late completion, (c) after the next claim nothing."""
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        await store.write(started(child, "late", "later"))
        stopped = await store.write(interrupt(root))
        for refused in (started(child, "new"), Finish(child.run_id, 1), Suspend(child.run_id, 1)):
            with pytest.raises(LeaseLost):
                await store.write(refused)
        with pytest.raises(LeaseLost):
            await store.create(new_child(3, child), SOURCE)
        await store.write(completed(child, "late"))
        assert (await kinds(store, child.run_id))[-2:] == ["status:interrupted", "step:completed"]
        await store.write(Release(root.run_id, OWNER.owner_id, 1))
        await store.write(claim(stopped, owner=OTHER_OWNER))
        with pytest.raises(LeaseLost):
            await store.write(completed(child, "later"))


async def test_p8_the_new_owner_reopens_what_it_needs(backend: Backend) -> None:
    """P8: an interrupted child goes on, a failed one is retried, a completed one cannot be; all under the new claim."""
    async with backend.store() as store:
        root = await running(store, 1)
        interrupted, failed, done = [await child_of(store, number, root) for number in (2, 3, 4)]
        await store.write(completed(interrupted, "kept"))
        await store.write(Finish(failed.run_id, 1, error=FAILED))
        await store.write(Finish(done.run_id, 1))
        stopped = await store.write(interrupt(root))
        with pytest.raises(LeaseLost):
            await store.write(Reopen(interrupted.run_id, 1, RunEvent.RESUME))
        await store.write(Release(root.run_id, OWNER.owner_id, 1))
        claimed = await store.write(claim(stopped, owner=OTHER_OWNER))
        again = await store.write(Reopen(interrupted.run_id, claimed.claim_epoch, RunEvent.RESUME, source_hash="other"))
        assert (again.status, again.claim_epoch) == (RunStatus.RUNNING, claimed.claim_epoch)
        assert again.steps.reused == again.steps.completed == 1
        assert (await kinds(store, interrupted.run_id))[-2:] == ["source", "status:running"]
        retried = await store.write(Reopen(failed.run_id, claimed.claim_epoch, RunEvent.RESUME))
        assert (retried.status, retried.error) == (RunStatus.RUNNING, None)
        with pytest.raises(InvalidTransition):
            await store.write(Reopen(done.run_id, claimed.claim_epoch, RunEvent.RETRY))
        with pytest.raises(InvalidTransition):
            await store.write(Reopen(again.run_id, claimed.claim_epoch, RunEvent.RETRY))
        await store.write(completed(again, "after"))
        await store.write(Suspend(again.run_id, claimed.claim_epoch))
        await store.write(Suspend(again.run_id, claimed.claim_epoch))
        assert (await kinds(store, again.run_id))[-2:] == ["step:completed", "status:interrupted"]


async def test_p8_what_concerns_a_tree_is_asked_of_its_root(backend: Backend) -> None:
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        for write in (
            Interrupt(child.run_id, "user"),
            claim(child, RunEvent.RESUME),
            Background(child.run_id),
            Release(child.run_id, OWNER.owner_id, 1),
            Recover(child.run_id, OWNER.owner_id),
        ):
            with pytest.raises(InvalidTransition) as error:
                await store.write(write)
            assert error.value.root_run_id == root.run_id
        for write in (Reopen(root.run_id, 1, RunEvent.RESUME), Reopen(root.run_id, 1, RunEvent.RETRY)):
            with pytest.raises(InvalidTransition):
                await store.write(write)


async def test_c2_a_step_of_a_nested_run_is_progress_of_its_tree(backend: Backend) -> None:
    """C2: automatic resumes are counted on the root, and anew when any step of the tree was finished."""
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        stopped = await store.write(Recover(root.run_id, OWNER.owner_id))
        claimed = await store.write(replace(claim(stopped), automatic=True))
        assert claimed.automatic_resumes == 1
        child = await store.write(Reopen(child.run_id, claimed.claim_epoch, RunEvent.RESUME))
        await store.write(started(child, "a"))
        assert (await store.read(root.run_id)).automatic_resumes == 1
        await store.write(completed(child, "a"))
        assert (await store.read(root.run_id)).automatic_resumes == 0


async def test_n1_an_interrupted_nested_run_that_is_retried_does_its_failed_steps_again(backend: Backend) -> None:
    """N1: as the root's own; a resume replays them."""
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        failed = Append(child.run_id, 1, (step_body("a", StepStatus.FAILED, error=FAILED),))
        await store.write(failed)
        stopped = await store.write(interrupt(root))
        await store.write(Release(root.run_id, OWNER.owner_id, 1))
        claimed = await store.write(claim(stopped))
        await store.write(Reopen(child.run_id, claimed.claim_epoch, RunEvent.RESUME))
        assert [step.status for step in (await store.read_steps(child.run_id)).items] == [StepStatus.FAILED]
        await store.write(Suspend(child.run_id, claimed.claim_epoch))
        await store.write(Reopen(child.run_id, claimed.claim_epoch, RunEvent.RETRY))
        assert [step.status for step in (await store.read_steps(child.run_id)).items] == [StepStatus.SUPERSEDED]


async def test_a_roots_row_has_the_sums_of_the_runs_nested_in_it(backend: Backend) -> None:
    """Issue 5: also of nested ones' nested ones, and of what arrives late; the next claim keeps them."""
    used = Usage(100, 10, 5)
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        grandchild = await child_of(store, 3, child)
        await store.write(started(child, "late"))
        for run in (root, grandchild):
            body = step_body("one", StepStatus.COMPLETED, duration_ms=40, usage=used)
            await store.write(Append(run.run_id, 1, (body,), {body.key: StepOutput(json="1")}))
        stopped = await store.write(interrupt(root))
        await store.write(completed(child, "late"))
        record = await store.read(root.run_id)
        assert (record.steps.known, record.usage, record.finished) == (1, used, Spent(40, used))
        assert (record.all_steps.known, record.all_steps.completed) == (3, 3)
        assert (record.all_usage, record.all_finished) == (used.plus(used), Spent(83, used.plus(used)))
        await store.write(Release(root.run_id, OWNER.owner_id, 1))
        claimed = await store.write(claim(stopped))
        assert (claimed.all_steps.reused, claimed.kept) == (3, Spent(83, used.plus(used)))


async def test_i3_what_a_cut_off_step_used_is_counted_until_the_next_claim_and_makes_no_event(backend: Backend) -> None:
    """G5: nothing but a late completion follows a stop; the step is as it was, so its task is the same (J4)."""
    used = Usage(100, 10, 5)
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        await store.write(started(child, "agent"))
        stopped = await store.write(interrupt(root))
        before = await kinds(store, child.run_id)
        key = step_body("agent", StepStatus.STARTED).key
        await store.write(Charge(child.run_id, 1, key, used))
        assert await kinds(store, child.run_id) == before
        (step,) = (await store.read_steps(child.run_id)).items
        assert (step.status, step.usage) == (StepStatus.STARTED, used)
        assert ((await store.read(child.run_id)).usage, (await store.read(root.run_id)).all_usage) == (used, used)
        await store.write(Release(root.run_id, OWNER.owner_id, 1))
        await store.write(claim(stopped, owner=OTHER_OWNER))
        with pytest.raises(LeaseLost):
            await store.write(Charge(child.run_id, 1, key, used))
        assert (await store.read(root.run_id)).all_usage == used
