"""The two hosts on editors/README.md run against the real server and print what the page says."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sidestep.scripts.check import check
from sidestep_protocol.client import Client
from sidestep_protocol.workflow import ScriptRef
from tests.docs.documents import HOSTS, ROOT, the_fence

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

SERVER = [sys.executable, "-m", "sidestep", "serve", "--stdio"]
LINES_MAX = 48


def run(command: list[str], workspace: Path, store: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("server", "protocol")),
        "SIDESTEP_STORE": str(store),
    }
    return subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def run_host(command: list[str], workspace: Path, store: Path) -> str:
    """What a host prints when it is run in `workspace` with the server's command behind its own."""
    done = run([*command, *SERVER], workspace, store)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def save_host(language: str, path: Path) -> Path:
    path.parent.mkdir()
    path.write_text(the_fence(HOSTS, language, "host").body, encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_python_host_prints_what_the_page_says(tmp_path: Path, tmp_store_path: Path) -> None:
    host = save_host("python", tmp_path / "workspace" / "host.py")
    printed = run_host([sys.executable, str(host)], host.parent, tmp_store_path)
    assert printed.strip() == the_fence(HOSTS, "text", "python").body.strip()


@pytest.mark.slow
def test_the_javascript_host_prints_what_the_page_says(tmp_path: Path, tmp_store_path: Path) -> None:
    """
    With `node` on PATH the host is run.

    Without it, which is no fault of a machine that only runs Python, the page is checked as text alone: the host is a
    module that needs node's own modules only, and its workflow is sound.
    """
    host = save_host("javascript", tmp_path / "workspace" / "host.mjs")
    source = host.read_text(encoding="utf-8")
    imported = [line.split('"')[1] for line in source.splitlines() if line.startswith("import ")]
    assert all(name.startswith("node:") for name in imported)
    script = source.split("`")[1].replace("\\", "")
    assert check(script, "hello.py") == []
    node = shutil.which("node")
    if node is not None:
        printed = run_host([node, str(host)], host.parent, tmp_store_path)
        assert printed.strip() == the_fence(HOSTS, "text", "javascript").body.strip()


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_a_host_fits_on_a_page(language: str) -> None:
    lines = [line for line in the_fence(HOSTS, language, "host").body.splitlines() if line.strip()]
    assert len(lines) <= LINES_MAX


def interpreters() -> dict[str, tuple[str | None, str]]:
    """Language to what runs it, if it is there, and the host's file."""
    return {"python": (sys.executable, "host.py"), "javascript": (shutil.which("node"), "host.mjs")}


@pytest.mark.slow
@pytest.mark.parametrize("language", ["python", "javascript"])
@pytest.mark.parametrize(
    ("server", "told"),
    [
        (["sidestep-that-is-not-there"], "the server cannot be started"),
        ([sys.executable, "-c", "import sys; sys.stdin.buffer.read(1)"], "the server is gone (exit code 0)"),
    ],
    ids=["missing", "dies"],
)
def test_a_host_says_what_became_of_its_server(
    language: str, server: list[str], told: str, tmp_path: Path, tmp_store_path: Path
) -> None:
    """In the page's own words and with exit code 1; without `node` only the words of the page are looked at."""
    program, file = interpreters()[language]
    assert "the server cannot be started" in the_fence(HOSTS, language, "host").body
    if program is not None:
        host = save_host(language, tmp_path / "workspace" / file)
        done = run([program, str(host), *server], host.parent, tmp_store_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 1


WAITS = "from sidestep import sleep\nasync def main():\n    await sleep(0.5, id='pause')\n"
FAILS_ONCE = """from sidestep import command
async def main():
    await command(["sh", "-c", "test -e there || { touch there; exit 1; }"], id="once")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("script", "stop", "passed"), [(WAITS, True, "interrupted"), (FAILS_ONCE, False, "failed")])
def test_the_pages_verbs_go_on_with_what_stopped(
    script: str, stop: bool, passed: str, tmp_path: Path, tmp_store_path: Path
) -> None:
    names: dict[str, Any] = {"asyncio": asyncio}
    exec(the_fence(HOSTS, "python", "verbs").body, names)  # the page is ours

    async def scenario() -> None:
        stopped = asyncio.Event()
        statuses: list[str] = []

        def told(change: Any) -> None:
            statuses.append(change.status)
            if stop and change.status == "running":
                stopped.set()

        environment = {**os.environ, "SIDESTEP_STORE": str(tmp_store_path)}
        environment["PYTHONPATH"] = os.pathsep.join(str(ROOT / folder) for folder in ("server", "protocol"))
        async with Client.spawn(SERVER, env=environment) as client:
            client.on("workflow/statusChanged", told)
            await client.initialize(folders=[tmp_path], trust=True)
            outcome = await names["conduct"](client, ScriptRef(source=script), "key", stopped)
            assert outcome.status == "completed"
            await client.shutdown()
        assert passed in statuses

    asyncio.run(scenario())
