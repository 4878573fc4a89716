"""What a host that was heard changes for agents: those it configured, whether it is one, whether a person is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sidestep.model.agents import PermissionPolicy
from sidestep.scripts.agent_config import SessionAgents

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sidestep.lsp.greeting import Greeting
    from sidestep.lsp.host_agent import TasksAtHost
    from sidestep.model.agent_settings import AgentSettings
    from sidestep.model.agents import Agent


@dataclass(frozen=True)
class HostOffer:
    """
    Attributes:
        agents: `initializationOptions`, for the configuration of every folder.
        can_be_asked: A person sees what we ask; without one a policy that asks permits only what was permitted before.
        agent: Makes the host itself an agent, of a name, with settings and places; None when it does no tasks.
    """

    agents: SessionAgents
    can_be_asked: bool
    agent: Callable[[str, AgentSettings, asyncio.Semaphore | None], Agent | None]


def host_offer(greeting: Greeting, tasks: TasksAtHost | None) -> HostOffer:
    """What the host of this greeting offers; `tasks` may be None for one that does none."""
    options = greeting.params.options
    agents = SessionAgents(
        agents={name: msgspec.to_builtins(agent) for name, agent in options.agents.items()},
        default_agent=options.default_agent or None,
        permission_policy=PermissionPolicy(options.permission_policy) if options.permission_policy else None,
    )

    def agent(name: str, settings: AgentSettings, places: asyncio.Semaphore | None) -> Agent | None:
        return tasks.agent(name, settings, places) if greeting.does_tasks and tasks is not None else None

    return HostOffer(agents, greeting.can_be_asked, agent)
