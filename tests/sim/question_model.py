"""
What the questions of a simulated world must be, as a dict: asked, answered once, withdrawn (P7).

Read off the events alone, in the order of their commits. A run that completes or fails, and a nested run that is given
up while its tree goes on, take their open questions with them without an event; a run that is stopped keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.events import InteractionChanged, InteractionStatus, StatusChanged
from sidestep.model.run import TERMINAL, RunRecord, RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidestep.store.memory_journal import StoredRun


@dataclass
class ModelQuestion:
    """
    Attributes:
        withdrawals: How often it was withdrawn; asked again, it is open again.
        accepted: The answer of which somebody was told that it is the first.
    """

    interaction_id: str
    run_id: str
    root_run_id: str
    step_id: str
    status: InteractionStatus
    answer: Any = None
    withdrawals: int = 0
    accepted: Any = field(default=None, repr=False)

    @property
    def is_open(self) -> bool:
        return self.status is InteractionStatus.ASKED

    def withdraw(self) -> None:
        if self.is_open:
            self.status = InteractionStatus.WITHDRAWN
            self.withdrawals += 1


class QuestionModel:
    """Every question there ever was, by id; those of deleted runs are forgotten."""

    def __init__(self) -> None:
        self.known: dict[str, ModelQuestion] = {}

    @property
    def open(self) -> list[ModelQuestion]:
        return [each for each in self.known.values() if each.is_open]

    def note(self, record: RunRecord, root: RunRecord, body: Any) -> None:
        """
        Args:
            root: The row of the run's root as it was committed last.
        """
        if isinstance(body, InteractionChanged):
            self._change(record, body)
        elif isinstance(body, StatusChanged):
            given_up = body.status is RunStatus.INTERRUPTED and not record.is_root and root.is_active
            for each in self.known.values():
                ends = record.run_id in (each.run_id, each.root_run_id) and body.status in TERMINAL
                if ends or (given_up and each.run_id == record.run_id):
                    each.withdraw()

    def forget(self, root_run_id: str) -> None:
        self.known = {one: each for one, each in self.known.items() if each.root_run_id != root_run_id}

    def _change(self, record: RunRecord, body: InteractionChanged) -> None:
        question = self.known.get(body.interaction_id)
        where = f"{body} of {record.run_id}, known as {question}"
        if body.status is InteractionStatus.ASKED:
            if question is None:
                question = self.known[body.interaction_id] = ModelQuestion(
                    body.interaction_id, record.run_id, record.root_run_id, body.step_id, body.status
                )
                return
            assert question.status is InteractionStatus.WITHDRAWN, f"asked again: {where}"
            question.status = InteractionStatus.ASKED
            return
        assert question is not None, f"never asked: {where}"
        assert question.is_open, f"not open: {where}"
        if body.status is InteractionStatus.ANSWERED:
            question.status, question.answer = body.status, body.answer
        else:
            question.withdraw()

    def check(self, runs: Mapping[str, StoredRun]) -> None:
        """The stored questions are the model's; rows count the open ones, a root's those of its tree."""
        for run_id, run in runs.items():
            record = run.record
            for question in run.questions.values():
                known = self.known.get(question.interaction_id)
                assert known is not None, f"nobody was told of {question}"
                answer = question.answer if question.answer_json is not None else None
                assert (question.status, answer) == (known.status, known.answer), f"{question} is not {known}"
            mine = [each for each in self.open if run_id in (each.run_id, each.root_run_id)]
            assert record.pending == len(mine), f"{run_id} counts {record.pending} open questions, not {mine}"
            assert not mine or record.status not in TERMINAL, f"{run_id} has {record.status.value}, and is asked {mine}"
