"""
Which agents are configured for a workspace folder: by the session, by the project, by the user, in this order.

Reads `.sidestep/config.toml` of a folder that is trusted and `config.toml` of the user; knows no program and starts
none. The files are looked at each time and read again when they changed, so an edit holds from the next step on.

    default_agent = "claude"

    [agents.claude]
    preset = "claude"
    concurrency = 2

    [agents.mine]
    kind = "cli"
    command = "./tools/agent.sh"

    [permissions]
    policy = "ask"

Invariant: nothing of an untrusted folder is read, and nothing that lies outside of a project by its real path.
Invariant: a broken file disables only itself, and a broken agent only itself; a broken one does not let another of the
same name through, which somebody meant to replace.
Invariant: what may have been meant to forbid something forbids: the strictest policy of all sources holds, and a
mistake in one is a "deny".
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field

from sidestep.model.agent_settings import (
    AgentConfiguration,
    AgentSettings,
    ConfigProblem,
    ConfiguredAgent,
    parse_agent,
)
from sidestep.model.agents import PermissionPolicy
from sidestep.model.errors import ScriptInvalid, ScriptNotFound, WorkspaceInvalid
from sidestep.model.value import Value
from sidestep.scripts.folder import FolderKey, real_path
from sidestep.scripts.near_names import did_you_mean
from sidestep.scripts.source_file import read_source_file
from sidestep.scripts.toml_lines import TomlLines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# A longer file is no list of a few agents.
CONFIG_BYTES_MAX = 64 * 1024
# tomllib takes time that grows with the square of a key's dots.
LINE_DOTS_MAX = 200
AGENTS_MAX = 200
# Unknown settings of one table that are told; whoever has more knows by then.
STRANGERS_TOLD_MAX = 10
AGENT_NAME_CHARS_MAX = 100
# Files whose content is remembered; more folders than this are not worked in at once.
FILES_KNOWN_MAX = 100

PROJECT_FILE = os.path.join(".sidestep", "config.toml")
USER_FILE = "config.toml"
SESSION = "initializationOptions"

_TOP_LEVEL = ("agents", "default_agent", "permissions")
# How tomllib says where it stopped.
_TOML_POSITION = re.compile(r" \(at line (\d+), column \d+\)$")
_CAPITAL = re.compile(r"(?<=[a-z])([A-Z])")


class SessionAgents(Value, frozen=True):
    """What a host said in `initializationOptions`, as it was sent: names of settings in camel case."""

    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    default_agent: str | None = None
    permission_policy: PermissionPolicy | None = None


class _Source(Struct):
    """One place agents are configured in, as far as it can be used."""

    where: str
    agents: dict[str, ConfiguredAgent] = field(default_factory=dict[str, ConfiguredAgent])
    default_agent: str | None = None
    permission_policy: PermissionPolicy | None = None
    permission_line: int | None = None
    problems: list[ConfigProblem] = field(default_factory=list[ConfigProblem])
    # The file is there and could not be read, which may be over at the next look.
    is_unread: bool = False

    @property
    def permission_where(self) -> str:
        return self.where if self.permission_line is None else f"{self.where}:{self.permission_line}"

    def broken(self, line: int | None, message: str, *, forbids: bool = False) -> ConfigProblem:
        """`forbids`: it may hold a policy that was not understood."""
        problem = ConfigProblem(self.where, line, message, forbids)
        self.problems.append(problem)
        return problem


class AgentConfigReader:
    """
    Reads the configuration that holds in a folder.

    Args:
        user_file: The user's `config.toml`; need not be there.
        is_trusted: Effective trust of a folder, now.
        session: What this process's host said; `use_session` replaces it, for a host that is heard later.
    """

    def __init__(
        self, user_file: str | Path, is_trusted: Callable[[FolderKey], bool], session: SessionAgents | None = None
    ) -> None:
        self._user_file = os.path.abspath(user_file)
        self._is_trusted = is_trusted
        self._said = _session_source(session or SessionAgents())
        # Path of a file -> what its entry was before it was read, and what it says.
        self._known: dict[str, tuple[_Entry, _Source]] = {}

    def use_session(self, session: SessionAgents) -> None:
        self._said = _session_source(session)

    def __call__(self, folder: str) -> AgentConfiguration:
        """What holds in the folder (an absolute path), now; never raises."""
        sources = [self._said]
        key = self._trusted(folder)
        if key is not None:
            path = os.path.join(key.path, PROJECT_FILE)
            sources.append(self._source(path, lambda: _project_source(key, path)))
        user_file = self._user_file
        sources.append(self._source(user_file, lambda: _file_source(user_file, os.path.realpath(user_file))))
        return _joined(sources)

    def _trusted(self, folder: str) -> FolderKey | None:
        """The folder's key, if it is trusted."""
        key = FolderKey(folder)
        if self._is_trusted(key):
            # A run's folder is a key already, and only what is one can be trusted.
            return key
        try:
            key = FolderKey.named(folder)
        except WorkspaceInvalid:
            return None
        return key if key.path != folder and self._is_trusted(key) else None

    def _source(self, path: str, read: Callable[[], _Source]) -> _Source:
        """What a file says; one that did not change since it was read costs a look at its entry."""
        entry = _entry_of(path)
        known = self._known.get(path)
        if known is not None and known[0] == entry:
            return known[1]
        # Most people have none.
        source = _Source(path) if entry is None and _is_surely_missing(path) else read()
        self._known.pop(path, None)
        if entry is not None and not source.is_unread:
            if len(self._known) >= FILES_KNOWN_MAX:
                self._known.clear()
            self._known[path] = entry, source
        return source


