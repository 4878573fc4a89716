"""
A published agent of kind `acp`, from npm, against a stub model on loopback: opencode.

Skipped where npm, the package or the platform is not there; the package is some 180 MB.
"""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.agent_command import AgentCommand
from sidestep.executors.process_group import group_alive
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason
from sidestep.model.usage import Usage
from tests.support.agents.harness import AgentBench
from tests.support.agents.stub_model import StubModel, ToolUse

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

# The program itself; the package `opencode-ai` is a launcher around one of these for each platform.
PACKAGE = "opencode-linux-x64"
INSTALL_S = 240


class Ledger:
    """The groups that stand written down."""

    def __init__(self) -> None:
        self.standing: set[int] = set()

    def record(self, run_id: str, group_id: int, started_at: float) -> None:
        self.standing.add(group_id)

    def forget(self, group_id: int) -> None:
        self.standing.discard(group_id)


@pytest.fixture(scope="module")
def opencode(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program's file."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on PATH")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip(f"{PACKAGE} is for Linux on x86-64")
    folder = tmp_path_factory.mktemp("published")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), PACKAGE]
    try:
        installed = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {PACKAGE} within {INSTALL_S} s")
    program = folder / "node_modules" / PACKAGE / "bin" / "opencode"
    if installed.returncode != 0 or not program.exists():
        pytest.skip(f"npm cannot install {PACKAGE}: {installed.stderr.strip()[-500:]}")
    return str(program)


@pytest.fixture
def bench(tmp_path: Path) -> AgentBench:
    folder = tmp_path / "work"
    folder.mkdir()
    return AgentBench(folder, Ledger(), agent_start_s=120.0, agent_turn_end_s=60.0)


def command(opencode: str, home: Path, model: StubModel) -> AgentCommand:
    """opencode with nothing of this machine's configuration, and the stub for a model."""
    stub = {"name": "stub", "tool_call": True, "cost": {"input": 1, "output": 2}}
    stub["limit"] = {"context": 100_000, "output": 1000}
    options = {"baseURL": model.url, "apiKey": "none"}
    config = {
        "autoupdate": False,
        "share": "disabled",
        "model": "stub/stub",
        "small_model": "stub/stub",
        "permission": {"edit": "ask"},
        "provider": {"stub": {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"stub": stub}}},
    }
    env = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("DATA", "CONFIG", "CACHE", "STATE")}
    env |= {f"OPENCODE_DISABLE_{what}": "1" for what in ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD")}
    return AgentCommand(opencode, ("acp",), {**env, "HOME": str(home), "OPENCODE_CONFIG_CONTENT": json.dumps(config)})


async def test_a_published_agent_answers_asks_and_writes(bench: AgentBench, opencode: str, tmp_path: Path) -> None:
    new = bench.folder / "new.txt"
    answers = ["Hello from the stub.", ToolUse("write", {"filePath": str(new), "content": "hi"}), "Written."]
    bench.permission = "once"
    with StubModel(answers) as model:
        session = await bench.open(command(opencode, tmp_path / "home", model))
        try:
            signal = AbortController().signal
            first = await session.prompt("Say hello.", signal)
            second = await session.prompt("Write new.txt.", signal)
        finally:
            await session.close()
    assert first.text == "Hello from the stub."
    assert first.usage == Usage(20, 10, 40)
    assert (second.text, new.read_text()) == ("Written.", "hi")
    assert [(asked.title, asked.options[0].kind) for asked in bench.asked] == [(f"edit: {new!s}", "allow_once")]
    assert bench.ledger.standing == set()


async def test_a_published_agent_is_stopped_in_mid_turn_goes_on_and_is_loaded_again(
    bench: AgentBench, opencode: str, tmp_path: Path
) -> None:
    with StubModel(["never seen", "What I have."]) as model:
        session = await bench.open(command(opencode, tmp_path / "home", model))
        (group_id,) = bench.ledger.standing
        try:
            model.held = threading.Event()
            controller = AbortController()
            turn = asyncio.ensure_future(session.prompt("Work for long.", controller.signal))
            await asyncio.to_thread(model.was_asked.wait, 60)
            controller.abort(AbortReason(AbortKind.TIMEOUT))
            with pytest.raises(Aborted):
                await turn
            assert session.can_go_on
            model.held.set()
            reply = await session.prompt("Report what you have.", AbortController().signal)
            assert reply.text == "What I have."
        finally:
            await session.close()
        assert not group_alive(group_id)
        (bench.session,) = bench.kept_sessions
        again = await bench.open(command(opencode, tmp_path / "home", model))
        try:
            assert (await again.prompt("And?", AbortController().signal)).text == "done"
        finally:
            await again.close()
    assert bench.kept_sessions == [bench.session]
    assert "Report what you have." in json.dumps(model.asked[-1])
    assert bench.ledger.standing == set()
