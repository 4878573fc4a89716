"""
What a configured agent is: the settings of one, the configuration of a workspace folder, and their checks.

Pure: reading files is `scripts/agent_config.py`, presets are `executors/agent_presets.py`, programs are looked for by
`executors/agent_catalog.py`. A setting that is None was not given; `over` fills it from a preset.

Invariant: user text never raises; what is wrong is a text that says what to write.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, cast

from msgspec import field
from msgspec.structs import replace

from sidestep.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidestep.model.agents import PermissionPolicy

# More at once than any machine or account allows.
CONCURRENCY_MAX = 10_000
# Problems of a configuration that are told at the start of a run.
WARNINGS_MAX = 5
_FORBIDS = "Until that is mended, commands and what agents ask for are denied"

KINDS = ("acp", "cli", "host")
USAGE_NAMES = ("input_tokens", "output_tokens", "cost_usd")

# What an argument may hold to be filled in for each turn.
PROMPT, CWD, REPORT_FILE = "{prompt}", "{cwd}", "{report_file}"
# What looks like one; `${name}` is a shell's.
_HOLE = re.compile(r"(?<!\$)\{[a-z_]+\}")


class AgentSettings(Value, frozen=True):
    """
    One agent as it was configured; hashable, equal settings are the same agent.

    Attributes:
        kind: "acp" (a program that speaks the Agent Client Protocol), "cli" (a program that is run once a turn) or
            "host" (the program that started Sidestep does the work).
        preset: The preset that gives what is not said here.
        command: Program: a name on PATH, or a path.
        args: Its arguments; `{prompt}`, `{cwd}` and `{report_file}` are filled in for a "cli" agent.
        env: (name, value) pairs set over the inherited environment.
        cwd: Folder to run in, below the task's.
        concurrency: Tasks at one time; None for any number.
        prompt_via: "stdin" or "arg" (in place of `{prompt}`, else as the last argument).
        schema: How it learns the schema of an answer: "prompt" (as text) or "data" (as `workflow/runTask` has it).
        output_format: What a "cli" agent prints: "text" or "json" (one document, the last one counts).
        report_file: Name of the file it writes its report to; it is told the path in place of `{report_file}`.
        report_field: Where in the JSON the report stands; a path as in `usage`.
        error_field: Where in the JSON it says that it failed: any value but false, null, 0 and empty ones.
        usage: (name, paths) pairs, a name of `USAGE_NAMES`; the numbers at all paths are added up. A path is names and
            list positions with dots between; `*` is every one of them.
    """

    kind: str | None = None
    preset: str | None = None
    command: str | None = None
    args: tuple[str, ...] | None = None
    env: tuple[tuple[str, str], ...] | None = None
    cwd: str | None = None
    concurrency: int | None = None
    prompt_via: str | None = None
    schema: str | None = None
    output_format: str | None = None
    report_file: str | None = None
    report_field: str | None = None
    error_field: str | None = None
    usage: tuple[tuple[str, tuple[str, ...]], ...] | None = None

    def over(self, base: AgentSettings) -> AgentSettings:
        """These settings, and `base`'s where nothing is said here."""
        given = {name: value for name in self.names() if (value := getattr(self, name)) is not None}
        return replace(base, **given)

    @classmethod
    def names(cls) -> frozenset[str]:
        """Every setting's name."""
        return frozenset(cls.__struct_fields__)

    @property
    def takes_prompt_as_argument(self) -> bool:
        if self.prompt_via is not None:
            return self.prompt_via == "arg"
        return any(PROMPT in arg for arg in self.args or ())


class ConfigProblem(Value, frozen=True):
    """
    Something in a configuration that cannot be used.

    Attributes:
        where: The file, or "initializationOptions".
        line: 1-based; None where there are no lines.
        message: What is wrong and what to write.
        forbids: It may have been meant to forbid something, so nothing is permitted until it is mended.
    """

    where: str
    line: int | None
    message: str
    forbids: bool = False

    def __str__(self) -> str:
        return f"{self.where}:{self.line}: {self.message}" if self.line is not None else f"{self.where}: {self.message}"


