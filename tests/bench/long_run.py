"""What a step costs late in a long run, relative to early in the same run."""

from __future__ import annotations

import os
import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.run import RunStatus
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import InlineScript
from sidestep.service.requests import StartRequest
from sidestep.settings import Settings
from tests.bench.bench_service import FreeExecutor
from tests.bench.row import row
from tests.bench.sequential_steps import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest

STEPS = 10_100
# Steps on either side of the one that is meant.
AROUND = 100
AIM = 1.1


class TimingExecutor(FreeExecutor):
    def __init__(self) -> None:
        super().__init__()
        self.called_at: list[float] = []

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        self.called_at.append(time.perf_counter())
        return await super().execute(request, signal)

    def step_s(self, number: int) -> float:
        """The median time from one step to the next around step `number`."""
        times = self.called_at[number - AROUND : number + AROUND]
        return statistics.median(after - before for before, after in pairwise(times))


async def measure_long_run(folder: Path) -> list[dict[str, Any]]:
    executor = TimingExecutor()
    app = Application(Settings(), folder / "long.db", os.environ, executors={"command": executor})
    workspace = FolderKey.existing(str(folder))
    app.library.trust_for_session([workspace])
    try:
        service = await app.service()
        request = StartRequest(script=InlineScript(SOURCE, "bench"), args={"count": STEPS}, folder=workspace)
        record = (await service.start(request, AbortController().signal)).record
        assert record.status is RunStatus.COMPLETED, record.error
    finally:
        await app.close(AbortReason(AbortKind.SHUTDOWN))
    ratio = executor.step_s(10_000) / executor.step_s(100)
    return [row("step 10,000 of a run", [ratio], floor="step 100 of it", aim=AIM, n=2 * AROUND)]
