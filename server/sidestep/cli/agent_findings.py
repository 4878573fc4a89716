"""The agents of a folder as `sidestep doctor` tells them: where each comes from, its program and version."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.cli.finding import Finding
from sidestep.cli.program_version import program_version
from sidestep.executors.agent_catalog import HOST, HOST_ITSELF, AgentCatalog
from sidestep.executors.agent_presets import read_presets
from sidestep.scripts.agent_config import PROJECT_FILE, AgentConfigReader
from sidestep.scripts.near_names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidestep.executors.agent_catalog import KnownAgent
    from sidestep.model.agent_settings import AgentConfiguration, AgentSettings
    from sidestep.scripts.folder import FolderKey

_EXAMPLE = '[agents.NAME] with kind = "cli" and command = "PROGRAM" in .sidestep/config.toml or your own config.toml'


async def agent_findings(
    user_file: Path, folder: FolderKey, is_trusted: Callable[[FolderKey], bool], environ: Mapping[str, str]
) -> list[Finding]:
    """
    What is configured wrongly, and every agent that is configured or found.

    Known agents that are not installed are no matter, and not told. Of what is on PATH only known programs are started,
    to ask for their version, in an empty folder.

    Args:
        user_file: The user's `config.toml`.
        is_trusted: Effective trust of a folder, now.
    """
    reader = AgentConfigReader(user_file, is_trusted)
    configuration = reader(folder.path)
    findings = _configuration(configuration, folder, is_trusted(folder))
    # A host is there when an editor has started Sidestep, not now; an agent that is the host is fine all the same.
    catalog = AgentCatalog(lambda _: configuration, environ.get("PATH", os.defpath), host_does_tasks=lambda: True)
    agents = [agent for agent in catalog.agents(folder.path) if agent.where != HOST_ITSELF]
    default = configuration.default_agent or next((agent.name for agent in agents), None)
    findings += _default(catalog, configuration, [agent.name for agent in agents], folder)
    with tempfile.TemporaryDirectory(prefix="sidestep-doctor-", ignore_cleanup_errors=True) as place:
        told = await asyncio.gather(*(_agent(agent, default, folder, place, environ) for agent in agents))
    findings += [finding for finding in told if finding is not None]
    if not agents:
        todo = f"Install one (claude, codex, gemini, opencode ...) or configure your own: {_EXAMPLE}."
        findings.append(Finding("agents", "none is configured, and no known one is on PATH", todo, is_needed=False))
    return findings


def _configuration(configuration: AgentConfiguration, folder: FolderKey, is_trusted: bool) -> list[Finding]:
    todo = f"Mend it; an agent is {_EXAMPLE}."
    findings = [Finding("configuration", str(problem), todo) for problem in configuration.problems]
    unread = Path(folder.path, PROJECT_FILE)
    if unread.exists() and not is_trusted:
        found = f"{unread} is not read, because the folder is not trusted"
        findings.append(Finding("configuration", found, "sidestep trust", is_needed=False))
    return findings


def _default(
    catalog: AgentCatalog, configuration: AgentConfiguration, known: list[str], folder: FolderKey
) -> list[Finding]:
    """A default agent that there is not."""
    name = configuration.default_agent
    if name is None or name in known or name == HOST:
        return []
    presets = [preset.name for preset in read_presets()]
    if name in presets:
        return [Finding("default agent", catalog.look_up(None, folder.path)[1], "Or name another one.")]
    where = configuration.default_where
    found = f"default_agent = {json.dumps(name)} in {where} names no agent.{did_you_mean(name, [*known, *presets])}"
    todo = f"Write one of: {', '.join(known)}." if known else f"Configure one: {_EXAMPLE}."
    return [Finding("default agent", found, todo)]


async def _agent(
    agent: KnownAgent, default: str | None, folder: FolderKey, place: str, environ: Mapping[str, str]
) -> Finding | None:
    what = f"agent {agent.name}"
    if agent.settings is None:
        # What could not be read is told as a problem of its file.
        return None if agent.is_unread else Finding(what, agent.problem or "", f"Mend it; an agent is {_EXAMPLE}.")
    origin = f"; {agent.where}" + ("; the default" if agent.name == default else "")
    if agent.settings.kind == "host":
        return Finding(what, f"done by the host{origin}")
    if agent.program is None:
        mistake = _mistake(agent.settings, folder, environ)
        if mistake is not None:
            return Finding(what, f"{mistake[0]}{origin}", mistake[1])
        todo = "Install it, or write the path of its file as command."
        return Finding(what, f"no program {agent.settings.command!r}{origin}", todo, is_needed=False)
    version = None
    if agent.version_args is not None:
        version = await program_version(agent.program, agent.version_args, place, environ)
    return Finding(what, f"{agent.program} ({version or 'version unknown'}){origin}")


def _mistake(settings: AgentSettings, folder: FolderKey, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong with a command that names no program, as far as it can be seen, and what to do."""
    command = settings.command or ""
    if command.startswith("~"):
        return f"no program {command!r}: ~ is not expanded", "Write the whole path of its file as command."
    program = os.path.join(folder.path, settings.cwd or "", command)
    if os.sep in command and os.path.isfile(program):
        return f"{program} is not executable", f"chmod +x {shlex.quote(program)}"
    first, *args = command.split() or [""]
    path = dict(settings.env or ()).get("PATH", environ.get("PATH", os.defpath))
    if args and (shutil.which(first, path=path) or os.path.isfile(os.path.join(folder.path, first))):
        todo = f"Write command = {json.dumps(first)} and args = {json.dumps([*args, *(settings.args or ())])}."
        return f"no program {command!r}: arguments belong into args", todo
    return None
