"""
`sidestep serve` that sends itself a signal at a fault point and goes on: `python -m tests.support.signalled_server
--signal=TERM --point=P --crossing=N [--counts=FOLDER] -- SERVE FLAGS`.

The points are those of `tests/crash/fault_points.py`; everything else is the product.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from tests.crash.fault_points import Trigger, arm

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Serve until the end; returns the exit code."""
    from sidestep.cli import serve

    divide = list(argv).index("--")
    chosen = dict(flag.removeprefix("--").split("=", 1) for flag in argv[:divide])
    number = signal.Signals[f"SIG{chosen.get('signal', 'TERM')}"]
    effect = partial(os.kill, os.getpid(), number)
    arm(Trigger(chosen.get("point"), int(chosen.get("crossing", "0")), effect, chosen.get("counts")))
    return serve.main(argv[divide + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
