"""Workers: got with the first run, used again, and the same for every run."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from sidestep.model.execution import Turn
from sidestep.model.run import FailureCode
from sidestep.runtime import worker, worker_pool
from sidestep.runtime.worker_pool import WorkerPool
from sidestep.settings import MIB, Settings
from tests.unit.runtime.scripted_host import ScriptedHost, program, sandbox
from tests.unit.runtime.worker_processes import (
    BUSY,
    ONE,
    STEP,
    Prelude,
    children,
    conducted,
    until,
    until_free,
)

if TYPE_CHECKING:
    from pydantic_monty import MontySession

    from sidestep.runtime.fed_worker import FedWorker


# Says whether it finds what another script may have left behind, and raises on line 15 of its own.
CURIOUS = """\
class Thing:
    pass

def main():
    for look in (lambda: left, lambda: command, lambda: ONE):
        try:
            look()
            print("there")
        except (NameError, AttributeError):
            print("not there")
    one, two = Thing(), Thing()
    print([id(one), id(two), id([]), repr(one), hash(one), hash("text"), hash((1, "x")), hash(Thing)])
    print(list({"some", "words", "in", "a", "set"}), {Thing(): 1})
    print(len([0] * 3_000_000))
    raise KeyError("here")
"""
LEAVING = """\
left = 1
from sidestep import command
class Other:
    pass
kept = [Other() for _ in range(1000)]
names = {f"name{number}": number for number in range(1000)}
def main():
    global ONE
    ONE = 2
    print('left', end='')
"""
# Ways for a script to end, or not to.
BEFORE = {
    "returned": LEAVING,
    "raised": LEAVING + "    raise ValueError('left')",
    "waiting": "from sidestep import command\n"
    + LEAVING.replace("def main", "async def main")
    + "    await command(['x'], id='x')",
    "wide": "from sidestep import command, parallel\nleft = 1\nasync def main():\n"
    + "    await parallel([command(['x'], id=f'x{number}') for number in range(50)])",
    "too large": "left = []\ndef main():\n    while True: left.append('x' * 1_000_000 + str(len(left)))",
    "too deep": "left = 1\ndef main():\n    return main()",
    "no Python": "def main(:",
}


async def test_there_is_no_worker_before_the_first_run_and_one_that_had_no_script_is_kept(prelude: Prelude) -> None:
    """What the server takes while nothing was run is a promise."""
    before = children()
    async with sandbox() as made:
        assert children() == before
        unused = await made.open(program(ONE))
        await unused.close()
        (only,) = prelude.fed
        assert (await conducted(made, ONE)).value == 1
        await prelude.was_fed_to(2)
        assert prelude.fed == [only, only]
    assert children() == before


async def test_the_next_run_takes_the_worker_of_the_last_and_those_at_once_have_one_each(prelude: Prelude) -> None:
    before = children()
    async with sandbox() as made:
        for count in (2, 3, 4):
            await conducted(made, ONE)
            await prelude.was_fed_to(count)
            await until_free(made)
        (only,) = children() - before
        assert set(prelude.fed) == {only}
        session, other = [await made.open(program(STEP)) for _ in range(2)]
        assert len(children() - before) == 2
        host = ScriptedHost(session)
        await host.start()
        assert (await host.finish(lambda _: None)).value == 2
        await session.close()
        await other.close()
        assert len(children() - before) == 2
    assert children() == before


async def test_a_worker_goes_to_a_run_that_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own, still in the making then, is kept for the next."""
    before = children()
    async with sandbox() as made:
        session = await made.open(program(ONE))
        await session.start()
        makes, may_make, check_out = threading.Event(), threading.Event(), WorkerPool.check_out

        def held_up(pool: WorkerPool) -> MontySession:
            if threading.current_thread().name.startswith("sidestep-make"):
                makes.set()
                may_make.wait(30)
            return check_out(pool)

        monkeypatch.setattr(WorkerPool, "check_out", held_up)
        opening = asyncio.ensure_future(made.open(program(ONE)))
        await asyncio.to_thread(makes.wait, 30)
        await session.close()
        assert await (await opening).start()
        may_make.set()
        await until(lambda: len(children() - before) == 2)
    assert children() == before


