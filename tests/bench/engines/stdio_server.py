"""`sidestep serve`, but its commands are the trivial step; what that tells goes to the descriptor `BENCH_TELLS`."""

from __future__ import annotations

import os
import sys
from functools import partial

from sidestep.cli.lean_imports import import_lean


def main() -> int:
    # As the product's own entry does, before anything else is loaded.
    import_lean("asyncio", "msgspec")

    import sidestep.app
    from sidestep.cli import serve
    from tests.bench.engines.program import HeldStep, Teller
    from tests.bench.engines.sidestep_step import TrivialExecutor

    held_step = HeldStep(Teller(int(os.environ["BENCH_TELLS"])), is_recovering="BENCH_RECOVERS" in os.environ)
    executors = {"command": TrivialExecutor(held_step)}
    setattr(sidestep.app, "Application", partial(sidestep.app.Application, executors=executors))  # noqa: B010
    return serve.main(sys.argv[1:])


sys.exit(main())
