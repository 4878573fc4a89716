"""
Cancelling a run inside a command until its -32800 says quiescent, relative to killing the same command directly and
making three commits (the interrupt, the cleared lease, and one to spare).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.settings import Settings
from tests.bench.bench_host import Answers, ask, connected, initialize, send
from tests.bench.floor import CommitFloor
from tests.bench.row import row

if TYPE_CHECKING:
    from pathlib import Path

# Says through a named pipe that it runs, then waits.
COMMAND = "echo ready > ready; exec sleep 600"
SOURCE = f"""
from sidestep import command

async def main():
    await command(["sh", "-c", {COMMAND!r}], id="long")
"""

ROUNDS, COMMITS = 30, 3
AIM = 1.5


async def measure_cancel_cost(folder: Path) -> list[dict[str, Any]]:
    os.mkfifo(folder / "ready")
    app = Application(Settings(), folder / "cancel.db", os.environ)
    answers = Answers()
    connection = connected(app, answers)
    floor = CommitFloor(folder)
    ratios: list[float] = []
    try:
        await initialize(connection, answers, folder)
        await ask(connection, answers, 1, "workflow/start", {"script": {"source": "async def main():\n    return 1\n"}})
        for number in range(2, ROUNDS + 2):
            direct_s = await _kill_directly(folder, floor)
            cancel_s = await _cancel(connection, answers, number, folder)
            ratios.append(cancel_s / direct_s)
    finally:
        floor.close()
        connection.close()
        await app.close(AbortReason(AbortKind.SHUTDOWN))
    floor_words = f"killing the command + {COMMITS} commits"
    return [row("cancel inside a command, to quiescent", ratios, floor=floor_words, aim=AIM)]


async def _running(folder: Path) -> None:
    assert await asyncio.to_thread((folder / "ready").read_text) == "ready\n"


async def _kill_directly(folder: Path, floor: CommitFloor) -> float:
    process = await asyncio.create_subprocess_exec("sh", "-c", COMMAND, cwd=folder, start_new_session=True)
    await _running(folder)
    began = time.perf_counter()
    os.killpg(process.pid, signal.SIGTERM)
    await process.wait()
    floor.measure(COMMITS)
    return time.perf_counter() - began


async def _cancel(connection: Any, answers: Answers, number: int, folder: Path) -> float:
    answer = asyncio.ensure_future(ask(connection, answers, number, "workflow/start", {"script": {"source": SOURCE}}))
    await _running(folder)
    began = time.perf_counter()
    send(connection, {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": number}})
    error = (await answer)["error"]
    took_s = time.perf_counter() - began
    assert error["code"] == -32800, error
    assert error["data"]["quiescent"], error
    return took_s