async def test_free_workers_have_a_limit(prelude: Prelude) -> None:
    before = children()
    async with sandbox(Settings(sandbox_free_workers_max=2)) as made:
        sessions = await asyncio.gather(*[made.open(program(STEP)) for _ in range(6)])
        await asyncio.gather(*[session.start() for session in sessions])
        assert len(children() - before) == 6
        await asyncio.gather(*[session.close() for session in sessions])
        await until(lambda: len(children() - before) == 2)
        await prelude.was_fed_to(7)
    assert children() == before


async def test_unused_workers_keep_to_the_limit_too() -> None:
    before = children()
    async with sandbox(Settings(sandbox_free_workers_max=2)) as made:
        sessions = await asyncio.gather(*[made.open(program(ONE)) for _ in range(6)])
        for session in sessions:
            await session.close()
        await until(lambda: len(children() - before) == 2)
    assert children() == before


async def test_one_worker_is_made_ready_ahead_and_the_others_when_a_run_wants_them(prelude: Prelude) -> None:
    before = children()
    async with sandbox() as made:
        sessions = await asyncio.gather(*[made.open(program(ONE)) for _ in range(3)])
        for session in sessions:
            await session.start()
            await session.close()
        await until_free(made)
        assert len(prelude.fed) == 4
        again = await asyncio.gather(*[made.open(program(ONE)) for _ in range(3)])
        assert len(prelude.fed) == 6
        assert set(prelude.fed) == children() - before
        for session in again:
            await session.start()
            await session.close()
    assert children() == before


async def test_free_workers_end_when_no_run_wants_them_and_one_stays() -> None:
    before = children()
    async with sandbox(Settings(sandbox_free_worker_s_max=0.0)) as made:
        sessions = await asyncio.gather(*[made.open(program(STEP)) for _ in range(5)])
        await asyncio.gather(*[session.start() for session in sessions])
        await asyncio.gather(*[session.close() for session in sessions])
        await until(lambda: len(children() - before) == 1)
        assert (await conducted(made, ONE)).value == 1
    assert children() == before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say what a process takes")
