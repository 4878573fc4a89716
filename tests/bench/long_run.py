"""
The long run (`--long`): each way to ask Sidestep, in one process of its own, for ten minutes and 50,000 steps or more.

Cost and memory of a step should be at the end what they were at the beginning. Runs of 1,000 steps take turns: the
floor, the service, the service through stdio, and again; so each step's cost is told in commits of its own minute.
A floor of commits does not feel who else wants a processor, so at the end the old process is also compared with a
young one: short runs that take turns, so that whatever the machine does meets both.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tests.bench.engine_environments import OURS
from tests.bench.figure import Figure, figure
from tests.bench.machine import machine, own_versions
from tests.bench.workload import FLOOR, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bench.engine_environments import EngineProgram
    from tests.bench.engine_process import EngineProcess
    from tests.bench.floor import CommitFloor

STEPS, SECONDS = 50_000, 600.0
STEPS_A_RUN = 1_000
_RUN_S_MAX = 300.0
# Before the first engine and after each, so that the floor meets what the machine does during the whole round.
_COMMITS = 60
_SAY_EVERY = 5
_PAIRS, _STEPS_OF_A_PAIR = 100, 100


class LongRun(msgspec.Struct, rename="camel"):
    """
    Attributes:
        machine, versions: As in `Results`: it need not be the same day.
        seconds: It took so long.
        cost: Seconds of a step, one sample for each thousand of them; with the floor of the same round.
        memory: Bytes of all processes of an engine after each thousand, what they share counted once.
        pairs: By engine: seconds of a short run in the old process and of the same in a young one.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    cost: Workload
    memory: Workload
    pairs: dict[str, list[tuple[float, float]]]

    @property
    def engines(self) -> list[str]:
        return [name for name in self.cost.samples if name != FLOOR]

    @property
    def steps(self) -> int:
        """Of each engine."""
        return STEPS_A_RUN * min((len(self.cost.samples[name]) for name in self.engines), default=0)

    def cost_change(self, engine: str) -> Change:
        """In commits of the floor."""
        return change(self.cost.ratios(engine))

    def age(self, engine: str) -> Figure:
        """How many times as long a step takes in the old process."""
        return figure([old / young for old, young in self.pairs[engine]])

    def memory_change(self, engine: str) -> Change:
        return change(self.memory.samples[engine])


class Change(NamedTuple):
    """Medians of the first and the last tenth of the samples."""

    first: float
    last: float

    @property
    def ratio(self) -> float:
        return self.last / self.first


def change(samples: list[float]) -> Change:
    tenth = max(1, len(samples) // 10)
    return Change(statistics.median(samples[:tenth]), statistics.median(samples[-tenth:]))


def measure_long_run(
    programs: Mapping[str, EngineProgram],
    floor: CommitFloor,
    folder: Path,
    *,
    steps: int = STEPS,
    seconds: float = SECONDS,
) -> LongRun:
    cost, memory = Workload("longSteps", STEPS_A_RUN, "s"), Workload("longMemory", STEPS_A_RUN, "bytes")
    with ExitStack() as stack:
        running = {name: stack.enter_context(programs[name].spawn(folder / name)) for name in OURS if name in programs}
        for process in running.values():
            process.wait_ready()
            # What is loaded and compiled at the first use is no growth.
            process.ask("sequential", _RUN_S_MAX, count=STEPS_A_RUN)
        began = time.monotonic()
        rounds = 0
        while rounds * STEPS_A_RUN < steps or time.monotonic() - began < seconds:
            commits = floor.measure(_COMMITS)
            for name, process in running.items():
                cost.add(name, process.ask("sequential", _RUN_S_MAX, count=STEPS_A_RUN) / STEPS_A_RUN)
                memory.add(name, process.proportional_bytes())
                commits += floor.measure(_COMMITS)
            cost.add(FLOOR, statistics.median(commits))
            rounds += 1
            if rounds % _SAY_EVERY == 0:
                print(f"{time.monotonic() - began:6.0f} s  {rounds * STEPS_A_RUN:,} steps", file=sys.stderr)
        took = time.monotonic() - began
        pairs = {name: _beside_a_young_one(programs[name], old, folder) for name, old in running.items()}
    return LongRun(machine(), own_versions(), round(took), cost, memory, pairs)


def _beside_a_young_one(program: EngineProgram, old: EngineProcess, folder: Path) -> list[tuple[float, float]]:
    pairs: list[tuple[float, float]] = []
    with program.spawn(folder / f"{program.name}-young") as young:
        young.wait_ready()
        young.ask("sequential", _RUN_S_MAX, count=STEPS_A_RUN)
        for number in range(_PAIRS):
            # Each goes first in turn.
            both = {process: 0.0 for process in ((old, young), (young, old))[number % 2]}
            for process in both:
                both[process] = process.ask("sequential", _RUN_S_MAX, count=_STEPS_OF_A_PAIR)
            pairs.append((both[old], both[young]))
    return pairs
