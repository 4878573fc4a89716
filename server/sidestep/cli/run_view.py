"""
What a terminal shows of one run: built from the protocol's events, whoever delivers them.

Pure state: no console, no clock of its own, bounded whatever the run does. `card.py` and `plain.py` draw it.
"""

from __future__ import annotations

import collections
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from sidestep.cli.spending import kept_text, usage_text
from sidestep_protocol import events as wire
from sidestep_protocol.runs import STOPPED_STATUSES
from sidestep_protocol.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.run import RunRecord
    from sidestep_protocol.runs import StepSummary

FINISHED_KEPT = 100
LOGS_KEPT = 5


@dataclass
class StepLine:
    """
    One step as shown. Times are milliseconds since the epoch.

    Attributes:
        reused: An earlier execution did the work.
        child: The nested run that does the work: `NAME RUN_ID`, or its id alone.
    """

    key: str
    name: str
    status: str
    started_at_ms: int
    duration_ms: int | None = None
    reused: bool = False
    error: str | None = None
    child: str | None = None


@dataclass
class RunView:
    """
    One run.

    Attributes:
        running: Steps in flight by key, in the order they started.
        finished: The last steps that ended, oldest first.
        spending: What was not spent again, and what was used in all; a line each, as far as there is anything to say.
    """

    name: str
    run_id: str = ""
    status: str = "pending"
    reason: str | None = None
    phase: str | None = None
    started_at_ms: int | None = None
    running: dict[str, StepLine] = field(default_factory=dict[str, StepLine])
    finished: collections.deque[StepLine] = field(
        default_factory=lambda: collections.deque[StepLine](maxlen=FINISHED_KEPT)
    )
    logs: collections.deque[str] = field(default_factory=lambda: collections.deque[str](maxlen=LOGS_KEPT))
    # Titles of the run's open questions, by interaction id.
    questions: dict[str, str] = field(default_factory=dict[str, str])
    completed: int = 0
    reused: int = 0
    failed: int = 0
    spending: list[str] = field(default_factory=list[str])
    # The last started step of each id that has not ended: a nested run's events name the id alone.
    _by_id: dict[str, StepLine] = field(default_factory=dict[str, StepLine])

    @property
    def is_stopped(self) -> bool:
        return self.status in STOPPED_STATUSES

    def spent(self, record: RunRecord) -> None:
        """Take over the sums on the run's row: its events do not tell what nested runs and cut-off steps used."""
        steps, used = record.all_steps, usage_text(record.all_usage)
        kept = kept_text(steps.reused, steps.known, record.kept)
        self.spending = [line for line in (kept, used and f"{used} used") if line]

    def seed(self, steps: Iterable[StepSummary]) -> None:
        """Take over what earlier executions did, before the run goes on: their completed steps are reused."""
        for step in steps:
            if step.status != "completed":
                continue
            started_at_ms = parse_timestamp(step.started_at)
            ended_at_ms = started_at_ms if isinstance(step.ended_at, UnsetType) else parse_timestamp(step.ended_at)
            name = step_name(step.step_id, step.title)
            line = StepLine(step.key, name, "completed", started_at_ms, ended_at_ms - started_at_ms, reused=True)
            line.child = step.child_run_id or None
            self.finished.append(line)
            self.reused += 1

    def take(self, event: wire.Event) -> StepLine | None:
        """Apply one event, in order. Returns the step it changed, if it is a step's."""
        at_ms = parse_timestamp(event.at)
        if self.started_at_ms is None:
            self.started_at_ms = at_ms
        match event:
            case wire.StatusEvent():
                self.status = event.status
                self.reason = event.reason or None
                if self.is_stopped:
                    self.running.clear()
                    self._by_id.clear()
            case wire.PhaseEvent():
                self.phase = phase_text(event)
            case wire.LogEvent():
                self.logs.append(log_text(event))
            case wire.StepEvent():
                return self._take_step(event, at_ms)
            case wire.InteractionEvent():
                self.questions.pop(event.interaction_id, None)
                if event.status == "asked":
                    self.questions[event.interaction_id] = event.title or event.interaction_id
            case wire.ChildEvent():
                line = self._by_id.get(event.step_id)
                if line is not None:
                    line.child = " ".join(word for word in (event.name, event.child_run_id) if word)
            case _:
                pass
        return None

    def _take_step(self, event: wire.StepEvent, at_ms: int) -> StepLine:
        line = self.running.pop(event.key, None)
        if line is None:
            line = StepLine(event.key, step_name(event.step_id, event.title), event.status, at_ms)
        line.status = event.status
        if event.status in ("queued", "started"):
            line.started_at_ms = at_ms
            self.running[event.key] = line
            self._by_id[event.step_id] = line
            return line
        if self._by_id.get(event.step_id) is line:
            del self._by_id[event.step_id]
        line.duration_ms = at_ms - line.started_at_ms if event.duration_ms is UNSET else int(event.duration_ms or 0)
        if event.error is not UNSET and event.error:
            line.error = event.error.message
        self.completed += event.status == "completed"
        self.failed += event.status == "failed"
        self.finished.append(line)
        return line


def step_name(step_id: str, title: str | UnsetType) -> str:
    """What a person calls a step: its title with its id, or its id."""
    return f"{title} ({step_id})" if title else step_id


def phase_text(event: wire.PhaseEvent) -> str:
    """`verify (round=1)`."""
    return event.name + _details(event.details)


def log_text(event: wire.LogEvent) -> str:
    """`12 files changed (folder=src)`, with its level unless it is info."""
    level = event.level or "info"
    prefix = "" if level == "info" else f"{level}: "
    return prefix + event.message + _details(event.data)


def question_text(event: wire.InteractionEvent) -> str:
    """`Ship it?`, and once it is over: `answered by terminal: "yes"`, or `withdrawn`."""
    if event.status == "asked":
        return event.title or event.interaction_id
    by = f" by {event.by}" if event.by else ""
    given = "" if event.answer is UNSET else f": {json.dumps(event.answer, ensure_ascii=False)}"
    return f"{event.step_id or event.interaction_id} {event.status}{by}{given}"


def child_text(event: wire.ChildEvent) -> str:
    """`review run_k3 begins (step check)`; from then on its own events tell of it."""
    status = {"pending": "begins", "running": "goes on"}.get(event.status, event.status)
    return f"{event.name or 'a workflow'} {event.child_run_id} {status} (step {event.step_id})"


def _details(details: dict[str, Any] | UnsetType) -> str:
    if not details:
        return ""
    words = [f"{k}={v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)}" for k, v in details.items()]
    return f" ({', '.join(words)})"
