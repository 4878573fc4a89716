"""Workers that die or cannot be had: the run hears why, no run waits for ever, and the next one goes on."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from sidestep.model.execution import ScriptRaised, Turn
from sidestep.model.run import FailureCode
from sidestep.runtime.worker_pool import WorkerPool
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import program, sandbox
from tests.unit.runtime.worker_processes import (
    BUSY,
    ONE,
    STEP,
    Prelude,
    children,
    conducted,
    free_worker,
    kill,
    until,
)

if TYPE_CHECKING:
    from pydantic_monty import MontySession


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


@pytest.mark.parametrize("has_waitid", [True, False])
async def test_a_free_worker_that_died_is_noticed_and_replaced(
    has_waitid: bool, prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_waitid:
        monkeypatch.delattr(os, "waitid", raising=False)
    async with sandbox() as made:
        await kill(await free_worker(made, prelude))
        assert (await conducted(made, ONE)).value == 1
        assert prelude.fed[1] != prelude.fed[2]


async def test_where_the_system_does_not_say_who_lives_a_free_worker_is_asked_and_taken(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "waitid", raising=False)
    async with sandbox() as made:
        await free_worker(made, prelude)
        session = await made.open(program(ONE))
        assert len(prelude.fed) == 2
        await session.start()
        await session.close()


async def test_a_free_worker_that_died_and_has_no_successor_fails_the_run_with_the_reason(
    prelude: Prelude, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sandbox() as made:
        await kill(await free_worker(made, prelude))
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
        await kill(await free_worker(made, prelude))
        monkeypatch.setattr(os, "waitid", reaped)
        monkeypatch.setattr(os, "kill", lambda process_id, _: signalled.append(process_id))
        assert (await conducted(made, ONE)).value == 1
        monkeypatch.undo()
    assert prelude.fed[1] not in signalled
