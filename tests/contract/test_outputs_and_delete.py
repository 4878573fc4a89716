"""Outputs, small and large, and what a delete takes with it."""

from __future__ import annotations

import asyncio

import pytest

from sidestep.model.errors import DataDamaged, InvalidTransition, RunNotFound, StoreUnavailable
from sidestep.model.ports import RunFilter
from sidestep.model.run import StepStatus
from sidestep.model.writes import Finish, StepOutput
from tests.contract.stores import SOURCE, Backend, completed, interrupt, new_child, new_run, running, stopped

LARGE = '"' + "x" * (256 * 1024) + '"'


@pytest.mark.parametrize(
    "text", ["null", '"\u00e9 \ud800 \U0001f642"', '"' + "y" * 10_000 + '"', LARGE, '"\u00e9' + LARGE[1:]]
)
async def test_an_output_is_read_as_it_was_kept(backend: Backend, text: str) -> None:
    async with backend.store() as store:
        record = await running(store)
        output = await store.keep_output(text)
        await store.write(completed(record, "a", output))
    async with backend.store() as store:
        (step,) = (await store.read_steps(record.run_id)).items
        assert step.status is StepStatus.COMPLETED
        assert await store.read_output(step) == text


async def test_an_output_stands_in_a_file_from_the_limit_on(backend: Backend) -> None:
    async with backend.store() as store:
        at_limit = '"' + "x" * (256 * 1024 - 2) + '"'
        assert (await store.keep_output(at_limit)) == StepOutput(json=at_limit)
        multibyte = '"' + "\u00e9" * (128 * 1024) + '"'
        for text in (at_limit + " ", multibyte):
            output = await store.keep_output(text)
            assert output.json is None
            assert output == await store.keep_output(text)


async def test_delete_takes_the_whole_tree_and_nothing_else(backend: Backend) -> None:
    async with backend.store() as store:
        root = await running(store, 1)
        child, _ = await store.create(new_child(2, root), SOURCE)
        root = await store.write(Finish(root.run_id, claim_epoch=1))
        kept = await stopped(store, 3)
        await store.delete(root.run_id)
        for gone in (root, child):
            with pytest.raises(RunNotFound):
                await store.read(gone.run_id)
            with pytest.raises(RunNotFound):
                await store.read_events(gone.run_id, after_sequence=0, limit=1)
        assert (await store.list_runs(RunFilter(), cursor=None, limit=9)).items == [kept]
        assert len(await store.read_events(kept.run_id, after_sequence=0, limit=9)) == kept.sequence
        again, created = await store.create(new_run(1), SOURCE)
        assert created
        assert (await store.read_steps(again.run_id)).items == []


async def test_delete_refuses_what_is_active_leased_or_a_child(backend: Backend) -> None:
    async with backend.store() as store:
        active = await running(store, 1)
        leased = await running(store, 2)
        await store.write(interrupt(leased))
        root = await running(store, 3)
        child, _ = await store.create(new_child(4, root), SOURCE)
        for refused in (active, leased, root, child):
            with pytest.raises(InvalidTransition) as error:
                await store.delete(refused.run_id)
            expected = root.run_id if refused is child else None
            assert error.value.root_run_id == expected
            assert (await store.read(refused.run_id)).run_id == refused.run_id


async def test_delete_removes_an_output_file_only_when_no_other_step_uses_it(backend: Backend) -> None:
    async with backend.store() as store:
        output = await store.keep_output(LARGE)
        first, second = await running(store, 1), await running(store, 2)
        for record in (first, second):
            await store.write(completed(record, "a", output))
            await store.write(Finish(record.run_id, 1))
        (step,) = (await store.read_steps(second.run_id)).items
        await store.delete(first.run_id)
        assert await store.read_output(step) == LARGE
        await store.delete(second.run_id)
        with pytest.raises(DataDamaged):
            await store.read_output(step)


async def test_an_output_kept_while_its_last_user_is_deleted_is_not_lost(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        old = await running(other, 1)
        await other.write(completed(old, "a", await other.keep_output(LARGE)))
        await other.write(Finish(old.run_id, 1))
        record = await running(store, 2)
        output = await store.keep_output(LARGE)
        await other.delete(old.run_id)
        await store.write(completed(record, "a", output))
        (step,) = (await store.read_steps(record.run_id)).items
        assert await other.read_output(step) == LARGE


async def test_after_a_close_every_call_says_so(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
    for asked in (store.read(record.run_id), store.write(interrupt(record)), store.keep_output(LARGE)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await asyncio.wait_for(asked, 5)
    with pytest.raises(StoreUnavailable, match="closed"):
        store.write_lazily(completed(record, "a"))
