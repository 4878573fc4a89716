"""
A real service over the in-memory store, the real sandbox, a clock that stands still and an executor under control.

Only the outermost parts are fakes: time, and what carries out commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any

from sidestep.engine.runner import RunnerParts
from sidestep.engine.sleeper import SleepExecutor
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import RunNotFound
from sidestep.model.run import Attention, RunRecord, RunStatus
from sidestep.runtime.sandbox import MontySandbox
from sidestep.scripts.discovery import ScriptFinder, builtin_folder
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.json_schema import JsonSchemas
from sidestep.scripts.resolver import InlineScript, ScriptResolver
from sidestep.scripts.trust import SessionTrust, TrustList
from sidestep.service.answered import AnsweredQuestions
from sidestep.service.library import Library
from sidestep.service.live_outputs import LiveOutputs
from sidestep.service.requests import ResumeRequest, RetryRequest, Started, StartRequest
from sidestep.service.workflows import ServiceParts, WorkflowService
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.support.fake_clock import FakeClock
from tests.support.scripted_agents import FakeAgentParts
from tests.support.scripted_executor import ScriptedExecutor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.model.events import JournalEvent
    from sidestep.model.ports import Committed, RunStore
    from sidestep.model.questions import Question
    from sidestep.service.requests import OnRun

ONE_STEP = """
from sidestep import command

async def main():
    done = await command(["true"], id="only")
    return {"code": done["exit_code"]}
