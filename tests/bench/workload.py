"""What was measured of one workload: samples by engine and round, and who was stopped."""

from __future__ import annotations

from typing import Any

import msgspec

FLOOR = "floor"


class Workload(msgspec.Struct, rename="camel"):
    """
    One workload as it stands in the raw results.

    Attributes:
        name: Identifies it: `sequential`, `fanOut` ...
        size: Steps, or runs, or 0 where there is no such number.
        unit: Of the samples: `s`, `bytes`, or `ratio`.
        samples: By engine, one for each round; `floor` is one WAL/FULL commit in the same round, in seconds.
        stopped: By engine: why it has no samples, or fewer.
    """

    name: str
    size: int
    unit: str
    samples: dict[str, list[float]] = {}
    stopped: dict[str, str] = {}

    def add(self, engine: str, value: float) -> None:
        self.samples.setdefault(engine, []).append(value)

    def ratios(self, engine: str, base: str = FLOOR) -> list[float]:
        """An engine's samples over the base's of the same rounds; empty where one of them has none."""
        pairs = zip(self.samples.get(engine, ()), self.samples.get(base, ()), strict=False)
        return [mine / theirs for mine, theirs in pairs]

    def __post_init__(self) -> None:
        # Their own, not the class's.
        self.samples, self.stopped = dict(self.samples), dict(self.stopped)


def decode_workloads(values: list[Any]) -> list[Workload]:
    return msgspec.convert(values, list[Workload])
