"""`sidestep runs answer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from sidestep.cli.answered_questions import answered_questions
from sidestep.cli.exits import Exit
from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import json_option, run_id_argument, store_option
from sidestep.cli.outcome import tell_refusal
from sidestep.cli.questions import (
    BY,
    lines_of_question,
    open_question_lines,
    problem_lines,
    prompt_of,
    read_answer,
)
from sidestep.cli.run_ids import find_run
from sidestep.cli.run_tree import read_tree
from sidestep.cli.terminal_line import is_a_person_there
from sidestep.cli.terminal_text import printable
from sidestep.model.errors import AnswerInvalid, InteractionNotPending, SidestepError
from sidestep.model.run import RunStatus
from sidestep_protocol.workflow import AnswerResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord
    from sidestep.service.requests import AnswerGiven
    from sidestep.service.workflows import WorkflowService


@click.command(
    short_help="Answer a question of a run.",
    epilog="""Examples:

\b
  sidestep runs answer last yes
  sidestep runs answer run_k3 '{"port": 8080}' --interaction port
""",
)
@run_id_argument
@click.argument("words", metavar="[ANSWER]", required=False)
@click.option("--interaction", metavar="ID|STEP", help="Which question, when the run has several.")
@store_option
@json_option("whether it was the first answer, and the one that is recorded,")
@pass_invocation
def answer(
    invocation: Invocation, run_id: str, words: str | None, interaction: str | None, store: str | None, as_json: bool
) -> int:
    """
    Answer a question that a run waits with, whichever process the run is in, or when it is interrupted.

    ANSWER is one of the choices or its number; JSON for a question with a schema; else any text. Left out, it is asked
    for. The first answer wins: a later one is told which that was, and the exit code is 5.
    """

    async def give(service: WorkflowService) -> tuple[RunRecord, AnswerGiven]:
        record = await find_run(service.store, run_id, str(workspace(None)))
        question = await _chosen(service, record, interaction, invocation)
        given = await _give(service, question, words)
        return await service.store.read(record.root_run_id), given

    try:
        root, given = with_service(store, give)
    except SidestepError as error:
        tell_refusal(error, as_json=as_json)
        raise
    if as_json:
        told = msgspec.json.encode(AnswerResult(accepted=given.accepted, recorded=given.recorded))
        click.echo(told.decode("utf-8", "surrogatepass"))
    elif given.accepted:
        click.echo("Answered.")
    if not given.accepted:
        recorded = msgspec.json.encode(given.recorded).decode("utf-8", "surrogatepass")
        click.echo(printable(f"It had been answered already: {recorded}"), err=True)
    if root.status is RunStatus.INTERRUPTED and not root.pending:
        click.echo(f"Go on with: {invocation.hint('runs', 'continue', root.run_id)}", err=True)
    return Exit.COMPLETED if given.accepted else Exit.NOT_FOUND


async def _chosen(
    service: WorkflowService, record: RunRecord, interaction: str | None, invocation: Invocation
) -> Question:
    """
    Raises:
        InteractionNotPending: the run has no such question, or none at all; names the answer it had last.
        click.UsageError: several are meant; lists them.
    """
    questions: Sequence[Question] = await service.store.open_questions(record.run_id)
    if interaction is not None:
        question = await service.store.read_question(interaction)
        if question is not None and record.run_id in (question.run_id, question.root_run_id):
            return question
        questions = [each for each in questions if each.step_id == interaction]
    if not questions:
        tree = await read_tree(service.store, record.run_id)
        answered = await answered_questions(service.store, [record, *(nested for _, nested in tree.below())])
        if interaction is None:
            won = answered[-1].answer_json if answered else None
            raise InteractionNotPending(interaction_id=record.run_id, recorded_json=won)
        questions = [each for each in answered if each.step_id == interaction][-1:]
    if not questions:
        raise InteractionNotPending(interaction_id=interaction or record.run_id)
    if len(questions) > 1:
        listed = printable("\n".join(open_question_lines(questions, invocation)))
        raise click.UsageError(f"{record.run_id} has {len(questions)} open questions; say which:\n{listed}")
    return questions[0]


async def _give(service: WorkflowService, question: Question, words: str | None) -> AnswerGiven:
    if words is not None:
        return await service.answer(question.interaction_id, read_answer(question, words), BY)
    for line in lines_of_question(question):
        click.echo(printable(line), err=True)
    if not is_a_person_there():
        raise click.UsageError("what is the answer? Give it behind the run")
    while True:
        # This process conducts nothing, so nothing waits while a person thinks.
        typed: Any = click.prompt(prompt_of(question).rstrip(), err=True, prompt_suffix=" ", type=str)
        if not typed.strip():
            continue
        try:
            return await service.answer(question.interaction_id, read_answer(question, typed), BY)
        except AnswerInvalid as invalid:
            click.echo(printable("\n".join(problem_lines(invalid.problems))), err=True)
