"""Lists, pages, steps and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.errors import CursorInvalid
from sidestep.model.ports import RunFilter
from sidestep.model.run import ACTIVE, Failure, FailureCode, RunStatus, StepRecord, StepStatus
from sidestep.model.writes import Append
from tests.contract.stores import (
    OWNER,
    SOURCE,
    Backend,
    completed,
    interrupt,
    key_of,
    logged,
    new_child,
    new_run,
    running,
    started,
    step_body,
    stopped,
)

if TYPE_CHECKING:
    from tests.contract.stores import Store


async def listed(store: Store, limit: int = 100, **wanted: Any) -> list[int]:
    """The numbers of the runs a filter shows, over all pages."""
    numbers: list[int] = []
    cursor = None
    while True:
        page = await store.list_runs(RunFilter(**wanted), cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        numbers += [int(record.run_id.removeprefix("run_")) for record in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return numbers


async def test_runs_are_listed_newest_first_in_pages_that_meet(backend: Backend) -> None:
    async with backend.store() as store:
        for number in range(1, 12):
            # Three at a time are of one millisecond: the id decides.
            await store.create(new_run(number, created_at_ms=number // 3), SOURCE)
        assert await listed(store) == list(range(11, 0, -1))
        for limit in (1, 2, 3, 11):
            assert await listed(store, limit) == list(range(11, 0, -1))


async def test_a_run_made_while_paging_moves_no_page(backend: Backend) -> None:
    async with backend.store() as store:
        for number in (1, 2, 3, 4):
            await store.create(new_run(number), SOURCE)
        first = await store.list_runs(RunFilter(), cursor=None, limit=2)
        await store.create(new_run(5), SOURCE)
        await store.write(interrupt(new_run(2)))
        second = await store.list_runs(RunFilter(), cursor=first.next_cursor, limit=2)
        assert [record.created_at_ms for record in (*first.items, *second.items)] == [4000, 3000, 2000, 1000]
        assert second.next_cursor is None


async def test_each_filter_shows_what_it_says(backend: Backend) -> None:
    async with backend.store() as store:
        await running(store, 1, folder="/a", name="deploy", label="Night of \u00dcBER 100%")
        await stopped(store, 2, folder="/b", name="repo_report")
        await store.create(new_run(3, folder="/a", name="repoXreport"), SOURCE)
        await store.create(new_child(4, new_run(1), folder="/a"), SOURCE)
        await store.write(interrupt(new_run(3)))
        assert await listed(store) == [3, 2, 1]
        assert await listed(store, folder="/a") == [3, 1]
        assert await listed(store, name="deploy") == [1]
        assert await listed(store, parent_run_id=new_run(1).run_id) == [4]
        assert await listed(store, parent_run_id=new_run(1).run_id, statuses=frozenset({RunStatus.RUNNING})) == [4]
        assert await listed(store, parent_run_id=new_run(1).run_id, statuses=frozenset({RunStatus.COMPLETED})) == []
        assert await listed(store, statuses=ACTIVE) == [1]
        assert await listed(store, statuses=frozenset({RunStatus.COMPLETED, RunStatus.INTERRUPTED})) == [3, 2]
        assert await listed(store, statuses=frozenset({RunStatus.INTERRUPTED}), folder="/b") == []
        assert await listed(store, statuses=frozenset()) == []
        assert await listed(store, created_after_ms=1000) == [3, 2]
        assert await listed(store, created_before_ms=3000) == [2, 1]
        for text, found in {
            "REPO": [3, 2],
            "repo_": [2],
            "100%": [1],
            "%": [1],
            "\u00fcber": [1],
            "\\": [],
            "": [3, 2, 1],
        }.items():
            assert await listed(store, text=text) == found, text


async def test_a_cursor_that_is_none_is_refused(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        for cursor in ("", "x", "1", "\u0661.run", "9" * 30 + ".run", "-1.run"):
            with pytest.raises(CursorInvalid):
                await store.list_runs(RunFilter(), cursor=cursor, limit=1)
        for cursor in ("", "x", "-1", "9" * 30):
            with pytest.raises(CursorInvalid):
                await store.read_steps(record.run_id, after=cursor)


async def test_owned_runs_are_those_with_a_lease(backend: Backend) -> None:
    async with backend.store() as store:
        await running(store, 1)
        await stopped(store, 2)
        await running(store, 3)
        interrupted = await store.write(interrupt(new_run(3)))
        assert {record.run_id for record in await store.owned_runs()} == {new_run(1).run_id, interrupted.run_id}
        assert all(record.owner == OWNER for record in await store.owned_runs())


async def test_steps_come_in_the_order_of_their_first_start_in_pages_that_meet(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        ids = [f"s{n}" for n in range(7)]
        await store.write(started(record, *ids))
        for step_id in reversed(ids):
            await store.write(completed(record, step_id))
        found: list[str] = []
        after = None
        while True:
            page = await store.read_steps(record.run_id, after=after, limit=3)
            found += [step.step_id for step in page.items]
            after = page.next_cursor
            if after is None:
                break
        assert found == ids
        everything = await store.read_steps(record.run_id)
        assert ([step.step_id for step in everything.items], everything.next_cursor) == (ids, None)
        assert [step.step_id for step in (await store.read_steps(record.run_id, step_id="s3")).items] == ["s3"]
        # The order of completions is the sequence's.
        assert sorted(everything.items, key=lambda step: step.sequence)[0].step_id == "s6"


async def test_every_field_of_a_step_survives(backend: Backend) -> None:
    failure = Failure(FailureCode.TIMEOUT, "too \u00e9 late", step_id="a", file="f.py", line=3)
    async with backend.store() as store:
        record = await running(store)
        body = step_body("a", StepStatus.STARTED, title="T \u00fc", phase="p", line=7, wake_at_ms=99)
        await store.write(Append(record.run_id, 1, (body,)))
        backend.clock.advance(1)
        await store.write(Append(record.run_id, 1, (step_body("a", StepStatus.FAILED, error=failure),)))
    async with backend.store() as store:
        (step,) = (await store.read_steps(record.run_id)).items
    now_ms = backend.clock.now_ms()
    assert step == StepRecord(
        step_id="a",
        key=key_of("a"),
        kind="command",
        status=StepStatus.FAILED,
        attempt=1,
        started_at_ms=now_ms - 1000,
        ended_at_ms=now_ms,
        claim_epoch=1,
        sequence=4,
        title="T \u00fc",
        phase="p",
        line=7,
        failure=failure,
        wake_at_ms=99,
    )


async def test_events_are_read_from_a_sequence_on(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        for n in range(5):
            await store.write(logged(record, str(n)))

        async def read(after: int, limit: int) -> list[int]:
            events = await store.read_events(record.run_id, after_sequence=after, limit=limit)
            for event in events:
                # The first two are the creation's.
                assert event.at_ms == (record.created_at_ms if event.sequence <= 2 else backend.clock.now_ms())
            return [event.sequence for event in events]

        assert await read(0, 3) == [1, 2, 3]
        assert await read(3, 100) == [4, 5, 6, 7]
        assert await read(7, 100) == await read(99, 1) == []


async def test_health_names_the_store(backend: Backend) -> None:
    async with backend.store() as store:
        health = await store.health()
        assert set(health) == {"storePath", "storeBytes", "storeId"}
        assert health["storeId"]
    if backend.kind == "sqlite":
        async with backend.store() as store:
            again = await store.health()
        assert (again["storeId"], again["storePath"]) == (health["storeId"], str(backend.location.database))
        assert again["storeBytes"] > 0
