"""An executor that does what a test tells it, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from typing import Any

from sidestep.model.abort import Aborted, AbortReason, AbortSignal
from sidestep.model.execution import StepFailed, StepOutcome, StepRequest, StepSucceeded
from sidestep.model.run import Failure, FailureCode

OUTPUT = {"exit_code": 0, "stdout": "", "stderr": "", "stdout_bytes": 0, "stderr_bytes": 0, "duration_ms": 0}


class ScriptedExecutor:
    """
    Steps of one kind under a test's control.

    A step whose id is in `held` waits until the test calls `finish` or `fail`, or until it is aborted; every other one
    succeeds at once with its `outputs` entry, else a command's empty output.
    """

    def __init__(self) -> None:
        # How many at once; None: any number.
        self.place: asyncio.Semaphore | None = None
        self.calls: list[StepRequest] = []
        self.aborts: list[tuple[str, AbortReason]] = []
        self.outputs: dict[str, Any] = {}
        self.failures: dict[str, Failure] = {}
        self.held: set[str] = set()
        # Ids of steps that do not react to their abort signal.
        self.deaf: set[str] = set()
        # Ask whether the run is still ours before a step counts as begun, as real executors do.
        self.looks_at_claim = False
        self._results: dict[str, asyncio.Future[StepOutcome]] = {}
        self._changed = asyncio.Condition()

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[asyncio.Semaphore, ...]:
        return () if self.place is None else (self.place,)

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        return None

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        if self.looks_at_claim:
            await request.require_claim()
        self.calls.append(request)
        async with self._changed:
            self._changed.notify_all()
        if request.step_id not in self.held:
            if request.step_id in self.failures:
                return StepFailed(self.failures[request.step_id])
            return StepSucceeded(self.outputs.get(request.step_id, OUTPUT))
        result = self._result(request.step_id)
        if request.step_id in self.deaf:
            return await asyncio.shield(result)
        try:
            return await signal.race(asyncio.shield(result))
        except Aborted as aborted:
            self.aborts.append((request.step_id, aborted.reason))
            raise

    def finish(self, step_id: str, output: Any = None) -> None:
        self._result(step_id).set_result(StepSucceeded(OUTPUT if output is None else output))

    def fail(self, step_id: str, message: str = "no", code: FailureCode = FailureCode.STEP) -> None:
        self._result(step_id).set_result(StepFailed(Failure(code, message)))

    async def called(self, step_id: str, times: int = 1) -> None:
        """Wait until the step has been asked for that often."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.count(step_id) >= times)

    def count(self, step_id: str) -> int:
        return sum(call.step_id == step_id for call in self.calls)

    def _result(self, step_id: str) -> asyncio.Future[StepOutcome]:
        if step_id not in self._results or (self._results[step_id].done() and self.count(step_id) > 1):
            self._results[step_id] = asyncio.get_running_loop().create_future()
        return self._results[step_id]
