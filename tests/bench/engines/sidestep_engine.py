"""Sidestep's service inside the process that asks it: real store, real sandbox, an executor that does nothing."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.cli.file_limit import make_room_for_files
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.ports import RunFilter
from sidestep.model.run import Attention, RunStatus
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import InlineScript
from sidestep.service.requests import ResumeRequest, StartRequest
from sidestep.settings import Settings
from tests.bench.engines.own_runs import OwnRuns
from tests.bench.engines.program import PAGE, HeldStep, Teller, main, now, ticking_shell, wait_for_file
from tests.bench.engines.sidestep_step import IN_TURN, TICKING, WAITING, TrivialExecutor, copy_runs

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord

HELD_ID = "held-run"


class SidestepEngine(OwnRuns):
    def __init__(self, folder: str, teller: Teller, is_recovering: bool) -> None:
        self._folder = FolderKey.existing(folder)
        self._store = Path(folder, "sidestep.db")
        executor = TrivialExecutor(HeldStep(teller, is_recovering=is_recovering))
        self._app = self._application(self._store, executor)
        # Where the step that is cancelled is a real command.
        self._real = self._application(Path(folder, "real.db"), None)
        self._held_id = Path(folder, HELD_ID)

    def _application(self, store: Path, executor: TrivialExecutor | None) -> Application:
        executors = None if executor is None else {"command": executor}
        app = Application(make_room_for_files(Settings()), store, os.environ, executors=executors)
        app.library.trust_for_session([self._folder])
        return app

    async def open(self) -> None:
        await self._app.service()

    async def close(self) -> None:
        for app in (self._app, self._real):
            await app.close(AbortReason(AbortKind.SHUTDOWN))

    async def cancel(self, ticks: str) -> list[float]:
        service = await self._real.service()
        await self._started(self._real, TICKING, Attention.NOTIFY_ON_TERMINAL, shell=ticking_shell(ticks))
        await wait_for_file(ticks)
        (active,) = service.runs
        asked = now()
        interrupted = await service.interrupt(active.run_id, by="bench")
        answered = now()
        assert interrupted.quiescent
        return [asked, answered]

    async def hold(self, count: int) -> None:
        service = await self._app.service()
        service.listeners.listen(lambda committed: self._held_id.write_text(committed.record.run_id))
        await self._run(IN_TURN, count=count + 1, held=count)

    async def go_on(self) -> None:
        service = await self._app.service()
        request = ResumeRequest(run_id=self._held_id.read_text())
        await service.resume(request, AbortController().signal)

    async def wait(self, count: int) -> None:
        service = await self._app.service()
        waiting: set[str] = set()
        all_wait = asyncio.Event()

        def look(committed: Any) -> None:
            record: RunRecord = committed.record
            if record.steps.running:
                waiting.add(record.run_id)
            if len(waiting) == count:
                all_wait.set()

        service.listeners.listen(look)
        for _ in range(count):
            await self._started(self._app, WAITING, Attention.NOTIFY_ON_TERMINAL)
        await all_wait.wait()

    async def fill(self, count: int) -> None:
        await self._run(IN_TURN, count=1)
        copy_runs(self._store, count)

    async def list(self) -> float:
        service = await self._app.service()
        began = now()
        page = await service.store.list_runs(RunFilter(folder=self._folder.path), cursor=None, limit=PAGE)
        assert len(page.items) == PAGE
        return now() - began

    async def _run(self, source: str, **args: Any) -> Any:
        record = await self._started(self._app, source, **args)
        assert record.status is RunStatus.COMPLETED, record.error
        assert record.result is not None
        return json.loads(record.result.data_json or "null")

    async def _started(
        self, app: Application, source: str, attention: Attention = Attention.BLOCKING, **args: Any
    ) -> RunRecord:
        service = await app.service()
        script = InlineScript(source, "bench")
        request = StartRequest(script=script, args=args, folder=self._folder, attention=attention)
        return (await service.start(request, AbortController().signal)).record


if __name__ == "__main__":
    main(SidestepEngine)
