"""The pace at which other processes' work is looked for: I9, J10, X4."""

from __future__ import annotations

import asyncio

from sidestep.service.watch_pace import Pace, WatchPace


class Store:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bool | None] = []
        self.in_force: list[asyncio.Future[object]] = []

    def watch(self, busy: bool | None) -> asyncio.Future[object]:
        self.told.append(busy)
        self.in_force.append(asyncio.get_running_loop().create_future())
        return self.in_force[-1]


async def test_nothing_is_looked_for_until_there_is_a_reason() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    assert pace.pace is Pace.REST
    pace.runs_active(0)
    pace.folders_open(0)
    await pace.in_force()
    assert store.told == []


async def test_i9_j10_the_most_urgent_reason_decides() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    pace.folders_open(1)
    assert pace.pace is Pace.IDLE
    pace.runs_active(1)
    assert pace.pace is Pace.BUSY
    rest = pace.expect_others()
    pace.runs_active(0)
    assert pace.pace is Pace.BUSY
    rest()
    assert pace.pace is Pace.IDLE
    pace.folders_open(0)
    assert pace.pace is Pace.REST
    assert store.told == [False, True, False, None]


async def test_i9_a_run_of_ours_is_watched_though_no_folder_is_open() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    pace.runs_active(1)
    pace.runs_active(0)
    assert store.told == [True, None]


async def test_x4_a_thousand_runs_tell_the_store_once() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    for count in (*range(1, 1001), *range(999, 0, -1)):
        pace.runs_active(count)
    waits = [pace.expect_others() for _ in range(100)]
    pace.runs_active(0)
    for rest in waits:
        rest()
    assert store.told == [True, None]


async def test_a_wait_that_ends_twice_ends_once() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    first, second = pace.expect_others(), pace.expect_others()
    first()
    first()
    assert pace.pace is Pace.BUSY
    second()
    assert store.told == [True, None]


async def test_j10_a_wait_knows_from_when_on_nothing_is_missed() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    rest = pace.expect_others()
    waiting = asyncio.ensure_future(pace.in_force())
    impatient = asyncio.ensure_future(pace.in_force())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    assert not waiting.done()
    # One waiter that gives up takes nothing from the other.
    store.in_force[0].set_result(None)
    await waiting
    rest()


async def test_the_patrol_rests_while_there_is_nothing_to_look_after() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    awake = asyncio.ensure_future(pace.awake())
    await asyncio.sleep(0)
    assert not awake.done()
    pace.folders_open(2)
    await awake
    await pace.awake()
    pace.folders_open(0)
    resting = asyncio.ensure_future(pace.awake())
    await asyncio.sleep(0)
    assert not resting.done()
    resting.cancel()


async def test_a_closed_pace_tells_a_closing_store_nothing() -> None:
    store = Store()
    pace = WatchPace(store.watch)
    pace.runs_active(1)
    rest = pace.expect_others()
    pace.close()
    pace.runs_active(0)
    rest()
    assert store.told == [True]
