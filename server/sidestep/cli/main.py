"""
The entry point of `sidestep`: hands `serve` over at once, everything else to click.

Invariant: nothing heavy is imported here. An editor waits for `sidestep serve`, which reads its own flags.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        argv: Words after the program's name; None takes the process's own.

    Returns:
        The exit code: `serve` has its own table, all others are in `exits.py`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["serve"]:
        from sidestep.cli.lean_imports import import_lean

        import_lean("asyncio", "msgspec")
        from sidestep.cli.serve import main as serve

        return serve(words[1:])
    from sidestep.cli.edge import run_command

    return run_command(words)
