"""
`RESULTS.md` from the raw results, and from nothing else: who is fastest at what, by how much, and which aims are met.

Times are ratios, to the floor of the same round or to Sidestep; sizes in bytes are as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.bench.breakdown_table import breakdown_table
from tests.bench.engine_environments import OURS, PEERS, SERVICE, STDIO
from tests.bench.figure import Figure, figure
from tests.bench.long_run import STEPS_A_RUN
from tests.bench.report_words import ENGINE_WORDS, HEADINGS, HOW
from tests.bench.results import relative
from tests.bench.row import is_speed
from tests.bench.targets import REASONS, Target, targets
from tests.bench.workload import FLOOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.long_run import LongRun
    from tests.bench.results import Results
    from tests.bench.workload import Workload

# Rows of the floor table: one row a commit, ten, a hundred.
GROUPS = "groups"


def report(results: Results) -> str:
    machine, versions = results.machine, results.versions
    lines = [
        "# Results of the benchmark",
        "",
        "Written by `make bench` from `results.json` beside it; do not edit.",
        "Times are ratios of medians measured side by side in one run: floor, engine, next engine, and again.",
        "In brackets the lowest and the highest round, then the number of rounds.",
        "",
        f"Machine: {machine['cores']} cores, {machine['memoryGiB']} GiB, {machine['system']}, "
        f"Python {machine['python']}, SQLite {machine['sqlite']}.",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in sorted(versions.items())) + ".",
        "",
        *(_targets(targets(results)) if results.workloads else []),
        *_contenders(results),
        *_floors(results),
    ]
    for name, heading in HEADINGS.items():
        workloads = results.sizes(name)
        if workloads:
            lines += ["", f"## {heading.title}", "", f"{heading.what}.", ""]
            if name == "sequential":
                lines += ["![Cost of one durable step by the number of steps](cost.svg)", ""]
            lines += _table(workloads, results.engines)
    lines += _long_run(results.long_run)
    if results.breakdown:
        lines += ["", "## Where the time of one step goes", "", *breakdown_table(results.breakdown)]
    lines += _rows(results)
    return "\n".join(lines) + "\n"


def _targets(all_targets: Sequence[Target]) -> list[str]:
    lines = ["## Aims", "", "| what | aim | found | |", "|---|--:|--:|---|"]
    for each in all_targets:
        word = {True: "met", False: "**missed**", None: ""}[each.is_met]
        sign = ">=" if each.is_least else "<="
        found = "not measured" if each.value is None else f"{_beside(each.limit, each.value)} {each.unit}"
        lines.append(f"| {each.what} | {sign} {each.limit:g} {each.unit} | {found} | {word} |")
    told = [each.what for each in all_targets if each.is_met is False and each.what in REASONS]
    return [*lines, *(["", "Why one is missed:", ""] if told else []), *(f"- {what}: {REASONS[what]}" for what in told)]


def _contenders(results: Results) -> list[str]:
    if not results.engines:
        return []
    lines = ["", "## Who is compared", ""]
    lines += [f"- {ENGINE_WORDS[name]}: {HOW[name]}." for name in results.engines if name in HOW]
    same = "Each keeps its store on the same file system, and each step of each is a function that does nothing."
    return [*lines, "", same]


def _floors(results: Results) -> list[str]:
    groups = results.sizes(GROUPS)
    if not groups:
        return []
    lines = ["", "## The floor", "", "A row written by SQLite itself (WAL, FULL), one row in a commit = 1.", ""]
    told = [f"{each.size} rows in a commit: {_ratio(figure(each.samples[FLOOR]))}" for each in groups]
    return [*lines, *(f"- {each}." for each in told)]


def _table(workloads: list[Workload], engines: Sequence[str]) -> list[str]:
    """A row for each engine, a column for each size, and last who is best."""
    shown = [name for name in engines if any(name in {*each.samples, *each.stopped} for each in workloads)]
    words = [f"N = {each.size:,}" if each.size else "" for each in workloads]
    lines = [f"| {_base_words(workloads[0])} | {' | '.join(words)} |", "|---|" + "--:|" * len(workloads)]
    for name in shown:
        lines.append(f"| {ENGINE_WORDS.get(name, name)} | {' | '.join(_cell(each, name) for each in workloads)} |")
    if len(shown) > 1:
        lines.append(f"| **best** | {' | '.join(_best(each, shown) for each in workloads)} |")
        lines += [line for ours in OURS if ours in shown for line in _leads(workloads, ours, shown)]
    notes = [
        f"- {ENGINE_WORDS.get(name, name)}, N = {each.size:,}: {why}."
        if each.size
        else f"- {ENGINE_WORDS.get(name, name)}: {why}."
        for each in workloads
        for name, why in each.stopped.items()
    ]
    return [*lines, *(["", *notes] if notes else [])]


def _base_words(workload: Workload) -> str:
    if workload.unit != "s":
        return workload.unit
    return "one commit = 1" if FLOOR in workload.samples else "Sidestep = 1"


def _cell(workload: Workload, engine: str) -> str:
    found = _figure(workload, engine)
    if found is None:
        return "-"
    return _ratio(found) if workload.unit == "s" else _size(found.median)


def _figure(workload: Workload, engine: str) -> Figure | None:
    if workload.unit != "s":
        values = workload.samples.get(engine)
        return figure(values) if values else None
    return relative(workload, engine, FLOOR if FLOOR in workload.samples else SERVICE)


def _medians(workload: Workload, engines: Sequence[str]) -> dict[str, float]:
    """Of those that went through to the end."""
    found = {name: _figure(workload, name) for name in engines if name not in workload.stopped}
    return {name: each.median for name, each in found.items() if each is not None}


def _best(workload: Workload, engines: Sequence[str]) -> str:
    medians = _medians(workload, engines)
    if len(medians) < 2:
        return "-"
    best = min(medians, key=lambda name: medians[name])
    return ENGINE_WORDS.get(best, best)


def _leads(workloads: list[Workload], ours: str, engines: Sequence[str]) -> list[str]:
    """One line for each peer: how many times what ours takes."""
    lines: list[str] = []
    for peer in [name for name in PEERS if name in engines]:
        cells: list[str] = []
        for each in workloads:
            # Round by round, as the aims have it: both were asked under the same conditions then.
            found = None if peer in each.stopped else relative(each, peer, ours)
            cells.append(f"{_number(found.median)} x" if found else "-")
        word = ENGINE_WORDS[ours].partition(", ")[2] or "Sidestep"
        lines.append(f"| {ENGINE_WORDS[peer]} / {word} | {' | '.join(cells)} |")
    return lines if ours != STDIO or SERVICE not in engines else []


def _rows(results: Results) -> list[str]:
    if not results.rows:
        return []
    lines = ["", "## Sidestep alone, and its wire", "", "| what | ratio | to | n | best |", "|---|--:|---|--:|---|"]
    for row in results.rows:
        spread = f"{row['ratio']:.2f} ({row['low']:.2f}-{row['high']:.2f})"
        lines.append(f"| {row['what']} | {spread} | {row['floor']} | {row['n']} | {_best_of_row(row)} |")
    return lines


def _best_of_row(row: dict[str, Any]) -> str:
    """Who is ahead, where the other is somebody to compare with and no part of the work itself."""
    _, is_peer, peer = row["floor"].partition("hello in ")
    is_ours = row["ratio"] > 1 if is_speed(row) else row["ratio"] < 1
    return "" if not is_peer else "Sidestep" if is_ours else peer


def _long_run(found: LongRun | None) -> list[str]:
    if found is None:
        return []
    versions = ", ".join(f"{name} {number}" for name, number in sorted(found.versions.items()))
    lines = [
        *("", "## Long run", ""),
        f"{found.steps:,} steps each way, in runs of {STEPS_A_RUN:,} that take turns, in one process each: "
        f"{found.seconds / 60:.0f} minutes.",
        f"Medians of the first and of the last tenth; {found.machine['cores']} cores, {versions}.",
        "Those are minutes apart, in which others may use the machine more or less; "
        "so at the end runs take turns with those of a process that was just started, with a store of its own.",
        *(
            "",
            "| one commit of the same round = 1; bytes | first tenth | last tenth | last to first | a young one = 1 |",
        ),
        "|---|--:|--:|--:|--:|",
    ]
    for name in found.engines:
        cost, memory = found.cost_change(name), found.memory_change(name)
        words = [_number(cost.first), _number(cost.last), f"{_number(cost.ratio)} x", _ratio(found.age(name))]
        lines.append(f"| {ENGINE_WORDS[name]}: a step | {' | '.join(words)} |")
        words = [_size(memory.first), _size(memory.last), f"{_number(memory.ratio)} x", ""]
        lines.append(f"| {ENGINE_WORDS[name]}: memory | {' | '.join(words)} |")
    return lines


def _ratio(found: Figure) -> str:
    spread = f" ({_number(found.low)}-{_number(found.high)}; {found.count})" if found.count > 1 else ""
    return f"{_number(found.median)}{spread}"


def _number(value: float) -> str:
    if 0 < value < 0.01:
        return f"{value:.1g}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _beside(limit: float, value: float) -> str:
    """With as many digits as show that it is not the limit."""
    told = _number(value)
    return f"{value:.3f}" if value != limit and told == _number(limit) else told


def _size(value: float) -> str:
    for unit in ("", " KiB", " MiB"):
        if value < 1024:
            return f"{_number(value)}{unit}"
        value /= 1024
    return f"{_number(value)} GiB"
