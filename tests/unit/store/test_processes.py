"""Two real processes on one file."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import logged, running, sequences
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

WRITES = 60

# The other process: writes its log lines and prints the sequences it was given.
OTHER = """
import asyncio, sys
from pathlib import Path
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.contract.stores import logged
from tests.support.fake_clock import FakeClock

async def main(path, run_id, count):
    async with SqliteRunStore(StoreLocation(Path(path)), FakeClock(), Settings()) as store:
        record = await store.read(run_id)
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(count):
            print((await store.write(logged(record, f"theirs {n}"))).sequence, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.slow
async def test_j1_two_processes_get_consecutive_numbers_and_hear_of_each_other_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteRunStore(StoreLocation(path), FakeClock(), Settings(watch_busy_ms=1)) as store:
        record = await running(store)
        total = 2 + 2 * WRITES
        told: list[int] = []
        everything = asyncio.get_running_loop().create_future()

        def hear(committed: object) -> None:
            told.extend(event.sequence for event in committed.events)  # type: ignore[attr-defined]
            if len(told) == 2 * WRITES:
                everything.set_result(None)

        store.listen(hear)
        await store.watch(True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", OTHER, str(path), record.run_id, str(WRITES)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        ours = [(await store.write(logged(record, f"ours {n}"))).sequence for n in range(WRITES)]
        output, _ = await process.communicate()
        theirs = [int(line) for line in output.split()]
        await asyncio.wait_for(everything, 10)
        assert sorted(ours + theirs) == list(range(3, total + 1))
        assert await sequences(store, record.run_id) == list(range(1, total + 1))
        assert told == list(range(3, total + 1))
