"""What an installed program says its version is. For people; never decided by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.cli.terminal_text import one_line
from sidestep.executors.command import CommandExecutor
from sidestep.model.abort import AbortController
from sidestep.model.execution import StepRequest, StepSucceeded
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Programs that load a lot before they know who they are take a second or two on a busy machine.
VERSION_S_MAX = 10.0
_WIDTH_MAX = 80


class _NoLedger:
    """Nobody takes over what asks for a version."""

    def record(self, run_id: str, group_id: int, started_at: float) -> None: ...

    def forget(self, group_id: int) -> None: ...


async def program_version(program: str, args: Sequence[str], folder: str, environ: Mapping[str, str]) -> str | None:
    """
    The first line a program prints about its version; None when it says nothing in `VERSION_S_MAX`, or fails.

    Nothing it starts is left, also when this is cancelled.

    Args:
        folder: An absolute path; the program runs there.
    """

    async def require_claim() -> None: ...

    request = StepRequest(
        run_id="version",
        step_id=program,
        key="",
        kind="command",
        input={"argv": [program, *args], "allow_truncated": True},
        folder=folder,
        attempt=1,
        require_claim=require_claim,
        emit=lambda stream, data: None,
    )
    try:
        async with asyncio.timeout(VERSION_S_MAX):
            executor = CommandExecutor(Settings(), _NoLedger(), environ, asyncio.sleep)
            outcome = await executor.execute(request, AbortController().signal)
    except TimeoutError:
        return None
    if not isinstance(outcome, StepSucceeded):
        return None
    lines = [line for line in outcome.output["stdout"].splitlines() if line.strip()]
    return one_line(lines[0], _WIDTH_MAX) if lines else None
