"""Workers: got with the first run, used again, the same for every run, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from sidestep.model.execution import ScriptRaised, Turn
from sidestep.model.run import FailureCode
from sidestep.runtime import worker, worker_pool
from sidestep.runtime.fed_worker import FedWorker
from sidestep.runtime.worker_pool import WorkerPool
from sidestep.settings import MIB, Settings
from tests.unit.runtime.scripted_host import ScriptedHost, Trace, program, sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_monty import MontySession

    from sidestep.runtime.sandbox import MontySandbox

# Tests take it away, as on a system that does not have it.
WAIT = os.waitid
ONE = "def main():\n    return 1"
STEP = "from sidestep import command\nasync def main():\n    await command(['x'], id='x')\n    return 2"
BUSY = "while True: pass\ndef main(): pass"
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


class Prelude:
    """Counts the workers that were given the prelude; the giving is the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fed: list[int] = []
        give = WorkerPool.give_prelude

        def counting(made: WorkerPool, session: MontySession) -> None:
            give(made, session)
            assert session.worker_pid is not None
            self.fed.append(session.worker_pid)

        monkeypatch.setattr(WorkerPool, "give_prelude", counting)

    async def was_fed_to(self, count: int) -> None:
        await until(lambda: len(self.fed) >= count)


@pytest.fixture
def prelude(monkeypatch: pytest.MonkeyPatch) -> Prelude:
    return Prelude(monkeypatch)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        # Lets the other callbacks run; nothing is waited for by time.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


def children() -> set[int]:
    """Those that live: a dead one is reaped by the pool in its own time."""
    return {child.pid for child in psutil.Process().children() if not is_dead(child)}


def is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def kill(process_id: int) -> None:
    """Returns when all its threads are gone: the main one is called a zombie a little earlier. It is not reaped."""
    os.kill(process_id, signal.SIGKILL)
    await asyncio.to_thread(WAIT, os.P_PID, process_id, os.WEXITED | os.WNOWAIT)


async def until_free(made: MontySandbox) -> None:
    await until(lambda: bool(made._workers._free))


def no_more_processes(pool: WorkerPool) -> MontySession:
    raise OSError("no more processes")


def broken_installation(pool: WorkerPool) -> MontySession:
    raise ImportError("half of Monty is not there")


