"""ACP agents under test: one `AcpAgent` for one of the programs beside this file, with everything it told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidestep.executors.acp_agent import AcpAgent
from sidestep.executors.agent_command import AgentCommand
from sidestep.model.abort import AbortController, AbortSignal
from sidestep.model.agents import AgentFailed, AgentTask
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidestep.model.agents import AgentReply, AgentSession, PermissionRequest
    from sidestep.model.ports import GroupLedger
    from sidestep.model.run import Failure

PROGRAMS = Path(__file__).parent


def agent_command(program: str, *arguments: str, **env: str) -> AgentCommand:
    """How to start one of the agents: its file's name without the ending."""
    return AgentCommand(sys.executable, (str(PROGRAMS / f"{program}.py"), *arguments), env)


class AgentBench:
    """
    A folder, a ledger, and what an agent's task says.

    Attributes:
        permission: What `permit` answers; an exception is raised.
        said: The text the agent streamed; `has_said` waits for a piece of it.
    """

    def __init__(self, folder: Path, ledger: GroupLedger, **settings: Any) -> None:
        self.folder = folder
        self.ledger = ledger
        self.settings = Settings(**{"terminate_grace_s": 0.3, "agent_start_s": 20.0, **settings})
        self.calls_file = folder.parent / f"{folder.name}-calls"
        self.emitted: dict[str, bytearray] = {}
        self.told: list[str] = []
        self.asked: list[PermissionRequest] = []
        self.kept_sessions: list[str] = []
        self.permission: Any = None
        self.session: str | None = None
        self._news = asyncio.Event()

    def change(self, **settings: Any) -> None:
        """Other limits for the agents made from now on."""
        self.settings = replace(self.settings, **settings)

    def agent(self, command: AgentCommand) -> AcpAgent:
        environ = {"PATH": os.environ["PATH"], "SIDESTEP_AGENT_CALLS": str(self.calls_file)}
        return AcpAgent(
            "tester",
            command,
            self.settings,
            self.ledger,
            environ,
            asyncio.sleep,
            None,
        )

    async def open(self, command: AgentCommand, signal: AbortSignal | None = None) -> AgentSession:
        return await self.agent(command).open(self.task(), signal or AbortController().signal)

    @asynccontextmanager
    async def opened(self, program: str, *arguments: str, **env: str) -> AsyncIterator[AgentSession]:
        session = await self.open(agent_command(program, *arguments, **env))
        try:
            yield session
        finally:
            await session.close()

    async def reply(self, program: str, *arguments: str, prompt: str = "hello") -> AgentReply:
        """One turn of a new agent."""
        async with self.opened(program, *arguments) as session:
            return await session.prompt(prompt, AbortController().signal)

    async def failure(self, program: str, *arguments: str, prompt: str = "hello") -> Failure:
        """What the agent's opening or its turn fails with."""
        try:
            reply = await self.reply(program, *arguments, prompt=prompt)
        except AgentFailed as failed:
            return failed.failure
        raise AssertionError(f"it did not fail: {reply}")

    def task(self) -> AgentTask:
        return AgentTask(
            run_id="run_a",
            step_id="s",
            key="k",
            task_id="task_a",
            attempt=1,
            redelivery=False,
            prompt="hello",
            schema=None,
            cwd=str(self.folder),
            title=None,
            timeout_s=None,
            session=self.session,
            require_claim=self.require_claim,
            emit=self._emit,
            told=self.told.append,
            permit=self._permit,
            keep_session=self.kept_sessions.append,
        )

    async def require_claim(self) -> None:
        """The run is ours, unless a test says otherwise."""

    async def has_said(self, text: str, stream: str = "agent") -> None:
        """Wait until the agent streamed this."""
        while text.encode() not in self.emitted.get(stream, b""):
            self._news.clear()
            await self._news.wait()

    async def has_asked(self) -> None:
        """Wait until the agent asked for a permission."""
        while not self.asked:
            self._news.clear()
            await self._news.wait()

    def calls(self) -> list[dict[str, Any]]:
        """The prompts all agents got, in order."""
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]

    def _emit(self, stream: str, data: bytes) -> None:
        self.emitted.setdefault(stream, bytearray()).extend(data)
        self._news.set()

    async def _permit(self, request: PermissionRequest) -> str | None:
        self.asked.append(request)
        self._news.set()
        if isinstance(self.permission, BaseException):
            raise self.permission
        if isinstance(self.permission, asyncio.Future):
            return await self.permission
        return self.permission


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
