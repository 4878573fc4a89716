"""Agents under a test's control, behind the ports of `model/agents.py`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidestep.engine.agent_turns import AgentParts
from sidestep.model.abort import Aborted
from sidestep.model.agents import AgentFailed, AgentReply, PatchInfo, PermissionPolicy, PermissionRule
from sidestep.model.run import Failure, FailureCode
from sidestep.model.usage import AbortedWork, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentTask

# What one turn does: a reply, a failure, what it used when it is stopped, or something that is awaited for a reply.
Turn = "AgentReply | AgentFailed | Usage | Callable[[AgentTask, AbortSignal], object]"


def says(text: str) -> AgentReply:
    return AgentReply(text)


def breaks(message: str = "no such program", code: FailureCode = FailureCode.INFRASTRUCTURE) -> AgentFailed:
    return AgentFailed(Failure(code, message))


class ScriptedAgent:
    """
    One agent; each turn takes the next of `turns`, the last one again and again.

    Attributes:
        prompts: Every text it was prompted with, in order.
        tasks: Every task it was opened for.
        open: How many sessions are open now.
    """

    def __init__(self, name: str = "tester", *turns: object, keeps: bool = True, gives_data: bool = False) -> None:
        self.name = name
        self.turns: list[object] = list(turns) or [says("done")]
        self.places: asyncio.Semaphore | None = None
        self.gives_data = gives_data
        self.keeps = keeps
        self.prompts: list[str] = []
        self.tasks: list[AgentTask] = []
        self.open_sessions = 0
        self.prompted = asyncio.Condition()

    async def open(self, task: AgentTask, signal: AbortSignal) -> ScriptedSession:
        signal.throw_if_aborted()
        self.tasks.append(task)
        self.open_sessions += 1
        return ScriptedSession(self, task)

    async def called(self, times: int) -> None:
        """Wait until it was prompted that often."""
        async with self.prompted:
            await self.prompted.wait_for(lambda: len(self.prompts) >= times)


class ScriptedSession:
    def __init__(self, agent: ScriptedAgent, task: AgentTask) -> None:
        self._agent = agent
        self._task = task
        self._is_open = True

    @property
    def can_go_on(self) -> bool:
        return self._agent.keeps

    async def prompt(self, text: str, signal: AbortSignal) -> AgentReply:
        assert self._is_open, "a closed agent is not prompted"
        agent = self._agent
        agent.prompts.append(text)
        turn = agent.turns.pop(0) if len(agent.turns) > 1 else agent.turns[0]
        async with agent.prompted:
            agent.prompted.notify_all()
        if isinstance(turn, AgentFailed):
            raise turn
        if isinstance(turn, AgentReply):
            return turn
        if isinstance(turn, Usage):
            # Works until it is stopped, and says then what it used.
            raise AbortedWork(await signal.wait(), turn)
        return await signal.race(turn(self._task, signal))  # type: ignore[operator]

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._agent.open_sessions -= 1


async def never(task: AgentTask, signal: AbortSignal) -> AgentReply:
    """A turn that ends with its signal only."""
    raise Aborted(await signal.wait())


@dataclass
class ScriptedAgents:
    """The `Agents` port; the first one is the default."""

    agents: dict[str, ScriptedAgent] = field(default_factory=dict)

    def add(self, agent: ScriptedAgent) -> ScriptedAgent:
        self.agents[agent.name] = agent
        return agent

    def find(self, name: str | None, folder: str) -> ScriptedAgent | str:
        if (name is None and self.agents) or name in self.agents:
            return self.agents[name or next(iter(self.agents))]
        return f"there is no agent {name!r}; there are: {', '.join(self.agents) or 'none'}"


@dataclass(frozen=True)
class FakeWorktree:
    cwd: str

    async def collect(self, signal: AbortSignal) -> PatchInfo:
        return PatchInfo("patch_1", ("a.py",), 2, 1)


class FakeWorktrees:
    """The `Worktrees` port without git."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []
        self.removed: list[str] = []
        # Runs of which something is left from before.
        self.left: list[str] = []
        self.with_patches: list[str] = []
        self.forgotten: list[str] = []
        # The time before which unused patches were last removed.
        self.swept_before_s: float | None = None
        # Removals wait for it.
        self.gate: asyncio.Event | None = None
        self.at_gate = asyncio.Event()
        self._changed = asyncio.Condition()

    async def open(self, run_id: str, key: str, folder: str, signal: AbortSignal) -> FakeWorktree:
        self.opened.append((run_id, key))
        return FakeWorktree(f"/worktrees/{run_id}/{key}")

    async def remove_run(self, run_id: str, may_go: Callable[[], Awaitable[bool]]) -> None:
        if self.gate is not None:
            self.at_gate.set()
            await self.gate.wait()
        if not await may_go():
            return
        self.removed.append(run_id)
        async with self._changed:
            self._changed.notify_all()

    async def swept(self, runs: int) -> None:
        """Wait until what that many runs left is removed."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.removed) >= runs)

    async def run_ids(self) -> list[str]:
        return list(self.left)

    async def forget_patches(self, run_id: str) -> None:
        self.forgotten.append(run_id)

    async def patch_run_ids(self) -> list[str]:
        return list(self.with_patches)

    async def sweep_patches(self, before_s: float) -> None:
        self.swept_before_s = before_s
        async with self._changed:
            self._changed.notify_all()

    async def patches_swept(self) -> None:
        """Wait for the removal of unused patches."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.swept_before_s is not None)


@dataclass
class FakeAgentParts:
    """What a test sets up; `parts` is what the engine is given."""

    agents: ScriptedAgents = field(default_factory=ScriptedAgents)
    worktrees: FakeWorktrees = field(default_factory=FakeWorktrees)
    policy: PermissionPolicy = PermissionPolicy.ALLOW
    can_ask: bool = True
    places: int = 16

    @property
    def parts(self) -> AgentParts:
        return AgentParts(self.agents, self.worktrees, self._rule, asyncio.Semaphore(self.places))

    def _rule(self, folder: str) -> PermissionRule:
        return PermissionRule(self.policy, "config.toml:2", can_ask=self.can_ask)
