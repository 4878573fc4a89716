"""One figure of the benchmark: a ratio of medians, with its spread, its floor and its aim."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def verdict(figure: dict[str, Any]) -> str:
    """The aim and whether it is met, as a few words; empty without an aim."""
    if figure["aim"] is not None:
        return f"aim <= {figure['aim']:g} {_word(figure['ratio'] <= figure['aim'])}"
    if figure["atLeast"] is not None:
        return f"aim >= {figure['atLeast']:g} {_word(figure['ratio'] >= figure['atLeast'])}"
    return ""


def _word(is_met: bool) -> str:
    return "met" if is_met else "MISSED"
