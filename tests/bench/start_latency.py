"""From the bytes of a `workflow/start` to the first executor call, relative to one bare commit (a start makes two)."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

from sidestep.app import Application
from sidestep.lsp.bridge import PyglsBridge
from sidestep.lsp.connection import Connection, ConnectionParts
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.scripts.folder import FolderKey
from sidestep.settings import Settings
from sidestep_protocol.framing import encode_frame
from tests.bench.bench_service import FreeExecutor
from tests.bench.floor import CommitFloor

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.rpc.transport import Lane

SOURCE = """
from sidestep import command

async def main():
    await command(["true"], id="first")
"""

ROUNDS = 60
AIM = 8.0


class Answers:
    """Takes what the server says, as a host that reads at once; `wait_for` gives one response."""

    queued_bytes = 0
    dropped_bytes = 0
    is_congested = False

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    def offer(self, body: bytes, lane: Lane) -> bool:
        message = json.loads(body)
        waiting = self._waiting.pop(message.get("id"), None) if "method" not in message else None
        if waiting is not None:
            waiting.set_result(message)
        return True

    def wait_for(self, number: int) -> asyncio.Future[Any]:
        self._waiting[number] = asyncio.get_running_loop().create_future()
        return self._waiting[number]


async def measure_start_latency(folder: Path) -> list[dict[str, Any]]:
    """One row: frame, decode, resolve, check, create, begin, sandbox, first call."""
    executor = FreeExecutor()
    app = Application(Settings(), folder / "start.db", os.environ, executors={"command": executor})
    answers = Answers()
    connection = _connection(app, answers)
    floor = CommitFloor(folder)
    ratios: list[float] = []
    try:
        uri = FolderKey.existing(str(folder)).uri
        workspace = {"workspaceFolders": [{"uri": uri, "name": "bench"}]}
        trust = {"initializationOptions": {"trust": {"folders": [uri]}}}
        await _ask(connection, answers, 0, "initialize", {"processId": None, "rootUri": None, **workspace, **trust})
        for number in range(1, ROUNDS + 2):
            commit_s = statistics.median(floor.measure(20))
            executor.first_called_at = None
            began = time.perf_counter()
            answer = await _ask(connection, answers, number, "workflow/start", {"script": {"source": SOURCE}})
            assert answer["result"]["status"] == "completed", answer
            assert executor.first_called_at is not None
            ratios.append((executor.first_called_at - began) / commit_s)
    finally:
        floor.close()
        connection.close()
        await app.close(AbortReason(AbortKind.SHUTDOWN))
    # The first start also loads the sandbox's library.
    ratios = ratios[1:]
    return [
        {
            "what": "start's bytes to first executor call",
            "ratio": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
            "floor": "one WAL/FULL commit",
            "n": len(ratios),
            "aim": AIM,
        }
    ]


async def _ask(connection: Connection, answers: Answers, number: int, method: str, params: Any) -> Any:
    waiting = answers.wait_for(number)
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    connection.session.receive(encode_frame(json.dumps(request).encode()))
    return await waiting


def _connection(app: Application, answers: Answers) -> Connection:
    parts = ConnectionParts(
        open_service=app.service,
        opened_service=lambda: app.opened,
        library=app.library,
        settings=app.settings,
        versions=app.versions,
        server_epoch="bench",
        new_incident_id=lambda: "inc_bench",
        bridge=PyglsBridge(name="sidestep", version="bench"),
    )
    writer: Any = answers
    return Connection(parts, writer)
