"""
From a command to what the operating system is told: program file, arguments, folder and environment.

Reads the file system, starts nothing. Invariant: a launch's folder lies below the run's folder by real path.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.model.run import FailureCode

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sidestep.executors.command_input import Command

_SHEBANG_BYTES_MAX = 256


@dataclass(frozen=True)
class Launch:
    """
    How to start one command.

    Attributes:
        argv: The first item is the program's absolute path; links are kept, for programs that look at their own name.
        cwd: An absolute real path.
        env: The whole environment.
    """

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]


class CannotLaunch(Exception):
    """The command cannot be started here; the message says why and what to do."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def plan_launch(command: Command, folder: str, environ: Mapping[str, str], env_deny: Collection[str]) -> Launch:
    """
    Args:
        folder: The run's workspace folder.
        environ: The environment to inherit.
        env_deny: Names that are not inherited. A value the script itself gives under such a name is its own and stays.

    Raises:
        CannotLaunch: the folder or the program is not there, or the folder lies outside.
    """
    cwd = _resolve_cwd(command.cwd, folder)
    env = {name: value for name, value in environ.items() if not _is_denied(name, env_deny)}
    env.update(command.env)
    program = _find_program(command.argv[0], env.get("PATH", os.defpath), cwd)
    return Launch(argv=(program, *command.argv[1:]), cwd=cwd, env=env)


def _is_denied(name: str, env_deny: Collection[str]) -> bool:
    if sys.platform == "win32":
        return name.upper() in {denied.upper() for denied in env_deny}
    return name in env_deny


def _resolve_cwd(cwd: str, folder: str) -> str:
    root = os.path.realpath(folder)
    if not os.path.isdir(root):
        raise CannotLaunch(FailureCode.INFRASTRUCTURE, f"the workspace folder {folder} is no longer there")
    real = os.path.realpath(os.path.join(root, cwd))
    if real != root and not real.startswith(os.path.join(root, "")):
        raise CannotLaunch(FailureCode.VALIDATION, f"cwd {cwd!r} leads outside the workspace folder")
    if not os.path.isdir(real):
        what = "is not a folder" if os.path.exists(real) else "does not exist"
        raise CannotLaunch(FailureCode.VALIDATION, f"cwd {cwd!r} {what}")
    return real


def _find_program(name: str, path: str, cwd: str) -> str:
    if sys.platform == "win32":
        found = shutil.which(name, path=path)
        if found is None:
            raise _not_found(name)
        return found
    if "/" in name:
        # Like exec: a name with a slash is a path, and a relative one starts where the command will run.
        program = os.path.join(cwd, name)
        if not os.path.isfile(program):
            raise CannotLaunch(FailureCode.INFRASTRUCTURE, f"there is no program {name!r} (looked in {cwd})")
        if not os.access(program, os.X_OK):
            raise CannotLaunch(FailureCode.INFRASTRUCTURE, f"{name!r} is not executable; chmod +x makes it so")
    else:
        candidates = (os.path.join(cwd, entry, name) for entry in path.split(os.pathsep))
        program = next((file for file in candidates if os.path.isfile(file) and os.access(file, os.X_OK)), None)
        if program is None:
            raise _not_found(name)
    interpreter = _missing_interpreter(program)
    if interpreter is not None:
        raise CannotLaunch(
            FailureCode.INFRASTRUCTURE,
            f"{program} needs {interpreter}, which is not there (a moved virtual environment?); install it again",
        )
    return program


def _not_found(name: str) -> CannotLaunch:
    return CannotLaunch(
        FailureCode.INFRASTRUCTURE,
        f"the program {name!r} was not found on PATH; install it, or give the path of its file",
    )


def _missing_interpreter(program: str) -> str | None:
    """The interpreter a script names in its first line, when there is no such file: exec would only say "not found"."""
    try:
        with open(program, "rb") as file:
            head = file.read(_SHEBANG_BYTES_MAX)
    except OSError:
        # Executable but not readable is allowed; then exec decides.
        return None
    if not head.startswith(b"#!"):
        return None
    words = head[2:].split(b"\n", 1)[0].split()
    interpreter = os.fsdecode(words[0]) if words else ""
    return interpreter if interpreter.startswith("/") and not os.path.exists(interpreter) else None
