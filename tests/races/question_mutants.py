"""The rules of questions (P7), each broken alone; `mutants.py` names the race that has to notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec.structs

from sidestep.model import journal, questions
from sidestep.model.decision import Decision
from sidestep.model.events import InteractionStatus
from sidestep.model.run import TERMINAL
from sidestep.model.writes import Answer, Ask, Withdraw
from sidestep.service.answered import AnsweredQuestions
from sidestep.store import memory_transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from sidestep.model.ports import Committed
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Interrupt, QuestionWrite

    Patch = pytest.MonkeyPatch
    Decide = Callable[[RunRecord, RunRecord, QuestionWrite, Question | None, int], Decision]


def _deciding(patch: Patch, careless: Callable[[Decide], Decide]) -> None:
    patch.setattr(memory_transaction, "decide_question", careless(memory_transaction.decide_question))


def _as_if_open(decide: Decide, record: RunRecord, root: RunRecord, write: Any, question: Question, now_ms: int) -> Any:
    """What would be decided if the question were still open."""
    opened = msgspec.structs.replace(question, status=InteractionStatus.ASKED, answer_json=None)
    made = decide(msgspec.structs.replace(record, pending=record.pending + 1), root, write, opened, now_ms)
    return made._replace(pending=0)


def answer_overwrites_the_recorded_one(patch: Patch) -> None:
    def careless(decide: Decide) -> Decide:
        def deciding(record: RunRecord, root: RunRecord, write: Any, question: Any, now_ms: int) -> Decision:
            if isinstance(write, Answer) and question and not question.is_open and record.status not in TERMINAL:
                return _as_if_open(decide, record, root, write, question, now_ms)
            return decide(record, root, write, question, now_ms)

        return deciding

    _deciding(patch, careless)


def answered_question_is_withdrawn(patch: Patch) -> None:
    """Whoever gives a question up does not look whether it was answered at the same moment."""

    def careless(decide: Decide) -> Decide:
        def deciding(record: RunRecord, root: RunRecord, write: Any, question: Any, now_ms: int) -> Decision:
            if isinstance(write, Withdraw) and question and question.status is InteractionStatus.ANSWERED:
                return _as_if_open(decide, record, root, write, question, now_ms)
            return decide(record, root, write, question, now_ms)

        return deciding

    _deciding(patch, careless)


def question_asked_again(patch: Patch) -> None:
    """A resume puts the question anew, whatever became of it."""

    def careless(decide: Decide) -> Decide:
        def deciding(record: RunRecord, root: RunRecord, write: Any, question: Any, now_ms: int) -> Decision:
            if isinstance(write, Ask) and question and question.is_open:
                fewer = msgspec.structs.replace(record, pending=record.pending - 1)
                return decide(fewer, root, write, None, now_ms)._replace(pending=0)
            return decide(record, root, write, None if isinstance(write, Ask) else question, now_ms)

        return deciding

    _deciding(patch, careless)


def answer_to_a_stopped_run_dropped(patch: Patch) -> None:
    def careless(decide: Decide) -> Decide:
        def deciding(record: RunRecord, root: RunRecord, write: Any, question: Any, now_ms: int) -> Decision:
            if isinstance(write, Answer) and question and question.is_open and not record.is_active:
                return Decision(record)
            return decide(record, root, write, question, now_ms)

        return deciding

    _deciding(patch, careless)


def questions_without_fence(patch: Patch) -> None:
    """Ask and Withdraw under a claim that is over."""
    patch.setattr(questions, "_require_active", lambda record, root, claim_epoch: None)


def interrupt_withdraws_questions(patch: Patch) -> None:
    interrupt = journal._interrupt

    def closing(record: RunRecord, write: Interrupt, now_ms: int) -> Decision:
        made = interrupt(record, write, now_ms)
        return made._replace(record=msgspec.structs.replace(made.record, pending=0), withdraws_questions=True)

    patch.setattr(journal, "_interrupt", closing)


def given_up_question_stays_open(patch: Patch) -> None:
    """A step that was given up while its run goes on withdraws nothing."""

    def careless(decide: Decide) -> Decide:
        def deciding(record: RunRecord, root: RunRecord, write: Any, question: Any, now_ms: int) -> Decision:
            return Decision(record) if isinstance(write, Withdraw) else decide(record, root, write, question, now_ms)

        return deciding

    _deciding(patch, careless)


def answers_of_others_not_heard(patch: Patch) -> None:
    hear = AnsweredQuestions._hear

    def deaf(answered: AnsweredQuestions, committed: Committed) -> None:
        if committed.mine:
            hear(answered, committed)

    patch.setattr(AnsweredQuestions, "_hear", deaf)
