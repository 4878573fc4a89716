"""
The configured agents as the engine asks for them: builds the agent of each kind and keeps how many work at once.

Which agents there are is `agent_catalog.py`'s; the agents are loaded when the first of their kind is asked for.

Invariant: while a task holds a place of an agent, everybody who asks for that agent (same name, same settings) shares
its places.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from sidestep.executors.agent_catalog import HOST, AgentCatalog
from sidestep.executors.agent_command import AgentCommand
from sidestep.model.agent_settings import AgentSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sidestep.executors.agent_catalog import KnownAgent
    from sidestep.model.agent_settings import AgentConfiguration
    from sidestep.model.agents import Agent
    from sidestep.model.ports import GroupLedger
    from sidestep.settings import Settings

    # Name, settings and places of an agent that is the host; None when no host is connected that does agent steps.
    HostAgents = Callable[[str, AgentSettings, asyncio.Semaphore | None], Agent | None]


def no_host(name: str, settings: AgentSettings, places: asyncio.Semaphore | None) -> Agent | None:
    """The `HostAgents` of a process without a host, such as the command line."""
    del name, settings, places
    return None


class AgentRegistry:
    """
    The port `Agents`.

    Args:
        configuration: What holds in a folder (an absolute path), now.
        host_agents: Makes the agent that is the host.
        environ: The environment agents inherit, as it was when the process started.
        sleep: Waits a number of seconds, really.
    """

    def __init__(
        self,
        configuration: Callable[[str], AgentConfiguration],
        host_agents: HostAgents,
        settings: Settings,
        ledger: GroupLedger,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._host_agents = host_agents
        self._settings = settings
        self._ledger = ledger
        self._environ = environ
        self._sleep = sleep
        self._places: WeakValueDictionary[tuple[str, AgentSettings], asyncio.Semaphore] = WeakValueDictionary()
        self.catalog = AgentCatalog(
            configuration, environ.get("PATH", os.defpath), host_does_tasks=self._host_does_tasks
        )

    def find(self, name: str | None, folder: str) -> Agent | str:
        """See `Agents.find`."""
        known, why_not = self.catalog.look_up(name, folder)
        if known is None:
            return why_not
        return self._built(known) or f"agent {known.name!r}: its host is gone"

    def _built(self, known: KnownAgent) -> Agent | None:
        settings, places = known.settings, self._places_of(known)
        assert settings is not None, "what is looked up can be used"
        if settings.kind == "host":
            return self._host_agents(known.name, settings, places)
        launch = AgentCommand(
            command=settings.command or "",
            args=settings.args or (),
            env=dict(settings.env or ()),
            cwd=settings.cwd,
        )
        parts = (self._settings, self._ledger, self._environ, self._sleep, places)
        if settings.kind == "acp":
            from sidestep.executors.acp_agent import AcpAgent

            return AcpAgent(known.name, launch, *parts)
        from sidestep.executors.cli_agent import CliAgent

        return CliAgent(known.name, launch, settings, *parts)

    def _places_of(self, known: KnownAgent) -> asyncio.Semaphore | None:
        settings = known.settings
        if settings is None or settings.concurrency is None:
            return None
        key = (known.name, settings)
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = asyncio.Semaphore(settings.concurrency)
        return places

    def _host_does_tasks(self) -> bool:
        return self._host_agents(HOST, AgentSettings(kind="host"), None) is not None
