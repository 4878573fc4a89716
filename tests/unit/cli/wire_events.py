"""Events of one run as the protocol says them, for tests of what shows them."""

from __future__ import annotations

import itertools
from typing import Any

from sidestep_protocol import events as wire
from sidestep_protocol.runs import ErrorInfo
from sidestep_protocol.timestamps import format_timestamp

BEGAN_MS = 1_700_000_000_000


class Events:
    """Makes events one after the other, each 100 ms later than the one before."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def _next(self) -> dict[str, Any]:
        sequence = next(self._numbers)
        return {"sequence": sequence, "at": format_timestamp(BEGAN_MS + sequence * 100)}

    def status(self, status: str, **more: Any) -> wire.StatusEvent:
        return wire.StatusEvent(status=status, **self._next(), **more)

    def phase(self, name: str, **details: Any) -> wire.PhaseEvent:
        return wire.PhaseEvent(name=name, details=details, **self._next())

    def log(self, message: str, **more: Any) -> wire.LogEvent:
        return wire.LogEvent(message=message, **self._next(), **more)

    def step(self, step_id: str, status: str, **more: Any) -> wire.StepEvent:
        if status == "failed":
            more["error"] = ErrorInfo(message="exit code 1", code="step")
        return wire.StepEvent(
            step_id=step_id, kind="command", key=f"key of {step_id}", status=status, attempt=1, **self._next(), **more
        )

    def child(self, step_id: str, child_run_id: str, status: str = "pending") -> wire.ChildEvent:
        return wire.ChildEvent(step_id=step_id, child_run_id=child_run_id, name="review", status=status, **self._next())
