"""
The engines that are compared, and where they come from.

A peer has an environment of its own in `.venv/peers/NAME`, made from the pinned `requirements/bench-NAME.txt` (and for
Restate's server from the lock file beside its program); the stamp in it is the hash of what it was made from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.engine_process import EngineProcess
from tests.bench.wire_peers import REPOSITORY, PeerMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAMS = Path(__file__).with_name("engines")
SERVER_PACKAGE = PROGRAMS / "restate-server"
PEERS_FOLDER = REPOSITORY / ".venv/peers"

SERVICE, STDIO = "sidestep", "sidestep-stdio"
DBOS, LANGGRAPH, RESTATE = "dbos", "langgraph", "restate"
OURS = (SERVICE, STDIO)
PEERS = (DBOS, LANGGRAPH, RESTATE)
_PROGRAM = {
    SERVICE: "sidestep_engine.py",
    STDIO: "stdio_engine.py",
    DBOS: "dbos_engine.py",
    LANGGRAPH: "langgraph_engine.py",
    RESTATE: "restate_engine.py",
}
_INSTALL_S = 600
_LINE_MAX = 400


@dataclass(frozen=True)
class EngineProgram:
    """How one engine is run."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]

    def spawn(self, folder: Path, *, is_recovering: bool = False, prefix: Sequence[str] = ()) -> EngineProcess:
        """A process whose store stands in `folder`; not ready yet. `prefix` stands before its command."""
        folder.mkdir(parents=True, exist_ok=True)
        command = [*prefix, *self.command]
        return EngineProcess(self.name, command, self.environment, folder, is_recovering=is_recovering)


def engine_programs(names: Sequence[str], home: Path) -> dict[str, EngineProgram]:
    """
    The engines by name, installed.

    Args:
        home: The programs' HOME; they find nothing of the user's there.

    Raises:
        PeerMissing: One cannot be installed.
    """
    return {name: _program(name, home) for name in names}


def _program(name: str, home: Path) -> EngineProgram:
    python = sys.executable if name in OURS else str(_installed(name) / "bin/python")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "RESTATE"))}
    environment = {**kept, "HOME": str(home), "PYTHONPYCACHEPREFIX": str(home / "bytecode")}
    if name in OURS:
        environment["PYTHONPATH"] = os.pathsep.join(str(REPOSITORY / place) for place in ("server", "protocol", "."))
    if name == RESTATE:
        environment["RESTATE_SERVER"] = str(_server_executable())
    return EngineProgram(name, (python, str(PROGRAMS / _PROGRAM[name])), environment)


def _installed(name: str) -> Path:
    """The peer's environment, made at most once for each set of pins."""
    place = PEERS_FOLDER / name
    requirements = REPOSITORY / "requirements" / f"bench-{name}.txt"
    sources = [requirements]
    if name == RESTATE:
        sources += [SERVER_PACKAGE / "package.json", SERVER_PACKAGE / "package-lock.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    stamp = place / "installed"
    if stamp.exists() and stamp.read_text() == digest:
        return place
    print(f"Installing {name} into .venv/peers ...", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=False)
    # The pip of the environment that this runs in, for the other: it need not be put there first.
    pip = (sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "install", "--quiet", "--no-input")
    _run(name, (*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(requirements)), REPOSITORY)
    if name == RESTATE:
        for path in sources[1:]:
            shutil.copy(path, place)
        options = ("--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
        _run(name, ("npm", "ci", *options), place)
    stamp.write_text(digest)
    return place


def _server_executable() -> Path:
    found = sorted((PEERS_FOLDER / RESTATE).glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise PeerMissing("npm has no Restate server for this kind of machine.")
    return found[0]


def _run(name: str, command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"{name} cannot be installed: {error}") from None
    if done.returncode:
        raise PeerMissing(f"{name} cannot be installed: {Path(command[0]).name} said\n{_shortened(done.stderr)}")


def _shortened(said: str) -> str:
    """An installer's words, with the middle of endless lines left out (pip names every version there is)."""
    lines = said.strip().splitlines()
    return "\n".join(line if len(line) <= _LINE_MAX else f"{line[:200]} ... {line[-100:]}" for line in lines)
