"""Files that a crash left beside the database are removed, and never one that something names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.model.run import RunResult
from sidestep.model.writes import Finish
from sidestep.settings import Settings
from sidestep.store.connection import StoreFile
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from sidestep.store.sweep import sweep
from tests.contract.stores import completed, running
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 24 * 3600
SETTINGS = Settings(output_inline_bytes_max=10, result_inline_bytes_max=10)


class Swept:
    """A store with a file that is named in each folder, and files that are not."""

    def __init__(self, folder: Path) -> None:
        self.location = StoreLocation(folder / "store.db")
        self.clock = FakeClock()

    def store(self) -> SqliteRunStore:
        return SqliteRunStore(self.location, self.clock, SETTINGS)

    def put(self, folder: Path, name: str, age_s: float) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text("left")
        self.age(path, age_s)
        return path

    def age(self, path: Path, age_s: float) -> None:
        at_s = self.clock.now_ms() / 1000 - age_s
        os.utime(path, (at_s, at_s))


@pytest.fixture
def swept(tmp_path: Path) -> Swept:
    return Swept(tmp_path)


async def test_at_opening_old_files_that_nothing_names_are_removed(swept: Swept) -> None:
    outputs, results = swept.location.outputs, swept.location.results
    async with swept.store() as store:
        record = await running(store)
        output = await store.keep_output('"a large output"')
        await store.write(completed(record, "a", output))
        result = await store.keep_result(record.run_id, RunResult(report="a large result"))
        await store.write(Finish(record.run_id, 1, result=result))
    assert output.file is not None
    named = {outputs / output.file, results / f"{record.run_id}.json"}
    for path in named:
        swept.age(path, 99 * DAY_S)
    orphans = {
        swept.put(outputs, f"{'0' * 64}.json", 2 * DAY_S),
        swept.put(outputs, f".{'1' * 64}.123.4", 2 * DAY_S),
        swept.put(results, "run_gone.json", 2 * DAY_S),
        swept.put(results, ".run_gone.json.77", 2 * DAY_S),
    }
    kept = {
        swept.put(outputs, f"{'2' * 64}.json", DAY_S / 2),
        swept.put(outputs, "a file of somebody.json", 99 * DAY_S),
    }
    # Closing waits for what the thread has begun.
    async with swept.store():
        pass
    left = {path for folder in (outputs, results) for path in folder.iterdir()}
    assert left == named | kept
    assert orphans.isdisjoint(left)


async def test_an_old_output_that_is_kept_again_before_it_is_swept_is_not_lost(swept: Swept) -> None:
    """Its step is committed after the sweep: the file is written again."""
    async with swept.store() as store:
        record = await running(store)
        output = await store.keep_output('"a large output"')
        assert output.file is not None
        path = swept.location.outputs / output.file
        swept.age(path, 2 * DAY_S)
        async with swept.store():
            pass
        assert not path.exists()
        await store.write(completed(record, "a", output))
        (step,) = (await store.read_steps(record.run_id)).items
        assert await store.read_output(step) == '"a large output"'


async def test_a_sweep_looks_at_no_more_files_than_it_may(swept: Swept) -> None:
    async with swept.store():
        pass
    for number in range(10):
        swept.put(swept.location.outputs, f"{number:064x}.json", 2 * DAY_S)
    store_file = StoreFile(swept.location.database, swept.location.owners, busy_timeout_ms=50)
    folders = (swept.location.outputs, swept.location.results)
    now_s = swept.clock.now_ms() / 1000
    assert sweep(store_file, folders, before_s=now_s, files_max=4) == 4
    assert len(os.listdir(swept.location.outputs)) == 6


async def test_a_store_that_cannot_be_used_is_not_swept(swept: Swept) -> None:
    left = swept.put(swept.location.outputs, f"{'0' * 64}.json", 2 * DAY_S)
    swept.location.database.mkdir()
    store_file = StoreFile(swept.location.database, swept.location.owners, busy_timeout_ms=50)
    assert sweep(store_file, (swept.location.outputs,), before_s=swept.clock.now_ms() / 1000, files_max=9) == 0
    assert left.exists()
