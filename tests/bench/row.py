"""One figure of the benchmark: a ratio of medians, with its spread, its floor and its aim."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def row(what: str, ratios: Sequence[float], *, floor: str, aim: float | None, n: int | None = None) -> dict[str, Any]:
    """
    Args:
        ratios: One for each round.
        floor: What 1.0 stands for.
        n: How many operations were measured; by default one a round.
    """
    return {
        "what": what,
        "ratio": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "floor": floor,
        "n": len(ratios) if n is None else n,
        "aim": aim,
    }
