"""
`sidestep serve` in which something writes where it must not, each time `workflow/health` is asked for.

    python -m tests.protocol.stray_server SERVE FLAGS
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import Any

CHILD = "import os; print('child prints', flush=True); os.write(1, b'child writes'); os.system('echo grandchild')"


def scribble() -> None:
    print("a print", flush=True)
    sys.stdout.write("Content-Length: 2\r\n\r\n{}")
    sys.stdout.flush()
    os.write(1, b"Content-Length: 2\r\n\r\n{}")
    libc = ctypes.CDLL(None)
    libc.puts(b"a C library's puts")
    libc.fflush(None)
    libc.write(1, b"a C library's write", 19)
    subprocess.run([sys.executable, "-c", CHILD], check=True)


def main() -> int:
    from sidestep.cli import serve
    from sidestep.lsp.workflow_methods import WorkflowMethods

    health = WorkflowMethods.health

    async def noisy(self: WorkflowMethods, *arguments: Any) -> Any:
        scribble()
        return await health(self, *arguments)

    WorkflowMethods.health = noisy
    return serve.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
