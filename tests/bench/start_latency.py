"""From a start to the first executor call, relative to one bare commit (the start itself makes two)."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from tests.bench.bench_service import bench_service
from tests.bench.floor import CommitFloor

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
from sidestep import command

async def main():
    await command(["true"], id="first")
"""

ROUNDS = 60
AIM = 8.0


async def measure_start_latency(folder: Path) -> list[dict[str, Any]]:
    """One row: resolve, check, create, begin, sandbox, first call."""
    floor = CommitFloor(folder)
    ratios: list[float] = []
    async with bench_service(folder) as service:
        await service.run(SOURCE, {})
        for _ in range(ROUNDS):
            commits = floor.measure(20)
            service.executor.first_called_at = None
            began = time.perf_counter()
            await service.run(SOURCE, {})
            assert service.executor.first_called_at is not None
            ratios.append((service.executor.first_called_at - began) / statistics.median(commits))
    floor.close()
    return [
        {
            "what": "start to first executor call",
            "ratio": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
            "floor": "one WAL/FULL commit",
            "n": ROUNDS,
            "aim": AIM,
        }
    ]
