"""Answers to questions: read against what was asked, and stored once (P7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.model.errors import AnswerInvalid, InteractionNotPending, RunNotFound
from sidestep.model.questions import encode_answer
from sidestep.model.run import loads
from sidestep.model.writes import Answer
from sidestep.service.requests import AnswerGiven

if TYPE_CHECKING:
    from sidestep.engine.runner import RunnerParts
    from sidestep.model.questions import Question


async def give_answer(runner: RunnerParts, interaction_id: str, answer: Any, by: str) -> AnswerGiven:
    """
    Answer a question, whoever owns its run; the first durable answer wins (P7).

    Args:
        answer: A choice's id, a value that fits the question's schema, or text; JSON values.
        by: Who answers, for people.

    Raises:
        InteractionNotPending: it was never asked, or nobody needs the answer any more.
        AnswerInvalid: it is none of the choices, or does not fit the schema.
    """
    question = await runner.store.read_question(interaction_id)
    if question is None:
        raise InteractionNotPending(interaction_id=interaction_id)
    if not question.is_open:
        return _answered_already(question)
    text, problems = encode_answer(question, answer, runner.schemas, runner.settings.step_output_bytes_max)
    if problems:
        raise AnswerInvalid(interaction_id=interaction_id, problems=problems)
    try:
        await runner.store.write(Answer(question.run_id, interaction_id, text, by))
    except RunNotFound as gone:
        raise InteractionNotPending(interaction_id=interaction_id) from gone
    except InteractionNotPending as late:
        if late.recorded_json is None:
            raise
        return AnswerGiven(accepted=False, recorded=loads(late.recorded_json))
    return AnswerGiven(accepted=True, recorded=answer)


def _answered_already(question: Question) -> AnswerGiven:
    """
    Raises:
        InteractionNotPending: nor will it be: it was withdrawn.
    """
    if question.answer_json is None:
        raise InteractionNotPending(interaction_id=question.interaction_id)
    return AnswerGiven(accepted=False, recorded=question.answer)
