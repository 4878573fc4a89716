"""
`make bench`: how Sidestep stands against what a user would pick instead, and against what the disk can do.

Every figure is a ratio of medians taken side by side, or a size; a lone time would say more about the machine than
about us. A whole run writes `results.json` and what is made from it: `RESULTS.md` and `cost.svg`. The long run is a
part of them that is measured by itself, and stays until it is measured again.

Options: see `--help`. Exit code 1: a peer to compare with cannot be installed. An aim that is missed changes no exit
code: it is told in the report, and one that nobody gave a reason for is named at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tests.bench import engine_environments as engines
from tests.bench.floor import CommitFloor
from tests.bench.long_run import measure_long_run
from tests.bench.measuring import Measuring
from tests.bench.plan import DEFAULT, QUICK
from tests.bench.results import RESULTS, Results, read_results, write_results
from tests.bench.targets import unexplained
from tests.bench.views import render
from tests.bench.wire_peers import NODE, PeerMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

PEERS = (*engines.PEERS, NODE)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="What Sidestep costs, as ratios.")
    parser.add_argument("--only", default="", metavar="WORD", help="measure what has WORD in its name; write no file")
    parser.add_argument(
        "--without", action="append", default=[], choices=PEERS, help="leave this peer out; write no file"
    )
    parser.add_argument("--quick", action="store_true", help="one tiny workload of ours, to see that it runs")
    parser.add_argument("--long", action="store_true", help="only 50,000 steps in ten minutes or more")
    parser.add_argument("--json", action="store_true", help="print the raw results instead of the report")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the report from results.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.render:
        _render(read_results(RESULTS))
        return 0
    with tempfile.TemporaryDirectory(prefix="sidestep-bench-", ignore_cleanup_errors=True) as name:
        try:
            results = _with_long_run(Path(name)) if options.long else _measured(options, Path(name))
        except PeerMissing as missing:
            print(missing, file=sys.stderr)
            return 1
    if not (options.quick or options.only or options.without):
        if not options.long:
            results.long_run = read_results(RESULTS).long_run
        write_results(results, RESULTS)
        _render(read_results(RESULTS))
    print(msgspec.json.encode(results).decode() if options.json else render(results))
    return 0


def _render(results: Results) -> None:
    render(results, RESULTS.parent)
    print(f"Written in tests/bench: what is made from {RESULTS.name}.", file=sys.stderr)
    for what in unexplained(results):
        print(f"Missed, and tests/bench/targets.py has no reason for it: {what}", file=sys.stderr)


def _measured(options: argparse.Namespace, folder: Path) -> Results:
    plan = QUICK if options.quick else DEFAULT
    peers = () if options.quick else tuple(name for name in engines.PEERS if name not in options.without)
    ours = (engines.SERVICE,) if options.quick else engines.OURS
    floor = CommitFloor(folder)
    try:
        measuring = Measuring(folder, floor, plan, options.only, [*ours, *peers], frozenset(options.without))
        measuring.install(with_wire=not options.quick)
        measuring.compare()
        if not options.quick:
            asyncio.run(measuring.measure_alone())
    finally:
        floor.close()
    return measuring.results


def _with_long_run(folder: Path) -> Results:
    """The results as they stand, with another long run."""
    results = read_results(RESULTS)
    home = folder / "home"
    home.mkdir()
    floor = CommitFloor(folder)
    try:
        results.long_run = measure_long_run(engines.engine_programs(engines.OURS, home), floor, folder / "long")
    finally:
        floor.close()
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
