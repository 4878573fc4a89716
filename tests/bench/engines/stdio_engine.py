"""Sidestep as an editor has it: `sidestep serve` in its own process, asked through its client, which follows events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidestep_protocol.client import Client
from sidestep_protocol.runs import RunOutcome, ScriptRef
from sidestep_protocol.workflow import StartParams
from tests.bench.engines.own_runs import OwnRuns
from tests.bench.engines.program import PAGE, Teller, main, now, ticking_shell, until, wait_for_file
from tests.bench.engines.sidestep_step import IN_TURN, TICKING, WAITING, copy_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER = Path(__file__).with_name("stdio_server.py")


class StdioEngine(OwnRuns):
    def __init__(self, folder: str, teller: Teller, is_recovering: bool) -> None:
        self._folder = folder
        self._store = Path(folder, "sidestep.db")
        self._teller = teller
        self._is_recovering = is_recovering
        self._servers = contextlib.AsyncExitStack()
        self._client: Client

    async def open(self) -> None:
        reading, writing = os.pipe()
        asyncio.get_running_loop().add_reader(reading, self._pass_on, reading)
        # The client hands no descriptors on, so the server finds the pipe where its own stderr would be.
        environment = {**os.environ, "BENCH_TELLS": "2"}
        if self._is_recovering:
            environment["BENCH_RECOVERS"] = "yes"
        self._client = await self._serve([str(SERVER)], environment, self._store, writing)
        os.close(writing)

    async def close(self) -> None:
        await self._servers.aclose()

    async def cancel(self, ticks: str) -> list[float]:
        # The command is a real one, so it takes a real server.
        if not hasattr(self, "_real"):
            store = Path(self._folder, "real.db")
            self._real = await self._serve(["-m", "sidestep", "serve"], os.environ, store, asyncio.subprocess.DEVNULL)
        params = StartParams(script=ScriptRef(source=TICKING), args={"shell": ticking_shell(ticks)})
        request = self._real.send("workflow/start", params, RunOutcome)
        await wait_for_file(ticks)
        asked = now()
        await self._real.cancel(request)
        with contextlib.suppress(Exception):
            # Answered with -32800 once the run is quiescent.
            await request
        return [asked, now()]

    async def hold(self, count: int) -> None:
        await self._run(IN_TURN, count=count + 1, held=count)

    async def go_on(self) -> None:
        """The server did, when the folder was opened."""

    async def wait(self, count: int) -> None:
        for _ in range(count):
            await self._client.start_background(ScriptRef(source=WAITING))

        async def all_nap() -> bool:
            return await self._napping() >= count

        await until(all_nap)

    async def fill(self, count: int) -> None:
        await self._run(IN_TURN, count=1)
        copy_runs(self._store, count)

    async def list(self) -> float:
        began = now()
        assert len((await self._client.list(limit=PAGE)).runs) == PAGE
        return now() - began

    async def _serve(self, program: list[str], environment: Mapping[str, str], store: Path, stderr: int) -> Client:
        command = [sys.executable, *program, f"--store={store}"]
        client = await self._servers.enter_async_context(Client.spawn(command, env=environment, stderr=stderr))
        await client.initialize(folders=[self._folder], trust=True)
        return client

    async def _run(self, source: str, **args: Any) -> Any:
        outcome = await self._client.start(ScriptRef(source=source), args, events=True)
        assert outcome.status == "completed", outcome
        assert outcome.result
        return outcome.result.data

    async def _napping(self) -> int:
        runs = [run async for run in self._client.all_runs(status=["active"], limit=100)]
        return sum(run.steps.running for run in runs)

    def _pass_on(self, reading: int) -> None:
        data = os.read(reading, 65536)
        if not data:
            asyncio.get_running_loop().remove_reader(reading)
            os.close(reading)
        for line in data.splitlines():
            if line.startswith(b"{"):
                os.write(self._teller.output, line + b"\n")


if __name__ == "__main__":
    main(StdioEngine)
