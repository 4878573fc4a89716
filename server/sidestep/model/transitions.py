"""
The one table of what may follow what, and the one function that reads it.

Store, service and runner all come here; nobody else compares statuses to decide legality. The diagram in
`server/ARCHITECTURE.md` is generated from the table.
"""

from __future__ import annotations

import enum

from sidestep.model.errors import InvalidTransition
from sidestep.model.run import RunStatus


class RunEvent(enum.Enum):
    """What can happen to a run as a whole."""

    BEGIN = "begin"  # The creating owner starts the script.
    BACKGROUND = "background"  # The waiting request is released.
    COMPLETE = "complete"  # `main` returned.
    FAIL = "fail"  # The script raised, or could not be run.
    INTERRUPT = "interrupt"  # Stop durably.
    RESUME = "resume"  # Go on after an interrupt.
    RETRY = "retry"  # Go on after a failure, doing failed steps again.


_S, _E = RunStatus, RunEvent

TRANSITIONS: dict[tuple[RunStatus, RunEvent], RunStatus] = {
    (_S.PENDING, _E.BEGIN): _S.RUNNING,
    (_S.PENDING, _E.FAIL): _S.FAILED,
    (_S.PENDING, _E.INTERRUPT): _S.INTERRUPTED,
    (_S.RUNNING, _E.BACKGROUND): _S.BACKGROUNDED,
    (_S.RUNNING, _E.COMPLETE): _S.COMPLETED,
    (_S.RUNNING, _E.FAIL): _S.FAILED,
    (_S.RUNNING, _E.INTERRUPT): _S.INTERRUPTED,
    (_S.BACKGROUNDED, _E.COMPLETE): _S.COMPLETED,
    (_S.BACKGROUNDED, _E.FAIL): _S.FAILED,
    (_S.BACKGROUNDED, _E.INTERRUPT): _S.INTERRUPTED,
    (_S.INTERRUPTED, _E.INTERRUPT): _S.INTERRUPTED,
    (_S.INTERRUPTED, _E.RESUME): _S.RUNNING,
    (_S.INTERRUPTED, _E.RETRY): _S.RUNNING,
    (_S.FAILED, _E.RETRY): _S.RUNNING,
}

_WHY_NOT: dict[RunEvent, str] = {
    RunEvent.BEGIN: "only a pending run can begin",
    RunEvent.BACKGROUND: "only a running run can be moved to the background",
    RunEvent.COMPLETE: "only a running run can complete",
    RunEvent.FAIL: "only an active run can fail",
    RunEvent.INTERRUPT: "it has already ended",
    RunEvent.RESUME: "only an interrupted run can be resumed",
    RunEvent.RETRY: "only a failed or interrupted run can be retried",
}


def next_status(run_id: str, status: RunStatus, event: RunEvent) -> RunStatus:
    """
    The status after `event`.

    Raises:
        InvalidTransition: the table has no such arrow.
    """
    follows = TRANSITIONS.get((status, event))
    if follows is None:
        raise InvalidTransition(run_id=run_id, status=status.value, why=_WHY_NOT[event])
    return follows


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    arrows = [f"    {a.value} --> {b.value}: {event.value}" for (a, event), b in TRANSITIONS.items() if a is not b]
    return "\n".join(["stateDiagram-v2", "    [*] --> pending: create", *arrows, "    completed --> [*]"])
