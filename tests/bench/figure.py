"""A median with its spread."""

from __future__ import annotations

import statistics
from typing import NamedTuple


class Figure(NamedTuple):
    """A median with its spread, of `count` rounds."""

    median: float
    low: float
    high: float
    count: int


def figure(values: list[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values), len(values))
