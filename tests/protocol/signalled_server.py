"""
`sidestep serve` that sends itself a signal at a chosen point of its own work.

    python -m tests.protocol.signalled_server --point=P --crossing=N --signal=TERM -- SERVE FLAGS

The points are those of the crash sweep; everything else is the product.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from tests.crash.fault_points import Trigger, arm

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from sidestep.cli import serve

    divide = list(argv).index("--")
    chosen = dict(flag.removeprefix("--").split("=", 1) for flag in argv[:divide])
    number = signal.Signals[f"SIG{chosen['signal']}"]
    arm(Trigger(chosen["point"], int(chosen["crossing"]), lambda: os.kill(os.getpid(), number), None))
    return serve.main(list(argv[divide + 1 :]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
