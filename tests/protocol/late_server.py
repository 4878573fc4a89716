"""
`sidestep serve` whose answers to `workflow/start` come late: each waits until somebody writes into the pipe GATE.

    python -m tests.protocol.late_server GATE SERVE FLAGS
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    from sidestep.cli import serve
    from sidestep.lsp.workflow_methods import WorkflowMethods

    gate = Path(sys.argv[1])
    start = WorkflowMethods.start

    async def late(self: WorkflowMethods, *arguments: Any) -> Any:
        answer = await start(self, *arguments)
        await asyncio.to_thread(gate.read_text)
        return answer

    WorkflowMethods.start = late
    return serve.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