def no_more_threads(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class Refusal:
    """Feeds nothing; counts how often it was asked to."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, session: MontySession) -> None:
        self.count += 1
        raise OSError("no more processes")


async def conducted(made: MontySandbox, source: str) -> Trace:
    session = await made.open(program(source))
    host = ScriptedHost(session)
    await host.start()
    trace = await host.finish(lambda _: None)
    await session.close()
    return trace


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


@pytest.mark.parametrize("has_waitid", [True, False])
async def test_a_free_worker_that_died_is_noticed_and_replaced(
    has_waitid: bool, prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_waitid:
        monkeypatch.delattr(os, "waitid", raising=False)
    async with sandbox() as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        await until_free(made)
        await kill(prelude.fed[1])
        assert (await conducted(made, ONE)).value == 1
        assert prelude.fed[1] != prelude.fed[2]


async def test_where_the_system_does_not_say_who_lives_a_free_worker_is_asked_and_taken(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "waitid", raising=False)
    async with sandbox() as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        await until_free(made)
        session = await made.open(program(ONE))
        assert len(prelude.fed) == 2
        await session.start()
        await session.close()


async def test_a_free_worker_that_died_and_has_no_successor_fails_the_run_with_the_reason(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sandbox() as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        await until_free(made)
        await kill(prelude.fed[1])
        monkeypatch.setattr(WorkerPool, "check_out", no_more_processes)
        session = await made.open(program(ONE))
        turn = await session.start()
        assert isinstance(turn.ended, ScriptRaised)
        assert turn.ended.failure.code is FailureCode.INFRASTRUCTURE
        await session.close()


async def test_a_worker_that_could_not_be_renewed_is_made_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    refusal = Refusal()
    async with sandbox() as made:
        session = await made.open(program(ONE))
        await session.start()
        monkeypatch.setattr(WorkerPool, "give_prelude", refusal)
        await session.close()
        await until(lambda: refusal.count == 1 and not made._workers._coming)
        broken = await made.open(program(ONE))
        turn = await broken.start()
        assert isinstance(turn.ended, ScriptRaised)
        assert turn.ended.failure.code is FailureCode.INFRASTRUCTURE
        assert "no more processes" in turn.ended.failure.message
        assert refusal.count == 2
        await broken.close()
        assert children() == before
        monkeypatch.undo()
        assert (await conducted(made, ONE)).value == 1


@pytest.mark.parametrize("whose", ["its own", "another's"])
async def test_what_nobody_foresaw_in_the_making_of_a_worker_is_raised_where_it_is_waited_for(
    whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    async with sandbox() as made:
        if whose == "another's":
            session = await made.open(program(ONE))
            await session.start()
            monkeypatch.setattr(WorkerPool, "check_out", broken_installation)
            await session.close()
        monkeypatch.setattr(WorkerPool, "check_out", broken_installation)
        async with asyncio.timeout(10):
            with pytest.raises(ImportError, match="half of Monty"):
                await made.open(program(ONE))
        monkeypatch.undo()
        assert (await conducted(made, ONE)).value == 1
    assert children() == before


async def test_what_nobody_foresaw_in_the_making_of_a_worker_is_told_where_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))
    async with sandbox() as made:
        session = await made.open(program(ONE))
        await session.start()
        monkeypatch.setattr(WorkerPool, "check_out", broken_installation)
        await session.close()
        await until(lambda: bool(told))
        assert isinstance(told[0], ImportError)
        monkeypatch.undo()
        assert (await conducted(made, ONE)).value == 1


async def test_a_run_that_finds_no_thread_for_its_start_leaves_nothing_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a worker would be given to what it left."""
    before = children()
    async with sandbox() as made:
        monkeypatch.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="new thread"):
            await made.open(program(ONE))
        assert not made._workers._waiting
        monkeypatch.undo()
        assert (await conducted(made, ONE)).value == 1
    assert children() == before


async def test_a_stop_needs_no_thread_that_the_system_may_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    async with sandbox(Settings(sandbox_turn_s_max=600.0)) as made:
        sessions = [await made.open(program(source)) for source in (STEP, STEP, BUSY)]
        turns = [asyncio.ensure_future(session.start()) for session in sessions]
        await asyncio.gather(*turns[:2])
        monkeypatch.setattr(threading.Thread, "start", no_more_threads)
        async with asyncio.timeout(10):
            await asyncio.gather(*[session.close() for session in sessions])
        monkeypatch.undo()
        assert await turns[2] == Turn()
        assert (await conducted(made, ONE)).value == 1
    assert children() == before