async def test_a_worker_that_became_large_is_not_used_again(prelude: Prelude, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_KEPT_BYTES_MAX", 8 * MIB)
    async with sandbox() as made:
        await conducted(made, "def main():\n    return len([str(number) for number in range(100_000)])")
        await prelude.was_fed_to(2)
        assert prelude.fed[0] != prelude.fed[1]
        await conducted(made, ONE)
        await prelude.was_fed_to(3)
        assert prelude.fed[1] == prelude.fed[2]


async def test_a_worker_whose_script_took_all_memory_is_not_used_again(prelude: Prelude) -> None:
    """It lives, and keeps in small pieces what the script took."""
    before = children()
    async with sandbox() as made:
        trace = await conducted(made, "def main():\n    left = []\n    while True: left.append(str(len(left)))")
        assert trace.failure.code is FailureCode.LIMIT
        await prelude.was_fed_to(2)
        assert prelude.fed[0] != prelude.fed[1]
        await until(lambda: children() - before == {prelude.fed[1]})


@pytest.mark.parametrize("before", BEFORE)
async def test_a_run_cannot_tell_which_worker_it_was_given(before: str, prelude: Prelude) -> None:
    """Same calls, same text, same line, same ids and hashes: nothing of the run before is there."""
    async with sandbox() as made:
        fresh = await conducted(made, CURIOUS)
    async with sandbox() as made:
        fed = len(prelude.fed)
        session = await made.open(program(BEFORE[before]))
        await session.start()
        await session.close()
        await prelude.was_fed_to(fed + 2)
        assert await conducted(made, CURIOUS) == fresh
    assert fresh.failure.line == 15
    assert [call.payload["text"] for call in fresh.calls][:3] == ["not there"] * 3


async def test_p9_the_worker_of_a_script_that_waited_hears_nothing_more_of_it(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its `finally` runs nor is a late completion delivered, while another script runs where it ran."""
    # A run that wants it does not wait for that.
    monkeypatch.setattr(worker_pool, "_REST_S", 600.0)
    async with sandbox() as made:
        first = ScriptedHost(await made.open(program(STEP)))
        await first.start()
        await first.session.close()
        second = ScriptedHost(await made.open(program(STEP)))
        assert prelude.fed == prelude.fed[:1] * 2
        await second.start()
        assert await first.settle("x", None) == Turn()
        first.session.kill()
        assert (await second.finish(lambda _: None)).value == 2


async def test_the_worker_of_a_script_whose_turn_had_no_thread_yet_is_used_again(prelude: Prelude) -> None:
    async with sandbox(Settings(sandbox_threads=1, sandbox_turn_s_max=600.0)) as made:
        busy, queued = [await made.open(program(source)) for source in (BUSY, ONE)]
        turns = [asyncio.ensure_future(session.start()) for session in (busy, queued)]
        await asyncio.sleep(0)
        await queued.close()
        await prelude.was_fed_to(3)
        assert prelude.fed[2] == prelude.fed[1]
        await busy.close()
        assert await asyncio.gather(*turns) == [Turn(), Turn()]


async def test_the_prelude_is_fed_once_and_every_later_worker_begins_where_that_one_stood(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That nothing tells those from the first is what the other tests here show: their runs have such a worker."""
    feed, fed = worker.feed_prelude, list[None]()

    def counting(session: MontySession, settings: Settings) -> None:
        fed.append(None)
        feed(session, settings)

    monkeypatch.setattr(worker, "feed_prelude", counting)
    async with sandbox() as made:
        for count in (2, 3, 4):
            assert (await conducted(made, ONE)).value == 1
            await prelude.was_fed_to(count)
    assert len(fed) == 1


@pytest.mark.parametrize("moment", ["waits", "has it"])
async def test_a_run_that_is_stopped_while_it_waits_for_a_worker_leaves_it_to_the_next(
    moment: str, prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    offer = WorkerPool._offer

    def cancelled_right_after(pool: WorkerPool, worker: FedWorker) -> None:
        offer(pool, worker)
        opening.cancel()

    async with sandbox() as made:
        opening = asyncio.ensure_future(made.open(program(ONE)))
        await asyncio.sleep(0)
        if moment == "has it":
            monkeypatch.setattr(WorkerPool, "_offer", cancelled_right_after)
        else:
            opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert opening.cancelled()
        assert (await conducted(made, ONE)).value == 1
        await until(lambda: len(children() - before) == 1)
        assert set(prelude.fed) == children() - before
    assert children() == before


async def test_a_worker_that_is_killed_in_a_turn_is_replaced_ahead(prelude: Prelude) -> None:
    async with sandbox(Settings(sandbox_turn_s_max=600.0)) as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        session = await made.open(program(BUSY))
        busy = psutil.Process(prelude.fed[1])
        turn = asyncio.ensure_future(session.start())
        await asyncio.to_thread(lambda: [None for _ in iter(lambda: busy.cpu_percent(0.02) < 30, False)])
        await session.close()
        assert await turn == Turn()
        assert not busy.is_running()
        await prelude.was_fed_to(3)
        await until_free(made)
        assert prelude.fed[2] != busy.pid


async def test_x4_a_worker_on_its_way_takes_no_place_of_a_run(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many runs as allowed are active and none is on its way out: there is still room for a free worker."""
    monkeypatch.setattr(worker_pool, "_LEAVING_PROCESSES_MAX", 0)
    monkeypatch.setattr(worker_pool, "_CHECKOUT_S_MAX", 0.01)
    before = children()
    async with sandbox(Settings(active_runs_max=2, sandbox_free_workers_max=1)) as made:
        made._workers.make_ahead()
        sessions = [await made.open(program(STEP)) for _ in range(2)]
        made._workers.make_ahead()
        await prelude.was_fed_to(3)
        await until_free(made)
        turns = await asyncio.gather(*[session.start() for session in sessions])
        assert [len(turn.calls) for turn in turns] == [1, 1]
        assert len(children() - before) == 3
