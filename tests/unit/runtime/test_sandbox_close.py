"""A sandbox that closes, and a process that ends without: whatever its workers are about, none is left behind."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from sidestep.model.execution import ScriptRaised, Turn
from sidestep.runtime import worker_pool
from sidestep.runtime.fed_worker import FedWorker
from sidestep.runtime.worker_pool import WorkerPool
from tests.unit.runtime.scripted_host import program, sandbox
from tests.unit.runtime.worker_processes import (
    ONE,
    STEP,
    Prelude,
    children,
    conducted,
    run_apart,
    until,
    until_free,
)

if TYPE_CHECKING:
    from pydantic_monty import MontySession


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
    ended = run_apart(code)
    assert ended.returncode == {"pass": 0, "sys.exit(3)": 3}.get(ending, -9), ended.stderr
    (pid,) = map(int, ended.stdout.split())
    with_pid = [process for process in psutil.process_iter() if process.pid == pid]
    psutil.wait_procs(with_pid, 10)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in with_pid)
