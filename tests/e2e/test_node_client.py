"""
An independent client: the journey in tests/e2e/node, which speaks through Microsoft's `vscode-jsonrpc`, typed by the
generated protocol/schema/sidestep.d.ts and compiled with `tsc --strict`.

G1, G2, G3, G4, G6, G7, I2, I4, B1, C1, C2, J4, W10, W15, W24 as another JSON-RPC library sees them.

What npm installs is kept in pytest's cache, for the lock as it is. Without node, or without npm's registry, the journey
is skipped; with SIDESTEP_REQUIRE_NODE=1 (.ci/run sets it), or in CI, that is a failure.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.raw_client import REPOSITORY, SERVE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

PROJECT = Path("tests/e2e/node")
TYPES = Path("protocol/schema/sidestep.d.ts")
NODE_MAJOR_MIN = 18
# What is wrong with the project, not with the machine.
OWN_FAULTS = ("EUSAGE", "EINTEGRITY", "EJSONPARSE")

CHAPTERS = [
    "handshake",
    "exit codes",
    "start with events and progress",
    "cancel by token",
    "resume keeps steps",
    "interrupt answers who waits",
    "background releases the waiter",
    "subscribe from a cursor",
    "list, get and steps",
    "refusals are typed",
    "crash and reconnect",
    "shutdown interrupts runs",
]


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def skip(reason: str) -> None:
    if os.environ.get("SIDESTEP_REQUIRE_NODE") == "1" or os.environ.get("CI"):
        pytest.fail(f"the node client has to be tested here, but {reason}")
    pytest.skip(reason)


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        skip(f"{program} is not on PATH")
    return str(found)


def install(npm: str, cache: Path) -> Path:
    """The project's `node_modules`, as its lock says; installed at most once for each lock."""
    manifests = [REPOSITORY / PROJECT / name for name in ("package.json", "package-lock.json")]
    installed = cache / hashlib.sha256(b"".join(path.read_bytes() for path in manifests)).hexdigest()[:16]
    if not installed.exists():
        # Put into place at once and whole: another run of the tests may do the same.
        making = cache / f"{installed.name}.{os.getpid()}"
        making.mkdir(parents=True)
        for path in manifests:
            shutil.copy(path, making)
        done = run(
            *(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"),
            *("--fetch-retries=1", "--fetch-timeout=30000", f"--cache={cache / 'npm'}"),
            cwd=making,
        )
        if done.returncode == 0:
            making.rename(installed)
        else:
            shutil.rmtree(making)
            assert not any(code in done.stderr for code in OWN_FAULTS), done.stderr
            told = re.findall(r"^npm (?:error|ERR!) +(.+)$", done.stderr, re.MULTILINE)
            skip(f"npm cannot install the pinned packages: {'; '.join(told[:3]) or done.stderr.strip()}")
    return installed / "node_modules"


def compiled(node: str, modules: Path, place: Path) -> Path:
    """The journey, compiled in a copy of its own: it imports the generated types by where they stand in the tree."""
    shutil.copytree(REPOSITORY / PROJECT, place / PROJECT, ignore=shutil.ignore_patterns("node_modules", "out"))
    (place / TYPES).parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / TYPES, place / TYPES)
    (place / PROJECT / "node_modules").symlink_to(modules)
    done = run(node, str(modules / "typescript/bin/tsc"), "--project", ".", "--strict", cwd=place / PROJECT)
    assert done.returncode == 0, f"the generated types and the journey do not fit:\n{done.stdout}{done.stderr}"
    return place / PROJECT / "out" / "journey.js"


def test_the_journey_of_a_host_through_vscode_jsonrpc(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    node, npm = needed("node"), needed("npm")
    version = run(node, "--version", cwd=tmp_path).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE_MAJOR_MIN:
        skip(f"node is {version}, older than {NODE_MAJOR_MIN}")
    cache = getattr(pytestconfig, "cache", None)
    modules = install(npm, tmp_path / "cache" if cache is None else Path(cache.mkdir("node")))
    journey = compiled(node, modules, tmp_path / "tree")

    home = tmp_path / "home"
    for folder in (home, place := tmp_path / "place"):
        folder.mkdir()
    paths = os.pathsep.join(str(REPOSITORY / folder) for folder in ("server", "protocol"))
    done = run(node, str(journey), str(place), *SERVE, cwd=tmp_path, HOME=str(home), PYTHONPATH=paths)
    assert (done.returncode, done.stdout.splitlines()) == (0, CHAPTERS), done.stderr[-8000:]


def test_the_pinned_packages_name_no_address() -> None:
    """A lock with addresses would send everybody to the registry of whoever wrote it."""
    project = REPOSITORY / PROJECT
    text = (project / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert "://" not in text + (project / "package.json").read_text()
    assert text.count('"integrity": "sha512-') == text.count('"node_modules/')
