"""
DBOS Transact in Python on SQLite, as its documentation sets it up: decorated workflows and steps.

Steps one after the other are plain steps of a plain workflow. Steps all at once are coroutine steps under
`asyncio.gather`, runs at once coroutine workflows: both cost it less than its threads and queues do.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
import uuid
from importlib.metadata import version
from typing import Any

from dbos import DBOS, SetWorkflowID
from program import PAGE, HeldStep, Teller, main, now, tick_in_child, wait_for_file

HELD_ID = "held"
held_step: HeldStep


@DBOS.step()
def step(number: int, held: int) -> float:
    began = now()
    while held_step.begin(number, held):
        time.sleep(3600)
    return began


@DBOS.workflow()
def in_turn(count: int, held: int) -> float:
    began = [step(number, held) for number in range(count)]
    return began[0]


@DBOS.step()
async def quick_step(number: int) -> float:
    return now()


@DBOS.workflow()
async def at_once(count: int) -> int:
    return len(await asyncio.gather(*(quick_step(number) for number in range(count))))


@DBOS.workflow()
async def in_turn_beside_others(count: int) -> int:
    for number in range(count):
        await quick_step(number)
    return count


@DBOS.step()
async def ticking(ticks: str) -> None:
    await tick_in_child(ticks)


@DBOS.workflow()
async def cancelled(ticks: str) -> None:
    await ticking(ticks)


@DBOS.workflow()
async def waiting() -> None:
    await DBOS.recv_async("never", timeout_seconds=3600)


class DbosEngine:
    def __init__(self, folder: str, teller: Teller, is_recovering: bool) -> None:
        global held_step
        held_step = HeldStep(teller, is_recovering=is_recovering)
        self._database = os.path.join(folder, "dbos.sqlite")

    async def open(self) -> None:
        url = f"sqlite:///{self._database}"
        DBOS(
            config={
                "name": "bench",
                "system_database_url": url,
                "run_admin_server": False,
                "log_level": "ERROR",
                "application_version": "bench",
            }
        )
        # Goes on with what was pending, by itself.
        DBOS.launch()

    async def close(self) -> None:
        DBOS.destroy()

    async def versions(self) -> dict[str, str]:
        return {"dbos": version("dbos")}

    async def sequential(self, count: int) -> float:
        began = now()
        await asyncio.to_thread(in_turn, count, -1)
        return now() - began

    async def fan_out(self, count: int) -> float:
        began = now()
        assert await at_once(count) == count
        return now() - began

    async def concurrent(self, runs: int, steps: int) -> float:
        began = now()
        assert await asyncio.gather(*(in_turn_beside_others(steps) for _ in range(runs))) == [steps] * runs
        return now() - began

    async def start(self) -> float:
        began = now()
        return await asyncio.to_thread(in_turn, 1, -1) - began

    async def cancel(self, ticks: str) -> list[float]:
        handle = await DBOS.start_workflow_async(cancelled, ticks)
        await wait_for_file(ticks)
        asked = now()
        await DBOS.cancel_workflow_async(handle.workflow_id)
        return [asked, now()]

    async def hold(self, count: int) -> None:
        with SetWorkflowID(HELD_ID):
            await asyncio.to_thread(in_turn, count + 1, count)

    async def go_on(self) -> None:
        """The launch did."""

    async def wait(self, count: int) -> None:
        for _ in range(count):
            await DBOS.start_workflow_async(waiting)

    async def fill(self, count: int) -> None:
        """More runs of its own would take hours: copies of the row of one."""
        await asyncio.to_thread(in_turn, 1, -1)
        with sqlite3.connect(self._database) as database:
            database.row_factory = sqlite3.Row
            found = database.execute("SELECT * FROM workflow_status WHERE status = 'SUCCESS' LIMIT 1").fetchone()
            row = dict(found)
            stored = database.execute("SELECT count(*) FROM workflow_status").fetchone()[0]
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            database.executemany(
                f"INSERT INTO workflow_status ({names}) VALUES ({marks})",
                ([*{**row, "workflow_uuid": str(uuid.uuid4())}.values()] for _ in range(count - stored)),
            )
        database.close()

    async def list(self) -> float:
        began = now()
        found: list[Any] = await DBOS.list_workflows_async(limit=PAGE, sort_desc=True)
        assert len(found) == PAGE
        return now() - began


if __name__ == "__main__":
    main(DbosEngine)
