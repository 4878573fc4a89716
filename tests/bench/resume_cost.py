"""Going on with a run of many finished steps, relative to what its first execution took for them."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.run import RunStatus
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import InlineScript
from sidestep.service.requests import ResumeRequest, StartRequest
from sidestep.settings import Settings
from tests.bench.bench_service import FreeExecutor
from tests.bench.row import row

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest

SOURCE = """
from sidestep import command

async def main(count: int):
    for number in range(count):
        await command(["true"], id=f"step:{number}")
    await command(["true"], id="last")
"""

ROUNDS = {300: 7, 3000: 3}
AIM = 0.25


class HoldingExecutor(FreeExecutor):
    """Holds the step `last` the first time, until it is aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.holds = True

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        if request.step_id == "last":
            self.reached.set()
            if self.holds:
                await signal.race(asyncio.Event().wait())
        return await super().execute(request, signal)


async def measure_resume_cost(folder: Path) -> list[dict[str, Any]]:
    """One row per number of finished steps; both times end when the executor is asked for the step after them."""
    executor = HoldingExecutor()
    app = Application(Settings(), folder / "resume.db", os.environ, executors={"command": executor})
    workspace = FolderKey.existing(str(folder))
    app.library.trust_for_session([workspace])
    rows: list[dict[str, Any]] = []
    try:
        service = await app.service()
        for count, rounds in ROUNDS.items():
            ratios: list[float] = []
            for _ in range(rounds):
                executor.holds = True
                executor.reached.clear()
                request = StartRequest(script=InlineScript(SOURCE, "bench"), args={"count": count}, folder=workspace)
                began = time.perf_counter()
                started = asyncio.ensure_future(service.start(request, AbortController().signal))
                await executor.reached.wait()
                first_s = time.perf_counter() - began
                (active,) = service.runs
                await service.interrupt(active.run_id, by="bench")
                record = (await started).record
                executor.holds = False
                executor.reached.clear()
                began = time.perf_counter()
                resumed = asyncio.ensure_future(
                    service.resume(ResumeRequest(run_id=record.run_id), AbortController().signal)
                )
                await executor.reached.wait()
                ratios.append((time.perf_counter() - began) / first_s)
                assert (await resumed).status is RunStatus.COMPLETED
            rows.append(row(f"resume of {count} finished steps", ratios, floor="their first execution", aim=AIM))
    finally:
        await app.close(AbortReason(AbortKind.SHUTDOWN))
    return rows
