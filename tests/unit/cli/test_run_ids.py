"""Which run a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest

from sidestep.cli.run_ids import find_root_run, find_run, newest
from sidestep.model.errors import InvalidTransition, RunNotFound
from sidestep.model.ports import RunFilter
from sidestep.model.replay_key import hash_text
from sidestep.model.run import Attention, Owner, RunRecord, RunStatus
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from sidestep.model.ports import RunStore

SOURCE = "async def main(): pass"


async def store_with(*runs: tuple[str, str]) -> RunStore:
    """A store with runs of (id, folder), each newer than the one before."""
    clock = FakeClock()
    store = InMemoryRunStore(clock, Settings())
    for run_id, folder in runs:
        clock.advance(1)
        await store.create(record(run_id, folder, clock.now_ms()), SOURCE)
    return store


def record(run_id: str, folder: str, now_ms: int, **more: Any) -> RunRecord:
    fields: dict[str, Any] = {"root_run_id": run_id, "owner": Owner("owner_a", 1, now_ms), **more}
    return RunRecord(
        run_id=run_id,
        name="flow",
        folder=folder,
        folder_uri=f"file://{folder}",
        status=RunStatus.PENDING,
        epoch=1,
        claim_epoch=1,
        attention=Attention.BLOCKING,
        sequence=0,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        source_hash=hash_text(SOURCE),
        file=None,
        args_json="{}",
        args_schema_json="{}",
        script_ref="{}",
        **fields,
    )


def nested(run_id: str, parent: RunRecord) -> RunRecord:
    """A nested run of a root that is a second younger than it."""
    made_ms = parent.created_at_ms + 1000
    return record(run_id, parent.folder, made_ms, root_run_id=parent.run_id, parent_run_id=parent.run_id, owner=None)


async def test_a_whole_id_and_its_beginning_with_or_without_the_prefix() -> None:
    store = await store_with(("run_aaab", "/w"), ("run_aacc", "/w"))
    for words in ("run_aaab", "run_aaa", "aaa"):
        assert (await find_run(store, words, "/elsewhere")).run_id == "run_aaab"


async def test_an_ambiguous_beginning_lists_the_runs() -> None:
    store = await store_with(("run_aaab", "/w"), ("run_aacc", "/w"))
    with pytest.raises(click.UsageError) as refused:
        await find_run(store, "run_aa", "/w")
    assert "run_aaab" in refused.value.message
    assert "run_aacc" in refused.value.message


async def test_an_unknown_beginning_is_not_found() -> None:
    store = await store_with(("run_aaab", "/w"))
    with pytest.raises(RunNotFound):
        await find_run(store, "run_b", "/w")


async def test_last_is_the_newest_run_of_this_folder() -> None:
    store = await store_with(("run_a", "/w"), ("run_b", "/w"), ("run_c", "/other"))
    assert (await find_run(store, "last", "/w")).run_id == "run_b"
    with pytest.raises(RunNotFound):
        await find_run(store, "last", "/empty")


async def test_newest_reads_page_after_page_up_to_its_limit() -> None:
    store = await store_with(*((f"run_{number:04}", "/w") for number in range(250)))
    ids = [each.run_id async for each in newest(store, RunFilter())]
    assert ids == [f"run_{number:04}" for number in reversed(range(250))]
    assert len([each async for each in newest(store, RunFilter(), limit=120)]) == 120


async def test_a_nested_run_is_found_by_its_whole_id_and_is_no_root() -> None:
    """P8"""
    store = await store_with(("run_root", "/w"))
    await store.create(nested("run_child", await store.read("run_root")), SOURCE)
    assert (await find_run(store, "run_child", "/w")).parent_run_id == "run_root"
    assert (await find_root_run(store, "run_root", "/w")).run_id == "run_root"
    assert (await find_root_run(store, "last", "/w")).run_id == "run_root"
    with pytest.raises(InvalidTransition) as refused:
        await find_root_run(store, "run_child", "/w")
    assert refused.value.root_run_id == "run_root"
