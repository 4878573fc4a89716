"""Commits of another process: each once, in order, only while watched."""

from __future__ import annotations

import asyncio

from tests.contract.stores import SOURCE, Backend, Told, heard, interrupt, logged, new_run, running, stopped


async def test_j10_two_processes_hear_each_other_without_gap_or_duplicate(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        await store.watch(True)
        await other.watch(False)
        told, other_told = Told(store), Told(other)
        record = await running(store)
        for n in range(20):
            await asyncio.gather(
                *((store, other)[(n + k) % 2].write(logged(record, f"{n}.{k}")) for k in range(1 + n % 4))
            )
        last = (await store.write(logged(record, "last"))).sequence
        await asyncio.gather(heard(store, record.run_id, last + 1), other.write(logged(record, "more")))
        await asyncio.gather(heard(other, record.run_id, last + 2), store.write(logged(record, "end")))
        for one in (told, other_told):
            assert [sequence for _, sequence, _ in one.events] == list(range(1, last + 3))
        mine = {sequence for _, sequence, is_mine in told.events if is_mine}
        assert mine == {sequence for _, sequence, is_mine in other_told.events if not is_mine}


async def test_i9_an_owner_hears_of_an_interrupt_by_another_process(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        await store.watch(True)
        record = await running(store)
        waiting = asyncio.ensure_future(heard(store, record.run_id, 3))
        await asyncio.sleep(0)
        after = await other.write(interrupt(record))
        committed = await waiting
        assert (committed.record, committed.mine) == (after, False)


async def test_j10_another_process_s_commit_is_told_before_a_later_own_one(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        await store.watch(True)
        record = await running(store)
        told = Told(store)
        for _ in range(10):
            await other.write(logged(record, "theirs"))
            await store.write(logged(record, "ours"))
        sequences = [sequence for _, sequence, _ in told.events]
        assert sequences == list(range(3, 23))


async def test_nothing_is_told_of_what_was_committed_before_watching_began(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        told = Told(store)
        record = await running(other)
        await store.watch(True)
        await asyncio.gather(heard(store, record.run_id, 3), other.write(logged(record, "x")))
        assert told.events == [(record.run_id, 3, False)]
        await store.watch(None)
        await other.write(logged(record, "unseen"))
        await store.watch(True)
        await asyncio.gather(heard(store, record.run_id, 5), other.write(logged(record, "y")))
        assert [sequence for _, sequence, _ in told.events] == [3, 5]


async def test_a_run_made_after_the_newest_was_deleted_is_told(backend: Backend) -> None:
    """A store-wide position is never given twice."""
    async with backend.store() as store, backend.store() as other:
        await store.watch(True)
        first = await stopped(other, 1)
        await store.write(logged(await running(store, 2), "x"))
        await other.delete(first.run_id)
        third = new_run(3)
        await asyncio.gather(heard(store, third.run_id, 1), other.create(third, SOURCE))
