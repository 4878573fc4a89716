"""A real Neovim, headless, with the plugin and a project of its own; driven through `nvim --remote-expr`."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[3]
PLUGIN = REPOSITORY / "editors" / "neovim"
DRIVE = Path(__file__).with_name("drive.lua")

# Longer than the waiting inside the editor, whose failures say more.
CALL_S = 40

# As an installed `sidestep` would be, with the sources of this repository.
SERVER = """#!/bin/sh
exec env PYTHONPATH='{path}' '{python}' -m sidestep "$@"
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Project:
    """A workspace with a server in its .venv, and everything of the user's in folders of the test's."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = place / "project"
        self.scripts = self.folder / ".sidestep" / "workflows"
        self.scripts.mkdir(parents=True)
        self.store = place / "store.sqlite"

    def install(self) -> Path:
        path = os.pathsep.join([str(REPOSITORY / "server"), str(REPOSITORY / "protocol")])
        text = SERVER.format(path=path, python=sys.executable)
        return executable(self.folder / ".venv" / "bin" / "sidestep", text)

    def script(self, name: str, source: str) -> Path:
        path = self.scripts / f"{name}.py"
        path.write_text(source)
        return path

    def environ(self) -> dict[str, str]:
        mine = {name: str(self.place / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
        mine |= {"XDG_CACHE_HOME": str(self.place / "cache"), "HOME": str(self.place)}
        mine |= {"SIDESTEP_STORE": str(self.store), "SIDESTEP_PLUGIN": str(PLUGIN), "TERM": "dumb"}
        return {**os.environ, **mine}


class Neovim:
    """One editor. `lua` carries out a chunk in it and returns what the chunk returns."""

    def __init__(self, program: str, project: Project, environ: Mapping[str, str] | None = None) -> None:
        self._program = program
        self._numbers = itertools.count(1)
        self._place = project.place
        self._socket = project.place / "nvim.sock"
        self._environ = {**project.environ(), **(environ or {})}
        command = [program, "--headless", "-n", "-i", "NONE", "--listen", str(self._socket), "-u", str(DRIVE)]
        self._log = (project.place / "nvim.log").open("wb")
        self.process = subprocess.Popen(
            command,
            cwd=project.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout is not None
        # It says so itself once it has started (drive.lua).
        assert self.process.stdout.readline() == b"listening\n", (project.place / "nvim.log").read_text()

    def _remote(self, expression: str) -> subprocess.CompletedProcess[str]:
        command = [self._program, "--headless", "--server", str(self._socket), "--remote-expr", expression]
        return subprocess.run(
            command,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=CALL_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def lua(self, chunk: str) -> Any:
        path = self._place / f"chunk-{next(self._numbers)}.lua"
        path.write_text(chunk)
        done = self._remote(f"luaeval('carry_out(_A)', '{path}')")
        answered = path.with_suffix(".lua.answer")
        assert answered.exists(), done.stdout + done.stderr
        answer = json.loads(answered.read_text())
        # What Neovim complains of on its own goes to stderr.
        assert answer["ok"], answer["problem"] + "\n" + (self._place / "nvim.log").read_text()[-4000:]
        return answer.get("value")

    def open(self, path: Path) -> None:
        self.lua(f"vim.cmd('edit {path}')")

    def servers(self) -> list[psutil.Process]:
        """The servers that this editor has running; what a server itself starts looks like one until it is another."""
        return [child for child in psutil.Process(self.process.pid).children() if _is_server(child)]

    def family(self) -> list[psutil.Process]:
        """Whatever this editor, its servers and their steps have running."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def quit(self) -> None:
        """Leave as a person does."""
        subprocess.run(
            [self._program, "--headless", "--server", str(self._socket), "--remote-send", ":qall!<CR>"],
            env=self._environ,
            capture_output=True,
            timeout=CALL_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        self.process.wait(timeout=CALL_S)

    def close(self) -> None:
        """End it, and wait until its servers have gone too."""
        servers = self.servers() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        _, left = psutil.wait_procs(servers, timeout=10)
        for server in left:
            server.kill()


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty when it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_server(process: psutil.Process) -> bool:
    words = words_of(process)
    return words[-2:] == ["serve", "--stdio"] and "sidestep" in words


def programs() -> dict[str, str]:
    """The editors to test, by a word for each: PATH's, and the newer one that `make e2e-editors` sets up."""
    found = {"neovim": shutil.which("nvim") or "nvim", "newer": os.environ.get("SIDESTEP_NEWER_NVIM") or ""}
    return {word: program for word, program in found.items() if program}
