"""C5: one unreadable run never hides the others; J7: a source that is not what its hash says is refused."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sidestep.model.errors import DataDamaged, RunNotFound
from sidestep.model.ports import RunFilter
from sidestep.model.replay_key import hash_text
from sidestep.model.run import RunStatus
from sidestep.model.writes import Ask, Finish, Recover
from sidestep.service.recovery import Recovery
from sidestep.service.watch_pace import WatchPace
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import (
    OWNER,
    SOURCE,
    completed,
    interrupt,
    logged,
    new_child,
    new_run,
    question,
    running,
    stopped,
)
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import LivingOwners

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord


def make(path: Path) -> SqliteRunStore:
    return SqliteRunStore(StoreLocation(path), FakeClock(), Settings(watch_busy_ms=1))


def spoil(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET record = '{' WHERE run = 1",
        "UPDATE runs SET record = '{}' WHERE run = 1",
        "UPDATE runs SET record = CAST(X'FFFE' AS TEXT) WHERE run = 1",
        "UPDATE runs SET record = replace(record, 'completed', 'unheard-of') WHERE run = 1",
        "UPDATE inputs SET args_json = X'FF' WHERE run = 1",
        "DELETE FROM inputs WHERE run = 1",
    ],
)
async def test_c5_a_damaged_row_hides_no_other(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        bad = await stopped(store, 1)
        await stopped(store, 2)
        third = await stopped(store, 3)
    spoil(path, damage)
    async with make(path) as store:
        page = await store.list_runs(RunFilter(), cursor=None, limit=2)
        assert [record.created_at_ms for record in page.items] == [3000, 2000]
        page = await store.list_runs(RunFilter(), cursor=page.next_cursor, limit=2)
        assert (page.items, page.next_cursor) == ([], None)
        assert bad.run_id in caplog.messages[-1] or "unreadable" in caplog.text
        with pytest.raises(DataDamaged, match=bad.run_id):
            await store.read(bad.run_id)
        with pytest.raises(DataDamaged, match=bad.run_id):
            await store.write(interrupt(bad))
        assert await store.read(third.run_id) == third
        # It can still be removed.
        await store.delete(bad.run_id)
        with pytest.raises(RunNotFound):
            await store.read(bad.run_id)


async def test_c5_a_damaged_owned_run_does_not_stop_recovery_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        await running(store, 1)
        good = await running(store, 2)
    spoil(path, "UPDATE runs SET record = 'x' WHERE run = 1")
    async with make(path) as store:
        assert await store.owned_runs() == [good]


async def test_c5_a_damaged_event_or_step_is_refused_with_its_run(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        for number in (1, 2, 3):
            record = await running(store, number)
            await store.write(completed(record, "a"))
    spoil(
        path,
        "UPDATE events SET body = '[]' WHERE run = 1 AND sequence = 3",
        "UPDATE steps SET status = 'odd' WHERE place >> 32 = 1",
        "DELETE FROM events WHERE run = 2 AND sequence = 2",
    )
    async with make(path) as store:
        for number in (1, 2):
            with pytest.raises(DataDamaged):
                await store.read_events(f"run_{number:016d}", after_sequence=0, limit=9)
        with pytest.raises(DataDamaged):
            await store.read_steps("run_0000000000000001")
        with pytest.raises(DataDamaged):
            await store.write(completed(await store.read("run_0000000000000001"), "a"))
        assert len(await store.read_events("run_0000000000000003", after_sequence=0, limit=9)) == 3


async def test_c5_another_process_s_unreadable_event_does_not_end_the_watch(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store, make(path) as other:
        record = await running(store)
        told: list[int] = []
        store.listen(lambda committed: told.extend(event.sequence for event in committed.events))
        await store.watch(True)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("INSERT INTO events (run, sequence, at_ms, body) VALUES (1, 1000, 0, 'x')")
        connection.close()
        await other.write(logged(record, "theirs"))
        await store.write(logged(record, "ours"))
        assert told == [3, 4]


async def test_j7_a_source_that_was_changed_in_the_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        await running(store)
    spoil(path, "UPDATE sources SET text = text || '# changed'")
    async with make(path) as store:
        with pytest.raises(DataDamaged, match="script"):
            await store.read_source(hash_text(SOURCE))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE inputs SET args_json = X'FF' WHERE run = 1",
        "UPDATE runs SET record = '{' WHERE run = 1",
        "DELETE FROM inputs WHERE run = 1",
        "UPDATE runs SET run_id = CAST(X'FF' AS TEXT) WHERE run = 1",
    ],
)
async def test_c5_a_damaged_run_of_another_process_hides_no_other_commit(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store, make(path) as other:
        bad, good = await running(other, 1), await running(other, 2)
        mine = await running(store, 3)
        await store.watch(True)
        told: list[tuple[str, int]] = []
        store.listen(lambda committed: told.append((committed.record.run_id, committed.record.sequence)))
        await other.write(logged(bad, "theirs"))
        await other.write(logged(good, "theirs"))
        # Both a look and a transaction of ours come across the damage.
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(damage)
        connection.execute("INSERT INTO notices (run_id) VALUES (?)", (bad.run_id,))
        body = '{"type":"log","message":"x"}'
        connection.execute("INSERT INTO events (run, sequence, at_ms, body) VALUES (1, 9, 0, ?)", (body,))
        connection.close()
        assert (await store.write(logged(mine, "ours"))).sequence == 3
        await store.write(logged(mine, "ours"))
        assert [each for each in told if each[0] != bad.run_id] == [
            (good.run_id, 3),
            (mine.run_id, 3),
            (mine.run_id, 4),
        ]


async def test_c5_a_damaged_nested_run_does_not_keep_its_tree_from_being_recovered(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        root = await running(store, 1)
        tree = {"owner": None, "parent_run_id": root.run_id, "root_run_id": root.run_id, "depth": 1}
        for number in (2, 3):
            await store.create(new_run(number, **tree), SOURCE)
    spoil(path, "UPDATE runs SET record = 'x' WHERE run = 2")
    async with make(path) as store:
        stopped_root = await store.write(Recover(root.run_id, OWNER.owner_id))
        assert stopped_root.status is RunStatus.INTERRUPTED
        assert (await store.read(new_run(3).run_id)).status is RunStatus.INTERRUPTED
        with pytest.raises(DataDamaged):
            await store.read(new_run(2).run_id)


async def test_c5_an_unreadable_run_keeps_no_other_from_being_recovered_nor_watched(tmp_path: Path) -> None:
    """The rows that name a dead owner are found, whatever the others look like."""
    path = tmp_path / "store.db"
    async with make(path) as store:
        for number in (1, 2, 3):
            await running(store, number)
    spoil(path, "UPDATE inputs SET script_ref = X'FF' WHERE run = 2")
    async with make(path) as store:
        owned = await store.owned_runs()
        assert [record.created_at_ms for record in owned] == [1000, 3000]
        recovered = [await store.write(Recover(record.run_id, OWNER.owner_id)) for record in owned]
        assert {record.status for record in recovered} == {RunStatus.INTERRUPTED}
        # Nor does a list stop at it.
        assert len((await store.list_runs(RunFilter(), cursor=None, limit=9)).items) == 2


async def test_c5_a_text_that_is_no_utf8_hides_no_other_run(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        await running(store, 1)
        good = await running(store, 2)
    spoil(path, "UPDATE runs SET run_id = CAST(X'72FF' AS TEXT), record = 'x' WHERE run = 1")
    async with make(path) as store:
        assert (await store.list_runs(RunFilter(), cursor=None, limit=9)).items == [good]
        assert await store.owned_runs() == [good]


class EarlierStore(SqliteRunStore):
    """Answers what it read before the damage."""

    seen: Sequence[RunRecord] = ()

    async def owned_runs(self, owner_ids: Collection[str] | None = None) -> Sequence[RunRecord]:
        return self.seen


async def test_c5_a_run_damaged_while_it_is_recovered_keeps_no_other_from_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with make(path) as store:
        seen = [await running(store, number) for number in (1, 2, 3)]
    spoil(path, "UPDATE runs SET record = 'x' WHERE run = 2")
    async with EarlierStore(StoreLocation(path), FakeClock(), Settings()) as store:
        store.seen = seen
        recovery = Recovery(store, LivingOwners("owner-z", dead={OWNER.owner_id}), FakeClock(), WatchPace(store.watch))
        assert [record.run_id for record in await recovery.recover_dead()] == [seen[0].run_id, seen[2].run_id]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE questions SET record = '{' WHERE run = 2",
        "UPDATE questions SET record = CAST(X'FFFE' AS TEXT) WHERE run = 2",
        "UPDATE runs SET record = '{' WHERE run = 2",
    ],
)
async def test_c5_a_damaged_question_or_nested_run_does_not_keep_its_tree_from_ending(
    tmp_path: Path, damage: str
) -> None:
    """C5, P7: the end is told and answered as any other, and every question is closed with it."""
    path = tmp_path / "store.db"
    async with make(path) as store:
        root = await running(store, 1)
        child, _ = await store.create(new_child(2, root), SOURCE)
        for record in (root, child):
            await store.write(Ask(record.run_id, 1, question(record)))
    spoil(path, damage)
    async with make(path) as store:
        told: list[Committed] = []
        store.listen(told.append)
        ended = await store.write(Finish(root.run_id, 1))
        assert (ended.status, ended.pending) == (RunStatus.COMPLETED, 0)
        assert (root.run_id, RunStatus.COMPLETED) in [(each.record.run_id, each.record.status) for each in told]
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM questions WHERE is_open").fetchone() == (0,)
    connection.close()


async def test_c5_a_damaged_key_of_one_run_stops_no_write_of_another(tmp_path: Path) -> None:
    """Their writes go in one transaction, and the keys of a run are read for its first."""
    path = tmp_path / "store.db"
    async with make(path) as store:
        bad, good = await running(store, 1), await running(store, 2)
        await store.write(completed(bad, "a"))
        await store.write(completed(good, "a"))
    spoil(path, "UPDATE steps SET key = CAST(X'FFFE' AS TEXT) WHERE place >> 32 = 1")
    async with make(path) as store:
        lazy = store.write_lazily(logged(good, "hello"))
        with suppress(DataDamaged):
            await store.write(completed(bad, "c"))
        assert (await lazy).run_id == good.run_id
        assert (await store.write(completed(good, "c"))).run_id == good.run_id
