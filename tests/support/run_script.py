"""
A script run with the real sandbox and real commands, and neither journal nor service: what a script does by itself.

Steps are begun as they are asked for and delivered one per turn, in the order in which they complete.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.executors.command import CommandExecutor
from sidestep.model.abort import AbortController
from sidestep.model.execution import Program, Settled, StepFailed, StepRequest, Turn
from sidestep.runtime.sandbox import MontySandbox
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidestep.model.execution import Call, StepOutcome
    from sidestep.model.run import Failure


@dataclass
class ScriptRun:
    """What a run of a script came to: its value or its failure, and what it did on the way."""

    value: Any = None
    failure: Failure | None = None
    steps: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    longest_turn_s: float = 0.0


class _NoLedger:
    """Nothing of a test outlives its process long enough to be looked for."""

    def record(self, run_id: str, group_id: int, started_at: float) -> None:
        pass

    def forget(self, group_id: int) -> None:
        pass


def run_script(
    script: Path,
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    **arguments: Any,
) -> ScriptRun:
    """Run `main` of a script file with arguments, in a folder."""
    driver = _Driver(script, folder, os.environ if environ is None else environ, settings or Settings())
    return asyncio.run(driver.run(arguments))


class _Driver:
    def __init__(self, script: Path, folder: Path, environ: Mapping[str, str], settings: Settings) -> None:
        self._program_file = script
        self._folder = folder
        self._executor = CommandExecutor(settings, _NoLedger(), environ, asyncio.sleep)
        self._sandbox = MontySandbox(settings, monotonic=time.monotonic)
        self._signal = AbortController().signal
        self._done: asyncio.Queue[tuple[int, StepOutcome]] = asyncio.Queue()
        self._result = ScriptRun()

    async def run(self, arguments: dict[str, Any]) -> ScriptRun:
        program = Program(
            name=self._program_file.stem,
            file=str(self._program_file),
            source=self._program_file.read_text("utf-8"),
            args_json=json.dumps(arguments),
        )
        session = await self._sandbox.open(program)
        try:
            async with asyncio.TaskGroup() as group:
                turn = await self._timed(session.start())
                while turn.ended is None:
                    for call in turn.calls:
                        self._take(call, group)
                    call_id, outcome = await self._done.get()
                    turn = await self._timed(session.settle(_settled(call_id, outcome)))
                for call in turn.calls:
                    self._take(call, group)
        finally:
            await session.close()
            await self._sandbox.close()
        ended = turn.ended
        if hasattr(ended, "value_json"):
            self._result.value = json.loads(ended.value_json)
        else:
            self._result.failure = ended.failure
        return self._result

    async def _timed(self, coroutine: Any) -> Turn:
        began = time.monotonic()
        turn = await coroutine
        self._result.longest_turn_s = max(self._result.longest_turn_s, time.monotonic() - began)
        return turn

    def _take(self, call: Call, group: asyncio.TaskGroup) -> None:
        if call.name == "phase":
            self._result.phases.append(call.payload["name"])
        elif call.name == "log":
            self._result.logs.append(call.payload["message"])
        elif call.name == "command":
            self._result.steps.append(call.payload["id"])
            group.create_task(self._perform(call))

    async def _perform(self, call: Call) -> None:
        assert call.call_id is not None, "a command awaits an answer"
        request = StepRequest(
            run_id="run_test",
            step_id=call.payload["id"],
            key=call.payload["id"],
            kind="command",
            input=call.payload["input"],
            folder=str(self._folder),
            attempt=1,
            require_claim=_claimed,
            emit=lambda stream, data: None,
        )
        await self._done.put((call.call_id, await self._executor.execute(request, self._signal)))


async def _claimed() -> None:
    """Nobody else could have the run: it has no journal."""


def _settled(call_id: int, outcome: StepOutcome) -> Settled:
    if isinstance(outcome, StepFailed):
        return Settled(call_id, error=outcome.failure)
    return Settled(call_id, value_json=json.dumps(outcome.output))
