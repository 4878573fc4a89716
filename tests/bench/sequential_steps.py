"""A durable sequential step (sandbox call, executor, fsynced commit) relative to one bare commit."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from tests.bench.bench_service import bench_service
from tests.bench.floor import CommitFloor
from tests.bench.row import row

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
from sidestep import command

async def main(count: int):
    for number in range(count):
        await command(["true"], id=f"step:{number}")
"""

ROUNDS = {10: 20, 100: 6, 1000: 3}
AIM = 3.0


async def measure_sequential_steps(folder: Path) -> list[dict[str, Any]]:
    """One row per N; ratio = (run of N steps / N) / median commit, both of the same round."""
    rows: list[dict[str, Any]] = []
    floor = CommitFloor(folder)
    async with bench_service(folder) as service:
        await service.run(SOURCE, {"count": 10})
        for count, rounds in ROUNDS.items():
            ratios: list[float] = []
            for _ in range(rounds):
                commits = floor.measure(max(count, 100))
                began = time.perf_counter()
                await service.run(SOURCE, {"count": count})
                ratios.append((time.perf_counter() - began) / count / statistics.median(commits))
            aim = AIM if count >= 100 else None
            what = f"sequential step, N={count}"
            rows.append(row(what, ratios, floor="one WAL/FULL commit", aim=aim, n=rounds * count))
    floor.close()
    flat = rows[-1]["ratio"] / rows[-2]["ratio"]
    rows.append(row("step at N=1000", [flat], floor="a step at N=100", aim=1.1))
    return rows
