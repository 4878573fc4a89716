"""
A process whose children apply a patch and die by SIGKILL, each a step later than the one before.

The steps are counted by Python's audit events, so the product has no hook for this: each file below the folder that is
opened for writing, renamed, removed or given other permissions, each folder made or removed, each program started.

Usage: python -m tests.unit.executors.dying_apply FOLDER PATCH_ID FIRST STRIDE. `FOLDER/template` holds a repository and
its state; for n = FIRST, FIRST + STRIDE, ... it is copied to `FOLDER/copies/n`, and a child dies just before its n-th
step, until one survives. Prints one line for each: the number and the step's name. With FIRST 0 nobody dies, and all
steps are printed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from tests.support.git_repository import GitRepository

from .isolation import Isolation

_STEPS = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"})


def open_copy(folder: Path) -> Isolation:
    """The parts of a copy, as a new process makes them."""
    repository = GitRepository.__new__(GitRepository)
    repository.folder = folder / "repository"
    repository.days = 1
    return Isolation(folder, repository=repository)


def step_name(event: str, arguments: tuple[Any, ...], below: str) -> str | None:
    if event == "subprocess.Popen":
        command = [word for word in arguments[1] if isinstance(word, str)]
        return "git " + next(word for word in command[1:] if word not in ("-c",) and "=" not in word)
    if event == "open":
        path, _, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return None
    elif event in _STEPS:
        path = arguments[0]
    else:
        return None
    path = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    return f"{event} {os.path.relpath(path, below)}" if path.startswith(below) else None


def die_at(number: int, below: str) -> None:
    """Arm this process: it dies just before its step of that number and tells its name; for 0 it tells all names."""
    passed = 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal passed
        name = step_name(event, arguments, below)
        if name is None:
            return
        passed += 1
        if number in (0, passed):
            os.write(1, f"{passed} {name}\n".encode())
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def sweep(folder: Path, patch_id: str, first: int, stride: int) -> None:
    number, status = first, signal.SIGKILL
    while os.WIFSIGNALED(status):
        copy = folder / "copies" / str(number)
        shutil.copytree(folder / "template", copy, symlinks=True)
        child = os.fork()
        if child == 0:
            isolation = open_copy(copy)
            die_at(number, str(copy))
            asyncio.run(isolation.execute({"id": patch_id}))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        number += stride
    assert os.WEXITSTATUS(status) == 0, "the child that reached the end broke"


if __name__ == "__main__":
    sweep(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
