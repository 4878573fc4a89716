"""
What Sidestep aims at, as ratios; whether the results meet it; and where they do not, why.

The aims of the comparison stand here, those of figures of Sidestep alone and of its wire with the figures (`row.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.bench.engine_environments import OURS, PEERS, SERVICE, STDIO
from tests.bench.figure import figure
from tests.bench.results import relative
from tests.bench.row import has_aim, is_speed
from tests.bench.workload import FLOOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.results import Results
    from tests.bench.workload import Workload

# Why an aim is missed, as a sentence of the report; by the aim's `what`. It is shown while the aim is missed.
REASONS: dict[str, str] = {
    "sequential step, N >= 100": (
        "Two threads, a process that echoes and a commit take 2 to 4 commits in a program that does nothing else (the "
        "last line of 'Where the time of one step goes'): each hand-over wakes an idle core. Held on one core, where "
        "waking costs little, a whole step is 2.1 to 2.5 commits. Four of its six hand-overs are the sandbox's: a "
        "worker process that can be killed, behind a client that blocks its thread."
    ),
    "sequential step at every N, best peer to ours": (
        "LangGraph runs its nodes in the process that asks, without a sandbox; at N = 1 it is the start that counts."
    ),
    "step at N = 10,000, to one at N = 100": (
        "Nothing in it grows: bytes, system calls and processor time of a step are the same, and other runs gave 0.91 "
        "and 1.06. What changes between the rounds is the machine."
    ),
    "step through stdio at N = 10,000, to one at N = 100": (
        "Nothing in it grows: bytes, system calls and processor time of a step are the same. What changes between the "
        "rounds is the machine."
    ),
    "step of a fan-out of 500, best peer to ours": (
        "Bound by the processor time of Python's event loop; another run gave 3.30."
    ),
    "5,000 events out, of a stored run, as fast as hello in pygls": (
        "Events are decoded from rows that hold a whole transaction; other runs gave 3.46 and 3.65."
    ),
    "step of 100 runs of 20 steps, best peer to ours": (
        "Four fifths of it are processor time of one Python process, whose interpreter lock lets one thread compute at "
        "a time: with all else for nothing it would be a fifth quicker, and not twice as quick. The rest is mostly the "
        "worker processes that no earlier run has left. Restate's server takes both cores."
    ),
    "start to the first step, through stdio": (
        "No engine here is below twice that. The commit that makes the run, in its thread, is a fifth of it; the first "
        "turn of the sandbox, which takes place meanwhile, is longer: three hand-overs, and a worker that reads the "
        "script. The rest is a look at trust and script in a thread, and the way through stdio."
    ),
    "cancel until the work has stopped, best peer to ours": (
        "LangGraph stores nothing about it, and Restate answers when the order is accepted. Ours is answered after the "
        "process group is gone, the interrupt is durable, and a second commit has cleared the lease."
    ),
    "kill -9 to the first new step, best peer to ours": "Two thirds of it are imports.",
    "resume of 300 finished steps, against their first execution": (
        "A replayed step is one turn of the sandbox and nothing else, and that is this much of a step."
    ),
    "resume of 3000 finished steps, against their first execution": (
        "A replayed step is one turn of the sandbox and nothing else, and that is this much of a step."
    ),
    "cancel inside a command, to quiescent, against killing the command + 3 commits": (
        "Both of its writes come after a pause, when a commit takes two to three times one that follows another: they "
        "are half of it. The rest is noticing that the command has ended, closing its pipes, and the way of the answer."
    ),
    "round trip of 100 B, against a pipe echo": (
        "A loop that answers a constant from its read callback takes 1.60 by itself; framing, envelope, typed params "
        "and encoding are the rest."
    ),
}


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
    return [*_compared(results), *_long_run(results), *(_row_target(row) for row in results.rows if has_aim(row))]


def unexplained(results: Results) -> list[str]:
    """Missed aims that have no reason."""
    return [each.what for each in targets(results) if each.is_met is False and each.what not in REASONS]


def _compared(results: Results) -> list[Target]:
    steps, starts = results.sizes("sequential"), results.sizes("start")
    long_ones = [each for each in steps if each.size >= 100]
    waiting = results.sizes("waiting")
    return [
        Target("sequential step, N >= 100", 2.5, _worst(long_ones, SERVICE, FLOOR), "commits"),
        Target("step at N = 10,000, to one at N = 100", 1.1, _flatness(results, SERVICE), "times"),
        Target("step through stdio at N = 10,000, to one at N = 100", 1.1, _flatness(results, STDIO), "times"),
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


def _long_run(results: Results) -> list[Target]:
    """Of both ways to ask, the one that grows by more."""
    long_run = results.long_run
    engines = [] if long_run is None else long_run.engines
    age = max((long_run.age(name).median for name in engines if long_run is not None), default=None)
    memory = max((long_run.memory_change(name).ratio for name in engines if long_run is not None), default=None)
    return [
        Target("step after the long run, to one in a young process beside it", 1.1, age, "times"),
        Target("memory of the long run, last tenth to first", 1.1, memory, "times"),
    ]


def _row_target(row: dict[str, Any]) -> Target:
    is_least = row["atLeast"] is not None
    words = f"{row['what']}, {'' if is_speed(row) else 'against '}{row['floor']}"
    return Target(words, row["atLeast"] if is_least else row["aim"], row["ratio"], "times", is_least=is_least)


def _lead_target(what: str, limit: float, lead: float | None) -> Target:
    return Target(f"{what}, best peer to ours", limit, lead, "times", is_least=True)


def _worst(workloads: list[Workload], engine: str, base: str) -> float | None:
    return max((found.median for each in workloads if (found := relative(each, engine, base))), default=None)


def _flatness(results: Results, engine: str) -> float | None:
    short, long = results.find("sequential", 100), results.find("sequential", 10_000)
    if short is None or long is None:
        return None
    first, last = relative(short, engine), relative(long, engine)
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
