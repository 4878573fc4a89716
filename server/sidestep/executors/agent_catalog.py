"""
Which agents there are in a folder, which one is meant, and why there is none: configuration, presets and PATH together.

Looks for programs and starts none. The configuration is read again each time it is asked.

The default agent: the configured one that is named so; else the first configured one; else the host, if it does tasks;
else the first preset whose program is on PATH.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.executors.agent_presets import read_presets
from sidestep.model.agent_settings import AgentSettings, why_unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidestep.executors.agent_presets import AgentPreset
    from sidestep.model.agent_settings import AgentConfiguration, ConfiguredAgent

# The name of the host as an agent, where nobody configured one.
HOST = "host"
ON_PATH = "found on PATH"
HOST_ITSELF = "the host"

_NAMES_SHOWN_MAX = 20
_ADVICE = (
    "Configure it in .sidestep/config.toml or in your own config.toml: "
    '[agents.NAME] with kind = "cli" and command = "PROGRAM"; `sidestep doctor` lists the agents.'
)


@dataclass(frozen=True)
class KnownAgent:
    """
    One agent of a folder.

    Attributes:
        where: Who configured it: a file, "initializationOptions"; else `ON_PATH` or `HOST_ITSELF`.
        settings: Complete; None when it cannot be used, and `problem` says why.
        program: Its program's file, None when it is not found or there is none.
        version_args: Make the program print its version.
        is_unread: Its settings could not be read at all, so it is one of the configuration's problems.
    """

    name: str
    where: str
    settings: AgentSettings | None
    problem: str | None = None
    program: str | None = None
    version_args: tuple[str, ...] | None = None
    is_unread: bool = False


class AgentCatalog:
    """
    The agents of every folder.

    Args:
        configuration: What holds in a folder (an absolute path), now.
        path: The environment's PATH.
        host_does_tasks: Whether a host is connected that does agent steps.
        presets: Reads the known agents.
    """

    def __init__(
        self,
        configuration: Callable[[str], AgentConfiguration],
        path: str,
        *,
        host_does_tasks: Callable[[], bool] = lambda: False,
        presets: Callable[[], tuple[AgentPreset, ...]] = read_presets,
    ) -> None:
        self._configuration = configuration
        self._path = path
        self._host_does_tasks = host_does_tasks
        self._read_presets = presets

    @cached_property
    def _presets(self) -> dict[str, AgentPreset]:
        return {preset.name: preset for preset in self._read_presets()}

    def agents(self, folder: str) -> list[KnownAgent]:
        """The configured agents, the host if it does tasks, and the presets found on PATH, each name once."""
        return list(self._known(self._configuration(folder), folder))

    def look_up(self, name: str | None, folder: str) -> tuple[KnownAgent | None, str]:
        """
        The agent of that name, or the default one.

        Returns:
            (agent, "") with settings, or (None, why not and what to do, for the script's author).
        """
        configuration = self._configuration(folder)
        wanted = configuration.default_agent if name is None else name
        if wanted is None:
            agent = next(self._known(configuration, folder), None)
            if agent is None:
                return None, self._no_agent_at_all(configuration)
        else:
            agent = self._named(wanted, configuration, folder)
            if agent is None:
                whose = "" if name is not None else f" (default_agent in {configuration.default_where})"
                return None, self._no_such_agent(wanted, whose, configuration, folder)
        if agent.settings is None:
            return None, f"agent {agent.name!r} cannot be used: {agent.problem}"
        return agent, ""

    def _known(self, configuration: AgentConfiguration, folder: str) -> Iterator[KnownAgent]:
        for name, configured in configuration.agents.items():
            yield self._configured(name, configured, folder)
        if HOST not in configuration.agents and self._host_does_tasks():
            yield self._host()
        for preset in self._presets.values():
            if preset.name not in configuration.agents and (agent := self._found(preset)) is not None:
                yield agent

    def _named(self, name: str, configuration: AgentConfiguration, folder: str) -> KnownAgent | None:
        configured = configuration.agents.get(name)
        if configured is not None:
            return self._configured(name, configured, folder)
        if name == HOST and self._host_does_tasks():
            return self._host()
        preset = self._presets.get(name)
        return self._found(preset) if preset is not None else None

    def _host(self) -> KnownAgent:
        return KnownAgent(HOST, HOST_ITSELF, AgentSettings(kind="host"))

    def _found(self, preset: AgentPreset) -> KnownAgent | None:
        assert preset.settings.command is not None, "a preset names its program"
        program = shutil.which(preset.settings.command, path=self._path)
        if program is None:
            return None
        return KnownAgent(preset.name, ON_PATH, preset.settings, None, program, preset.version_args)

    def _configured(self, name: str, configured: ConfiguredAgent, folder: str) -> KnownAgent:
        settings = configured.settings
        if settings is None:
            assert configured.problem is not None, "what cannot be read has a problem"
            return KnownAgent(name, configured.where, None, str(configured.problem), is_unread=True)
        # An agent named like a preset that says nothing else of what it is, is that preset.
        preset_name = settings.preset or (name if settings.kind is None and name in self._presets else None)
        preset = self._presets.get(preset_name) if preset_name is not None else None
        problem = None
        if preset_name is not None and preset is None:
            problem = f"there is no preset {preset_name!r}; there are {', '.join(self._presets)}"
        elif preset is not None and settings.kind not in (None, preset.settings.kind):
            problem = f'preset {preset.name!r} is of kind = "{preset.settings.kind}"; leave kind out'
        elif preset is not None:
            settings = settings.over(preset.settings)
        problem = problem or why_unusable(settings)
        if problem is None and settings.kind == "host" and not self._host_does_tasks():
            problem = 'kind = "host" needs a host that does agent steps, and none is connected'
        if problem is not None:
            return KnownAgent(name, configured.where, None, f"{configured.where}: [agents.{name}] {problem}")
        program = _program_of(settings, self._path, folder) if settings.kind != "host" else None
        # The preset's name makes no difference any more: equal agents are equal.
        settings = replace(settings, preset=None)
        return KnownAgent(name, configured.where, settings, None, program, preset.version_args if preset else None)

    def _no_agent_at_all(self, configuration: AgentConfiguration) -> str:
        programs = ", ".join(dict.fromkeys(preset.settings.command or "" for preset in self._presets.values()))
        return (
            f"no agent is configured, and none of the known ones ({programs}) is on PATH ({self._path})."
            f"{_problems_of(configuration)} Install one, or configure your own. {_ADVICE}"
        )

    def _no_such_agent(self, name: str, whose: str, configuration: AgentConfiguration, folder: str) -> str:
        preset = self._presets.get(name)
        if preset is not None:
            return (
                f"agent {name!r}{whose} is known but its program {preset.settings.command!r} is not on PATH "
                f"({self._path}); install {preset.title}: {preset.install}. Or give its path: "
                f'[agents.{name}] command = "/path/to/{preset.settings.command}"'
            )
        if name == HOST:
            return f"agent {name!r}{whose}: no host is connected that does agent steps"
        # Only a mistake needs it.
        import difflib

        here = [agent.name for agent in self._known(configuration, folder)]
        near = difflib.get_close_matches(name, [*here, *self._presets], n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        shown = ", ".join(here[:_NAMES_SHOWN_MAX]) + (" ..." if len(here) > _NAMES_SHOWN_MAX else "")
        return (
            f"there is no agent {name!r}{whose}.{meant} There {f'are: {shown}' if here else 'is none here'}."
            f"{_problems_of(configuration)} {_ADVICE}"
        )


def _program_of(settings: AgentSettings, path: str, folder: str) -> str | None:
    """The file of an agent's program, or None; a relative path starts where the agent runs, as it will when started."""
    command = settings.command
    assert command is not None, "an agent that is a program has a command"
    if os.sep in command:
        at = os.path.join(folder, settings.cwd or "", command)
        return at if os.path.isfile(at) and os.access(at, os.X_OK) else None
    return shutil.which(command, path=dict(settings.env or ()).get("PATH", path))


def _problems_of(configuration: AgentConfiguration) -> str:
    return "".join(f" {problem}." for problem in configuration.problems[:3])
