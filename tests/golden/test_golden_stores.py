"""
Stores that released versions wrote open, list, read, replay and go on: C6, J4, J5, J6, C2.

Each `store-v*` was written once by `writing.py` with the code of its day.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.errors import StoreUnavailable
from sidestep.model.ports import RunFilter
from sidestep.model.run import RunStatus
from sidestep.store.location import StoreLocation
from sidestep.store.migrations import CURRENT, stored_version
from sidestep.store.sqlite import SqliteRunStore
from tests.golden.writing import LARGE, ROOT, SETTINGS, stored
from tests.support.fake_clock import FakeClock
from tests.support.neighbour import neighbour
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

GOLDEN = sorted(Path(__file__).parent.glob("store-v*"))


class Golden:
    """One golden store, put into a folder of its own."""

    def __init__(self, source: Path, root: Path) -> None:
        self.version = int(source.name.removeprefix("store-v"))
        self.root = root
        self.location = StoreLocation(root / "store.db")
        text = (source / "store.sql").read_text("utf-8").replace(ROOT, str(root))
        connection = sqlite3.connect(self.location.database)
        connection.executescript(text)
        assert stored_version(connection) == self.version
        connection.close()
        shutil.copytree(source / "outputs", self.location.outputs)
        shutil.copytree(source / "results", self.location.results)
        self.expected: list[dict[str, Any]] = json.loads((source / "expected.json").read_text("utf-8"))

    def store(self) -> SqliteRunStore:
        # Later than anything in the store.
        return SqliteRunStore(self.location, FakeClock(1_800_000_000_000), SETTINGS)

    def harness(self, store: SqliteRunStore) -> AbstractAsyncContextManager[Harness]:
        clock = FakeClock(1_800_000_000_000)
        owners = LivingOwners("owner-b", dead={"owner-a"})
        return Harness(self.root, store=store, settings=SETTINGS, clock=clock, owners=owners)


@pytest.fixture(params=GOLDEN, ids=[path.name for path in GOLDEN])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    return Golden(request.param, tmp_path.resolve())


def test_c6_every_released_version_has_a_golden_store() -> None:
    assert {path.name for path in GOLDEN} >= {f"store-v{version}" for version in range(1, CURRENT.version)}


async def test_c6_every_run_of_an_older_store_is_listed_and_read_whole(golden: Golden) -> None:
    async with golden.store() as store:
        listed = (await store.list_runs(RunFilter(), cursor=None, limit=100)).items
        found = {record.run_id: record for record in listed}
        files: set[str] = set()
        assert {run_id: record.status.value for run_id, record in found.items()} == {
            one["runId"]: one["status"] for one in golden.expected
        }
        for record in found.values():
            assert await store.read(record.run_id) == record
            events = await store.read_events(record.run_id, after_sequence=0, limit=1000)
            assert [event.sequence for event in events] == list(range(1, record.sequence + 1))
            assert "async def main" in await store.read_source(record.source_hash)
            steps = (await store.read_steps(record.run_id)).items
            assert sum(step.has_output for step in steps) == record.steps.completed
            for step in steps:
                if step.has_output:
                    json.loads(await store.read_output(step))
                    files.update(filter(None, [step.output_file]))
    assert files, "a golden store has an output in a file"
    connection = sqlite3.connect(golden.location.database)
    assert stored_version(connection) == CURRENT.version
    connection.close()


@pytest.mark.slow
async def test_c6_a_journal_of_a_released_version_replays_and_goes_on(golden: Golden) -> None:
    """J4, J6: what is finished is neither done again nor journaled again, and the result is the uninterrupted one's."""
    async with golden.store() as store, golden.harness(store) as h:
        h.commands.outputs["publish"] = LARGE
        for one in golden.expected:
            run_id, before = one["runId"], len(h.commands.calls)
            events = await h.kinds(run_id)
            if one["verb"] is not None:
                verb = h.retry if one["verb"] == "retry" else h.resume
                record = await verb(run_id)
            else:
                record = await store.read(run_id)
            assert record.status is RunStatus.COMPLETED, record.error
            assert stored(record) == one["result"]
            assert [call.step_id for call in h.commands.calls[before:]] == one["calls"]
            phases = [kind for kind in (await h.kinds(run_id))[len(events) :] if kind.startswith(("phase", "log"))]
            assert phases == []


async def test_c6_an_older_store_is_not_migrated_while_an_owner_of_it_lives(golden: Golden) -> None:
    if golden.version not in CURRENT.breaking:
        pytest.skip("code of this version goes on beside the current one")
    store = golden.store()
    with neighbour(golden.location.database), pytest.raises(StoreUnavailable, match="still running"):
        await store.open()
    await store.open()
    await store.close()
