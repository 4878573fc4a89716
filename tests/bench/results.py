"""The raw results as they stand in `results.json`, and what is derived from their samples."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.bench.workload import FLOOR, Workload

RESULTS = Path(__file__).with_name("results.json")
_PACKAGES = ("pydantic-monty-client", "msgspec", "pygls")


class Results(msgspec.Struct, rename="camel"):
    """
    Everything that one run of the benchmark found.

    Attributes:
        machine: What it ran on; nothing that names the machine or a place on it.
        versions: By package.
        workloads: What was asked of Sidestep and its peers alike.
        rows: Figures of Sidestep alone and of the wire, each with its own floor and aim (`row.py`).
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    workloads: list[Workload]
    rows: list[dict[str, Any]]
    # Where the time of one of our steps goes (`breakdown.py`).
    breakdown: list[dict[str, Any]] = []

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


class Figure(NamedTuple):
    """A median with its spread, of `count` rounds."""

    median: float
    low: float
    high: float
    count: int


def figure(values: list[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values), len(values))


def relative(workload: Workload, engine: str, base: str = FLOOR) -> Figure | None:
    """An engine's samples over the base's of the same rounds; None where one of them has none."""
    mine, theirs = workload.samples.get(engine), workload.samples.get(base)
    if not mine or not theirs:
        return None
    return figure([ours / other for ours, other in zip(mine, theirs, strict=False)])


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def own_versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


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
