"""
Agents that speak the Agent Client Protocol on the pipes of their process.

The SDK is loaded in a thread when an agent is first opened (half a second, and 41 ms at most of it hold up the event
loop), so nothing at the start of the server pays for it. Invariant: this module does not import the SDK.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.executors.agent_process import plan_agent

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Awaitable, Callable, Mapping

    from sidestep.executors.agent_command import AgentCommand
    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentSession, AgentTask
    from sidestep.model.ports import GroupLedger
    from sidestep.settings import Settings


class AcpAgent:
    """
    A configured agent of kind `acp`; see `Agent`.

    Attributes:
        places: See `Agent.places`.

    Args:
        environ: The environment agents inherit.
        sleep: Waits a number of seconds, really: the processes live in real time.
    """

    def __init__(
        self,
        name: str,
        launch: AgentCommand,
        settings: Settings,
        ledger: GroupLedger,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]],
        places: Semaphore | None,
    ) -> None:
        self._name = name
        self._launch = launch
        self._settings = settings
        self._ledger = ledger
        self._environ = environ
        self._sleep = sleep
        self.places = places

    @property
    def name(self) -> str:
        return self._name

    @property
    def gives_data(self) -> bool:
        return False

    async def open(self, task: AgentTask, signal: AbortSignal) -> AgentSession:
        """See `Agent.open`."""
        signal.throw_if_aborted()
        launch = plan_agent(self._launch, task, self._environ, self._settings.env_deny)
        open_session = await signal.race(asyncio.to_thread(_load_open_session))
        return await open_session(
            self._name,
            launch,
            task,
            signal,
            self._settings,
            self._ledger,
            self._sleep,
        )


def _load_open_session():
    from sidestep.executors.acp_session import open_session

    return open_session
