"""
What a step of this shape costs when nothing is done in it: the bound below which a better program could not bring it.

An event loop asks a thread for a turn, which is 200 bytes to a process that echoes them, and another thread for the
commit of one row, both at once, and goes on when both are done. No script, no rules, no journal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sidestep.runtime.call_threads import CallThreads
from tests.bench.floor import CommitFloor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

_ECHO = "import os\nwhile text := os.read(0, 65536):\n    os.write(1, text)\n"
_MESSAGE = b"x" * 200


class HandOvers:
    """Made by `hand_overs`."""

    def __init__(self, turns: CallThreads, commits: CallThreads, floor: CommitFloor, echo: subprocess.Popen[bytes]):
        self._turns = turns
        self._commits = commits
        self._floor = floor
        self._echo = echo

    async def seconds(self, steps: int) -> float:
        """Of one step, on average."""
        began = time.perf_counter()
        for _ in range(steps):
            committed = self._commits.submit(lambda: self._floor.measure(1)).answer
            await self._turns.submit(self._turn).answer
            await committed
        return (time.perf_counter() - began) / steps

    def _turn(self) -> None:
        assert self._echo.stdin is not None
        assert self._echo.stdout is not None
        os.write(self._echo.stdin.fileno(), _MESSAGE)
        answer = os.read(self._echo.stdout.fileno(), len(_MESSAGE))
        assert answer == _MESSAGE, "small messages arrive in one piece"


@asynccontextmanager
async def hand_overs(folder: Path) -> AsyncGenerator[HandOvers]:
    """On a database of its own in `folder`."""
    turns, commits = CallThreads(1, "hand-over-turn"), CallThreads(1, "hand-over-commit")
    with _echoing() as echo:
        # SQLite's connection belongs to the thread that makes it.
        floor = await commits.submit(lambda: _floor(folder)).answer
        try:
            yield HandOvers(turns, commits, floor, echo)
        finally:
            await commits.submit(floor.close).answer
            for threads in (turns, commits):
                threads.stop()


def _floor(folder: Path) -> CommitFloor:
    folder.mkdir()
    return CommitFloor(folder)


def _echoing() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
