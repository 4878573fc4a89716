"""
What the wire is compared with: bare pygls, node with Microsoft's vscode-jsonrpc, and a process that only echoes.

The node peer uses the package as tests/e2e/node pins it; npm puts it below build/, which git ignores.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.wire_peer import WirePeer

REPOSITORY = Path(__file__).resolve().parents[2]
_HELLO = Path(__file__).parent / "peers"
_PINNED = REPOSITORY / "tests/e2e/node"
_INSTALLED = REPOSITORY / "build/bench-node"

SIDESTEP, PYGLS, NODE, FLOOR, LOOP_FLOOR = "sidestep", "pygls", "node", "pipe echo", "loop echo"


class PeerMissing(Exception):
    """A peer cannot be installed; the message is what its installer said."""


class WirePeers:
    """
    Spawns peers, each with the same environment.

    Python programs find their bytecode compiled, as an installation leaves it, in a folder of this benchmark's own.
    """

    def __init__(self, folder: Path, *, without: frozenset[str] = frozenset()) -> None:
        """
        Args:
            folder: Holds the store and the bytecode.
            without: Peers that are left out: `node`.

        Raises:
            PeerMissing: node's package cannot be installed.
        """
        self.folder = folder
        modules = None if NODE in without else _node_modules()
        python = (sys.executable,)
        self._commands: dict[str, tuple[str, ...]] = {
            SIDESTEP: (*python, "-m", "sidestep", "serve", "--stdio", f"--store={folder / 'wire.db'}"),
            PYGLS: (*python, str(_HELLO / "pygls_hello.py")),
            FLOOR: (*python, str(_HELLO / "pipe_echo.py")),
            LOOP_FLOOR: (*python, str(_HELLO / "loop_echo.py")),
        }
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(str(REPOSITORY / source) for source in ("server", "protocol")),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }
        if modules is not None:
            self._commands[NODE] = ("node", str(_HELLO / "node_hello.js"))
            self._environment["NODE_PATH"] = str(modules)

    def has(self, name: str) -> bool:
        return name in self._commands

    def spawn(self, name: str) -> WirePeer:
        return WirePeer(name, self._commands[name], self._environment, self.folder)

    def among(self, *names: str) -> list[str]:
        """Those that are not left out."""
        return [name for name in names if self.has(name)]


def _node_modules() -> Path:
    """`node_modules` as the lock says, installed at most once for each lock."""
    manifests = [_PINNED / "package.json", _PINNED / "package-lock.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in manifests)).hexdigest()[:16]
    place = _INSTALLED / digest
    if (place / "installed").exists():
        return place / "node_modules"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for path in manifests:
        shutil.copy(path, place)
    command = ("npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    try:
        subprocess.run(("node", "--version"), check=True, capture_output=True)
        done = subprocess.run(command, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PeerMissing(f"node and npm are needed: {error}") from None
    if done.returncode:
        raise PeerMissing(f"npm cannot install vscode-jsonrpc:\n{done.stderr.strip()}")
    (place / "installed").touch()
    return place / "node_modules"
