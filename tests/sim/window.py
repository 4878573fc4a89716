"""
One simulated process: a real `WorkflowService`, its automatic resume, and a follower, behind a gate.

Everything it does belongs to it, so it can be ended as SIGKILL does: nothing it still does reaches the world.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from sidestep.engine.runner import RunnerParts
from sidestep.engine.sleeper import SleepExecutor
from sidestep.scripts.discovery import ScriptFinder
from sidestep.scripts.json_schema import JsonSchemas
from sidestep.scripts.resolver import ScriptResolver
from sidestep.scripts.trust import SessionTrust, TrustList
from sidestep.service.answered import AnsweredQuestions
from sidestep.service.automatic_resume import AutomaticResume
from sidestep.service.library import Library
from sidestep.service.live_outputs import LiveOutputs
from sidestep.service.workflows import ServiceParts, WorkflowService
from tests.sim.coroutine_sandbox import CoroutineSandbox
from tests.sim.gate import Gate, GatedClock, GatedStore
from tests.sim.outside import SimulatedExecutor
from tests.support.scripted_agents import FakeAgentParts
from tests.support.service_harness import LivingOwners, SerialIds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from sidestep.model.ports import Clock, Committed, Deleted
    from sidestep.scripts.folder import FolderKey
    from sidestep.service.automatic_resume import Recovered
    from sidestep.settings import Settings
    from tests.sim.outside import Outside
    from tests.sim.simulated_store import SimulatedStore

_window: contextvars.ContextVar[Window | None] = contextvars.ContextVar("window", default=None)

# A killed window's tasks may shield others, wait again and so on; each round ends what waits.
_CANCEL_ROUNDS = 20


class WindowTask(asyncio.Task[Any]):
    """A task, and the window whose it is; None for the simulation's own."""

    window: Window | None = None


def make_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> WindowTask:
    """The loop's task factory: every task belongs to the window in whose context it was made."""
    task = WindowTask(work, loop=loop, **options)
    context = options.get("context")
    task.window = _window.get() if context is None else context.get(_window)
    if task.window is not None:
        task.window.tasks[task] = None
        task.add_done_callback(task.window.forget)
    return task


class Owners(LivingOwners):
    """Owners of the simulation: a dead one's and a stopped one's groups are killed outside."""

    def __init__(self, owner_id: str, dead: set[str], outside: Outside) -> None:
        super().__init__(owner_id, dead)
        self._outside = outside

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        return self._outside.kill(owner_id, run_id)


class Window:
    """
    One process.

    Attributes:
        told: Run id -> what its follower was told, in order, as (sequence, body).
        recovered: What its automatic resume said.
    """

    def __init__(
        self, name: str, *, store: SimulatedStore, clock: Clock, dead: set[str], outside: Outside, settings: Settings
    ) -> None:
        self.name = name
        self.gate = Gate()
        self.owners = Owners(f"owner-{name}", dead, outside)
        self.inner_store = store
        self.store = GatedStore(store, self.gate, self.enter)
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.told: dict[str, list[tuple[int, Any]]] = {}
        self.recovered: list[Recovered] = []
        self.is_closed = False
        self._dead = dead
        self._clock = GatedClock(clock, self.gate)
        self._settings = settings
        self._executor = SimulatedExecutor(outside, self.owners.owner_id, self.gate)
        self._context = contextvars.copy_context()
        self._context.run(_window.set, self)

    @property
    def is_usable(self) -> bool:
        """Runs, and takes requests."""
        return self.gate.is_open and not self.is_closed

    def trusts(self, folder: FolderKey) -> bool:
        return self._library.is_trusted(folder)

    def enter(self, work: Callable[[], object]) -> object:
        """Do something as a part of this process."""
        return self._context.copy().run(work)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)

    async def open(self, folder: FolderKey, trust_path: Path) -> None:
        await self.spawn(self._open(folder, trust_path))

    async def _open(self, folder: FolderKey, trust_path: Path) -> None:
        settings = self._settings
        finder = ScriptFinder(user_folder=None, builtin=trust_path.parent / "none", settings=settings)
        resolver = ScriptResolver(finder, settings)
        self._library = library = Library(finder, resolver, TrustList(trust_path), SessionTrust(), settings)
        library.trust_for_session([folder])
        executors = {"command": self._executor, "sleep": SleepExecutor(self._clock)}
        outputs = LiveOutputs()
        runner = RunnerParts(
            self.store,
            CoroutineSandbox(),
            executors,
            outputs,
            AnsweredQuestions(self.store),
            JsonSchemas(settings.validated_depth_max),
            FakeAgentParts().parts,
            self._clock,
            settings,
        )
        ids = SerialIds(self.name)
        parts = ServiceParts(runner, self.owners, library, ids, outputs, pid=4711, versions={"sidestep": "simulated"})
        self.service = WorkflowService(parts)
        self.service.pace.folders_open(1)
        self.service.listeners.listen(self._note)
        self.service.listeners.listen_deleted(self._note_deleted)
        await self.service.open()
        self._automatic = AutomaticResume(self.service, self._clock, lambda record: True, self.recovered.extend)
        self._automatic.begin([folder])

    async def close(self, reason: Any) -> None:
        """End the service as `serve` does on a shutdown; run as a part of the window. `kill` ends the process then."""
        self.is_closed = True
        self._automatic.close()
        await self.service.close(reason)

    async def kill(self) -> None:
        """End without a word."""
        self.gate.kill()
        self._dead.add(self.owners.owner_id)
        await self._cancel_tasks()

    async def _cancel_tasks(self) -> None:
        for _ in range(_CANCEL_ROUNDS):
            if not self.tasks:
                return
            for task in list(self.tasks):
                task.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
        raise AssertionError(f"tasks that cannot be cancelled: {list(self.tasks)}")

    def _note(self, committed: Committed) -> None:
        if committed.events:
            told = self.told.setdefault(committed.record.run_id, [])
            told += [(event.sequence, event.body) for event in committed.events]

    def _note_deleted(self, deleted: Deleted) -> None:
        self.told.setdefault(deleted.run_id, []).append((-1, None))
