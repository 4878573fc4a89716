"""One figure of the benchmark: a ratio of medians, with its spread, its floor and its aim."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# A speed's floor begins with it.
AS_FAST_AS = "as fast as "


def row(
    what: str,
    ratios: Sequence[float],
    *,
    floor: str,
    aim: float | None = None,
    at_least: float | None = None,
    n: int | None = None,
) -> dict[str, Any]:
    """
    Args:
        ratios: One for each round.
        floor: What 1.0 stands for.
        aim: The ratio is a cost, and this the most it should be.
        at_least: The ratio is a speed (times as fast as the floor), and this the least it should be.
        n: How many operations were measured; by default one a round.
    """
    assert aim is None or at_least is None, "a figure is a cost or a speed"
    return {
        "what": what,
        "ratio": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "floor": floor,
        "n": len(ratios) if n is None else n,
        "aim": aim,
        "atLeast": at_least,
    }


def has_aim(figure: dict[str, Any]) -> bool:
    return figure["aim"] is not None or figure["atLeast"] is not None


def is_speed(figure: dict[str, Any]) -> bool:
    """More is better: it says how many times as fast as something else."""
    return figure["floor"].startswith(AS_FAST_AS)
