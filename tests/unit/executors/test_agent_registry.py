"""The configured agents as the engine gets them: of which kind, with which program, how many at once."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.executors.acp_agent import AcpAgent
from sidestep.executors.agent_command import AgentCommand
from sidestep.executors.agent_registry import AgentRegistry, no_host
from sidestep.executors.cli_agent import CliAgent
from sidestep.model.abort import AbortController
from sidestep.model.agent_settings import AgentConfiguration, AgentSettings, ConfiguredAgent, parse_agent
from sidestep.model.agents import AgentFailed
from sidestep.model.run import FailureCode
from sidestep.settings import Settings

from .conftest import RecordingLedger
from .test_cli_agent import CliAgents

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.agents import Agent, Agents, AgentSession, AgentTask


class HostAgent:
    """An agent that is the host, as far as a registry knows one."""

    gives_data = True

    def __init__(self, name: str, settings: AgentSettings, places: asyncio.Semaphore | None) -> None:
        self.name = name
        self.settings = settings
        self.places = places

    async def open(self, task: AgentTask, signal: object) -> AgentSession:
        raise NotImplementedError


class Registered:
    """A registry over a configuration that a test writes."""

    def __init__(self, host: type[HostAgent] | None = None) -> None:
        self.configuration = AgentConfiguration()
        self.host = host
        self.registry = AgentRegistry(
            lambda folder: self.configuration,
            self._host_agent,
            Settings(),
            RecordingLedger(),
            {"PATH": "/nowhere"},
            asyncio.sleep,
        )
        # It is what the engine asks for.
        self.agents: Agents = self.registry

    def _host_agent(self, name: str, settings: AgentSettings, places: asyncio.Semaphore | None) -> Agent | None:
        return no_host(name, settings, places) if self.host is None else self.host(name, settings, places)

    def configure(self, **tables: dict[str, Any]) -> None:
        agents: dict[str, ConfiguredAgent] = {}
        for name, table in tables.items():
            settings, problem = parse_agent(table)
            assert problem is None
            agents[name] = ConfiguredAgent("a.toml", settings)
        self.configuration = AgentConfiguration(agents)

    def find(self, name: str) -> Agent:
        assert self.agents.why_not(name, "/work") is None
        return self.agents.find(name, "/work")


CLI = {"kind": "cli", "command": "x", "args": ["-p"], "env": {"A": "1"}, "cwd": "below"}
LAUNCH = AgentCommand("x", ("-p",), {"A": "1"}, "below")


def test_each_kind_is_built_with_its_program() -> None:
    registered = Registered(HostAgent)
    registered.configure(c=CLI, a={**CLI, "kind": "acp"}, h={"kind": "host", "schema": "prompt"})
    cli, acp, host = (registered.find(name) for name in "cah")
    assert isinstance(cli, CliAgent)
    assert (cli.name, cli.launch, cli.gives_data, cli.places) == ("c", LAUNCH, False, None)
    assert isinstance(acp, AcpAgent)
    assert (acp.name, acp.gives_data, acp.places) == ("a", False, None)
    assert isinstance(host, HostAgent)
    assert (host.name, host.settings, host.places) == ("h", AgentSettings(kind="host", schema="prompt"), None)


def test_an_agents_places_are_shared_by_all_who_ask_and_grow_back_after_a_change() -> None:
    registered = Registered(HostAgent)
    two = {"concurrency": 2}
    registered.configure(c={**CLI, **two}, d={**CLI, **two}, h={"kind": "host", **two})
    places = registered.find("c").places
    assert places is not None
    assert registered.find("c").places is places
    assert registered.find("d").places is not places
    assert registered.find("h").places is not None
    registered.configure(c={**CLI, **two, "args": []})
    assert registered.find("c").places is not places
    registered.configure(c={**CLI, **two})
    assert registered.find("c").places is places, "whoever still works under the old settings counts"


def test_places_nobody_holds_are_not_kept() -> None:
    registered = Registered()
    for count in range(1, 50):
        registered.configure(c={**CLI, "concurrency": count})
        registered.find("c")
    gc.collect()
    assert len(registered.registry._places) <= 1


def test_an_unknown_agent_is_told_before_any_work() -> None:
    """P1."""
    registered = Registered()
    registered.configure(mine=CLI)
    why = registered.agents.why_not("mien", "/work")
    assert why is not None
    assert "Did you mean 'mine'?" in why
    assert registered.agents.why_not(None, "/work") is None


async def test_an_agent_that_went_away_since_it_was_checked_says_so_when_it_is_opened(tmp_path: Path) -> None:
    registered = Registered(HostAgent)
    assert registered.agents.why_not("host", "/work") is None
    registered.host = None
    agent = registered.agents.find("host", "/work")
    with pytest.raises(AgentFailed) as failed:
        await agent.open(CliAgents(tmp_path).task(), AbortController().signal)
    assert failed.value.failure.code is FailureCode.INFRASTRUCTURE
    assert "no host is connected" in failed.value.failure.message


async def test_an_agent_from_the_registry_does_a_turn(tmp_path: Path) -> None:
    agents = CliAgents(tmp_path)
    table = {"kind": "cli", "command": "/bin/sh", "args": ["-c", "echo $A; cat"], "env": {"A": "set"}}
    settings, _ = parse_agent(table)
    registry = AgentRegistry(
        lambda _: AgentConfiguration({"mine": ConfiguredAgent("a.toml", settings)}),
        no_host,
        Settings(),
        agents.ledger,
        {"PATH": os.environ["PATH"]},
        asyncio.sleep,
    )
    signal = AbortController().signal
    session = await registry.find(None, str(tmp_path)).open(agents.task(), signal)
    assert (await session.prompt("and the prompt", signal)).text == "set\nand the prompt"
    await session.close()
