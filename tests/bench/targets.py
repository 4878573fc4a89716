"""What Sidestep aims at in the comparison, as ratios, and whether the results meet it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.engine_environments import OURS, PEERS, SERVICE, STDIO
from tests.bench.results import figure, relative
from tests.bench.workload import FLOOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.results import Results
    from tests.bench.workload import Workload


@dataclass(frozen=True)
class Target:
    """
    One aim.

    Attributes:
        what: As a noun.
        limit: The value should be at most that, or with `is_least` at least that.
        value: None when it was not measured.
        unit: After the numbers.
    """

    what: str
    limit: float
    value: float | None
    unit: str
    is_least: bool = False

    @property
    def is_met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.is_least else self.value <= self.limit


def targets(results: Results) -> list[Target]:
    """All of them, in the order of the report."""
    steps, starts = results.sizes("sequential"), results.sizes("start")
    long_ones = [each for each in steps if each.size >= 100]
    waiting = results.sizes("waiting")
    return [
        Target("sequential step, N >= 100", 2.5, _worst(long_ones, SERVICE, FLOOR), "commits"),
        Target("step at N = 10,000, to one at N = 100", 1.1, _flatness(results), "times"),
        _lead_target("sequential step at every N", 1.0, _lead(steps, SERVICE)),
        _lead_target("step of a fan-out of 500", 2.0, _lead_at(results, "fanOut", 500)),
        _lead_target("step of 100 runs of 20 steps", 2.0, _lead_at(results, "concurrent", 100)),
        Target("start to the first step, through stdio", 8.0, _worst(starts, STDIO, FLOOR), "commits"),
        _lead_target("cancel until the work has stopped", 1.0, _lead_of_all(results, "cancel")),
        _lead_target("kill -9 to the first new step", 1.0, _lead_of_all(results, "kill")),
        Target("listing of 100,000 stored runs, to one of 100", 1.5, _listing(results), "times"),
        Target("a step on disk", 500.0, _median(results, "storage"), "bytes"),
        Target("a waiting run in memory", 2.0, _mebibytes(waiting), "MiB"),
    ]


def _lead_target(what: str, limit: float, lead: float | None) -> Target:
    return Target(f"{what}, best peer to ours", limit, lead, "times", is_least=True)


def _worst(workloads: list[Workload], engine: str, base: str) -> float | None:
    return max((found.median for each in workloads if (found := relative(each, engine, base))), default=None)


def _flatness(results: Results) -> float | None:
    short, long = results.find("sequential", 100), results.find("sequential", 10_000)
    if short is None or long is None:
        return None
    first, last = relative(short, SERVICE), relative(long, SERVICE)
    return None if first is None or last is None else last.median / first.median


def _leads(workload: Workload, engine: str) -> Iterator[float]:
    """How many times as long each peer takes."""
    for peer in PEERS:
        if (found := relative(workload, peer, engine)) is not None:
            yield found.median


def _lead(workloads: list[Workload], engine: str) -> float | None:
    return min((lead for each in workloads for lead in _leads(each, engine)), default=None)


def _lead_at(results: Results, name: str, size: int) -> float | None:
    workload = results.find(name, size)
    return None if workload is None else _lead([workload], SERVICE)


def _lead_of_all(results: Results, name: str) -> float | None:
    """Of both of ours the one that leads by less."""
    leads = [lead for engine in OURS if (lead := _lead(results.sizes(name), engine)) is not None]
    return min(leads, default=None)


def _listing(results: Results) -> float | None:
    medians = [figure(each.samples[SERVICE]).median for each in results.sizes("listing") if SERVICE in each.samples]
    return medians[-1] / medians[0] if len(medians) > 1 else None


def _median(results: Results, name: str) -> float | None:
    found = [each.samples[SERVICE] for each in results.sizes(name) if SERVICE in each.samples]
    return figure(found[-1]).median if found else None


def _mebibytes(workloads: list[Workload]) -> float | None:
    found = [figure(each.samples[SERVICE]).median for each in workloads if SERVICE in each.samples]
    return found[-1] / 2**20 if found else None
