"""
The Python client on the real server, through deaths of that server; and the parts of editors/README.md about it.

W24, J4, C2: what a desktop app sees is the journal, without gap or duplicate, and no finished step is done again.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from sidestep_protocol.client import Client, ServerGone
from sidestep_protocol.events import StepEvent
from sidestep_protocol.runs import STOPPED_STATUSES, ScriptRef
from sidestep_protocol.sidecar import Sidecar
from tests.docs.documents import HOSTS, the_fence
from tests.support.raw_client import REPOSITORY, SERVE

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = pytest.mark.slow

PATIENCE_S = 50
# Each step leaves a line when it is carried out.
MANY_STEPS = """from sidestep import command, phase
async def main(steps: int):
    for n in range(steps):
        phase("step", n=n)
        await command(["sh", "-c", f"echo {n} >> ran"], id=f"step:{n}")
    return "through"
"""
GATED = """from sidestep import command
async def main():
    await command(["sh", "-c", "echo first >> ran"], id="first")
    await command(["cat", "gate"], id="gated")
    return "through"
"""


class Desk:
    """A folder, a store, and the environment of servers on them."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        paths = os.pathsep.join(str(REPOSITORY / name) for name in ("server", "protocol"))
        self.environment = {**os.environ, "SIDESTEP_STORE": str(store), "PYTHONPATH": paths}

    def keep(self, greet: Any = None) -> AbstractAsyncContextManager[Sidecar]:
        return Sidecar.keep(SERVE, greet or self.greet, env=self.environment, cwd=self.folder)

    def spawn(self) -> AbstractAsyncContextManager[Client]:
        return Client.spawn(SERVE, env=self.environment, cwd=self.folder)

    async def greet(self, client: Client) -> None:
        await client.initialize(folders=[self.folder], trust=True)

    @property
    def ran(self) -> Counter[str]:
        return Counter((self.folder / "ran").read_text().split())


@pytest.fixture
def desk(tmp_path: Path, tmp_store_path: Path) -> Desk:
    folder = tmp_path / "folder"
    folder.mkdir()
    return Desk(folder, tmp_store_path)


async def test_w24_a_run_is_followed_through_three_deaths_of_its_server(desk: Desk) -> None:
    async with asyncio.timeout(PATIENCE_S), desk.keep() as sidecar:
        script = ScriptRef(source=MANY_STEPS, name="many")
        started = await sidecar.start_background(script, {"steps": 40}, start_key="k")
        got: list[Any] = []
        pids: list[int] = []
        async for event in sidecar.follow(started.run_id):
            got.append(event)
            done = sum(1 for e in got if isinstance(e, StepEvent) and e.status == "completed")
            client = sidecar.client
            # One that was killed may still have events on their way.
            if client is not None and client.pid not in pids and len(pids) < 3 and done >= 3 * (len(pids) + 1):
                pids.append(client.pid)
                client.kill()
        assert len(pids) == 3
        try:
            journal = await sidecar.events(started.run_id)
        except ServerGone:
            # The last one that was killed had told all of it; a question may be asked again.
            journal = await sidecar.events(started.run_id)
        assert not journal.has_more
        assert got == journal.events
        assert [event.sequence for event in got] == list(range(1, journal.last_sequence + 1))
        run = (await sidecar.get(started.run_id, "result")).run
        assert (run.status, run.steps.completed) == ("completed", 40)
        # A step that was in flight at a death is done again; each of the three deaths met at most one.
        assert set(desk.ran) == {str(n) for n in range(40)}
        assert sum(desk.ran.values()) - 40 <= 3
        assert max(desk.ran.values()) <= 2
        assert [step.step_id async for step in sidecar.all_steps(started.run_id, limit=5)] == [
            f"step:{n}" for n in range(40)
        ]
        assert await sidecar.shutdown() == 0


