"""
`sidestep serve` with fault points: `python -m tests.crash.armed_server [--point=P --crossing=N] [...] -- SERVE FLAGS`.

    --point=P         a point of `fault_points.py`
    --crossing=N      which crossing of it, from 1
    --effect=kill     SIGKILL (default); `interrupt`: another window interrupts every run at that moment;
                      `stall`: the same, and then the process stands still until SIGCONT
    --stopped=FIFO    where a process that is about to stand still writes its id
    --counts=FOLDER   count the crossings of every point there

Everything else is the product: the same parts, the same store, the same sandbox, the same commands.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from tests.crash.fault_points import Trigger, arm, die, lose_lease, stall

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Serve until the end, which may come early; returns the exit code."""
    from sidestep.cli import serve
    from sidestep.store.location import store_location

    divide = list(argv).index("--")
    chosen = dict(flag.removeprefix("--").split("=", 1) for flag in argv[:divide])
    serve_flags = list(argv[divide + 1 :])
    location = store_location(serve.read_options(serve_flags).store, os.environ)
    effects = {
        "kill": die,
        "interrupt": partial(lose_lease, location),
        "stall": partial(stall, location, chosen.get("stopped", "")),
    }
    effect = effects[chosen.get("effect", "kill")]
    arm(Trigger(chosen.get("point"), int(chosen.get("crossing", "0")), effect, chosen.get("counts")))
    return serve.main(serve_flags)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
