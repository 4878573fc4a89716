"""The raw results as they stand in `results.json`, and what is derived from their samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tests.bench.figure import Figure, figure
from tests.bench.long_run import LongRun
from tests.bench.workload import FLOOR, Workload

RESULTS = Path(__file__).with_name("results.json")


class Results(msgspec.Struct, rename="camel"):
    """
    Everything that one run of the benchmark found.

    Attributes:
        machine: What it ran on; nothing that names the machine or a place on it.
        versions: By package.
        workloads: What was asked of Sidestep and its peers alike.
        rows: Figures of Sidestep alone and of the wire, each with its own floor and aim (`row.py`).
        breakdown: Where the time of one of our steps goes (`breakdown.py`).
        seconds: What each part of the benchmark took; for whoever wants it to take less.
        long_run: Of the last `--long`, which measures nothing else; None when there was none.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    workloads: list[Workload]
    rows: list[dict[str, Any]]
    breakdown: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    long_run: LongRun | None = None

    def sizes(self, name: str) -> list[Workload]:
        """The workloads of that name, smallest first."""
        return sorted((each for each in self.workloads if each.name == name), key=lambda each: each.size)

    def find(self, name: str, size: int) -> Workload | None:
        return next((each for each in self.workloads if (each.name, each.size) == (name, size)), None)

    @property
    def engines(self) -> list[str]:
        """In the order in which they were first asked."""
        found = {name: None for each in self.workloads for name in [*each.samples, *each.stopped]}
        return [name for name in found if name != FLOOR]


def relative(workload: Workload, engine: str, base: str = FLOOR) -> Figure | None:
    """An engine's samples over the base's of the same rounds; None where one of them has none."""
    ratios = workload.ratios(engine, base)
    return figure(ratios) if ratios else None


def read_results(path: Path = RESULTS) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write_results(results: Results, path: Path = RESULTS) -> None:
    """Samples with six digits: more would be noise."""
    builtins = msgspec.to_builtins(results)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(_rounded(builtins)), indent=1) + b"\n")


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.6g}")
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list():
            return [_rounded(each) for each in value]
        case _:
            return value
