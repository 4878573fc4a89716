"""The simulation's sandbox does what the real one does: same calls, same journals, same results."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from sidestep.model.events import StepChanged
from sidestep.model.ports import RunFilter
from sidestep.model.run import Failure, FailureCode
from tests.sim.coroutine_sandbox import CoroutineSandbox
from tests.sim.workflows import WORKFLOWS
from tests.support import service_harness
from tests.support.service_harness import Harness

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.events import EventBody
    from sidestep.model.run import RunRecord

MIXED = """
from sidestep import command, failure, log, parallel, phase, pipeline


async def main(n: int = 2):
    phase("one", a=n)
    first = await command(["a"], id="a")
    try:
        await parallel([command(["b"], id="b"), command(["c"], id="c"), command(["h"], id="held")])
    except RuntimeError as error:
        log("failed", **failure(error))
    got = await parallel({"d": command(["d"], id="d"), "e": command(["e"], id="e")}, on_error="return", limit=1)
    codes = await pipeline([1, 2, 3], lambda m: command([str(m)], id=f"p:{m}"), lambda v: v["exit_code"], limit=2)
    again = await command(["z"], id="z", check=False, on_error="return", timeout_s=3)
    return {"report": "r", "data": [first["exit_code"], got["e"], codes, again["exit_code"]]}
"""
UNHANDLED = """
from sidestep import command, parallel


async def main():
    await parallel([command(["c"], id="c"), command(["h"], id="held")])
"""
RAISES = "async def main():\n    return [][1]\n"
NO_JSON = "async def main():\n    return {1: 2}\n"


async def conducted(tmp_path: Path, source: str) -> tuple[RunRecord, list[EventBody]]:
    async with Harness(tmp_path) as h:
        scripts = tmp_path / "workspace" / ".sidestep" / "workflows"
        scripts.mkdir(parents=True, exist_ok=True)
        for name, workflow in WORKFLOWS.items():
            (scripts / f"{name}.py").write_text(workflow.source(0))
        no = Failure(FailureCode.STEP, "no")
        h.commands.failures |= {"c": no, "e": no, "h:risky": no, "h:y": no}
        h.commands.held.add("held")
        task = h.start(source)
        while not task.done():
            await asyncio.wait({task}, timeout=0.005)
            if "sleep" in source:
                h.clock.advance(1)
            await answer_all(h)
        record = (await task).record
        return record, [_timeless(event.body) for event in await h.events(record.run_id)]


async def answer_all(h: Harness) -> None:
    for record in (await h.store.list_runs(RunFilter(), cursor=None, limit=10)).items:
        for question in await h.store.open_questions(record.run_id):
            await h.service.answer(question.interaction_id, "yes", by="person")


def _timeless(body: EventBody) -> EventBody:
    """Without times: real workers take some."""
    return replace(body, duration_ms=None, wake_at_ms=None) if isinstance(body, StepChanged) else body


SOURCES = {"mixed": MIXED, "unhandled": UNHANDLED, "raises": RAISES, "no json": NO_JSON}
SOURCES |= {name: workflow.source(1) for name, workflow in WORKFLOWS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SOURCES))
def test_both_sandboxes_make_the_same_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real, real_events = asyncio.run(conducted(tmp_path, SOURCES[name]))
    monkeypatch.setattr(service_harness, "MontySandbox", lambda *_, **__: CoroutineSandbox())
    own, own_events = asyncio.run(conducted(tmp_path, SOURCES[name]))
    assert own.status is real.status
    assert own.result == real.result
    if real.error is not None:
        assert own.error is not None
        assert (own.error.code, own.error.step_id) == (real.error.code, real.error.step_id)
        assert (own.error.file, own.error.line) == (real.error.file, real.error.line)
        # The sandboxes' own words differ.
        own_events, real_events = own_events[:-2], real_events[:-2]
    if name == "deep":
        # Which of two children is made first is not decided: that of the real workers takes time.
        own_events, real_events = (sorted(events, key=repr) for events in (own_events, real_events))
    assert own_events == real_events
