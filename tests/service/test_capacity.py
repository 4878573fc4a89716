"""X4: as many runs as are allowed wait at once, the next is overloaded, and nobody waits for a pool."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.errors import Overloaded
from sidestep.model.events import StepChanged
from sidestep.model.ports import RunFilter
from sidestep.model.run import ACTIVE, RunStatus, StepStatus
from sidestep.settings import Settings
from tests.support.service_harness import Harness, patient

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord

RUNS = 20

# Two threads: what needed one while it waits would show.
CROWDED = Settings(active_runs_max=RUNS, sandbox_threads=2)

NAP = """
from sidestep import sleep

async def main(seconds: float = 3600):
    await sleep(seconds, id="nap")
    return "rested"
"""

FAN = """
from sidestep import parallel, sleep

async def main():
    await parallel([sleep(3600, id=f"nap:{n}") for n in range(50)])
"""


FAMILY = """
from sidestep import parallel, workflow

async def main(children: int):
    done = await parallel([workflow("nap", id=f"child:{n}") for n in range(children)], on_error="return")
    return {"report": "", "data": [each["error"]["code"] if "error" in each else "ok" for each in done]}
"""


class Napping:
    """Counts steps that have begun; `until` waits for a number of them."""

    def __init__(self, h: Harness) -> None:
        self.count = 0
        self._changed = asyncio.Event()
        h.service.listeners.listen(self._note)

    async def until(self, count: int) -> None:
        while self.count < count:
            self._changed.clear()
            await self._changed.wait()

    def _note(self, committed: Committed) -> None:
        bodies = [event.body for event in committed.events]
        self.count += sum(isinstance(body, StepChanged) and body.status is StepStatus.STARTED for body in bodies)
        self._changed.set()


async def full(h: Harness, **wanted: Any) -> list[str]:
    """Start as many runs as are allowed and wait until each of them waits; their ids."""
    napping = Napping(h)
    started = await asyncio.gather(*[h.start(NAP, **patient(), **wanted) for _ in range(RUNS)])
    await napping.until(RUNS)
    return [each.record.run_id for each in started]


async def active_ids(h: Harness) -> set[str]:
    page = await h.store.list_runs(RunFilter(statuses=ACTIVE), cursor=None, limit=100)
    return {record.run_id for record in page.items}


@pytest.mark.slow
async def test_x4_as_many_runs_as_allowed_wait_at_once_and_the_next_start_is_overloaded(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=CROWDED) as h:
        ids = await full(h)
        with pytest.raises(Overloaded) as refused:
            await h.start(NAP, **patient())
        assert refused.value.retryable
        assert refused.value.data["retryAfterMs"] > 0
        # Refused before anything is stored (S1), and nothing of the others is touched.
        assert await active_ids(h) == set(ids)
        assert (await h.service.health())["activeRuns"] == RUNS


@pytest.mark.slow
async def test_x4_one_run_is_interrupted_while_the_others_wait_and_its_place_is_free(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=CROWDED) as h:
        ids = await full(h)
        done = await asyncio.wait_for(h.service.interrupt(ids[7], by="test"), 10)
        assert (done.record.status, done.quiescent) == (RunStatus.INTERRUPTED, True)
        assert await active_ids(h) == set(ids) - {ids[7]}
        again = await h.start(NAP, **patient())
        with pytest.raises(Overloaded):
            await h.resume(ids[7], **patient())
        # A refused resume leaves the run as it was: it goes on once there is room.
        await h.service.interrupt(again.record.run_id, by="test")
        assert (await h.resume(ids[7], **patient())).status is RunStatus.RUNNING


@pytest.mark.slow
async def test_x4_a_run_that_ends_makes_room_for_the_next(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=CROWDED) as h:
        ids = await full(h)
        h.clock.advance(3600)
        ended = await asyncio.gather(*[h.status(run_id, RunStatus.COMPLETED) for run_id in ids])
        assert {record.result.report for record in ended if record.result is not None} == {"rested"}
        for run_id in ids:
            active = h.service.runs.get(run_id)
            if active is not None:
                await active.quiescent.wait()
        await full(h)


@pytest.mark.slow
async def test_x4_waiting_steps_and_waiting_requests_hold_no_thread(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=CROWDED) as h:
        napping = Napping(h)
        waiting = [h.start(FAN) for _ in range(RUNS - 1)]
        await napping.until(50 * (RUNS - 1))
        h.commands.outputs["only"] = {"exit_code": 7}
        assert (await asyncio.wait_for(h.start(), 10)).record.status is RunStatus.COMPLETED
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)


def add_nap(h: Harness) -> None:
    folder = h.folder_path / ".sidestep" / "workflows"
    folder.mkdir(parents=True)
    (folder / "nap.py").write_text(NAP)


def codes(record: RunRecord) -> list[str]:
    assert record.result is not None, record.error
    return list(json.loads(record.result.data_json or ""))


@pytest.mark.slow
async def test_x4_children_count_and_the_next_child_fails_its_step_with_code_limit(tmp_path: Path) -> None:
    """P8."""
    async with Harness(tmp_path, settings=Settings(active_runs_max=3, sandbox_threads=1)) as h:
        add_nap(h)
        napping = Napping(h)
        task = h.start(FAMILY, args={"children": 4})
        await napping.until(2 + 4)
        with pytest.raises(Overloaded):
            await h.start(NAP, **patient())
        await h.clock.sleeper(3600)
        h.clock.advance(3600)
        assert sorted(codes((await task).record)) == ["limit", "limit", "ok", "ok"]


@pytest.mark.slow
async def test_x4_parents_that_hold_every_place_do_not_wait_for_their_children_for_ever(tmp_path: Path) -> None:
    async with Harness(tmp_path, settings=Settings(active_runs_max=3, sandbox_threads=1)) as h:
        add_nap(h)
        h.commands.held |= {"all here", "all refused"}
        source = FAMILY.replace("import ", "import command, ")
        source = source.replace("    done =", "    await command(['x'], id='all here')\n    done =")
        source = source.replace("    return", "    await command(['x'], id='all refused')\n    return")
        parents = [h.start(source, args={"children": 2}) for _ in range(3)]
        # None of them gives its place away before the others have asked for theirs.
        for step_id in ("all here", "all refused"):
            await asyncio.wait_for(h.commands.called(step_id, times=3), 10)
            h.commands.finish(step_id)
        for parent in parents:
            assert codes((await asyncio.wait_for(parent, 10)).record) == ["limit", "limit"]


@pytest.mark.soak
async def test_x4_a_thousand_runs_wait_at_once(tmp_path: Path) -> None:
    settings = Settings()
    async with Harness(tmp_path, settings=settings) as h:
        napping = Napping(h)
        started = await asyncio.gather(*[h.start(NAP, **patient()) for _ in range(settings.active_runs_max)])
        await napping.until(settings.active_runs_max)
        with pytest.raises(Overloaded):
            await h.start(NAP, **patient())
        done = await asyncio.wait_for(h.service.interrupt(started[500].record.run_id, by="test"), 10)
        assert done.quiescent
        assert (await h.service.health())["activeRuns"] == settings.active_runs_max - 1
