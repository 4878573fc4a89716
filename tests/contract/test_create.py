"""Creating a run: the lease in the same commit, the start key, the source."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from sidestep.model.errors import DataDamaged, RunNotFound
from sidestep.model.replay_key import hash_text
from sidestep.model.run import RunStatus
from tests.contract.stores import OWNER, SOURCE, Backend, Told, kinds, new_run, sequences, stopped


async def test_f1_the_create_commit_takes_the_lease(backend: Backend) -> None:
    async with backend.store() as store:
        record, created = await store.create(new_run(), SOURCE)
        assert created
        assert record == await store.read(record.run_id)
        assert (record.owner, record.epoch, record.claim_epoch) == (OWNER, 1, 1)
        assert (record.status, record.sequence) == (RunStatus.RUNNING, 2)
        assert await kinds(store, record.run_id) == ["status:pending", "status:running"]


async def test_g1_a_listener_hears_of_a_run_before_its_creator_goes_on(backend: Backend) -> None:
    async with backend.store() as store:
        told = Told(store)
        record, _ = await store.create(new_run(), SOURCE)
        assert [(c.record.status, c.record.sequence) for c in told.commits] == [
            (RunStatus.PENDING, 1),
            (RunStatus.RUNNING, 2),
        ]
        assert told.commits[1].record == record
        assert all(c.mine for c in told.commits)
        assert [[event.sequence for event in c.events] for c in told.commits] == [[1], [2]]


async def test_s7_a_start_key_sent_ten_times_at_once_makes_one_run(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        told = Told(store)
        asked = [(store, other)[n % 2].create(new_run(n + 1, start_key="once"), SOURCE) for n in range(10)]
        answers = await asyncio.gather(*asked)
        assert sum(created for _, created in answers) == 1
        assert len({record.run_id for record, _ in answers}) == 1
        assert len(told.commits) in (0, 2)


async def test_s7_a_start_key_is_kept_over_a_restart_and_free_after_a_delete(backend: Backend) -> None:
    async with backend.store() as store:
        first = await stopped(store, 1, start_key="once")
    async with backend.store() as store:
        again, created = await store.create(new_run(2, start_key="once"), SOURCE)
        assert (again, created) == (first, False)
        await store.delete(first.run_id)
        _, created = await store.create(new_run(2, start_key="once"), SOURCE)
        assert created


async def test_s7_a_start_key_belongs_to_one_folder(backend: Backend) -> None:
    async with backend.store() as store:
        await store.create(new_run(1, start_key="once"), SOURCE)
        _, created = await store.create(new_run(2, start_key="once", folder="/work/else"), SOURCE)
        assert created


async def test_j7_the_source_is_kept_by_its_hash_over_a_restart(backend: Backend) -> None:
    source = "# h\u00e9 \ud800 \U0001f642\n" + SOURCE
    async with backend.store() as store:
        assert await store.store_source(source) == hash_text(source)
        assert await store.store_source(source) == hash_text(source)
        await store.create(new_run(), SOURCE)
    async with backend.store() as store:
        assert await store.read_source(hash_text(source)) == source
        assert await store.read_source(hash_text(SOURCE)) == SOURCE
        with pytest.raises(DataDamaged):
            await store.read_source(hash_text("another"))


async def test_a_run_that_does_not_exist_is_named(backend: Backend) -> None:
    async with backend.store() as store:
        for asked in (
            store.read("run_none"),
            store.read_events("run_none", after_sequence=0, limit=1),
            store.read_steps("run_none"),
            store.delete("run_none"),
        ):
            with pytest.raises(RunNotFound, match="run_none"):
                await asked


async def test_every_field_of_a_row_survives(backend: Backend) -> None:
    wanted = new_run(
        args_json='{"text":"\u00fc \ud800"}',
        args_schema_json='{"type":"object"}',
        script_ref='{"source":"x \ud800"}',
        file="/work/project/.sidestep/workflows/report.py",
        label="nightly",
        deadline_at_ms=9,
        auto_resume=False,
        versions={"sidestep": "1"},
        phase="p",
        automatic_resumes=2,
        pending=2,
    )
    async with backend.store() as store:
        record, _ = await store.create(wanted, SOURCE)
    async with backend.store() as store:
        assert await store.read(record.run_id) == record
        assert record == replace(wanted, status=RunStatus.RUNNING, sequence=2)
        assert await sequences(store, record.run_id) == [1, 2]
