"""What no event tells: cleared leases and deleted runs, told in this process and in the others, each once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.model.ports import Committed, Deleted
from sidestep.model.writes import Finish, Recover, Release
from tests.contract.stores import OWNER, SOURCE, Backend, interrupt, new_run, running, stopped

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord
    from tests.contract.stores import Store


class Heard:
    """Everything a store's listeners are told, in order; `until` waits for something."""

    def __init__(self, store: Store) -> None:
        self.all: list[Committed | Deleted] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        store.listen(self._hear)
        store.listen_deleted(self._hear)

    async def until(self, wanted: Committed | Deleted) -> None:
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: wanted in self.all), 5)

    def _hear(self, told: Committed | Deleted) -> None:
        self.all.append(told)
        task = asyncio.ensure_future(self._wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def release(record: RunRecord) -> Release:
    return Release(record.run_id, OWNER.owner_id, record.claim_epoch)


async def test_i4_other_processes_hear_that_a_run_is_quiescent(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        record = await running(store)
        await store.write(interrupt(record))
        await other.watch(True)
        heard, own = Heard(other), Heard(store)
        freed = await store.write(release(record))
        assert freed.is_quiescent
        await heard.until(Committed(freed, (), mine=False))
        await other.write(interrupt(record))
        assert heard.all[0] == Committed(freed, (), mine=False)
        assert own.all == [Committed(freed, ())]


async def test_i4_a_crashed_owner_s_stopped_run_is_told_quiescent(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        record = await running(store)
        await store.write(interrupt(record))
        await other.watch(True)
        heard = Heard(other)
        freed = await store.write(Recover(record.run_id, OWNER.owner_id))
        await heard.until(Committed(freed, (), mine=False))
        assert len(heard.all) == 1


async def test_a_lease_cleared_by_an_event_is_told_with_it_alone(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        await other.watch(True)
        heard = Heard(other)
        record = await running(store)
        done = await store.write(Finish(record.run_id, 1))
        assert done.is_quiescent
        # Foreign commits are told before a later own one.
        await other.create(new_run(2), SOURCE)
        told = [told for told in heard.all if isinstance(told, Committed)]
        assert [committed for committed in told if not committed.mine][-1].record == done
        assert [committed.mine for committed in told][-3:] == [False, True, True]
        assert all(committed.events for committed in told)


async def test_a_deleted_run_is_told_once_to_every_process(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other, backend.store() as deaf:
        root = await running(store, 1)
        child = new_run(2, owner=None, parent_run_id=root.run_id, root_run_id=root.run_id, depth=1)
        await store.create(child, SOURCE)
        await store.write(Finish(root.run_id, 1))
        for watching in (store, other):
            await watching.watch(True)
        own, heard, unheard = Heard(store), Heard(other), Heard(deaf)
        await store.delete(root.run_id)
        # Told before the caller went on; the child went with its root.
        assert own.all == [Deleted(root.run_id, root.folder)]
        await heard.until(Deleted(root.run_id, root.folder, mine=False))
        for one in (store, other):
            await stopped(one, 3 if one is store else 4)
        assert [told for told in own.all if isinstance(told, Deleted)] == [Deleted(root.run_id, root.folder)]
        assert [told for told in heard.all if isinstance(told, Deleted)] == [
            Deleted(root.run_id, root.folder, mine=False)
        ]
        assert unheard.all == []


async def test_what_was_deleted_before_watching_began_is_not_told(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        first, second = await stopped(store, 1), await stopped(store, 2)
        await store.delete(first.run_id)
        await other.watch(True)
        heard = Heard(other)
        await store.delete(second.run_id)
        await heard.until(Deleted(second.run_id, second.folder, mine=False))
        assert len(heard.all) == 1


async def test_a_foreign_deletion_is_told_before_a_later_own_commit(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        gone = await stopped(store, 1)
        await other.watch(True)
        heard = Heard(other)
        await store.delete(gone.run_id)
        await other.create(new_run(2), SOURCE)
        assert heard.all[0] == Deleted(gone.run_id, gone.folder, mine=False)
        assert [type(told) for told in heard.all] == [Deleted, Committed, Committed]


async def test_a_refused_deletion_is_told_to_nobody(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        await other.watch(True)
        heard, own = Heard(other), Heard(store)
        record = await running(store)
        answers = await asyncio.gather(store.delete(record.run_id), return_exceptions=True)
        assert isinstance(answers[0], Exception)
        await other.create(new_run(2), SOURCE)
        assert [told for told in (*heard.all, *own.all) if isinstance(told, Deleted)] == []


async def test_an_unlistened_listener_hears_of_no_deletion(backend: Backend) -> None:
    async with backend.store() as store:
        told: list[Deleted] = []
        unlisten = store.listen_deleted(told.append)
        first, second = await stopped(store, 1), await stopped(store, 2)
        await store.delete(first.run_id)
        unlisten()
        await store.delete(second.run_id)
        assert told == [Deleted(first.run_id, first.folder)]
