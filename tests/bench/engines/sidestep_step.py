"""The trivial step of Sidestep's two engines, the scripts around it, and the command that is cancelled."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

from sidestep.model.execution import StepOutcome, StepRequest, StepSucceeded
from tests.bench.engines.program import HeldStep, now

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.abort import AbortSignal

OUTPUT = {"exit_code": 0, "stdout": "", "stderr": "", "stdout_bytes": 0, "stderr_bytes": 0, "duration_ms": 0}

IN_TURN = """
from sidestep import command

async def main(count: int, held: int = -1):
    first = ""
    for number in range(count):
        done = await command(["step", str(number), str(held)], id=f"step:{number}")
        first = first or done["stdout"]
    return [first]
"""

AT_ONCE = """
from sidestep import command, parallel

async def main(count: int):
    return len(await parallel(command(["step", str(number), "-1"], id=f"step:{number}") for number in range(count)))
"""

TICKING = """
from sidestep import command

async def main(shell: str):
    await command(["sh", "-c", shell], id="work")
"""

WAITING = """
from sidestep import sleep

async def main():
    await sleep(3600, id="waits")
"""


def copy_runs(store: Path, count: int) -> None:
    """Let so many ended runs be stored: copies of the newest one's row."""
    database = sqlite3.connect(store)
    with database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute("SELECT * FROM runs ORDER BY run DESC LIMIT 1").fetchone())
        stored = database.execute("SELECT count(*) FROM runs").fetchone()[0]
        names = [name for name in row if name != "run"]
        marks = ", ".join("?" * len(names))
        for number in range(stored, count):
            copy = f"run_{number:016d}"
            changed = {**row, "run_id": copy, "root_run_id": copy}
            changed["record"] = row["record"].replace(row["run_id"], copy)
            values = [changed[name] for name in names]
            database.execute(f"INSERT INTO runs ({', '.join(names)}) VALUES ({marks})", values)
        database.execute(
            "INSERT INTO inputs SELECT copy.run, args_json, args_schema_json, script_ref FROM runs AS copy, inputs "
            "WHERE inputs.run = ? AND copy.run NOT IN (SELECT run FROM inputs)",
            (row["run"],),
        )
    database.close()


class TrivialExecutor:
    """Does nothing; the output has the shape of a command's, and says when the step began."""

    def __init__(self, held_step: HeldStep) -> None:
        self._held_step = held_step

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        return None

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        began = now()
        _, number, held = request.input["argv"]
        if self._held_step.begin(int(number), int(held)):
            await signal.race(asyncio.Event().wait())
        return StepSucceeded({**OUTPUT, "stdout": repr(began)})
