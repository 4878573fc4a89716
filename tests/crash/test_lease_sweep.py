"""
F2, I3, I9, J4: another window takes the run away at the n-th crossing of each fault point, and resumes it.

Nothing of the first execution changes anything after: the run that the second window ends equals the uninterrupted one.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.crash.fault_points import LOSING
from tests.crash.seeds import fresh_seed, short_seed
from tests.crash.sweep import Arm, Ground, Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.crash.servers import Nursery
    from tests.crash.sweep import Reference

    Tell = Callable[[str], None]

# The others are taken in the long form only.
_SHORT = ("before-begin", "after-commit", "before-notify", "after-executor")

# Earlier crossings belong to the opening of the store, before there is a run.
_FIRST_OF_RUN = {"before-begin": 4, "after-commit": 4, "before-notify": 2}


@pytest.mark.slow
@pytest.mark.parametrize("point", _SHORT)
def test_f2_i3_a_lease_lost_and_resumed_elsewhere_equals_the_uninterrupted_run(
    point: str, tmp_path: Path, nursery: Nursery, reference: Reference, tell: Tell
) -> None:
    choice = random.Random(f"{short_seed()} {point}")
    crossing = choice.randint(_FIRST_OF_RUN.get(point, 1), reference.crossings[point] * 3 // 4)
    tally = Ground(tmp_path, nursery).lose_lease(Arm(point, crossing, "interrupt"), reference)
    assert tally.deaths == 1, f"the lease was not lost at crossing {crossing} of {point}"


@pytest.mark.soak
@pytest.mark.parametrize("point", LOSING)
def test_f2_i3_a_lease_lost_at_any_crossing_and_resumed_elsewhere_equals_the_uninterrupted_run(
    point: str, tmp_path: Path, nursery: Nursery, reference: Reference, tell: Tell
) -> None:
    total = Tally()
    for crossing in range(1, reference.crossings[point] + 2):
        try:
            total.add(
                Ground(tmp_path / str(crossing), nursery).lose_lease(Arm(point, crossing, "interrupt"), reference)
            )
        except BaseException as error:
            error.add_note(f"lease lost at crossing {crossing} of {point}")
            raise
    tell(f"{point}: {total}")


@pytest.mark.soak
@pytest.mark.parametrize("point", LOSING)
def test_f3_what_stood_still_while_another_took_over_changes_nothing_when_it_wakes(
    point: str, tmp_path: Path, nursery: Nursery, reference: Reference, tell: Tell
) -> None:
    seed = fresh_seed()
    choice = random.Random(f"{seed} {point}")
    total = Tally()
    for number in range(3):
        crossing = choice.randint(_FIRST_OF_RUN.get(point, 1), max(1, reference.crossings[point] * 3 // 4))
        try:
            total.add(Ground(tmp_path / str(number), nursery).stall(Arm(point, crossing, "stall"), reference))
        except BaseException as error:
            error.add_note(f"seed {seed}: stalled at crossing {crossing} of {point}")
            raise
    tell(f"seed {seed}, stalled at {point}: {total}")
