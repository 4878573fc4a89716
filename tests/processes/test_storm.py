"""
Several windows on one store, with sidecars that are killed, stopped and replaced: promises 1, 2, 4 and 5.

C1-C3, F2-F4, G5, I4, I5, I9, J1, J4, J10, P7, S7, W25: nothing is lost, also no answer, nothing finished is done again,
everything can be ended.
"""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.processes.settling import settle
from tests.processes.storm import Storm
from tests.processes.storm_audit import audit
from tests.processes.storm_plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tell = Callable[[str], None]

# The seed of a red storm, to be given again: the same is asked and the same harm done, as far as the machine allows.
VARIABLE = "SIDESTEP_STORM_SEED"
SHORT = Plan(runs=25, seconds=7, kills=3, short_stops=2, long_stops=1)
LONG = Plan(runs=200, seconds=60, kills=24, short_stops=16, long_stops=4)

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open") or shutil.which("flock") is None, reason="needs Linux's /proc, pidfd and flock"
)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_twenty_five_runs_survive_four_windows_that_die_and_stand_still(tmp_path: Path, tell: Tell) -> None:
    weather(tmp_path, SHORT, int(os.environ.get(VARIABLE, "3")), tell)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_two_hundred_runs_survive_four_windows_that_die_and_stand_still(tmp_path: Path, tell: Tell) -> None:
    weather(tmp_path, LONG, int(os.environ.get(VARIABLE) or secrets.randbelow(1_000_000)), tell)


def weather(folder: Path, plan: Plan, seed: int, tell: Tell) -> None:
    """One storm; everything about it is checked when it is over."""
    try:
        with Storm(folder, plan, seed) as storm:
            storm.rage()
            settle(storm)
            report = audit(storm)
    except BaseException as error:
        error.add_note(f"seed {seed} ({VARIABLE}={seed} asks for the same again)")
        raise
    tell(f"seed {seed}: {report.counts}")
    assert not report.faults, "\n".join([f"seed {seed}:", *report.faults, report.counts])
