"""
`make bench`: what Sidestep costs, as ratios to what the same machine and disk do in the same run.

Every figure is a ratio of medians taken side by side; a lone time would say more about the machine than about us.
Options: `--json` prints one JSON object instead of the table.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.bench.cancel_cost import measure_cancel_cost
from tests.bench.listing import measure_listing
from tests.bench.long_run import measure_long_run
from tests.bench.pickup import measure_pickup
from tests.bench.resume_cost import measure_resume_cost
from tests.bench.sequential_steps import measure_sequential_steps
from tests.bench.start_latency import measure_start_latency

MEASURES = (
    measure_sequential_steps,
    measure_long_run,
    measure_start_latency,
    measure_resume_cost,
    measure_cancel_cost,
    measure_pickup,
    measure_listing,
)


async def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="sidestep-bench-") as folder:
        rows = [each for measure in MEASURES for each in await measure(Path(folder))]
    versions = {name: version(name) for name in ("pydantic-monty-client", "msgspec")}
    if "--json" in arguments:
        print(json.dumps({"machine": platform.platform(), "versions": versions, "rows": rows}))
        return 0
    print(f"{platform.platform()}, Python {platform.python_version()}, {versions}\n")
    width = max(len(row["what"]) for row in rows)
    for row in rows:
        aim = f"aim <= {row['aim']:g}" if row["aim"] is not None else ""
        met = "" if row["aim"] is None else ("met" if row["ratio"] <= row["aim"] else "MISSED")
        ratio = f"{row['ratio']:6.2f} x {row['floor']:<20}"
        spread = f"{row['low']:.2f}-{row['high']:.2f}"
        print(f"{row['what']:<{width}}  {ratio} {spread:>12}  n={row['n']:<5} {aim} {met}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
