"""What both ways to ask Sidestep measure alike: they differ only in how a run is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

from sidestep.system import VERSION
from tests.bench.engines.program import now
from tests.bench.engines.sidestep_step import AT_ONCE, IN_TURN


class OwnRuns:
    """Mixed into an engine that has `_run`."""

    async def versions(self) -> dict[str, str]:
        return {"sidestep": VERSION}

    async def sequential(self, count: int) -> float:
        began = now()
        await self._run(IN_TURN, count=count)
        return now() - began

    async def fan_out(self, count: int) -> float:
        began = now()
        assert await self._run(AT_ONCE, count=count) == count
        return now() - began

    async def concurrent(self, runs: int, steps: int) -> float:
        began = now()
        await asyncio.gather(*(self._run(IN_TURN, count=steps) for _ in range(runs)))
        return now() - began

    async def start(self) -> float:
        began = now()
        (first_began,) = await self._run(IN_TURN, count=1)
        return float(first_began) - began

    async def _run(self, source: str, **args: Any) -> Any:
        """Run a script to its end. Returns its data."""
        raise NotImplementedError
