"""
C1, F4, J4, J6, G1: SIGKILL at the n-th crossing of each fault point; what is resumed equals what nothing happened to.

The short form kills one server after another on one run, at crossings chosen by seed; the long one at every crossing
there is, each on a run of its own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.crash.fault_points import KILLING
from tests.crash.seeds import fresh_seed, short_seed
from tests.crash.sweep import Arm, Ground, Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.crash.servers import Nursery
    from tests.crash.sweep import Reference

    Tell = Callable[[str], None]


# What the short form does at each point, in this order: how many servers die there, and at which crossings, at least
# and at most. A server that resumes opens the store and claims the run first, and replays what is finished. The second
# child at its open gate is the command that must not run twice (`holder.py`).
_COMMITS = (("before-commit", 8, 4, 6),)
_PROCESSES = (
    ("after-gate", 1, 2, 2),
    ("before-ledger", 1, 1, 2),
    ("before-gate", 1, 1, 2),
    ("after-gate", 1, 1, 2),
    ("after-executor", 2, 1, 2),
    ("after-sleep", 1, 1, 1),
    ("after-child", 1, 1, 1),
)
_TELLING = (
    ("before-notify", 2, 3, 9),
    ("mid-frame", 2, 3, 5),
    ("after-commit", 3, 3, 6),
    ("before-response", 1, 1, 3),
)


@pytest.mark.slow
@pytest.mark.parametrize("chain", [_COMMITS, _PROCESSES, _TELLING], ids=["commits", "processes", "telling"])
def test_c1_f4_j4_killed_again_and_again_a_run_ends_as_the_uninterrupted_one(
    chain: tuple[tuple[str, int, int, int], ...], tmp_path: Path, nursery: Nursery, reference: Reference, tell: Tell
) -> None:
    seed = short_seed()
    choice = random.Random(seed)
    arms = [
        Arm(point, choice.randint(low, high))
        for point, times, low, high in chain
        if point in KILLING
        for _ in range(times)
    ]
    tally = _crash(tmp_path, nursery, arms, reference)
    tell(f"seed {seed}: {tally}")
    assert tally.deaths >= len(arms) // 4, f"seed {seed}: of {arms} only {tally.deaths} killed"


@pytest.mark.soak
@pytest.mark.parametrize("point", KILLING)
def test_c1_f4_j4_killed_at_any_crossing_and_resumed_a_run_equals_the_uninterrupted_one(
    point: str, tmp_path: Path, nursery: Nursery, reference: Reference, tell: Tell
) -> None:
    total = Tally()
    crossing, survived = 0, False
    while not survived:
        crossing += 1
        tally = _crash(tmp_path / str(crossing), nursery, [Arm(point, crossing)], reference)
        survived = tally.deaths == 0
        total.add(tally)
    # How many commits a run takes depends on what rides together, but not by this much.
    assert crossing > reference.crossings[point] // 2
    tell(f"{point}: {total}")


@pytest.mark.soak
def test_c1_a_recovery_that_is_killed_as_well_loses_nothing(
    tmp_path: Path, nursery: Nursery, reference: Reference, tell: Tell
) -> None:
    """Five servers in a row, each killed at a point and a crossing of its own, most of them while they replay."""
    seed = fresh_seed()
    choice = random.Random(seed)
    total = Tally()
    for number in range(25):
        arms = [Arm(choice.choice(KILLING), choice.randint(1, 8)) for _ in range(5)]
        try:
            total.add(_crash(tmp_path / str(number), nursery, arms, reference))
        except BaseException as error:
            error.add_note(f"seed {seed}, run {number}")
            raise
    tell(f"seed {seed}: {total}")


def _crash(folder: Path, nursery: Nursery, arms: list[Arm], reference: Reference) -> Tally:
    try:
        return Ground(folder, nursery).crash_through(arms, reference)
    except BaseException as error:
        error.add_note(f"killed at {arms}")
        raise
