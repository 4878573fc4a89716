"""I6, P9, S5, X2 as far as they live here: sessions are closed at any instant, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sidestep.model.execution import ScriptRaised, Turn
from sidestep.model.run import FailureCode
from sidestep.runtime.sandbox import versions
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import ScriptedHost, conduct, hosted, program, sandbox
from tests.unit.runtime.worker_processes import run_apart

BUSY = """
while True:
    try:
        while True: pass
    except BaseException: pass
    finally: pass
async def main(): pass
"""
STEP = """
from sidestep import command
async def main():
    try:
        await command(["x"], id="x")
    finally:
        print("y")
"""


# Long, so that a test that needs the limit to end is a test that fails.
PATIENT = Settings(sandbox_turn_s_max=600.0)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


def started_worker(before: set[int]) -> psutil.Process:
    (pid,) = children() - before
    return psutil.Process(pid)


async def until_it_computes(process: psutil.Process) -> None:
    """Wait until the worker burns time: it is in the loop."""

    def wait() -> None:
        while process.cpu_percent(0.02) < 30:
            pass

    await asyncio.wait_for(asyncio.to_thread(wait), 30)


@pytest.mark.slow
async def test_x2_a_busy_script_is_killed_at_once_and_its_turn_ends_quietly():
    before = children()
    async with sandbox(PATIENT) as made:
        session = await made.open(program(BUSY))
        worker = started_worker(before)
        turn = asyncio.ensure_future(session.start())
        await until_it_computes(worker)
        began = time.monotonic()
        await session.close()
        assert await turn == Turn()
        assert time.monotonic() - began < 0.25
        assert not worker.is_running()


@pytest.mark.slow
async def test_x2_the_kill_needs_no_thread():
    """All turn threads are busy, and a turn is waiting for one: closing any of them works at once."""
    before = children()
    async with sandbox(Settings(sandbox_turn_s_max=600.0, sandbox_threads=1)) as made:
        idle = await made.open(program(STEP))
        busy = await made.open(program(BUSY))
        busy_turn = asyncio.ensure_future(busy.start())
        waiting_turn = asyncio.ensure_future(idle.start())
        await idle.close()
        assert not waiting_turn.done()
        await busy.close()
        assert await busy_turn == Turn()
        assert await waiting_turn == Turn()
    assert children() == before


async def test_p9_after_a_close_nothing_of_the_script_goes_on():
    """No `finally` of the script runs, and a late completion is delivered to nobody."""
    before = children()
    async with sandbox() as made:
        session = await made.open(program(STEP))
        host = ScriptedHost(session)
        await host.start()
        await session.close()
        assert await host.settle("x", 1) == Turn()
        assert await session.start() == Turn()
    assert not host.trace.named("log")
    assert children() == before


async def test_close_is_idempotent_also_at_once():
    async with hosted(STEP) as host:
        await host.start()
        await asyncio.gather(*[host.session.close() for _ in range(5)])
        await host.session.close()


async def test_a_cancelled_turn_leaves_the_session_closable():
    before = children()
    async with sandbox(PATIENT) as made:
        session = await made.open(program(BUSY))
        turn = asyncio.ensure_future(session.start())
        await asyncio.sleep(0)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        await session.close()
    assert children() == before


async def test_a_worker_that_dies_by_itself_is_an_infrastructure_failure():
    before = children()
    async with sandbox() as made:
        session = await made.open(program(STEP))
        worker = started_worker(before)
        host = ScriptedHost(session)
        await host.start()
        worker.kill()
        worker.wait(5)
        turn = await host.settle("x", 1)
        assert isinstance(turn.ended, ScriptRaised)
        assert turn.ended.failure.code is FailureCode.INFRASTRUCTURE
        # The pool goes on.
        other = ScriptedHost(await made.open(program("def main():\n    return 1")))
        await other.start()
        assert other.trace.value == 1


async def test_a_sandbox_that_cannot_start_is_an_infrastructure_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MONTY_BIN", "/nonexistent/monty")
    async with hosted(STEP) as host:
        turn = await host.start()
        assert isinstance(turn.ended, ScriptRaised)
        assert turn.ended.failure.code is FailureCode.INFRASTRUCTURE
        assert "could not be started" in turn.ended.failure.message


async def test_closing_the_sandbox_closes_every_session():
    before = children()
    async with sandbox(PATIENT) as made:
        sessions = [await made.open(program(source)) for source in (BUSY, STEP, STEP)]
        turns = [asyncio.ensure_future(session.start()) for session in sessions]
        await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
        assert len(children() - before) == 3
    assert children() == before
    await asyncio.gather(*turns)


async def test_a_sandbox_that_was_never_used_closes_without_starting_anything():
    before = children()
    async with sandbox():
        assert children() == before


@pytest.mark.slow
async def test_two_hundred_sessions_leave_no_process_and_no_descriptor():
    before = children()
    async with sandbox() as made:
        counts: list[int] = []
        for _ in range(10):
            sessions = await asyncio.gather(*[made.open(program(STEP)) for _ in range(20)])
            await asyncio.gather(*[session.start() for session in sessions[:10]])
            await asyncio.gather(*[session.close() for session in sessions])
            counts.append(descriptors())
            # Workers are used again; one that came for a run that had got another's by then is there, too.
            assert len(children() - before) <= Settings().sandbox_free_workers_max
        assert max(counts) - min(counts) <= 6
    assert children() == before


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pass", "sys.exit(3)", "raise KeyError('x')"])
def test_the_process_ends_cleanly_also_when_nothing_was_closed(ending: str):
    code = f"""
    import asyncio, sys, time
    from sidestep.runtime.sandbox import MontySandbox
    from sidestep.model.execution import Program
    from sidestep.settings import Settings

    async def main():
        made = MontySandbox(Settings(sandbox_turn_s_max=0.5), monotonic=time.monotonic)
        source = "from sidestep import command\\nasync def main():\\n    await command(['x'], id='x')"
        sessions = [await made.open(Program("n", "f", source, "{{}}")) for _ in range(3)]
        await sessions[0].start()
        busy = await made.open(Program("n", "f", "while True: pass", "{{}}"))
        turn = asyncio.ensure_future(busy.start())
        await asyncio.sleep(0)
        {ending}

    asyncio.run(main())
    """
    before = children()
    ended = run_apart(code)
    assert ended.returncode == {"pass": 0, "sys.exit(3)": 3}.get(ending, 1), ended.stderr
    assert ended.stdout == b""
    assert children() == before


def test_versions_name_the_prelude_and_the_sandbox():
    assert versions() == {"prelude": "1", "sandbox": "1.4.0"}


def test_the_authoring_names_refuse_to_work_outside_of_a_run_and_import_nothing():
    import sidestep
    from sidestep.runtime.prelude import PRIMITIVES

    assert tuple(sorted(sidestep.__all__)) == PRIMITIVES
    for name in sidestep.__all__:
        call = getattr(sidestep, name)
        with pytest.raises(RuntimeError, match="only inside a workflow script run by Sidestep"):
            call("x", id="x") if name not in ("parallel", "pipeline", "failure", "phase", "log") else call("x")
    code = "import sys, __future__; old = set(sys.modules); import sidestep; print(sorted(set(sys.modules) - old))"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "['sidestep']"


@pytest.mark.slow
def test_the_prelude_takes_the_options_that_the_authoring_names_promise():
    """Editors complete from the stubs; what they offer must be taken."""
    import inspect

    import sidestep

    for name in ("agent", "command", "workflow", "ask", "sleep", "apply_patch", "parallel", "pipeline"):
        parameters = inspect.signature(getattr(sidestep, name)).parameters.values()
        options = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        for option in options:
            script = f"from sidestep import {name}\nasync def main():\n    {name}(None, {option}=None)"
            assert "has no option" not in conduct(script).failure.message
