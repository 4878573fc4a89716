"""
Anything in any order: several windows on one store, with everything that can go wrong.

S4, S5, S7, S8, S10, I1, I2, I3, I4, I5, I8, I9, B1, B2, F1, F2, F3, F4, C2, C3, C4, J1, J3, J4, J5, J6, J7, J10, N1,
P6, P7, P8, P9, P10, T1, T2, D3, G2, G5, W25.
A failing seed is printed and kept in `seeds.txt`; it means the same examples as long as the rules are the same.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.sim.machine import Simulation, SimulationOnSqlite

COMMON = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)
SEEDS = Path(__file__).with_name("seeds.txt")
MACHINES = {"memory": Simulation, "sqlite": SimulationOnSqlite}
SOAK_S = 300
SOAK_EXAMPLES = 40


def run_seed(store: str, seed: int, examples: int) -> None:
    """Run the examples that a seed means; a failure shows the smallest one."""
    machine = type(f"Seed{seed}", (MACHINES[store],), {"_hypothesis_internal_use_seed": seed})
    phases = (Phase.generate, Phase.shrink)
    run_state_machine_as_test(
        machine, settings=settings(COMMON, max_examples=examples, stateful_step_count=60, phases=phases)
    )


def kept_seeds() -> list[tuple[str, int, int]]:
    """(store, seed, examples) of each line that is no comment."""
    lines = [line.split("#")[0].split() for line in SEEDS.read_text().splitlines()]
    return [(line[0], int(line[1]), int(line[2])) for line in lines if line]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store", "examples"), [("memory", 40), ("sqlite", 15)])
def test_every_promise_holds_whatever_happens(store: str, examples: int) -> None:
    """The same examples every time."""
    fixed = settings(COMMON, derandomize=True, max_examples=examples, stateful_step_count=40)
    run_state_machine_as_test(MACHINES[store], settings=fixed)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_once_failed() -> None:
    for store, seed, examples in kept_seeds():
        run_seed(store, seed, examples)


@pytest.mark.soak
def test_random_seeds() -> None:
    until = time.monotonic() + SOAK_S
    while time.monotonic() < until:
        for store in MACHINES:
            seed = random.SystemRandom().randrange(1_000_000)
            print(f"{store} {seed} {SOAK_EXAMPLES}", flush=True)
            try:
                run_seed(store, seed, SOAK_EXAMPLES)
            except BaseException:
                with SEEDS.open("a") as kept:
                    kept.write(f"{store} {seed} {SOAK_EXAMPLES}\n")
                raise
