"""The configured agents as the engine gets them: of which kind, with which program, how many at once."""

from __future__ import annotations

import asyncio
import gc
import os
import tomllib
from typing import TYPE_CHECKING, Any

from sidestep.executors.acp_agent import AcpAgent
from sidestep.executors.agent_command import AgentCommand
from sidestep.executors.agent_registry import AgentRegistry, no_host
from sidestep.executors.cli_agent import CliAgent
from sidestep.model.abort import AbortController
from sidestep.model.agent_settings import AgentConfiguration, AgentSettings, ConfiguredAgent, parse_agent
from sidestep.scripts.agent_config import AgentConfigReader
from sidestep.settings import Settings

from .conftest import RecordingLedger
from .test_cli_agent import CliAgents

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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
        agent = self.agents.find(name, "/work")
        assert not isinstance(agent, str), agent
        return agent


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
    why = registered.agents.find("mien", "/work")
    assert isinstance(why, str)
    assert "Did you mean 'mine'?" in why
    assert not isinstance(registered.agents.find(None, "/work"), str)


def test_a_host_that_went_away_is_told() -> None:
    registered = Registered(HostAgent)
    registered.find("host")
    registered.host = None
    why = registered.agents.find("host", "/work")
    assert isinstance(why, str)
    assert "no host is connected" in why


def test_steps_that_ask_for_agents_do_not_parse_the_configuration_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 5: an unchanged file is not parsed at all, an edited one once."""
    parsed: list[str] = []
    loads = tomllib.loads

    def counted(text: str) -> dict[str, Any]:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counted)
    text = '[agents.mine]\nkind = "cli"\ncommand = "one"\n'
    project, user = tmp_path / ".sidestep" / "config.toml", tmp_path / "config.toml"
    project.parent.mkdir()
    project.write_text(text, encoding="utf-8")
    user.write_text(text, encoding="utf-8")
    reader = AgentConfigReader(user, lambda _: True)
    registry = AgentRegistry(reader, no_host, Settings(), RecordingLedger(), {"PATH": "/nowhere"}, asyncio.sleep)

    def command() -> str:
        agent = registry.find("mine", str(tmp_path))
        assert isinstance(agent, CliAgent)
        return agent.launch.command

    assert command() == "one"
    assert len(parsed) == 2, "both files, when they are first asked for"
    assert [command() for _ in range(5)] == ["one"] * 5
    assert len(parsed) == 2
    project.write_text(text.replace("one", "two"), encoding="utf-8")
    assert [command() for _ in range(5)] == ["two"] * 5
    assert len(parsed) == 3
    project.unlink()
    assert command() == "one"
    assert len(parsed) == 3


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
    agent = registry.find(None, str(tmp_path))
    assert not isinstance(agent, str)
    session = await agent.open(agents.task(), signal)
    assert (await session.prompt("and the prompt", signal)).text == "set\nand the prompt"
    await session.close()