async def test_a_dead_worker_that_something_else_reaped_is_not_signalled(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process id may be another's by then: where SIGCHLD is ignored the system reaps, say."""
    signalled: list[int] = []

    def reaped(*_: int) -> None:
        raise ChildProcessError

    async with sandbox() as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        await until_free(made)
        await kill(prelude.fed[1])
        monkeypatch.setattr(os, "waitid", reaped)
        monkeypatch.setattr(os, "kill", lambda process_id, _: signalled.append(process_id))
        assert (await conducted(made, ONE)).value == 1
        monkeypatch.undo()
    assert prelude.fed[1] not in signalled


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


async def test_a_sandbox_closes_while_a_worker_is_renewed_or_waits(prelude: Prelude) -> None:
    before = children()
    for _ in range(5):
        async with sandbox() as made:
            await conducted(made, ONE)
        assert children() == before
    async with sandbox() as made:
        fed = len(prelude.fed)
        await conducted(made, ONE)
        await prelude.was_fed_to(fed + 2)
        await until_free(made)
    assert children() == before


async def test_a_sandbox_that_closes_while_a_run_waits_for_a_worker_says_so(prelude: Prelude) -> None:
    before = children()
    async with sandbox() as made:
        opening = asyncio.ensure_future(made.open(program(ONE)))
        await asyncio.sleep(0)
    turn = await (await opening).start()
    assert isinstance(turn.ended, ScriptRaised)
    assert turn.ended.failure.message == "the sandbox is closed"
    assert children() == before


async def test_a_sandbox_that_closes_as_a_run_is_given_its_worker_ends_both(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    offer, closing = WorkerPool._offer, list[asyncio.Future[None]]()

    def closed_right_before(pool: WorkerPool, worker: FedWorker) -> None:
        # Goes on before the run does, which was given the worker by then.
        closing.append(asyncio.ensure_future(made.close()))
        offer(pool, worker)

    async with sandbox() as made:
        monkeypatch.setattr(WorkerPool, "_offer", closed_right_before)
        session = await made.open(program(ONE))
        async with asyncio.timeout(10):
            assert await session.start() == Turn()
            await asyncio.gather(*closing)
    assert children() == before


async def test_a_sandbox_that_closes_makes_none_of_the_workers_that_no_thread_makes_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, may_go, made_for = children(), threading.Event(), list[None]()
    let_go, check_out = FedWorker.let_go, WorkerPool.check_out

    def held_up(worker: FedWorker) -> None:
        may_go.wait(30)
        let_go(worker)

    def counted(pool: WorkerPool) -> MontySession:
        made_for.append(None)
        return check_out(pool)

    async with sandbox() as made:
        sessions = [await made.open(program(STEP)) for _ in range(3)]
        await asyncio.gather(*[session.start() for session in sessions])
        monkeypatch.setattr(FedWorker, "let_go", held_up)
        monkeypatch.setattr(WorkerPool, "check_out", counted)
        await asyncio.gather(*[session.close() for session in sessions])
        closing = asyncio.ensure_future(made.close())
        await asyncio.sleep(0)
        may_go.set()
        await closing
    assert not made_for
    assert children() == before


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


async def test_a_sandbox_that_closes_under_its_runs_renews_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    checked_out: list[int] = []
    check_out = WorkerPool.check_out

    def counted(pool: WorkerPool) -> MontySession:
        checked_out.append(1)
        return check_out(pool)

    monkeypatch.setattr(WorkerPool, "check_out", counted)
    async with sandbox() as made:
        session = await made.open(program(STEP))
        await session.start()
    # These threads end when they have done what they were given.
    names = ("sidestep-make", "sidestep-renew")
    await until(lambda: not any(thread.name.startswith(names) for thread in threading.enumerate()))
    assert len(checked_out) == 1
    assert children() == before


async def test_a_sandbox_that_closes_ends_the_workers_of_scripts_that_were_stopped(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "_REST_S", 600.0)
    before = children()
    async with sandbox() as made:
        sessions = [await made.open(program(STEP)) for _ in range(3)]
        for session in sessions:
            await session.start()
            await session.close()
        assert len(children() - before) == len(prelude.fed) == 3
    assert children() == before


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pass", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
@pytest.mark.parametrize("moment", ["renewed", "waiting"])
def test_a_process_that_ends_leaves_no_worker(ending: str, moment: str) -> None:
    """Nothing was closed: the worker ends because whoever would feed it is gone."""
    code = f"""
    import asyncio, os, psutil, sys, time
    from sidestep.runtime.sandbox import MontySandbox
    from sidestep.model.execution import Program
    from sidestep.settings import Settings

    async def main():
        made = MontySandbox(Settings(), monotonic=time.monotonic)
        session = await made.open(Program("n", "f", "def main(): return 1", "{{}}"))
        await session.start()
        await session.close()
        while not psutil.Process().children():
            await asyncio.sleep(0)
        if {moment!r} == "waiting":
            while not made._workers._free:
                await asyncio.sleep(0)
        print(*[child.pid for child in psutil.Process().children()], flush=True)
        {ending}

    asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == {"pass": 0, "sys.exit(3)": 3}.get(ending, -9), ended.stderr
    (pid,) = map(int, ended.stdout.split())
    with_pid = [process for process in psutil.process_iter() if process.pid == pid]
    psutil.wait_procs(with_pid, 10)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in with_pid)
