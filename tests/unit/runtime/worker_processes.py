"""What the tests of the sandbox's workers look at: the processes there are, and what was done to them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import psutil

from sidestep.runtime.worker_pool import WorkerPool
from tests.unit.runtime.scripted_host import ScriptedHost, Trace, program

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from pydantic_monty import MontySession

    from sidestep.runtime.sandbox import MontySandbox

# Tests take it away, as on a system that does not have it.
WAIT = os.waitid
ONE = "def main():\n    return 1"
STEP = "from sidestep import command\nasync def main():\n    await command(['x'], id='x')\n    return 2"
BUSY = "while True: pass\ndef main(): pass"


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


async def conducted(made: MontySandbox, source: str) -> Trace:
    session = await made.open(program(source))
    host = ScriptedHost(session)
    await host.start()
    trace = await host.finish(lambda _: None)
    await session.close()
    return trace


async def free_worker(made: MontySandbox, prelude: Prelude) -> int:
    """Run a first script; the process id of the worker that waits for the next one then."""
    await conducted(made, ONE)
    await prelude.was_fed_to(2)
    await until_free(made)
    return prelude.fed[1]


def run_apart(code: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program in a process of its own, with these modules to import, until it has ended."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=20,
        check=False,
    )
