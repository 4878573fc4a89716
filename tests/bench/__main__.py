"""
`make bench`: what Sidestep costs, as ratios to what the same machine and disk do in the same run.

Every figure is a ratio of medians taken side by side; a lone time would say more about the machine than about us.

Options: `--json` prints one JSON object instead of the table; `--only WORD` measures what has WORD in its name;
`--without node` leaves node out of the comparison of the wire, where it cannot be had.

Exit code 1: a peer to compare with cannot be installed. An aim that is missed is told in the table only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.cancel_cost import measure_cancel_cost
from tests.bench.language_cost import measure_language_cost
from tests.bench.listing import measure_listing
from tests.bench.long_run import measure_long_run
from tests.bench.pickup import measure_pickup
from tests.bench.resume_cost import measure_resume_cost
from tests.bench.row import verdict
from tests.bench.sequential_steps import measure_sequential_steps
from tests.bench.start_latency import measure_start_latency
from tests.bench.wire_peers import NODE, PeerMissing, WirePeers
from tests.bench.wire_start import measure_wire_memory, measure_wire_start
from tests.bench.wire_traffic import measure_wire_notifications, measure_wire_pipelined, measure_wire_round_trip

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Rows = Awaitable[list[dict[str, Any]]]

MEASURES: Sequence[Callable[[Path], Rows]] = (
    measure_sequential_steps,
    measure_long_run,
    measure_start_latency,
    measure_resume_cost,
    measure_cancel_cost,
    measure_pickup,
    measure_listing,
    measure_language_cost,
)
WIRE_MEASURES: Sequence[Callable[[WirePeers], Rows]] = (
    measure_wire_start,
    measure_wire_memory,
    measure_wire_round_trip,
    measure_wire_pipelined,
    measure_wire_notifications,
)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="What Sidestep costs, as ratios.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--only", default="", metavar="WORD", help="measure what has WORD in its name")
    parser.add_argument("--without", action="append", default=[], choices=[NODE], help="compare without this peer")
    return parser.parse_args(arguments)


async def main(arguments: list[str]) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="sidestep-bench-") as name:
        folder = Path(name)
        measures = [measure for measure in MEASURES if options.only in measure.__name__]
        of_the_wire = [measure for measure in WIRE_MEASURES if options.only in measure.__name__]
        try:
            # Whether the peers can be had is known before anything is measured.
            peers = WirePeers(folder, without=frozenset(options.without)) if of_the_wire else None
        except PeerMissing as missing:
            print(f"{missing}\nTo go on without it: make bench ARGS='--without node'", file=sys.stderr)
            return 1
        rows = [each for measure in measures for each in await measure(folder)]
        if peers is not None:
            rows += [each for measure in of_the_wire for each in await measure(peers)]
    versions = {name: version(name) for name in ("pydantic-monty-client", "msgspec", "pygls")}
    if options.json:
        print(json.dumps({"machine": platform.platform(), "versions": versions, "rows": rows}))
        return 0
    print(f"{platform.platform()}, Python {platform.python_version()}, {versions}\n")
    width, floor_width = (max((len(row[name]) for row in rows), default=0) for name in ("what", "floor"))
    for row in rows:
        ratio = f"{row['ratio']:6.2f} x {row['floor']:<{floor_width}}"
        spread = f"{row['low']:.2f}-{row['high']:.2f}"
        print(f"{row['what']:<{width}}  {ratio} {spread:>12}  n={row['n']:<5} {verdict(row)}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
