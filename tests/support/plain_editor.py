"""What tests of `lsp/run_*.py` stand on: rows of runs, a client with its answers, a service that notes calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.lsp.greeting import Greeting
from sidestep.model.errors import RunNotFound
from sidestep.model.ports import Page
from sidestep.model.run import Attention, RunRecord, RunStatus
from sidestep.rpc.errors import PeerError
from sidestep_protocol.capabilities import InitializeParams

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.model.run import StepRecord

FOLDER = "/w"
FILE = ".sidestep/workflows/build.py"
SCRIPT = f"{FOLDER}/{FILE}"


def a_run(run_id: str = "run_1", status: RunStatus = RunStatus.COMPLETED, **changes: Any) -> RunRecord:
    """The row of a run of `SCRIPT`; `run_2` is newer than `run_1`."""
    known: dict[str, Any] = {
        "run_id": run_id,
        "root_run_id": run_id,
        "name": "build",
        "folder": FOLDER,
        "folder_uri": f"file://{FOLDER}",
        "status": status,
        "epoch": 1,
        "claim_epoch": 1,
        "owner": None,
        "attention": Attention.NOTIFY_ON_TERMINAL,
        "sequence": 5,
        "created_at_ms": int(run_id.rpartition("_")[2]),
        "updated_at_ms": 0,
        "source_hash": "h",
        "file": FILE,
        "args_json": "{}",
        "args_schema_json": "{}",
        "script_ref": "{}",
    }
    return RunRecord(**{**known, **changes})


class FakePeer:
    """
    A client. `answers` gives its answer to each request by method, or the error it refuses with; what it has none for
    it never answers.
    """

    def __init__(self, **answers: Any) -> None:
        self.answers = {method.replace("_", "/", 1): answer for method, answer in answers.items()}
        self.sent: list[tuple[str, Any]] = []

    def notify(self, method: str, params: object) -> bool:
        self.sent.append((method, params))
        return True

    async def request(self, method: str, params: object, result_type: Any) -> Any:
        self.sent.append((method, params))
        if method not in self.answers:
            await asyncio.get_running_loop().create_future()
        answer = self.answers[method]
        if isinstance(answer, PeerError):
            raise answer
        return msgspec.convert(answer, result_type)

    def of(self, method: str) -> list[Any]:
        return [params for sent, params in self.sent if sent == method]

    @property
    def messages(self) -> list[str]:
        return [params["message"] for params in self.of("window/showMessage")]


def greeting(*, can_be_asked: bool = True, is_plain: bool = True, **capabilities: Any) -> Greeting:
    return Greeting(InitializeParams(capabilities=capabilities), can_be_asked=can_be_asked, is_plain=is_plain)


@dataclass
class FakeListeners:
    told: list[Callable[[Any], None]] = field(default_factory=list)
    deleted: list[Callable[[Any], None]] = field(default_factory=list)

    def listen(self, listener: Callable[[Any], None]) -> None:
        self.told.append(listener)

    def listen_deleted(self, listener: Callable[[Any], None]) -> None:
        self.deleted.append(listener)


class FakeStore:
    """Rows that tests put there, and how often they were read."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.runs: list[RunRecord] = []
        self.steps: list[StepRecord] = []
        self.source = ""
        self.reads: list[str] = []

    async def health(self) -> dict[str, Any]:
        return {"storePath": str(self.folder and self.folder / "store.sqlite")}

    async def read(self, run_id: str) -> RunRecord:
        found = next((run for run in self.runs if run.run_id == run_id), None)
        if found is None:
            raise RunNotFound(run_id)
        return found

    async def list_runs(self, wanted: Any, *, cursor: str | None, limit: int) -> Page[RunRecord]:
        self.reads.append("runs")
        return Page([run for run in self.runs if (run.folder, run.name) == (wanted.folder, wanted.name)], None)

    async def read_steps(self, run_id: str, *, limit: int) -> Page[StepRecord]:
        self.reads.append("steps")
        return Page(self.steps, None)

    async def read_source(self, source_hash: str) -> str:
        self.reads.append("source")
        return self.source


class FakeService:
    """The verbs, written down; `refusals` are raised first, one for each call."""

    def __init__(self, folder: Path | None = None) -> None:
        self.store = FakeStore(folder)
        self.listeners = FakeListeners()
        self.calls: list[tuple[str, Any]] = []
        self.refusals: list[Exception] = []

    async def opened(self) -> FakeService:
        return self

    async def start(self, request: Any, signal: object) -> Any:
        return _Started(self._call("start", request))

    async def resume(self, request: Any, signal: object) -> RunRecord:
        return self._call("resume", request)

    async def retry(self, request: Any, signal: object) -> RunRecord:
        return self._call("retry", request)

    async def interrupt(self, run_id: str, **_: object) -> None:
        self._call("interrupt", run_id)

    async def background(self, run_id: str) -> None:
        self._call("background", run_id)

    def _call(self, verb: str, request: Any) -> RunRecord:
        self.calls.append((verb, request))
        if self.refusals:
            raise self.refusals.pop(0)
        on_run = getattr(request, "on_run", None)
        if on_run is not None:
            on_run("run_1", None)
        return a_run()


@dataclass
class _Started:
    record: RunRecord
    created: bool = True
