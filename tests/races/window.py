"""
One window: a real `WorkflowService` over a pointed store, executor and sandbox, whose verbs answer in plain values.

Also what all windows of a schedule share: the folder with its scripts, and the library that has read them once.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Protocol

from sidestep.engine.runner import RunnerParts
from sidestep.engine.sleeper import SleepExecutor
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import Draining, RequestCancelled, RunLeased, SidestepError
from sidestep.model.events import JournalEvent, decode_body
from sidestep.model.run import Attention, RunRecord
from sidestep.scripts.discovery import ScriptFinder
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.json_schema import JsonSchemas
from sidestep.scripts.resolver import NamedScript, ScriptResolver
from sidestep.scripts.trust import SessionTrust, TrustList
from sidestep.service.answered import AnsweredQuestions
from sidestep.service.library import Library
from sidestep.service.live_outputs import LiveOutputs
from sidestep.service.requests import Interrupted, ResumeRequest, Started, StartRequest
from sidestep.service.workflows import ServiceParts, WorkflowService
from tests.races.points import PointedExecutor, PointedSandbox
from tests.races.world import Reply
from tests.support.scripted_agents import FakeAgentParts
from tests.support.service_harness import SerialIds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from sidestep.model.execution import Sandbox
    from sidestep.model.ports import Committed, RunStore
    from sidestep.scripts.resolver import ResolvedScript, ScriptReference
    from sidestep.settings import Settings
    from sidestep.store.memory_journal import MemoryJournal
    from tests.races.world import World
    from tests.support.fake_clock import FakeClock
    from tests.support.schedule import Schedule

CANCELLED = AbortReason(AbortKind.CANCELLED)
SHUTDOWN = AbortReason(AbortKind.SHUTDOWN)


class Place:
    """A trusted folder with scripts in it, read once for all schedules."""

    def __init__(self, path: Path, settings: Settings, scripts: dict[str, str]) -> None:
        workflows = path / "workspace" / ".sidestep" / "workflows"
        workflows.mkdir(parents=True, exist_ok=True)
        for name, source in scripts.items():
            (workflows / f"{name}.py").write_text(source)
        self.settings = settings
        self.folder = FolderKey.existing(str(path / "workspace"))
        finder = ScriptFinder(user_folder=None, builtin=str(path / "builtin"), settings=settings)
        trust = SessionTrust()
        trust.trust(self.folder)
        self.library = _ReadOnce(
            finder, ScriptResolver(finder, settings), TrustList(path / "trust.json"), trust, settings
        )


class _ReadOnce(Library):
    """The library; what it read and decided once stays so."""

    @functools.cache  # noqa: B019 -- one library for each test, and it ends with it
    def _resolve(self, reference: ScriptReference, folder: FolderKey) -> ResolvedScript:
        return super()._resolve(reference, folder)

    @functools.cache  # noqa: B019
    def is_trusted(self, folder: FolderKey) -> bool:
        return super().is_trusted(folder)


class MemoryView:
    """`world.Journal` of a memory journal; events are decoded once."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal
        self._decoded: dict[str, list[JournalEvent]] = {}

    def row(self, run_id: str) -> RunRecord | None:
        run = self._journal.runs.get(run_id)
        return None if run is None else run.record

    def events(self, run_id: str) -> Sequence[JournalEvent]:
        run = self._journal.runs.get(run_id)
        if run is None:
            return ()
        decoded = self._decoded.setdefault(run_id, [])
        for sequence in range(len(decoded) + 1, len(run.events) + 1):
            at_ms, body = run.events[sequence - 1]
            decoded.append(JournalEvent(sequence, at_ms, decode_body(body)))
        return decoded

    def run_ids(self) -> Sequence[str]:
        return list(self._journal.runs)


class RaceOwners:
    """Every owner lives; whoever takes a run over kills the work of the owner before."""

    def __init__(self, name: str, world: World) -> None:
        self.owner_id = name
        self._world = world

    def is_alive(self, owner_id: str) -> bool:
        return True

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        assert run_id is not None, "a run is taken over, not an owner"
        return self._world.kill(owner_id, run_id)


class Verbs(Protocol):
    """What a scenario asks of a window, in this process or another."""

    name: str

    @property
    def is_conducting(self) -> bool:
        """Some execution in this window has not unwound."""
        ...

    async def start(self, script: str, *, background: bool = False, token: str | None = None) -> Reply: ...

    async def resume(self, run_id: str, *, background: bool = False, token: str | None = None) -> Reply: ...

    async def interrupt(self, run_id: str, *, wait_quiescent: bool = True) -> Reply: ...

    async def background(self, run_id: str) -> Reply: ...

    async def answer(self, interaction_id: str, answer: str) -> Reply: ...

    async def cancel(self, token: str) -> None:
        """Withdraw the start or resume that was given this token."""
        ...