async def test_following_ends_at_an_interrupt_and_goes_on_from_its_cursor(desk: Desk) -> None:
    os.mkfifo(desk.folder / "gate")
    async with asyncio.timeout(PATIENCE_S), desk.spawn() as client:
        await desk.greet(client)
        script = ScriptRef(source=GATED, name="gated")
        run_id = (await client.start_background(script)).run_id
        with client.follow(run_id, until=STOPPED_STATUSES) as events:
            first: list[int] = []
            async for event in events:
                first.append(event.sequence)
                if isinstance(event, StepEvent) and (event.step_id, event.status) == ("gated", "started"):
                    assert (await client.interrupt(run_id)).quiescent
        assert (await client.get(run_id)).run.status == "interrupted"
        later = client.follow(run_id, after_sequence=events.cursor)
        resumed = await client.resume_background(run_id)
        assert (resumed.run_id, resumed.created) == (run_id, False)
        await asyncio.to_thread((desk.folder / "gate").write_text, "go")
        rest = [event.sequence async for event in later]
        assert first + rest == list(range(1, len(first + rest) + 1))
        assert desk.ran == {"first": 1}
        assert [run.status async for run in client.all_runs()] == ["completed"]
        assert await client.shutdown() == 0


async def test_the_pages_desktop_app_survives_its_server(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec(the_fence(HOSTS, "python", "desktop").body, names)  # the page is ours
    monkeypatch.chdir(desk.folder)
    gate = desk.folder / "gate"
    os.mkfifo(gate)
    shown: list[tuple[str, str]] = []
    opening: list[asyncio.Future[Any]] = []

    async with asyncio.timeout(PATIENCE_S), desk.keep(names["greet"]) as sidecar:

        def show(step_id: str, status: str) -> None:
            shown.append((step_id, status))
            if (step_id, status) != ("gated", "started"):
                return
            if shown.count(("gated", "started")) == 1:
                assert sidecar.client is not None
                sidecar.client.kill()
            else:
                opening.append(asyncio.ensure_future(asyncio.to_thread(gate.write_text, "go")))

        run = await names["work"](sidecar, ScriptRef(source=GATED, name="gated"), "key", show)
        await asyncio.gather(*opening)
        assert await sidecar.shutdown() == 0
    assert (run.status, run.result.report, desk.ran) == ("completed", "through", {"first": 1})
    assert shown.count(("first", "completed")) == shown.count(("gated", "completed")) == 1


async def test_the_pages_main_prints_the_report(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    exec(the_fence(HOSTS, "python", "desktop").body, names)  # the page is ours
    monkeypatch.chdir(desk.folder)
    for name in ("SIDESTEP_STORE", "PYTHONPATH"):
        monkeypatch.setenv(name, desk.environment[name])
    source = 'from sidestep import command\nasync def main():\n    await command(["true"], id="a")\n    return "done"\n'
    async with asyncio.timeout(PATIENCE_S):
        await names["main"]([*SERVE], ScriptRef(source=source, name="short"))
    assert capsys.readouterr().out == "a started\na completed\ndone\n"


async def test_the_pages_agents_and_questions_are_answered() -> None:
    """By a server of one page: this version's asks for neither."""
    names: dict[str, Any] = {}
    exec(the_fence(HOSTS, "python", "tasks").body, names)  # the page is ours
    fake = REPOSITORY / "tests/unit/protocol_package/fake_server.py"
    task = {"taskId": "t", "runId": "r", "stepId": "s", "inputHash": "h", "attempt": 1, "redelivery": False}
    question = {"interactionId": "i", "runId": "r", "kind": "question", "title": "t", "redelivery": False}
    async with Client.spawn([sys.executable, "-S", "-E", str(fake)]) as client, names["tasks"]:
        await names["greet"](client)
        told = {"method": "workflow/runTask", "params": {**task, "prompt": "p", "cwd": "/w"}}
        progress = await client.request("ask", {**told, "raw": True})
        assert progress["params"] == {"taskId": "t", "message": "thinking"}
        # Known by now: no second progress comes before the result.
        assert (await client.request("ask", told))["result"] == {"report": "p: done"}
        reply = await client.request("ask", {"method": "workflow/interact", "params": question})
        assert reply["result"] == {"answer": "yes"}