class ConfiguredAgent(Value, frozen=True):
    """
    An agent somebody configured, usable or not.

    Attributes:
        where: The file, or "initializationOptions".
        settings: None when they cannot be read; then `problem` says why.
    """

    where: str
    settings: AgentSettings | None
    problem: ConfigProblem | None = None


class AgentConfiguration(Value, frozen=True):
    """
    What holds in one workspace folder: the session's word before the project's before the user's; for permissions the
    strictest of them.

    Attributes:
        agents: By name, those of the nearest source first, each source in its own order.
        default_agent: None when nobody named one.
        default_where: Who named it.
        permission_policy: None when nobody said; "deny" while there is a `permission_problem`.
        permission_where: Who said so: a file and its line, or "initializationOptions".
        problems: Everything that could not be used, also each broken agent's.
    """

    agents: Mapping[str, ConfiguredAgent] = field(default_factory=dict[str, ConfiguredAgent])
    default_agent: str | None = None
    default_where: str | None = None
    permission_policy: PermissionPolicy | None = None
    permission_where: str | None = None
    problems: tuple[ConfigProblem, ...] = ()

    @property
    def permission_problem(self) -> ConfigProblem | None:
        """Why nothing is permitted, if it is for a mistake."""
        return next((problem for problem in self.problems if problem.forbids), None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person is told of the problems, at most so many that they are read."""
        told = sorted(self.problems, key=lambda problem: not problem.forbids)[:WARNINGS_MAX]
        warnings = [f"{problem}. {_FORBIDS}" if problem.forbids else str(problem) for problem in told]
        if more := len(self.problems) - len(told):
            warnings.append(f"{more} more problems of the configuration; `sidestep doctor` lists them")
        return tuple(warnings)


def parse_agent(table: Mapping[str, Any]) -> tuple[AgentSettings | None, tuple[str, str] | None]:
    """
    Read one agent's table, `[agents.NAME]`; the names of its settings are those of `AgentSettings`.

    Returns:
        (settings, None), or (None, (the name of the setting, what is wrong with it)).
    """
    values: dict[str, Any] = {}
    for name, value in table.items():
        reader = _READERS.get(name)
        if reader is None:
            return None, (name, f"an agent has no setting {name!r}; there are {', '.join(_READERS)}")
        read, problem = reader(value)
        if problem is not None:
            return None, (name, f"{name} {problem}")
        values[name] = read
    return AgentSettings(**values), None


def why_unusable(settings: AgentSettings) -> str | None:
    """What settings that are complete (a preset's are filled in) lack or contradict, or None."""
    given = {name for name in settings.names() if getattr(settings, name) is not None}
    if settings.kind is None:
        return 'it has no kind; write kind = "acp", "cli" or "host"'
    misplaced = sorted(given & _ONLY_FOR_OTHERS[settings.kind])
    if misplaced:
        return f'{misplaced[0]} means nothing for kind = "{settings.kind}"; remove it'
    if settings.kind == "host":
        return None
    if settings.command is None:
        return f'it has no command; write command = "PROGRAM" (a {settings.kind} agent is a program)'
    if settings.schema == "data":
        return 'schema = "data" is for kind = "host"; write schema = "prompt" or leave it out'
    return _why_unusable_program(settings) if settings.kind == "cli" else None


def _why_unusable_program(settings: AgentSettings) -> str | None:
    args = settings.args or ()
    has_prompt, has_file = (any(hole in arg for arg in args) for hole in (PROMPT, REPORT_FILE))
    unknown = [hole for arg in args for hole in _HOLE.findall(arg) if hole not in (PROMPT, CWD, REPORT_FILE)]
    if unknown:
        return f"{unknown[0]} in args is filled in with nothing; there are {PROMPT}, {CWD} and {REPORT_FILE}"
    if settings.prompt_via == "stdin" and has_prompt:
        return f'{PROMPT} stands in args, and prompt_via = "stdin"; remove one of them'
    if settings.report_file is not None and not has_file:
        return f"report_file is set, but no argument holds {REPORT_FILE}, so the program is not told its path"
    if settings.output_format == "json":
        if settings.report_field is None and not has_file:
            return 'output_format = "json" needs report_field = "NAME", the field with the report'
        return None
    for name in ("report_field", "error_field", "usage"):
        if getattr(settings, name) is not None:
            return f'{name} is read from JSON; write output_format = "json" too'
    return None


# Setting -> what a value becomes, or what is wrong with it.
_Read = tuple[Any, str | None]


def _text(value: Any) -> _Read:
    if not isinstance(value, str) or not value:
        return None, "must be text, and not empty"
    return (value, None) if _is_plain(value) else (None, "holds a NUL character or half a surrogate pair")


def _one_of(*words: str) -> Callable[[Any], _Read]:
    def read(value: Any) -> _Read:
        if isinstance(value, str) and value in words:
            return value, None
        return None, "must be " + " or ".join(f'"{word}"' for word in words)

    return read


def _texts(value: Any) -> _Read:
    if not isinstance(value, list):
        return None, 'must be a list of texts such as ["-p", "x"]: there is no shell to split a text'
    items = cast("list[Any]", value)
    if not all(isinstance(item, str) and _is_plain(item) for item in items):
        return None, "must hold texts only, without NUL characters"
    return tuple(cast("list[str]", items)), None


def _variables(value: Any) -> _Read:
    if not isinstance(value, dict):
        return None, 'must be a table of texts such as {NAME = "value"}'
    pairs = cast("dict[str, Any]", value)
    for name, content in pairs.items():
        if not name or "=" in name or not _is_plain(name):
            return None, f"holds {name!r}, which is no name of an environment variable"
        if not isinstance(content, str) or not _is_plain(content):
            return None, f"must hold texts, and {name} is none"
    return tuple(sorted(cast("dict[str, str]", pairs).items())), None


def _count(value: Any) -> _Read:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= CONCURRENCY_MAX:
        return value, None
    return None, f"must be a whole number from 1 to {CONCURRENCY_MAX}"


def _file_name(value: Any) -> _Read:
    text, problem = _text(value)
    if problem is None and (os.path.basename(text) != text or text in {".", ".."}):
        return None, "is a file's name, without a folder: it is made in a private folder"
    return text, problem


def _usage(value: Any) -> _Read:
    if not isinstance(value, dict):
        return None, 'must be a table such as {input_tokens = "usage.input_tokens"}'
    paths: dict[str, tuple[str, ...]] = {}
    for name, given in cast("dict[str, Any]", value).items():
        if name not in USAGE_NAMES:
            return None, f"has no {name!r}; there are {', '.join(USAGE_NAMES)}"
        read, problem = _texts([given] if isinstance(given, str) else given)
        if problem is not None:
            return None, f"has a {name} that is neither a path nor a list of paths"
        paths[name] = read
    return tuple(sorted(paths.items())), None


def _is_plain(text: str) -> bool:
    """True for what a program can be given."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


_READERS: dict[str, Callable[[Any], _Read]] = {
    "kind": _one_of(*KINDS),
    "preset": _text,
    "command": _text,
    "args": _texts,
    "env": _variables,
    "cwd": _text,
    "concurrency": _count,
    "prompt_via": _one_of("stdin", "arg"),
    "schema": _one_of("prompt", "data"),
    "output_format": _one_of("text", "json"),
    "report_file": _file_name,
    "report_field": _text,
    "error_field": _text,
    "usage": _usage,
}

_CLI_ONLY = {"prompt_via", "output_format", "report_file", "report_field", "error_field", "usage"}
_ONLY_FOR_OTHERS: dict[str, set[str]] = {
    "cli": set(),
    "acp": _CLI_ONLY,
    "host": _CLI_ONLY | {"command", "args", "env", "cwd"},
}
