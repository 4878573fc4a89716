"""
A `git` that stops after so many calls, so that the demo's server is surely in the middle of a run when it is killed.

On a small repository a run is over before a kill can arrive; held up, exactly the wanted number of steps is finished
then, without a timer. The workflow is not touched: the gate stands first on the PATH of the one server that is to die,
and lets everything through until it is told to close.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# `mkdir` is what numbers the calls: it succeeds for one of any number of callers.
_SCRIPT = """\
#!/bin/sh
if [ -e {limit} ]; then
    read limit < {limit}
    call=1
    while ! mkdir {calls}/$call 2>/dev/null; do call=$((call + 1)); done
    if [ $call -gt $limit ]; then exec cat {closed}; fi
fi
exec {git} "$@"
"""


class GitGate:
    """Lets calls of `git` through; once closed, holds those beyond a number until it is opened or they are killed."""

    def __init__(self, place: Path) -> None:
        """
        Args:
            place: A folder that does not exist yet.
        """
        real = shutil.which("git")
        assert real is not None, "the demo has called git before"
        place.mkdir()
        (place / "calls").mkdir()
        (place / "bin").mkdir()
        self._place = place
        # Reading from a pipe that nobody has opened for writing waits.
        self._closed = place / "closed"
        os.mkfifo(self._closed)
        paths = {"limit": place / "limit", "calls": place / "calls", "closed": self._closed, "git": real}
        gate = place / "bin" / "git"
        gate.write_text(
            _SCRIPT.format(**{name: shlex.quote(str(path)) for name, path in paths.items()}), encoding="utf-8"
        )
        gate.chmod(0o700)

    def close_after(self, calls: int) -> None:
        """Let so many more calls through, and hold the others. Once."""
        limit = self._place / "limit.new"
        limit.write_text(f"{calls}\n", encoding="utf-8")
        limit.rename(self._place / "limit")

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment with the gate first on PATH."""
        return {**environ, "PATH": os.pathsep.join([str(self._place / "bin"), environ.get("PATH", os.defpath)])}

    def open(self) -> None:
        """Let go of whoever still waits. Idempotent."""
        with contextlib.suppress(OSError):
            # Fails when nobody waits.
            os.close(os.open(self._closed, os.O_WRONLY | os.O_NONBLOCK))
