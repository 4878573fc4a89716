"""Each rule of `mutants.py`, when it is broken, is noticed by the race that is named for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.races.mutants import MUTANTS, Mutant
from tests.races.playing import Lost, make_place, play_all
from tests.races.scenarios import RACES

if TYPE_CHECKING:
    from pathlib import Path

# A mutant has to be caught within so many schedules.
SCHEDULES = 400


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_a_broken_rule_is_caught(mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I2, I3, I4, I8, I9, F2, F4, J3, J4, P7, P8 and promise 1, broken one by one."""
    with mutant.applied(monkeypatch), pytest.raises(Lost) as lost:
        play_all(RACES[mutant.caught_by], make_place(tmp_path), range(SCHEDULES))
    assert mutant.caught_by in str(lost.value)
