"""Where armed servers come from, as the tests see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.support.raw_client import REPOSITORY

_LAUNCHER = Path(__file__).with_name("launcher.py")


class Nursery:
    """The process that bears armed servers quickly; see `nursery.py`."""

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="nursery-")
        self._socket = os.path.join(self._folder, "s")
        path = os.pathsep.join([str(REPOSITORY / "server"), str(REPOSITORY / "protocol"), str(REPOSITORY)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery", self._socket],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            cwd=REPOSITORY,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n", "the nursery could not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self._folder)

    def command(self, *arguments: str) -> list[str]:
        """The command line that is an armed server with these arguments."""
        return [sys.executable, "-I", "-S", str(_LAUNCHER), self._socket, *arguments]
