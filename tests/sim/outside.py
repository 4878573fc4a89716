"""
The world outside the simulated processes: the work of steps, as process groups that outlive whoever began them.

An execution goes on until it is finished, until its process aborts it and it heeds that, or until somebody kills the
groups of its owner (F4). It therefore survives the SIGKILL and the SIGSTOP of its owner, as real commands do.

Invariant (checked here, where work begins): one execution of a key at once in the whole world, and none of a key that
the journal holds a completion of.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.abort import Aborted
from sidestep.model.execution import StepFailed, StepSucceeded
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest
    from tests.sim.gate import Gate

KILLED = "killed by somebody else"


@dataclass(eq=False)
class Execution:
    """One execution of one step; `is_deaf`: it does not heed its abort."""

    owner_id: str
    request: StepRequest
    result: asyncio.Future[StepOutcome]
    is_deaf: bool = False
    ended: bool = False

    def end(self, outcome: StepOutcome) -> None:
        self.ended = True
        if not self.result.done():
            self.result.set_result(outcome)


@dataclass
class Outside:
    """
    Every execution there ever was.

    Attributes:
        is_finished: Whether the journal holds a completion of (run, key).
        hurries: Everything asked for is done at once, and what is deaf ends.
        broken: What was found that must never be.
    """

    is_finished: Callable[[str, str], bool]
    executions: list[Execution] = field(default_factory=list)
    hurries: bool = False
    broken: list[str] = field(default_factory=list)
    # Output -> the owner whose work it is.
    done_by: dict[str, str] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def going_on(self) -> list[Execution]:
        return [each for each in self.executions if not each.ended]

    def begin(self, owner_id: str, request: StepRequest) -> Execution:
        what = f"{request.step_id} of {request.run_id}"
        if self.is_finished(request.run_id, request.key):
            self.broken.append(f"{what} has finished, and {owner_id} does it again")
        for other in self.going_on:
            if (other.request.run_id, other.request.key) == (request.run_id, request.key):
                self.broken.append(f"{owner_id} begins {what} while {other.owner_id} is doing it")
        execution = Execution(owner_id, request, asyncio.get_running_loop().create_future())
        self.executions.append(execution)
        if self.hurries or request.step_id.startswith("q:"):
            self.finish(execution)
        return execution

    def finish(self, execution: Execution) -> None:
        if not execution.ended:
            output = f"{execution.request.step_id}#{next(self._numbers)}"
            self.done_by[output] = execution.owner_id
            execution.end(StepSucceeded({"exit_code": 0, "stdout": output, "stderr": ""}))

    def fail(self, execution: Execution, code: FailureCode = FailureCode.STEP) -> None:
        execution.end(StepFailed(Failure(code, f"no {next(self._numbers)}")))

    def kill(self, owner_id: str, run_id: str | None) -> int:
        """Kill the groups an owner has running, for one run or for all."""
        groups = [each for each in self.going_on if each.owner_id == owner_id and run_id in (None, each.request.run_id)]
        for each in groups:
            each.end(StepFailed(Failure(FailureCode.INFRASTRUCTURE, KILLED)))
        return len(groups)

    def hurry(self) -> None:
        self.hurries = True
        for each in self.going_on:
            self.finish(each)


class SimulatedExecutor:
    """What one process carries out commands with."""

    def __init__(self, outside: Outside, owner_id: str, gate: Gate) -> None:
        self._outside = outside
        self._owner_id = owner_id
        self._gate = gate

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        return None

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        await self._gate.passed()
        signal.throw_if_aborted()
        execution = self._outside.begin(self._owner_id, request)
        try:
            return await self._gate.through(lambda: self._outcome(execution, signal))
        except (Aborted, asyncio.CancelledError):
            # A process that is gone ends nothing.
            if not self._gate.is_dead:
                execution.end(StepFailed(Failure(FailureCode.INFRASTRUCTURE, "aborted")))
            raise

    async def _outcome(self, execution: Execution, signal: AbortSignal) -> StepOutcome:
        result = asyncio.shield(execution.result)
        if not execution.is_deaf:
            aborted = asyncio.ensure_future(signal.wait())
            try:
                await asyncio.wait({execution.result, aborted}, return_when=asyncio.FIRST_COMPLETED)
                if not execution.result.done() and not execution.is_deaf:
                    raise Aborted(aborted.result())
            finally:
                aborted.cancel()
        return await result
