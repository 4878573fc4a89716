"""
`sidestep serve` in which everything that should not write to stdout does: `python -m tests.support.straying_server
SERVE FLAGS`. Writes before it serves, and again each time it starts a process: a print, C's `write` and `puts`, and a
child that inherits fd 1.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_libc = ctypes.CDLL(None)
_is_straying = False


def stray(event: str, _: tuple[Any, ...]) -> None:
    """An audit hook."""
    global _is_straying
    if event != "subprocess.Popen" or _is_straying:
        return
    _is_straying = True
    print("stray print", flush=True)
    _libc.write(1, b"stray write\n", 12)
    _libc.puts(b"stray puts")
    _libc.fflush(None)
    os.system("echo stray child")
    _is_straying = False


if __name__ == "__main__":
    from sidestep.cli.serve import main

    # Stays in the buffer until somebody flushes it.
    sys.stdout.write("stray at the start\n")
    sys.addaudithook(stray)
    sys.exit(main(sys.argv[1:]))
