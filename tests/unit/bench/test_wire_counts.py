"""What a run costs on the wire, in counts: writes to the host, each of which may wake its process up."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from sidestep.app import Application
from sidestep.lsp import plain_editor
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.settings import Settings
from tests.bench.bench_host import Answers, ask, connected, initialize
from tests.bench.bench_service import FreeExecutor
from tests.bench.engines.sidestep_step import IN_TURN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.rpc.transport import Lane

T = TypeVar("T")

pytestmark = pytest.mark.slow

# `pending`; `running`; the step, the end and its status; the response.
WRITES_PER_SHORT_RUN_MAX = 4
# Events are gathered for a time that no run here outlasts.
PATIENT = Settings(events_batch_ms=60_000)


class Writes(Answers):
    """A host that notes what it gets in one write, as methods and statuses."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[list[str]] = []
        self._together: list[str] | None = None

    def offer(self, body: bytes, lane: Lane) -> bool:
        message: dict[str, Any] = json.loads(body)
        name = f"{message.get('method', 'response')} {message.get('params', {}).get('status', '')}".strip()
        if self._together is None:
            self.writes.append([name])
        else:
            self._together.append(name)
        return super().offer(body, lane)

    def gather(self, work: Callable[[T], object], argument: T) -> None:
        self._together = []
        try:
            work(argument)
        finally:
            if self._together:
                self.writes.append(self._together)
            self._together = None


async def test_a_run_that_is_waited_for_loads_nothing_of_a_plain_editor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be imported on the event loop, and a process that many windows keep open would hold it for ever."""
    made: list[str] = []

    class Noted(plain_editor.PlainEditor):
        def __init__(self, *args: Any, **options: Any) -> None:
            made.append("editor")
            super().__init__(*args, **options)

    monkeypatch.setattr(plain_editor, "PlainEditor", Noted)
    app = Application(PATIENT, tmp_path / "store.db", os.environ, executors={"command": FreeExecutor()})
    host = Answers()
    connection = connected(app, host)
    try:
        await initialize(connection, host, tmp_path)
        start = {"script": {"source": IN_TURN}, "args": {"count": 1}}
        answer = await ask(connection, host, 1, "workflow/start", start)
        assert answer["result"]["status"] == "completed", answer
        assert made == []
        command = {"command": "sidestep.showRun", "arguments": [{"runId": answer["result"]["runId"]}]}
        await ask(connection, host, 2, "workspace/executeCommand", command)
        assert made == ["editor"]
    finally:
        connection.close()
        await app.close(AbortReason(AbortKind.SHUTDOWN))


async def test_all_that_one_commit_has_to_say_leaves_in_one_write(tmp_path: Path) -> None:
    app = Application(PATIENT, tmp_path / "store.db", os.environ, executors={"command": FreeExecutor()})
    host = Writes()
    connection = connected(app, host)
    try:
        await initialize(connection, host, tmp_path)
        host.writes.clear()
        start = {"script": {"source": IN_TURN}, "args": {"count": 1}, "events": True}
        answer = await ask(connection, host, 1, "workflow/start", start)
        assert answer["result"]["status"] == "completed", answer
        assert ["workflow/eventsAppended", "workflow/statusChanged running"] in host.writes, host.writes
        assert ["workflow/eventsAppended", "workflow/statusChanged completed"] in host.writes, host.writes
        assert len(host.writes) <= WRITES_PER_SHORT_RUN_MAX, host.writes
    finally:
        connection.close()
        await app.close(AbortReason(AbortKind.SHUTDOWN))
