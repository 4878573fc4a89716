"""What the journal of a simulation has ever held, also of runs that were deleted since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.model.events import StepChanged
from sidestep.store.memory import InMemoryRunStore
from tests.sim.question_model import QuestionModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.ports import Clock, Committed, Deleted
    from sidestep.model.run import RunRecord, RunStatus
    from sidestep.settings import Settings
    from sidestep.store.memory_journal import MemoryJournal


class Archive:
    """A store of its own on the journal, which hears everything; `on_step` gets (root's row, run id, event)."""

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        journal: MemoryJournal,
        on_step: Callable[[RunRecord, str, StepChanged], object],
    ) -> None:
        self._on_step = on_step
        self.events: dict[str, list[Any]] = {}
        self.rows: dict[str, RunRecord] = {}
        self.deleted: set[str] = set()
        self.questions = QuestionModel()
        self._ear = InMemoryRunStore(clock, settings, journal)
        self._ear._is_watching = True
        self._ear.listen(self._note)
        self._ear.listen_deleted(self._note_deleted)

    def catch_up(self) -> None:
        self._ear._hear()

    def status_at(self, run_id: str, sequence: int) -> RunStatus | None:
        """The status that the first `sequence` events tell."""
        told = [body.status for body in self.events.get(run_id, [])[:sequence] if hasattr(body, "epoch")]
        return told[-1] if told else None

    def _note(self, committed: Committed) -> None:
        record = committed.record
        bodies = self.events.setdefault(record.run_id, [])
        for event in committed.events:
            assert event.sequence == len(bodies) + 1, f"{record.run_id}: {event} after {len(bodies)} events"
            bodies.append(event.body)
            root = record if record.is_root else self.rows[record.root_run_id]
            self.questions.note(record, root, event.body)
            if isinstance(event.body, StepChanged):
                self._on_step(root, record.run_id, event.body)
        assert record.sequence == len(bodies), (
            f"{record.run_id}: the row says {record.sequence}, there are {len(bodies)}"
        )
        self.rows[record.run_id] = record

    def _note_deleted(self, deleted: Deleted) -> None:
        self.questions.forget(deleted.run_id)
        self.deleted |= {one for one, row in self.rows.items() if row.root_run_id == deleted.run_id}
