"""What whoever answers is told, and what a step that asks comes to: the first durable answer wins (P7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import InteractionNotPending, StoreUnavailable
from sidestep.model.events import InteractionStatus
from sidestep.model.questions import interaction_id
from sidestep.model.run import FailureCode, StepStatus, loads
from sidestep.service.requests import AnswerGiven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.events import StepChanged
    from sidestep.store.memory_journal import MemoryJournal
    from tests.sim.question_model import ModelQuestion, QuestionModel


@dataclass(eq=False)
class Given:
    """An answer; `was_open` and `withdrawals` are the question's when it was given."""

    question: ModelQuestion
    answer: str
    was_open: bool
    withdrawals: int


def given_faults(given: Given, reply: Any, error: Exception | None, model: QuestionModel) -> Iterator[str]:
    """Of an answer that was just replied to."""
    known = given.question
    if isinstance(reply, AnswerGiven):
        if known.status is not InteractionStatus.ANSWERED or reply.recorded != known.answer:
            yield f"{given} was replied to with {reply}, and the question is {known}"
        if reply.accepted:
            if reply.recorded != given.answer or known.accepted not in (None, given):
                yield f"{given} was accepted as {reply}, and before it {known.accepted}"
            known.accepted = given
    elif isinstance(error, InteractionNotPending):
        is_known = known.interaction_id in model.known
        if is_known and given.was_open and known.withdrawals == given.withdrawals:
            yield f"{given} was refused, and the question is {known}"
    elif not isinstance(error, StoreUnavailable):
        yield f"{given} was replied to with {error!r}"


def ask_faults(run_id: str, body: StepChanged, journal: MemoryJournal, model: QuestionModel) -> Iterator[str]:
    """A step that asks completes with the recorded answer; given up, it has none, and leaves nothing open."""
    what = f"{body.step_id} of {run_id} is {body.status.value}"
    known = model.known.get(interaction_id(run_id, body.key))
    if body.status is StepStatus.COMPLETED:
        run = journal.runs.get(run_id)
        output = None if run is None else run.steps[body.key][1].output_json
        if known is None or (output is not None and loads(output) != known.answer):
            yield f"{what} with {output}, and its question is {known}"
    elif body.status is StepStatus.FAILED:
        is_timeout = body.error is not None and body.error.code is FailureCode.TIMEOUT
        if not is_timeout or (known is not None and known.status is not InteractionStatus.WITHDRAWN):
            yield f"{what} ({body.error}), and its question is {known}"
    elif body.status is StepStatus.INTERRUPTED and known is not None and known.is_open:
        yield f"{what}, and its question is {known}"