class Window:
    """`Verbs` of a service in this process."""

    def __init__(
        self,
        name: str,
        place: Place,
        store: RunStore,
        sandbox: Sandbox,
        clock: FakeClock,
        schedule: Schedule,
        world: World,
        owners: Any = None,
    ) -> None:
        self.name = name
        self.store = store
        self.commands = PointedExecutor(name, schedule, world)
        self._place = place
        self._world = world
        self._callers: dict[str, AbortController] = {}
        executors = {"command": self.commands, "sleep": SleepExecutor(clock)}
        pointed = PointedSandbox(sandbox, name, schedule, world)
        outputs = LiveOutputs()
        runner = RunnerParts(
            store,
            pointed,
            executors,
            outputs,
            AnsweredQuestions(store),
            JsonSchemas(place.settings.validated_depth_max),
            FakeAgentParts().parts,
            clock,
            place.settings,
        )
        self.service = WorkflowService(
            ServiceParts(
                runner=runner,
                owners=owners or RaceOwners(name, world),
                library=place.library,
                outputs=outputs,
                ids=SerialIds(name),
                pid=4711,
                versions={"sidestep": "test"},
            )
        )

    @property
    def is_conducting(self) -> bool:
        return len(self.service.runs) > 0

    async def open(self) -> None:
        self.service.listeners.listen(self._told)
        await self.service.open()
        self.store.watch(busy=True)

    async def close(self) -> None:
        await self.service.close(SHUTDOWN)

    async def start(self, script: str, *, background: bool = False, token: str | None = None) -> Reply:
        def starting(run_id: str, _: RunRecord | None) -> Callable[[], None]:
            self._world.starting(script, run_id)
            return lambda: None

        request = StartRequest(
            script=NamedScript(script),
            args={},
            folder=self._place.folder,
            attention=_attention(background),
            on_run=starting,
        )
        return await self._answer("start", None, self.service.start(request, self._caller(token).signal))

    async def resume(self, run_id: str, *, background: bool = False, token: str | None = None) -> Reply:
        request = ResumeRequest(run_id=run_id, attention=_attention(background))
        return await self._answer("resume", run_id, self.service.resume(request, self._caller(token).signal))

    async def interrupt(self, run_id: str, *, wait_quiescent: bool = True) -> Reply:
        work = self.service.interrupt(run_id, by=self.name, wait_quiescent=wait_quiescent)
        return await self._answer("interrupt", run_id, work)

    async def background(self, run_id: str) -> Reply:
        return await self._answer("background", run_id, self.service.background(run_id))

    async def answer(self, interaction_id: str, answer: str) -> Reply:
        reply = Reply("answer", self.name, interaction_id=interaction_id)
        try:
            given = await self.service.answer(interaction_id, answer, by=self.name)
            reply.accepted, reply.recorded = given.accepted, given.recorded
        except SidestepError as error:
            reply.code = error.code
        return self._world.replied(reply)

    async def cancel(self, token: str) -> None:
        self._caller(token).abort(CANCELLED)

    def _caller(self, token: str | None) -> AbortController:
        return AbortController() if token is None else self._callers.setdefault(token, AbortController())

    async def _answer(self, verb: str, run_id: str | None, work: Coroutine[Any, Any, Any]) -> Reply:
        try:
            reply = _success(verb, self.name, await work)
        except SidestepError as error:
            reply = _refusal(verb, self.name, run_id, error)
        return self._world.replied(reply)

    def _told(self, committed: Committed) -> None:
        self._world.told(self.name, committed.record, committed.events)


def _attention(background: bool) -> Attention:
    return Attention.NOTIFY_ON_TERMINAL if background else Attention.BLOCKING


def _success(verb: str, window: str, answer: RunRecord | Started | Interrupted) -> Reply:
    record = answer if isinstance(answer, RunRecord) else answer.record
    reply = Reply(verb, window, record.run_id, record.status.value, record.sequence, record.reason)
    if isinstance(answer, Started):
        reply.created = answer.created
    if isinstance(answer, Interrupted):
        reply.quiescent, reply.already_terminal = answer.quiescent, answer.already_terminal
    return reply


def _refusal(verb: str, window: str, run_id: str | None, error: SidestepError) -> Reply:
    reply = Reply(verb, window, run_id, code=error.code)
    if isinstance(error, RunLeased):
        reply.mine = error.mine
    if isinstance(error, RequestCancelled | Draining) and error.outcome is not None:
        outcome = error.outcome
        reply.run_id, reply.status = outcome["runId"], outcome.get("status")
        reply.sequence, reply.quiescent = outcome.get("sequence", 0), outcome.get("quiescent")
        reply.detached = outcome.get("detached", False)
    return reply
