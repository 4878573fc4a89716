"""
The races with two processes on one SQLite file, which cross their points one at a time through pipes.

As `test_races.py`, with the real store, real locks and real take-overs: I3, I4, I7, I8, I9,
B2, B3, F1, F2, J10, P7, W16, W25.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.races.playing import seeds
from tests.races.processes import TwoProcesses
from tests.races.scenarios import RACES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.races.cast import Race

# Of the short form's schedules, so many are played with two processes.
SHARE = 0.04
SCHEDULES_SOAK = 150

every_race = pytest.mark.parametrize("race", RACES.values(), ids=lambda race: race.name.replace(" ", "_"))


@pytest.fixture(scope="module")
def processes() -> Iterator[TwoProcesses]:
    """Started once; every schedule has a store of its own."""
    with TwoProcesses() as both:
        yield both


@pytest.mark.slow
@every_race
def test_i7_two_processes_are_told_the_same(race: Race, processes: TwoProcesses, tmp_path: Path) -> None:
    processes.play_all(race, tmp_path, seeds(round(SHARE * race.schedules)))


@pytest.mark.soak
@every_race
def test_i7_many_schedules_of_two_processes(race: Race, processes: TwoProcesses, tmp_path: Path) -> None:
    processes.play_all(race, tmp_path, seeds(SCHEDULES_SOAK))
