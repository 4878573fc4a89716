"""
The agents Sidestep knows by itself, from `agent_presets.toml`.

Knows the shape of that file; looks for no program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sidestep.model.agent_settings import AgentSettings, parse_agent

_FILE = "agent_presets.toml"


@dataclass(frozen=True)
class AgentPreset:
    """
    One known agent.

    Attributes:
        title: Its product's name.
        install: How to get it, for people.
        version_args: Make it print its version and end; None where no such arguments are known.
        settings: Complete: it can be used as it is once its program is on PATH.
    """

    name: str
    title: str
    install: str
    version_args: tuple[str, ...] | None
    settings: AgentSettings


def read_presets() -> tuple[AgentPreset, ...]:
    """Every known agent, in the order in which they are the default. Reads a file of the package (about 2 ms)."""
    # Only who asks for agents pays for it.
    import importlib.resources
    import tomllib

    text = importlib.resources.files("sidestep.executors").joinpath(_FILE).read_text(encoding="utf-8")
    return tuple(_preset(table) for table in tomllib.loads(text)["presets"])


def _preset(table: dict[str, Any]) -> AgentPreset:
    own = {name: table.pop(name, None) for name in ("name", "title", "install", "version_args")}
    settings, problem = parse_agent(table)
    assert settings is not None, f"preset {own['name']!r}: {problem}"
    version_args = own["version_args"]
    return AgentPreset(
        name=own["name"],
        title=own["title"],
        install=own["install"],
        version_args=None if version_args is None else tuple(version_args),
        settings=settings,
    )
