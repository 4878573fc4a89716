"""A host without a process: frames go into a real connection, and what comes out is taken at once."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeVar

from sidestep.lsp.bridge import PyglsBridge
from sidestep.lsp.connection import Connection, ConnectionParts
from sidestep.lsp.workflow_side import WorkflowParts
from sidestep.scripts.folder import FolderKey
from sidestep_protocol.framing import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.app import Application
    from sidestep.rpc.transport import Lane


T = TypeVar("T")


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

    def gather(self, work: Callable[[T], object], argument: T) -> None:
        """Nothing is held back, so nothing has to be sent together."""
        work(argument)

    async def room(self) -> None:
        """There is always room."""

    def wait_for(self, number: int) -> asyncio.Future[Any]:
        self._waiting[number] = asyncio.get_running_loop().create_future()
        return self._waiting[number]


async def initialize(connection: Connection, answers: Answers, folder: Path) -> None:
    """Open `folder` as the only workspace folder, trusted."""
    uri = FolderKey.existing(str(folder)).uri
    workspace = {"workspaceFolders": [{"uri": uri, "name": "bench"}]}
    trust = {"initializationOptions": {"trust": {"folders": [uri]}}}
    await ask(connection, answers, 0, "initialize", {"processId": None, "rootUri": None, **workspace, **trust})


async def ask(connection: Connection, answers: Answers, number: int, method: str, params: Any) -> Any:
    """Send one request and wait for its response."""
    waiting = answers.wait_for(number)
    send(connection, {"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    return await waiting


def send(connection: Connection, message: dict[str, Any]) -> None:
    connection.session.receive(encode_frame(json.dumps(message).encode()))


def connected(app: Application, answers: Answers) -> Connection:

    async def no_stored_id() -> None:
        return None

    async def load() -> WorkflowParts:
        return WorkflowParts(
            app.service, lambda: app.opened, app.library, lambda offer: None, lambda folder: (), lambda folder: ()
        )

    parts = ConnectionParts(
        stored_id=no_stored_id,
        load=load,
        settings=app.settings,
        versions=app.versions,
        server_epoch="bench",
        new_incident_id=lambda: "inc_bench",
        bridge=PyglsBridge(name="sidestep", version="bench"),
    )
    writer: Any = answers
    return Connection(parts, writer)