# Device, inode, size, and when content and entry changed (ns), through links; then what stands in the places of its
# folder and of itself, which may be a link now and none later. No edit, replacement or move leaves all of them.
_Entry = tuple[int, ...]


def _entry_of(path: str) -> _Entry | None:
    """What the disk says of a file, through links; None when it says nothing."""
    try:
        entry, folder, place = os.stat(path), os.lstat(os.path.dirname(path)), os.lstat(path)
    except (OSError, ValueError):
        return None
    content = entry.st_dev, entry.st_ino, entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns
    return (*content, folder.st_dev, folder.st_ino, folder.st_mode, place.st_dev, place.st_ino, place.st_mode)


def _is_surely_missing(path: str) -> bool:
    """False for whatever has to be looked at more closely: a link, also one in the place of the file's folder."""
    try:
        is_link = stat.S_ISLNK(os.lstat(os.path.dirname(path)).st_mode)
        return not is_link and not os.path.lexists(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def _joined(sources: list[_Source]) -> AgentConfiguration:
    agents: dict[str, ConfiguredAgent] = {}
    for source in sources:
        for name, agent in source.agents.items():
            agents.setdefault(name, agent)
    named = next((source for source in sources if source.default_agent is not None), None)
    problems = tuple(problem for source in sources for problem in source.problems)
    policy, where = _strictest(sources)
    return AgentConfiguration(
        agents=agents,
        default_agent=named.default_agent if named else None,
        default_where=named.where if named else None,
        permission_policy=PermissionPolicy.DENY if any(problem.forbids for problem in problems) else policy,
        permission_where=where,
        problems=problems,
    )


def _strictest(sources: list[_Source]) -> tuple[PermissionPolicy | None, str | None]:
    """The strictest policy that was said, and who said it first."""
    for policy in reversed(PermissionPolicy):
        for source in sources:
            if source.permission_policy is policy:
                return policy, source.permission_where
    return None, None


def _session_source(session: SessionAgents) -> _Source:
    source = _Source(SESSION, default_agent=session.default_agent, permission_policy=session.permission_policy)
    for name, table in session.agents.items():
        # Settings we do not know are a newer host's; a host without a wish may send null.
        known = _snaked(table)
        settings, problem = parse_agent({key: known[key] for key in known if key in AgentSettings.names()})
        broken = source.broken(None, f"agents.{name}: {problem[1]}") if problem else None
        source.agents[name] = ConfiguredAgent(SESSION, settings, broken)
    return source


def _project_source(folder: FolderKey, path: str) -> _Source:
    try:
        real = real_path(path)
    except (OSError, ValueError):
        real = path
    if not folder.covers(FolderKey(real)):
        source = _Source(path)
        source.broken(None, "it leads outside the workspace folder; put a file there instead of the link", forbids=True)
        return source
    return _file_source(path, real)


def _file_source(path: str, real: str) -> _Source:
    """What a file says, if it is there; `path` is how people know it, `real` its real path."""
    source = _Source(path)
    if not os.path.lexists(path):
        return source
    try:
        text = read_source_file(real, file=path, bytes_max=CONFIG_BYTES_MAX)
    except ScriptNotFound as error:
        source.is_unread = True
        source.broken(None, f"it cannot be read: {error.why}", forbids=True)
        return source
    except ScriptInvalid as error:
        first = error.problems[0]
        too_long = f"it is longer than {CONFIG_BYTES_MAX} bytes"
        why = too_long if first.code == "too-long" else "it is not UTF-8; save it as UTF-8"
        source.broken(first.line, why, forbids=True)
        return source
    # Only who has such a file pays for it.
    import tomllib

    crowded = next((n for n, line in enumerate(text.split("\n"), 1) if line.count(".") > LINE_DOTS_MAX), None)
    if crowded is not None:
        source.broken(crowded, f"the line has more than {LINE_DOTS_MAX} dots; write it as several lines", forbids=True)
        return source
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        position = _TOML_POSITION.search(str(error))
        line = int(position[1]) if position else text.count("\n") + 1
        source.broken(line, f"it is not TOML: {_TOML_POSITION.sub('', str(error))}", forbids=True)
        return source
    except RecursionError:
        source.broken(None, "it is not TOML that can be read: it is nested too deeply", forbids=True)
        return source
    _read_document(document, source, TomlLines(text))
    return source


def _read_document(document: dict[str, Any], source: _Source, lines: TomlLines) -> None:
    for name in _strangers(document, _TOP_LEVEL):
        message = f"there is no setting {name!r}.{did_you_mean(name, _TOP_LEVEL)} There are {', '.join(_TOP_LEVEL)}."
        if name == "policy":
            message = 'write policy = "ask" below [permissions], not by itself'
        source.broken(lines.of((), name), message, forbids=True)
    agents = document.get("agents", {})
    if isinstance(agents, dict):
        _read_agents(cast("dict[str, Any]", agents), source, lines)
    else:
        source.broken(lines.of((), "agents"), 'agents is a table: write [agents.NAME] and kind = "cli" below it')
    default = document.get("default_agent")
    if default is None or (isinstance(default, str) and default):
        source.default_agent = default
    else:
        source.broken(lines.of((), "default_agent"), 'write default_agent = "NAME"')
    _read_permissions(document.get("permissions", {}), source, lines)


def _read_agents(agents: dict[str, Any], source: _Source, lines: TomlLines) -> None:
    for count, (name, table) in enumerate(agents.items()):
        settings, setting, wrong = None, None, None
        if count >= AGENTS_MAX:
            source.broken(lines.of(("agents", name)), f"more than {AGENTS_MAX} agents; the rest is left out")
            return
        if not name or len(name) > AGENT_NAME_CHARS_MAX:
            wrong = f"an agent's name has 1 to {AGENT_NAME_CHARS_MAX} characters"
        elif not isinstance(table, dict):
            wrong = f'agents.{name} is a table: write [agents.{name}] and kind = "cli" below it'
        else:
            settings, problem = parse_agent(cast("dict[str, Any]", table))
            if problem is not None:
                setting, wrong = problem[0], f"[agents.{name}] {problem[1]}"
        broken = source.broken(lines.of(("agents", name), setting), wrong) if wrong is not None else None
        source.agents[name] = ConfiguredAgent(source.where, settings, broken)


def _strangers(table: dict[str, Any], known: tuple[str, ...]) -> list[str]:
    return [name for name in table if name not in known][:STRANGERS_TOLD_MAX]


def _read_permissions(permissions: Any, source: _Source, lines: TomlLines) -> None:
    if not isinstance(permissions, dict):
        message = 'permissions is a table: write [permissions] and policy = "ask" below it'
        source.broken(lines.of((), "permissions"), message, forbids=True)
        return
    table = cast("dict[str, Any]", permissions)
    if "policy" in table:
        words = {each.value: each for each in PermissionPolicy}
        policy = table["policy"]
        line = source.permission_line = lines.of(("permissions",), "policy")
        source.permission_policy = words.get(policy) if isinstance(policy, str) else None
        if source.permission_policy is None:
            one_of = ", ".join(f'"{word}"' for word in words)
            source.broken(line, f"policy must be one of {one_of}", forbids=True)
    for name in _strangers(table, ("policy",)):
        message = f"[permissions] has no setting {name!r}; there is policy"
        source.broken(lines.of(("permissions",), name), message, forbids=True)


def _snaked(table: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the names they have in a file; what is null is left out."""
    usage = table.get("usage")
    if isinstance(usage, dict):
        table = {**table, "usage": _snaked(cast("dict[str, Any]", usage))}
    return {_CAPITAL.sub(r"_\1", name).lower(): value for name, value in table.items() if value is not None}
