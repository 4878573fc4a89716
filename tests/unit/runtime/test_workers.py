"""The spare worker: there after the first run and not before, the same as any other, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from sidestep.model.execution import ScriptRaised, Turn
from sidestep.model.run import FailureCode
from sidestep.runtime import sandbox as sandbox_module
from sidestep.runtime import worker
from sidestep.runtime.sandbox import MontySandbox
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import ScriptedHost, Trace, program, sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_monty import MontySession

# Tests take it away, as on a system that does not have it.
WAIT = os.waitid
ONE = "def main():\n    return 1"
STEP = "from sidestep import command\nasync def main():\n    await command(['x'], id='x')\n    return 2"
# Says whether it finds what another script may have left behind, and raises on line 8 of its own.
CURIOUS = """\
def main():
    for look in (lambda: left, lambda: command, lambda: ONE):
        try:
            look()
            print("there")
        except (NameError, AttributeError):
            print("not there")
    raise KeyError("here")
"""
LEAVING = "left = 1\nfrom sidestep import command\ndef main():\n    global ONE\n    ONE = 2\n    print('left', end='')"


class Prelude:
    """Counts the workers that were given the prelude; the giving is the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fed: list[int] = []
        give = MontySandbox.give_prelude

        def counting(made: MontySandbox, session: MontySession) -> None:
            give(made, session)
            assert session.worker_pid is not None
            self.fed.append(session.worker_pid)

        monkeypatch.setattr(MontySandbox, "give_prelude", counting)

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


def no_more_processes() -> MontySession:
    raise OSError("no more processes")


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


async def test_there_is_no_spare_before_a_run_has_ended(prelude: Prelude) -> None:
    """What the server takes while nothing was run is a promise."""
    before = children()
    async with sandbox() as made:
        assert children() == before
        unused = await made.open(program(ONE))
        await unused.close()
        assert children() == before
        assert len(prelude.fed) == 1


async def test_the_next_run_takes_the_spare_and_leaves_another(prelude: Prelude) -> None:
    before = children()
    async with sandbox() as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        first, second = prelude.fed
        assert children() - before == {second} != {first}
        session = await made.open(program(STEP))
        assert children() - before == {second}
        host = ScriptedHost(session)
        await host.start()
        # While the run goes on, the spare is not replaced: there would be two workers for one run.
        other = await made.open(program(STEP))
        assert len(children() - before) == len(prelude.fed) - 1 == 2
        trace = await host.finish(lambda _: None)
        assert trace.value == 2
        await session.close()
        await other.close()
        await prelude.was_fed_to(4)
        assert children() - before == {prelude.fed[3]}
    assert children() == before


async def test_many_runs_that_end_at_once_leave_one_spare(prelude: Prelude) -> None:
    before = children()
    async with sandbox() as made:
        await asyncio.gather(*[conducted(made, ONE) for _ in range(6)])
        # A run that is opened behind the spare in the making waits for it, and for no other.
        fed = len(prelude.fed)
        session = await made.open(program(ONE))
        assert len(prelude.fed) == max(fed, 7)
        await session.close()
    assert len(prelude.fed) == 7
    assert children() == before


