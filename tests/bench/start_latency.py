"""From the bytes of a `workflow/start` to the first executor call, relative to one bare commit (a start makes two)."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.settings import Settings
from tests.bench.bench_host import Answers, ask, connected, initialize
from tests.bench.bench_service import FreeExecutor
from tests.bench.floor import CommitFloor
from tests.bench.row import row

if TYPE_CHECKING:
    from pathlib import Path


SOURCE = """
from sidestep import command

async def main():
    await command(["true"], id="first")
"""

ROUNDS = 60
AIM = 8.0


async def measure_start_latency(folder: Path) -> list[dict[str, Any]]:
    """One row: frame, decode, resolve, check, create, begin, sandbox, first call."""
    executor = FreeExecutor()
    app = Application(Settings(), folder / "start.db", os.environ, executors={"command": executor})
    answers = Answers()
    connection = connected(app, answers)
    floor = CommitFloor(folder)
    ratios: list[float] = []
    try:
        await initialize(connection, answers, folder)
        for number in range(1, ROUNDS + 2):
            commit_s = statistics.median(floor.measure(20))
            executor.first_called_at = None
            began = time.perf_counter()
            answer = await ask(connection, answers, number, "workflow/start", {"script": {"source": SOURCE}})
            assert answer["result"]["status"] == "completed", answer
            assert executor.first_called_at is not None
            ratios.append((executor.first_called_at - began) / commit_s)
    finally:
        floor.close()
        connection.close()
        await app.close(AbortReason(AbortKind.SHUTDOWN))
    # The first start also loads the sandbox's library.
    ratios = ratios[1:]
    return [row("start's bytes to first executor call", ratios, floor="one WAL/FULL commit", aim=AIM)]
