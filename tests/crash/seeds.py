"""
Where the sweeps' random choices come from.

The short forms always make the same ones, so that a red test is red again. The long ones make new ones each time, and
every failure names its seed: `SIDESTEP_CRASH_SEED=N make soak ARGS=tests/crash` makes them again.
"""

from __future__ import annotations

import os
import secrets

VARIABLE = "SIDESTEP_CRASH_SEED"


def short_seed() -> int:
    return int(os.environ.get(VARIABLE, "1"))


def fresh_seed() -> int:
    return int(os.environ.get(VARIABLE) or secrets.randbelow(1_000_000))
