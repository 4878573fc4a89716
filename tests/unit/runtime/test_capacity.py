"""X2, X4 as far as they live here: a stop never waits for a thread that other scripts hold."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from sidestep.model.execution import Turn
from sidestep.settings import Settings
from tests.unit.runtime.scripted_host import program, sandbox

BUSY = "while True: pass\nasync def main(): pass\n"

# One thread, and a limit so long that a test that needs it is a test that fails.
CROWDED = Settings(sandbox_threads=1, sandbox_turn_s_max=600.0)


@pytest.mark.slow
async def test_x2_x4_a_turn_that_waits_for_a_thread_does_not_keep_its_run_from_stopping() -> None:
    async with sandbox(CROWDED) as made:
        busy = await made.open(program(BUSY))
        waiting = await made.open(program(BUSY))
        computing = asyncio.ensure_future(busy.start())
        queued = asyncio.ensure_future(waiting.start())
        await asyncio.sleep(0)
        await asyncio.wait_for(waiting.close(), 10)
        assert await asyncio.wait_for(queued, 10) == Turn()
        assert not computing.done()
        await busy.close()
        assert await computing == Turn()


@pytest.mark.slow
async def test_x4_busy_scripts_keep_nobody_from_getting_a_worker() -> None:
    async with sandbox(CROWDED) as made:
        busy = await made.open(program(BUSY))
        computing = asyncio.ensure_future(busy.start())
        await asyncio.sleep(0)
        other = await asyncio.wait_for(made.open(program(BUSY)), 10)
        assert not computing.done()
        await asyncio.wait_for(other.close(), 10)
        await busy.close()
        await computing


@pytest.mark.slow
async def test_x4_openings_that_are_cancelled_while_they_are_queued_leave_no_worker() -> None:
    before = {child.pid for child in psutil.Process().children()}
    async with sandbox() as made:
        openings = [asyncio.ensure_future(made.open(program(BUSY))) for _ in range(40)]
        await asyncio.sleep(0)
        for opening in openings:
            opening.cancel()
        ended = await asyncio.gather(*openings, return_exceptions=True)
        assert {type(each) for each in ended} == {asyncio.CancelledError}
    assert {child.pid for child in psutil.Process().children()} == before
