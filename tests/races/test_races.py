"""
The races of two requests, and of requests with what goes on: each schedule is forced by named points and a seed.

I3, I4, I5, I7, I8, B1, B2, B3, S4, S5, S6, F1, F2, F3, J1, J3, P3, P7, P8, G5, W16, W25 (the service's side),
promises 1 to 5. What must hold is in `world.py` and `journal_rules.py`, who does what in `scenarios.py`. A failure
prints its seed; `SIDESTEP_RACE_SEED` plays that one alone. `test_mutants.py` shows that each rule, when broken, loses
one of these.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sidestep.runtime.sandbox import MontySandbox
from sidestep.settings import Settings
from tests.races.playing import make_place, play, play_all, seeds
from tests.races.scenarios import RACES
from tests.support.schedule import Stage
from tests.support.scripted_sandbox import ScriptedSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.races.cast import Race

SCHEDULES_SOAK = 1000
# Of the short form's schedules, so many are played with the real sandbox.
SHARE_REAL = 0.1

every_race = pytest.mark.parametrize("race", RACES.values(), ids=lambda race: race.name.replace(" ", "_"))


@pytest.mark.slow
@every_race
def test_i7_whatever_comes_first_everybody_is_told_the_same(race: Race, tmp_path: Path) -> None:
    play_all(race, make_place(tmp_path), seeds(race.schedules))


@pytest.mark.soak
@every_race
def test_i7_a_thousand_schedules_of_each_race(race: Race, tmp_path: Path) -> None:
    play_all(race, make_place(tmp_path), seeds(SCHEDULES_SOAK))


@pytest.mark.slow
@every_race
def test_i7_the_same_with_the_real_sandbox(race: Race, tmp_path: Path) -> None:
    """The scripted sandbox is a fake: some schedules of each race are played with the real one."""
    sandbox = MontySandbox(Settings(), monotonic=time.monotonic)
    play_all(race, make_place(tmp_path), seeds(round(SHARE_REAL * race.schedules)), sandbox)


@every_race
def test_a_seed_gives_the_same_schedule_every_time(race: Race, tmp_path: Path) -> None:
    """Else a printed seed would be worth nothing."""
    place = make_place(tmp_path)
    with Stage() as stage:
        one, other = [play(stage, race, place, 7, ScriptedSandbox()) for _ in range(2)]
    assert one == other
