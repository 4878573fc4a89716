"""
Agent steps of a host, with the Python client and a real server, through deaths on either side. J4, W25.

The work of a task is done once whoever dies: by the host that lives on, or by the next one under the same task's id.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from sidestep_protocol.events import StepEvent
from sidestep_protocol.host_tasks import HostTasks
from sidestep_protocol.runs import Kept, RunResult, ScriptRef, Usage
from sidestep_protocol.sidecar import Sidecar
from sidestep_protocol.tasks import RunTaskResult
from tests.support.raw_client import REPOSITORY, SERVE

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep_protocol.client import Client
    from sidestep_protocol.host_tasks import HostTask

pytestmark = pytest.mark.slow

PATIENCE_S = 50
STEPS = """
from sidestep import agent

async def main():
    first = await agent("Implement it.", id="implement")
    second = await agent("Review it.", id="review", schema={"type": "integer"})
    return {"report": first, "data": second}
"""
ONE = """
from sidestep import agent

async def main():
    return await agent("Do it.", id="do")
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    paths = os.pathsep.join(str(REPOSITORY / name) for name in ("server", "protocol"))
    user = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    return {**os.environ, **user, "SIDESTEP_STORE": str(tmp_path / "store.db"), "PYTHONPATH": paths}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


async def test_j4_a_host_joins_its_own_task_when_the_server_was_killed(
    environment: dict[str, str], folder: Path
) -> None:
    """J4: SIGKILL in the middle of each of two tasks; each is worked on once, and what was kept is told at the end."""
    worked: Counter[str] = Counter()
    may_end = {"implement": asyncio.Event(), "review": asyncio.Event()}
    results: dict[str, Any] = {"implement": {"report": "implemented"}, "review": {"data": 0}}

    async def do(task: HostTask) -> RunTaskResult:
        step_id = task.params.step_id
        worked[step_id] += 1
        await may_end[step_id].wait()
        return RunTaskResult(**results[step_id], usage={"inputTokens": 100, "costUsd": 1.25})

    async with asyncio.timeout(PATIENCE_S), HostTasks(do) as tasks:

        async def greet(client: Client) -> None:
            tasks.serve(client)
            await client.initialize(folders=[folder], trust=True)

        async with Sidecar.keep(SERVE, greet, env=environment, cwd=folder) as sidecar:
            started = await sidecar.start_background(ScriptRef(source=STEPS, name="two"))
            begun: Counter[str] = Counter()
            async for event in sidecar.follow(started.run_id):
                if not isinstance(event, StepEvent) or event.status != "started":
                    continue
                begun[event.step_id] += 1
                if begun[event.step_id] == 1:
                    (await sidecar.connected()).kill()
                else:
                    may_end[event.step_id].set()
            run = (await sidecar.get(started.run_id, "result")).run
            assert (run.status, run.result) == ("completed", RunResult(report="implemented", data=0))
            assert worked == {"implement": 1, "review": 1}
            assert begun == {"implement": 2, "review": 2}
            assert run.usage == Usage(input_tokens=200, output_tokens=0, cost_usd=2.5)
            assert isinstance(run.kept, Kept)
            assert run.kept.usage == Usage(input_tokens=100, output_tokens=0, cost_usd=1.25)
            assert {step.attempt async for step in sidecar.all_steps(started.run_id)} == {1}
            await sidecar.shutdown()
    show = [sys.executable, "-m", "sidestep", "runs", "show", started.run_id]
    shown = (
        await asyncio.to_thread(subprocess.check_output, show, env=environment, cwd=folder, text=True)
    ).splitlines()
    (kept,) = [line for line in shown if line.startswith("kept ")]
    assert kept.split(None, 1)[1].startswith("1 of 2 steps kept, ")
    assert kept.endswith("$1.25 not spent again")
    assert [line.split(None, 1)[1] for line in shown if line.startswith("used ")] == ["200 tokens in, 0 out, $2.50"]


class HostProcess:
    """`tests/support/task_host.py`, and the lines it prints."""

    def __init__(self, environment: dict[str, str], *arguments: str | Path) -> None:
        program = REPOSITORY / "tests/support/task_host.py"
        command = [sys.executable, str(program), environment["SIDESTEP_STORE"], *map(str, arguments)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def lines(self, *names: str) -> dict[str, dict[str, Any]]:
        """The next line of each, in whatever order they come."""
        assert self.process.stdout is not None
        got: dict[str, dict[str, Any]] = {}
        for line in self.process.stdout:
            found: dict[str, Any] = json.loads(line)
            got |= {name: found for name in names if name in found and name not in got}
            if len(got) == len(names):
                return got
        raise AssertionError(f"the host ended with {sorted(got)} of {names}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_j4_w25_a_host_that_is_killed_in_the_middle_of_a_task_is_given_it_again(
    environment: dict[str, str], folder: Path
) -> None:
    """J4, W25: SIGKILL of the host itself: its server drains, and the next host gets the same task."""
    script = folder / "flow.py"
    script.write_text(ONE)
    first = HostProcess(environment, folder, script)
    try:
        server = psutil.Process(first.lines("serverPid")["serverPid"]["serverPid"])
        told = first.lines("taskId", "started")
        first.process.send_signal(signal.SIGKILL)
        # The server reads the end of its input, and stops by itself.
        server.wait(PATIENCE_S)
    finally:
        first.close()
    (folder / "go").touch()
    second = HostProcess(environment, folder)
    try:
        again = second.lines("taskId")["taskId"]
        assert again == {**told["taskId"], "redelivery": True}
        assert second.process.wait(PATIENCE_S) == 0
    finally:
        second.close()
    show = [sys.executable, "-m", "sidestep", "runs", "show", again["runId"], "--json"]
    shown = json.loads(subprocess.run(show, env=environment, cwd=folder, capture_output=True, check=True).stdout)
    assert (shown["run"]["status"], shown["run"]["result"]["report"]) == ("completed", "done")
    assert [(step["attempt"], step["usage"]["costUsd"]) for step in shown["steps"]] == [(1, 0.5)]
