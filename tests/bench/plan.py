"""How much of each workload is measured."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """Rounds by size; what is empty or 0 is left out. A round asks the floor and every engine once."""

    # Steps one after the other.
    sequential: dict[int, int] = field(default_factory=dict[int, int])
    # Steps at once in one run.
    fan_out: dict[int, int] = field(default_factory=dict[int, int])
    # Runs at once, of `CONCURRENT_STEPS` steps each.
    concurrent: dict[int, int] = field(default_factory=dict[int, int])
    start_rounds: int = 0
    cancel_rounds: int = 0
    storage_rounds: int = 0
    kill_rounds: int = 0
    list_rounds: int = 0
    waiting_runs: int = 0


# About a quarter of an hour on two cores, with everything else that is measured.
DEFAULT = Plan(
    sequential={1: 20, 10: 15, 100: 7, 1_000: 3, 10_000: 3},
    fan_out={100: 5, 500: 3},
    concurrent={10: 5, 100: 3},
    start_rounds=20,
    cancel_rounds=5,
    storage_rounds=1,
    kill_rounds=3,
    list_rounds=20,
    waiting_runs=1_000,
)
QUICK = Plan(sequential={10: 1})

CONCURRENT_STEPS = 20
KILL_STEPS = 300
FEW_RUNS, MANY_RUNS = 100, 100_000
# An engine whose store takes only runs of its own, one after the other, has fewer.
OWN_RUNS_MAX = 3_000

# One order takes this long at most; one that would take longer, to judge by a smaller one, is not given.
ORDER_S_MAX = 60.0
# Work that still goes on so long after the cancelling is said to go on.
CANCEL_S_MAX = 3.0