"""


class SerialIds:
    """Ids a person can read in a failing test."""

    def __init__(self, prefix: str = "a") -> None:
        self._numbers = itertools.count(1)
        self._prefix = prefix

    def run_id(self) -> str:
        return f"run_{self._prefix}{next(self._numbers):015d}"


class LivingOwners:
    """Owner ids and who of them lives; shared by the services of one test."""

    def __init__(self, owner_id: str, dead: set[str] | None = None) -> None:
        self.owner_id = owner_id
        self.dead = dead if dead is not None else set()
        self.stopped_groups: list[tuple[str, str | None]] = []

    def is_alive(self, owner_id: str) -> bool:
        return owner_id not in self.dead

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        self.stopped_groups.append((owner_id, run_id))
        return 0


class Harness:
    """One service and everything a test wants to see of it. Use as `async with Harness(tmp_path) as h`."""

    def __init__(
        self,
        tmp_path: Path,
        *,
        store: RunStore | None = None,
        settings: Settings | None = None,
        owners: LivingOwners | None = None,
        clock: FakeClock | None = None,
        trusted: bool = True,
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock or FakeClock()
        self.commands = ScriptedExecutor()
        self.agents = FakeAgentParts()
        self.folder_path = tmp_path / "workspace"
        self.folder_path.mkdir(exist_ok=True)
        self.folder = FolderKey.existing(str(self.folder_path))
        self.owners = owners or LivingOwners("owner-a")
        self.committed: list[Committed] = []
        # Everything worth an order: statuses as told, executor calls, replies.
        self.trace: list[str] = []
        self._traced = asyncio.Condition()
        self._waking: list[asyncio.Future[None]] = []
        self._state_path = tmp_path
        self._store = store
        self._trusted = trusted
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Harness:
        self.store = self._store or InMemoryRunStore(self.clock, self.settings)
        self.sandbox = MontySandbox(self.settings, monotonic=time.monotonic)
        self._stack.push_async_callback(self.sandbox.close)
        finder = ScriptFinder(user_folder=None, builtin=builtin_folder(), settings=self.settings)
        self.remembered = TrustList(self._state_path / "trust.json")
        self.library = Library(
            finder, ScriptResolver(finder, self.settings), self.remembered, SessionTrust(), self.settings
        )
        if self._trusted:
            self.library.trust_for_session([self.folder])
        executors = {"command": self.commands, "sleep": SleepExecutor(self.clock)}
        outputs = LiveOutputs()
        runner = RunnerParts(
            self.store,
            self.sandbox,
            executors,
            outputs,
            AnsweredQuestions(self.store),
            JsonSchemas(self.settings.validated_depth_max),
            self.agents.parts,
            self.clock,
            self.settings,
        )
        parts = ServiceParts(
            runner=runner,
            outputs=outputs,
            owners=self.owners,
            library=self.library,
            ids=SerialIds(self.owners.owner_id[-1]),
            pid=4711,
            versions={"sidestep": "test"},
        )
        self.service = WorkflowService(parts)
        self.service.listeners.listen(self._note)
        await self.service.open()
        # As a window that has the folder open.
        self.service.pace.folders_open(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        for held in list(self.commands.held):
            self.commands.held.discard(held)
        drained = asyncio.create_task(self.service.close(AbortReason(AbortKind.SHUTDOWN)))
        while not drained.done():
            await asyncio.wait({drained}, timeout=0.01)
            self.clock.advance(1)
        await drained
        await self._stack.aclose()

    def request(self, source: str, **wanted: Any) -> StartRequest:
        """A start of an inline script in the test's folder."""
        fields: dict[str, Any] = {"script": InlineScript(source, "test"), "args": {}, "folder": self.folder}
        return StartRequest(**{**fields, **wanted})

    def start(self, source: str = ONE_STEP, *, signal: AbortController | None = None, **wanted: Any) -> StartTask:
        """Begin a start; await the task for its answer."""
        request = self.request(source, **wanted)
        return self._replying(self.service.start(request, (signal or AbortController()).signal))

    def resume(self, run_id: str, *, signal: AbortController | None = None, **wanted: Any) -> ContinueTask:
        request = ResumeRequest(run_id=run_id, **wanted)
        return self._replying(self.service.resume(request, (signal or AbortController()).signal))

    def retry(self, run_id: str, **wanted: Any) -> ContinueTask:
        return self._replying(self.service.retry(RetryRequest(run_id=run_id, **wanted), AbortController().signal))

    async def completed(self, source: str = ONE_STEP, **wanted: Any) -> RunRecord:
        """Start and wait; the run must complete."""
        record = (await self.start(source, **wanted)).record
        assert record.status is RunStatus.COMPLETED, record.error
        return record

    async def running(self, source: str, step_id: str, **wanted: Any) -> tuple[StartTask, str]:
        """Start, and wait until the held step is being done: (the start's task, the run's id)."""
        self.commands.held.add(step_id)
        task = self.start(source, **wanted)
        await self.commands.called(step_id)
        return task, self.commands.calls[-1].run_id

    async def told(self, line: str) -> None:
        """Wait until the trace has a line."""
        async with self._traced:
            await self._traced.wait_for(lambda: line in self.trace)

    async def status(self, run_id: str, status: RunStatus) -> RunRecord:
        """Wait until a commit puts the run into a status."""
        return await self.reached(run_id, lambda record: record.status is status)

    async def reached(self, run_id: str, wanted: Callable[[RunRecord], bool]) -> RunRecord:
        """Wait until the run's row is `wanted`; the run may still have to be created."""
        expected = self.service.listeners.expect(run_id, wanted)
        try:
            with contextlib.suppress(RunNotFound):
                record = await self.store.read(run_id)
                if wanted(record):
                    return record
            return await expected
        finally:
            expected.cancel()

    async def asked(self, run_id: str) -> Question:
        """The one open question of a run, as soon as it is put."""
        await self.reached(run_id, lambda record: record.pending == 1)
        (question,) = await self.store.open_questions(run_id)
        return question

    async def events(self, run_id: str) -> list[JournalEvent]:
        return list(await self.store.read_events(run_id, after_sequence=0, limit=100_000))

    async def kinds(self, run_id: str) -> list[str]:
        """The journal in short: `status:running`, `step:completed:id`, `phase:name`, `log:text` ..."""
        return [_short(event.body) for event in await self.events(run_id)]

    def _replying(self, work: Any) -> Any:
        async def reply() -> Any:
            try:
                return await work
            finally:
                self.trace.append("reply")

        return asyncio.create_task(reply())

    def _note(self, committed: Committed) -> None:
        self.committed.append(committed)
        self.trace += [f"told {_short(event.body)}" for event in committed.events]
        self._waking.append(asyncio.ensure_future(self._wake()))

    async def _wake(self) -> None:
        async with self._traced:
            self._traced.notify_all()


StartTask = asyncio.Task[Started]
ContinueTask = asyncio.Task[RunRecord]


def _short(body: Any) -> str:
    word = type(body).__struct_config__.tag
    match word:
        case "status":
            return f"status:{body.status.value}"
        case "step":
            return f"step:{body.status.value}:{body.step_id}" + (":late" if body.late else "")
        case "phase":
            return f"phase:{body.name}"
        case "log":
            return f"log:{body.message}"
        case _:
            return str(word)


def noting(note: Callable[[str], object]) -> OnRun:
    """An `on_run` that does something at that point and has nothing to undo."""

    def on_run(run_id: str, attached: RunRecord | None) -> Callable[[], None]:
        note(run_id)
        return lambda: None

    return on_run


def patient(attention: Attention = Attention.NOTIFY_ON_TERMINAL) -> dict[str, Any]:
    """Wanted fields of a background start."""
    return {"attention": attention}
