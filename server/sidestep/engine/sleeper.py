"""The durable `sleep`: its end was fixed when it first began, so time closed or asleep counts (P6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.model.execution import StepSucceeded

if TYPE_CHECKING:
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest
    from sidestep.model.ports import Clock

SLEEP_S_MAX = 366 * 24 * 3600


class SleepExecutor:
    """Waits until `wakeAtMs`, which the engine adds to the step's input."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        # Any number may sleep at once.
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        seconds = step_input["seconds"]
        if not 0 <= seconds <= SLEEP_S_MAX:
            return f"sleep takes 0 to {SLEEP_S_MAX} seconds, not {seconds}"
        return None

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        await signal.race(self._clock.sleep_until(request.input["wakeAtMs"]))
        return StepSucceeded(None)
