"""One step that is to be done in this execution, and what is journaled of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.abort import AbortController
from sidestep.model.events import StepChanged
from sidestep.model.run import StepStatus

if TYPE_CHECKING:
    from sidestep.model.execution import Call
    from sidestep.model.run import Failure, StepRecord
    from sidestep.model.usage import Usage


@dataclass
class StepWork:
    """One step that is to be done."""

    call: Call
    call_id: int
    step_id: str
    key: str
    input: dict[str, Any]
    attempt: int
    phase: str | None
    title: str | None
    timeout_s: float | None
    grace_s: float
    final_instructions: str | None
    earlier: StepRecord | None
    # Nothing is known of what became of the last delivery of this very attempt.
    redelivery: bool
    controller: AbortController = field(default_factory=AbortController)

    def wake_at(self, now_ms: int) -> int | None:
        """When a sleep ends (ms): fixed by its first start; None for other kinds."""
        if self.call.name != "sleep":
            return None
        if self.earlier is not None and self.earlier.wake_at_ms is not None:
            return self.earlier.wake_at_ms
        return now_ms + round(self.input["seconds"] * 1000)

    def event(
        self,
        status: StepStatus,
        *,
        duration_ms: int | None = None,
        error: Failure | None = None,
        reason: str | None = None,
        wake_at_ms: int | None = None,
        usage: Usage | None = None,
    ) -> StepChanged:
        """What is journaled of it."""
        started = status in (StepStatus.QUEUED, StepStatus.STARTED)
        return StepChanged(
            step_id=self.step_id,
            kind=self.call.name,
            key=self.key,
            status=status,
            attempt=self.attempt,
            title=self.title if started else None,
            phase=self.phase if started else None,
            line=self.call.line if started else None,
            duration_ms=duration_ms,
            error=error,
            reason=reason,
            wake_at_ms=wake_at_ms,
            usage=usage,
        )
