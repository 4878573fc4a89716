"""
The command line as a test calls it: inside the test's process for speed, or as a process of its own.

Home, configuration and store stand in the test's folder, so nothing of the user's is read or written.
"""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sidestep.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    exit: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """One user with one workspace, which has a `.sidestep` folder and is trusted unless said otherwise."""

    def __init__(self, place: Path, *, trusted: bool = True) -> None:
        self.place = place
        self.folder = place / "work space ü"
        self.workflows = self.folder / ".sidestep" / "workflows"
        self.workflows.mkdir(parents=True)
        self.store = place / "state" / "sidestep.db"
        self.environ: dict[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SIDESTEP_", "XDG_", "GIT_"))},
            "HOME": str(place / "home"),
            "SIDESTEP_STORE": str(self.store),
            "COLUMNS": "80",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "server"), str(ROOT / "protocol")]),
        }
        if trusted:
            assert self("trust").exit == 0

    def script(self, name: str, source: str) -> Path:
        """Write a workflow of the project; returns its path."""
        path = self.workflows / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        return path

    def __call__(self, *words: str, stdin: str = "", cwd: Path | None = None) -> Said:
        """Run a command inside this process, as `main` does."""
        out, err = _Stream(), _Stream()
        before = Path.cwd()
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        os.chdir(cwd or self.folder)
        try:
            with (
                patch.dict(os.environ, self.environ, clear=True),
                patch.object(sys, "stdin", io.StringIO(stdin)),
                redirect_stdout(out),
                redirect_stderr(err),
            ):
                code = main(words)
        finally:
            os.chdir(before)
            root.handlers[:] = handlers
            root.setLevel(level)
        return Said(code, out.text, err.text)

    def spawn(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Begin a command as a process, in a session of its own; its three streams are pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "sidestep", *words],
            cwd=self.folder,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def runs(self) -> list[dict[str, Any]]:
        """Every run of the store, newest first."""
        listed: list[dict[str, Any]] = json.loads(self("runs", "list", "--all", "--json").out)["runs"]
        return listed


class _Stream(io.TextIOWrapper):
    """Text and bytes alike, as the real streams take them."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode()
