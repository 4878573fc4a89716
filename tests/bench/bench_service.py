"""The service on a real SQLite store with the real sandbox, and an executor that costs nothing."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.model.abort import AbortController, AbortKind, AbortReason, AbortSignal
from sidestep.model.execution import StepOutcome, StepRequest, StepSucceeded
from sidestep.model.run import RunRecord, RunStatus
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import InlineScript
from sidestep.service.requests import StartRequest
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

OUTPUT = {"exit_code": 0, "stdout": "", "stderr": "", "stdout_bytes": 0, "stderr_bytes": 0, "duration_ms": 0}


class FreeExecutor:
    """Answers at once; remembers when it was first called."""

    def __init__(self) -> None:
        self.first_called_at: float | None = None

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        # Any number at once.
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        return None

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        if self.first_called_at is None:
            self.first_called_at = time.perf_counter()
        return StepSucceeded(OUTPUT)


class BenchService:
    def __init__(self, app: Application, folder: FolderKey, executor: FreeExecutor) -> None:
        self._app = app
        self._folder = folder
        self.executor = executor

    async def run(self, source: str, args: dict[str, Any]) -> RunRecord:
        """Start an inline script and wait until it has completed."""
        request = StartRequest(script=InlineScript(source, "bench"), args=args, folder=self._folder)
        service = await self._app.service()
        record = (await service.start(request, AbortController().signal)).record
        assert record.status is RunStatus.COMPLETED, record.error
        return record


@asynccontextmanager
async def bench_service(folder: Path, settings: Settings | None = None) -> AsyncGenerator[BenchService]:
    """A service whose store stands in `folder`; `settings` None for the product's own."""
    executor = FreeExecutor()
    app = Application(settings or Settings(), folder / "bench.db", os.environ, executors={"command": executor})
    workspace = FolderKey.existing(str(folder))
    app.library.trust_for_session([workspace])
    try:
        yield BenchService(app, workspace, executor)
    finally:
        await app.close(AbortReason(AbortKind.SHUTDOWN))
