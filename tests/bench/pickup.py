"""How soon another process picks up a run whose owner was killed, relative to one second."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.run import RunStatus
from sidestep.settings import Settings
from tests.bench.row import row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord
    from sidestep.service.workflows import WorkflowService

SOURCE = """
from sidestep import sleep

async def main():
    await sleep(600, id="long")
"""

ROUNDS = 10
AIM = 1.0


async def measure_pickup(folder: Path) -> list[dict[str, Any]]:
    """From SIGKILL of the owner to the durable `interrupted` (crash) that the other process writes."""
    script = folder / "waits.py"
    script.write_text(SOURCE)
    store = folder / "pickup.db"
    app = Application(Settings(), store, os.environ)
    ratios: list[float] = []
    try:
        service = await app.service()
        # As a window has; with no folder open nobody would be told, and nothing is looked for.
        service.pace.folders_open(1)
        for _ in range(ROUNDS):
            running = _commit(service, lambda record: record.steps.running == 1)
            owner = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sidestep", "run", str(script), "--folder", str(folder)),
                *("--store", str(store), "--trust"),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            run_id = (await running).run_id
            stopped = _commit(
                service, lambda record, run_id=run_id: (record.run_id, record.status) == (run_id, RunStatus.INTERRUPTED)
            )
            owner.kill()
            began = time.perf_counter()
            assert (await stopped).reason == "crash"
            ratios.append(time.perf_counter() - began)
            await owner.wait()
    finally:
        await app.close(AbortReason(AbortKind.SHUTDOWN))
    return [row("pickup of a dead owner's run", ratios, floor="one second", aim=AIM)]


def _commit(service: WorkflowService, wanted: Callable[[RunRecord], bool]) -> asyncio.Future[RunRecord]:
    """A future of the first commit from now on whose row is `wanted`."""
    found: asyncio.Future[RunRecord] = asyncio.get_running_loop().create_future()

    def look(committed: Committed) -> None:
        if not found.done() and wanted(committed.record):
            found.set_result(committed.record)

    unlisten = service.listeners.listen(look)
    found.add_done_callback(lambda _: unlisten())
    return found
