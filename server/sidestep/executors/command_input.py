"""
The input of a command step: its shape, and nothing of the machine it will run on.

`{"argv": [str, ...], "cwd"?: str, "env"?: {str: str}, "stdin"?: str, "check"?: bool, "allow_truncated"?: bool}`
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, cast

_FIELDS = frozenset({"argv", "cwd", "env", "stdin", "check", "allow_truncated"})


@dataclass(frozen=True)
class Command:
    """
    What a script asked to run.

    Attributes:
        argv: Program and arguments, at least one; no shell ever reads them.
        cwd: Folder to run in, relative to the run's folder; empty for that folder itself.
        env: Added to the inherited environment.
        stdin: Text for standard input; None is an empty one.
        check: An exit code other than 0 fails the step.
        allow_truncated: A standard output longer than its limit gives its end instead of failing the step.
    """

    argv: tuple[str, ...]
    cwd: str = ""
    env: dict[str, str] = field(default_factory=dict[str, str])
    stdin: str | None = None
    check: bool = True
    allow_truncated: bool = False


def parse_command(step_input: dict[str, Any]) -> tuple[Command | None, str | None]:
    """
    Read a command's input.

    Returns:
        (command, None), or (None, what is wrong, for the script's author).
    """
    # A null means "not given": Python authors pass None.
    given = {name: value for name, value in step_input.items() if value is not None}
    problem = _why_wrong(given)
    if problem is not None:
        return None, problem
    argv = tuple(given.pop("argv"))
    return Command(argv, **given), None


def _why_wrong(given: dict[str, Any]) -> str | None:
    unknown = sorted(given.keys() - _FIELDS)
    if unknown:
        return f"command() takes no option {unknown[0]!r}"
    return (
        _why_wrong_argv(given.get("argv"))
        or _why_wrong_env(given.get("env", {}))
        or _why_wrong_text("cwd", given.get("cwd", ""))
        or _why_wrong_stdin(given.get("stdin", ""))
        or _why_wrong_flags(given)
    )


def _why_wrong_argv(argv: Any) -> str | None:
    if isinstance(argv, str):
        return 'argv must be a list such as ["git", "status"]: there is no shell to split a string'
    if not isinstance(argv, list) or not argv:
        return "argv must be a list of strings with the program first"
    for index, item in enumerate(cast("list[Any]", argv)):
        problem = _why_wrong_text(f"argv[{index}]", item)
        if problem is not None:
            return problem
    return None if argv[0] else "argv[0] is empty: it names the program"


def _why_wrong_env(env: Any) -> str | None:
    if not isinstance(env, dict):
        return "env must be an object of strings"
    for name, value in cast("dict[str, Any]", env).items():
        problem = _why_wrong_text(f"a name in env, {name!r},", name) or _why_wrong_text(f"env[{name!r}]", value)
        if problem is not None:
            return problem
        if not name or "=" in name:
            return f"env: {name!r} is no name of an environment variable"
    return None


def _why_wrong_text(what: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"{what} must be a string, not {type(value).__name__}"
    if "\0" in value:
        return f"{what} holds a NUL character, which no program can be given"
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return f"{what} holds half a surrogate pair, which is not text"
    return None


def _why_wrong_stdin(stdin: Any) -> str | None:
    if not isinstance(stdin, str):
        return f"stdin must be a string, not {type(stdin).__name__}"
    try:
        stdin.encode()
    except UnicodeEncodeError:
        return "stdin holds half a surrogate pair, which is not text"
    return None


def _why_wrong_flags(given: dict[str, Any]) -> str | None:
    for name in ("check", "allow_truncated"):
        if not isinstance(given.get(name, True), bool):
            return f"{name} must be True or False"
    return None
