"""The long run (`--long`): one process, 50,000 steps, at least ten minutes; cost and memory of a step stay flat."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from tests.bench.engine_environments import SERVICE
from tests.bench.row import row
from tests.bench.workload import FLOOR, Workload

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.bench.engine_environments import EngineProgram
    from tests.bench.floor import CommitFloor

STEPS, SECONDS = 50_000, 600.0
STEPS_A_RUN = 1_000
_RUN_S_MAX = 120.0
_COMMITS = 100
AIM = 1.1


def measure_long_run(
    program: EngineProgram, floor: CommitFloor, folder: Path, steps: int = STEPS, seconds: float = SECONDS
) -> tuple[list[Workload], list[dict[str, Any]]]:
    """The samples by the thousand steps, and two rows: the last fifth relative to the first."""
    cost, memory = Workload("longSteps", STEPS_A_RUN, "s"), Workload("longMemory", STEPS_A_RUN, "bytes")
    ends_at = time.monotonic() + seconds
    with program.spawn(folder) as process:
        process.wait_ready()
        process.ask("sequential", _RUN_S_MAX, count=STEPS_A_RUN)
        while time.monotonic() < ends_at or len(cost.samples.get(SERVICE, ())) * STEPS_A_RUN < steps:
            cost.add(FLOOR, statistics.median(floor.measure(_COMMITS)))
            cost.add(SERVICE, process.ask("sequential", _RUN_S_MAX, count=STEPS_A_RUN) / STEPS_A_RUN)
            memory.add(SERVICE, process.proportional_bytes())
    ratios = [step / commit for step, commit in zip(cost.samples[SERVICE], cost.samples[FLOOR], strict=True)]
    return [cost, memory], [
        row("step of the long run, last fifth", [_last_to_first(ratios)], floor="first fifth", aim=AIM, n=len(ratios)),
        row(
            "memory of the long run, last fifth",
            [_last_to_first(memory.samples[SERVICE])],
            floor="first fifth",
            aim=AIM,
            n=len(ratios),
        ),
    ]


def _last_to_first(values: list[float]) -> float:
    fifth = max(1, len(values) // 5)
    return statistics.median(values[-fifth:]) / statistics.median(values[:fifth])
