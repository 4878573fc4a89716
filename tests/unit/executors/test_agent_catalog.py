"""Which agents there are in a folder, which one is the default, and what an author is told when there is none (P1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.executors.agent_catalog import ON_PATH, AgentCatalog
from sidestep.executors.agent_presets import read_presets
from sidestep.model.agent_settings import AgentConfiguration, ConfigProblem, ConfiguredAgent, parse_agent, why_unusable

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "/work"


class Machine:
    """A PATH with programs on it, a configuration, and a host that may do tasks."""

    def __init__(self, place: Path) -> None:
        self.bin = place / "bin"
        self.bin.mkdir()
        self.configuration = AgentConfiguration()
        self.host_does_tasks = False
        self.catalog = AgentCatalog(
            lambda folder: self.configuration if folder == FOLDER else AgentConfiguration(),
            str(self.bin),
            host_does_tasks=lambda: self.host_does_tasks,
        )

    def install(self, *programs: str) -> None:
        for program in programs:
            (self.bin / program).write_text("#!/bin/sh\n")
            (self.bin / program).chmod(0o755)

    def configure(self, default: str | None = None, **tables: dict[str, Any]) -> None:
        agents: dict[str, ConfiguredAgent] = {}
        for name, table in tables.items():
            settings, wrong = parse_agent(table)
            problem = ConfigProblem("a.toml", 3, wrong[1]) if wrong else None
            agents[name] = ConfiguredAgent("a.toml", settings, problem)
        problems = tuple(agent.problem for agent in agents.values() if agent.problem)
        self.configuration = AgentConfiguration(
            agents, default, default_where="a.toml" if default else None, problems=problems
        )

    def names(self) -> list[str]:
        return [agent.name for agent in self.catalog.agents(FOLDER)]

    def found(self, name: str | None = None) -> str:
        agent, why = self.catalog.look_up(name, FOLDER)
        assert agent is not None, why
        assert not why
        assert agent.settings is not None
        assert why_unusable(agent.settings) is None
        return agent.name

    def why_not(self, name: str | None = None) -> str:
        agent, why = self.catalog.look_up(name, FOLDER)
        assert agent is None, agent
        return why


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_every_preset_is_complete_and_named_once() -> None:
    presets = read_presets()
    assert len({preset.name for preset in presets}) == len(presets)
    wanted = {"claude", "codex", "gemini", "opencode", "aider", "goose", "cursor-agent", "copilot", "amp", "qwen"}
    assert wanted <= {preset.name for preset in presets if preset.settings.kind == "cli"}
    wanted = {"claude-code-acp", "codex-acp", "gemini-acp", "opencode-acp", "goose-acp"}
    assert wanted <= {preset.name for preset in presets if preset.settings.kind == "acp"}
    for preset in presets:
        assert why_unusable(preset.settings) is None, preset.name
        assert preset.settings.preset is None
        assert preset.title, preset.name
        assert preset.install, preset.name
        holes = [hole for arg in preset.settings.args or () for hole in re.findall(r"\{.*?\}", arg)]
        assert set(holes) <= {"{prompt}", "{cwd}", "{report_file}"}
        if preset.settings.kind == "cli":
            assert preset.settings.prompt_via is not None, f"{preset.name} does not say how it takes its prompt"
            assert preset.settings.takes_prompt_as_argument == ("{prompt}" in holes), preset.name


def test_without_configuration_what_is_on_path_is_offered_and_the_first_one_is_the_default(machine: Machine) -> None:
    machine.install("aider", "gemini", "codex")
    assert machine.names() == ["codex", "gemini-acp", "gemini", "aider"]
    assert machine.found() == "codex"
    assert machine.found("gemini") == "gemini"
    (codex, *_) = machine.catalog.agents(FOLDER)
    assert (codex.where, codex.program) == (ON_PATH, str(machine.bin / "codex"))
    assert codex.version_args == ("--version",)


def test_a_file_that_cannot_be_executed_is_no_program(machine: Machine) -> None:
    machine.install("codex")
    (machine.bin / "codex").chmod(0o644)
    assert machine.names() == []


def test_without_any_agent_it_says_where_it_looked_and_what_to_do(machine: Machine) -> None:
    why = machine.why_not()
    assert "no agent is configured" in why
    assert str(machine.bin) in why
    assert "claude" in why
    assert "[agents.NAME]" in why
    assert "sidestep doctor" in why


def test_the_first_configured_agent_is_the_default_unless_one_is_named(machine: Machine) -> None:
    machine.install("codex")
    one, two = ({"kind": "cli", "command": command} for command in "ab")
    machine.configure(one=one, two=two)
    assert machine.names() == ["one", "two", "codex"]
    assert machine.found() == "one"
    machine.configure("two", one=one, two=two)
    assert machine.found() == "two"
    machine.configure("codex", one=one)
    assert machine.found() == "codex"
    machine.configure("three", one=one)
    assert "there is no agent 'three' (default_agent in a.toml)" in machine.why_not()


def test_p1_an_unknown_agent_names_the_nearest_and_the_known(machine: Machine) -> None:
    machine.install("codex")
    machine.configure(reviewer={"kind": "cli", "command": "x"})
    why = machine.why_not("reviewr")
    assert "there is no agent 'reviewr'. Did you mean 'reviewer'? There are: reviewer, codex." in why
    assert "[agents.NAME]" in why
    assert machine.catalog.look_up("reviewer", "/elsewhere")[0] is None


def test_a_known_agent_that_is_not_installed_says_how_to_get_it(machine: Machine) -> None:
    why = machine.why_not("claude")
    assert f"its program 'claude' is not on PATH ({machine.bin})" in why
    assert "npm install" in why
    assert '[agents.claude] command = "/path/to/claude"' in why


def test_an_agent_may_start_from_a_preset(machine: Machine) -> None:
    machine.install("claude")
    machine.configure(
        claude={"concurrency": 2}, opus={"preset": "claude", "env": {"MODEL": "opus"}}, mine={"command": "x"}
    )
    by_name = {agent.name: agent for agent in machine.catalog.agents(FOLDER)}
    claude, opus = by_name["claude"].settings, by_name["opus"].settings
    assert claude is not None
    assert opus is not None
    assert claude.concurrency == 2
    assert opus.env == (("MODEL", "opus"),)
    assert claude.args == opus.args
    assert claude.args
    assert by_name["claude"].program == by_name["opus"].program == str(machine.bin / "claude")
    assert list(by_name) == ["claude", "opus", "mine"], "the preset is not listed again"
    assert "write kind =" in machine.why_not("mine")


def test_a_preset_that_does_not_exist_or_is_of_another_kind_is_told(machine: Machine) -> None:
    machine.configure(a={"preset": "cluade"}, b={"preset": "claude", "kind": "acp"})
    assert "a.toml: [agents.a] there is no preset 'cluade'; there are" in machine.why_not("a")
    assert "[agents.b] preset 'claude' is of kind = \"cli\"" in machine.why_not("b")


def test_a_broken_agent_is_not_replaced_by_a_preset_of_its_name(machine: Machine) -> None:
    machine.install("claude", "codex")
    machine.configure(claude={"kind": "clu"})
    assert "agent 'claude' cannot be used: a.toml:3: kind must be" in machine.why_not("claude")
    assert "a.toml:3" in machine.why_not(), "the first configured agent is the default, and it is broken"
    assert "a.toml:3" in machine.why_not("unknown"), "an author who misses an agent sees what could not be read"
    assert machine.found("codex") == "codex"


def test_a_configured_agent_whose_program_is_missing_is_an_agent(machine: Machine) -> None:
    """It fails when it is opened, with the PATH searched: the program may be installed until then."""
    machine.configure(mine={"kind": "cli", "command": "no-such-program"})
    assert machine.found("mine") == "mine"
    assert machine.catalog.agents(FOLDER)[0].program is None


def test_a_program_is_looked_for_on_the_agents_own_path(machine: Machine, tmp_path: Path) -> None:
    machine.install("mine")
    machine.catalog = AgentCatalog(lambda _: machine.configuration, str(tmp_path))
    table = {"kind": "cli", "command": "mine"}
    machine.configure(a=table, b={**table, "env": {"PATH": str(machine.bin)}}, c={**table, "command": "/bin/sh"})
    assert [agent.program for agent in machine.catalog.agents(FOLDER)] == [None, str(machine.bin / "mine"), "/bin/sh"]


def test_a_host_that_does_tasks_is_an_agent_before_those_on_path(machine: Machine) -> None:
    machine.install("codex")
    assert "no host is connected" in machine.why_not("host")
    machine.host_does_tasks = True
    assert machine.names() == ["host", "codex"]
    assert machine.found() == machine.found("host") == "host"
    machine.configure(mine={"kind": "cli", "command": "x"})
    assert machine.found() == "mine"


def test_a_configured_host_agent_needs_a_host(machine: Machine) -> None:
    machine.configure(copilot={"kind": "host"})
    assert "needs a host that does agent steps" in machine.why_not("copilot")
    machine.host_does_tasks = True
    assert machine.found("copilot") == "copilot"