@pytest.mark.parametrize("has_waitid", [True, False])
async def test_a_run_cannot_tell_whether_it_was_given_the_spare(
    has_waitid: bool, prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same calls, same text, same line: nothing of the run before is there, and frames are counted alike."""
    if not has_waitid:
        monkeypatch.delattr(os, "waitid", raising=False)
    async with sandbox() as made:
        fresh = await conducted(made, CURIOUS)
    async with sandbox() as made:
        fed = len(prelude.fed)
        await conducted(made, LEAVING)
        await prelude.was_fed_to(fed + 2)
        session = await made.open(program(CURIOUS))
        assert len(prelude.fed) == fed + 2, "it took the spare"
        host = ScriptedHost(session)
        await host.start()
        assert host.trace == fresh
        assert fresh.failure.line == 8
        assert [call.payload["text"] for call in fresh.calls] == ["not there"] * 3
        await session.close()


@pytest.mark.parametrize("has_waitid", [True, False])
async def test_a_spare_that_died_is_noticed_and_replaced(
    has_waitid: bool, prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_waitid:
        monkeypatch.delattr(os, "waitid", raising=False)
    async with sandbox() as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        await kill(prelude.fed[1])
        trace = await conducted(made, ONE)
        assert trace.value == 1
        assert prelude.fed[1] != prelude.fed[2]


async def test_a_spare_that_died_and_has_no_successor_fails_the_run_with_the_reason(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sandbox() as made:
        await conducted(made, ONE)
        await prelude.was_fed_to(2)
        await kill(prelude.fed[1])
        monkeypatch.setattr(made, "check_out", no_more_processes)
        session = await made.open(program(ONE))
        turn = await session.start()
        assert isinstance(turn.ended, ScriptRaised)
        assert turn.ended.failure.code is FailureCode.INFRASTRUCTURE


async def test_a_spare_that_could_not_be_made_is_tried_again_by_the_run_that_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = Refusal()
    async with sandbox() as made:
        session = await made.open(program(ONE))
        await session.start()
        monkeypatch.setattr(made, "give_prelude", refusal)
        await session.close()
        await until(lambda: refusal.count == 1)
        broken = await made.open(program(ONE))
        turn = await broken.start()
        assert isinstance(turn.ended, ScriptRaised)
        assert turn.ended.failure.code is FailureCode.INFRASTRUCTURE
        assert "no more processes" in turn.ended.failure.message
        assert refusal.count == 2
        await broken.close()
        await until(lambda: refusal.count == 3)
        monkeypatch.undo()
        assert (await conducted(made, ONE)).value == 1


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


async def test_a_sandbox_closes_while_its_spare_is_made_or_waits(prelude: Prelude) -> None:
    before = children()
    for _ in range(5):
        async with sandbox() as made:
            await conducted(made, ONE)
        assert children() == before
    async with sandbox() as made:
        fed = len(prelude.fed)
        await conducted(made, ONE)
        await prelude.was_fed_to(fed + 2)
    assert children() == before


async def test_a_run_that_is_killed_while_it_waits_for_the_spare_leaves_nothing(prelude: Prelude) -> None:
    before = children()
    async with sandbox() as made:
        await conducted(made, ONE)
        opening = asyncio.ensure_future(made.open(program(ONE)))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert opening.cancelled()
        await until(lambda: children() == before)
        assert (await conducted(made, ONE)).value == 1


async def test_a_run_on_the_spare_is_killed_like_any_other(prelude: Prelude) -> None:
    async with sandbox(Settings(sandbox_turn_s_max=600.0)) as made:
        await conducted(made, ONE)
        session = await made.open(program("while True: pass\ndef main(): pass"))
        spare = psutil.Process(prelude.fed[1])
        turn = asyncio.ensure_future(session.start())
        await asyncio.to_thread(lambda: [None for _ in iter(lambda: spare.cpu_percent(0.02) < 30, False)])
        await session.close()
        assert await turn == Turn()
        assert not spare.is_running()


async def test_x4_the_spare_takes_no_place_of_a_run(prelude: Prelude, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many runs as allowed are active and none is on its way out: there is still room for the spare."""
    monkeypatch.setattr(sandbox_module, "_LEAVING_PROCESSES_MAX", 0)
    before = children()
    async with sandbox(Settings(active_runs_max=2)) as made:
        sessions = [await made.open(program(STEP)) for _ in range(3)]
        turns = await asyncio.gather(*[session.start() for session in sessions])
        assert [len(turn.calls) for turn in turns] == [1, 1, 1]
        await sessions[0].close()
        await prelude.was_fed_to(4)
        assert len(children() - before) == 3


async def test_a_sandbox_that_closes_under_its_runs_makes_no_spare_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    checked_out: list[int] = []
    check_out = MontySandbox.check_out

    def counted(made: MontySandbox) -> MontySession:
        checked_out.append(1)
        return check_out(made)

    monkeypatch.setattr(MontySandbox, "check_out", counted)
    async with sandbox() as made:
        session = await made.open(program(STEP))
        await session.start()
    # These threads end when they have done what they were given.
    await until(lambda: not any(thread.name.startswith("sidestep-open") for thread in threading.enumerate()))
    assert len(checked_out) == 1
    assert children() == before


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pass", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
@pytest.mark.parametrize("moment", ["made", "waiting"])
def test_a_process_that_ends_leaves_no_spare(ending: str, moment: str) -> None:
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
            while not made._spare._is_fed:
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
