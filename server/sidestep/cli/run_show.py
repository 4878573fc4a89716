"""`sidestep runs show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from sidestep.cli.answered_questions import answered_questions
from sidestep.cli.invocation import Invocation, pass_invocation
from sidestep.cli.opening import with_service, workspace
from sidestep.cli.options import json_option, run_id_argument, store_option
from sidestep.cli.outcome import failure_text, print_result, questions_of
from sidestep.cli.questions import answered_lines, open_question_lines
from sidestep.cli.run_ids import find_run
from sidestep.cli.run_tree import read_tree, tree_lines
from sidestep.cli.run_view import step_name
from sidestep.cli.spending import kept_text, usage_text
from sidestep.cli.terminal_text import duration, local_time, one_line, plural, printable, table
from sidestep.lsp import convert
from sidestep.model.run import RunStatus
from sidestep_protocol.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.cli.run_tree import RunTree
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord
    from sidestep.service.workflows import WorkflowService
    from sidestep_protocol.runs import StepSummary


@click.command(epilog="Example: sidestep runs show last")
@run_id_argument
@store_option
@json_option("the run with its result, its steps, its questions and its nested runs")
@pass_invocation
def show(invocation: Invocation, run_id: str, store: str | None, as_json: bool) -> None:
    """Show a run: status, questions, steps, nested runs, report."""

    async def read(
        service: WorkflowService,
    ) -> tuple[RunRecord, Sequence[Question], Sequence[Question], list[StepSummary], RunTree, str]:
        record = await find_run(service.store, run_id, str(workspace(None)))
        page = await service.store.read_steps(record.run_id)
        steps = [convert.step_summary(step, record, None) for step in page.items]
        questions = await questions_of(service, record)
        tree = await read_tree(service.store, record.run_id)
        known = [record, *(nested for _, nested in tree.below())]
        answered = await answered_questions(service.store, known)
        return record, questions, answered, steps, tree, service.owner_id

    record, questions, answered, steps, tree, owner_id = with_service(store, read)
    if as_json:
        detail = convert.run_detail(record, owner_id, ["result", "args"], None)
        nested = [convert.run_summary(each, owner_id) for _, each in tree.below()]
        pending = [convert.interaction(question) for question in questions]
        shown = {
            "run": detail,
            "steps": steps,
            "pending": pending,
            "answered": [_answered(question) for question in answered],
            "nested": nested,
        }
        click.echo(msgspec.json.encode(shown))
        return
    for line in [*_head(record), *_questions(questions, answered, invocation), *_steps(steps), *tree_lines(tree)]:
        click.echo(printable(line))
    if record.result is not None:
        click.echo()
        print_result(record)


def _head(record: RunRecord) -> list[str]:
    reason = f" ({record.reason})" if record.reason else ""
    rows = [["run", record.run_id], ["workflow", record.name]]
    if record.label:
        rows.append(["label", one_line(record.label)])
    if record.parent_run_id is not None:
        rows.append(["parent", record.parent_run_id])
        rows.append(["root", record.root_run_id])
    rows += [["folder", record.folder], ["status", record.status.value + reason + _kept(record)]]
    if record.owner is not None:
        rows.append(["owner", f"process {record.owner.pid} since {local_time(record.owner.since_ms)}"])
    rows.append(["created", local_time(record.created_at_ms)])
    if record.deadline_at_ms is not None and record.is_active:
        rows.append(["deadline", local_time(record.deadline_at_ms)])
    if record.ended_at_ms is not None:
        rows.append(["ended", f"{local_time(record.ended_at_ms)}, after {_lasted(record)}"])
    if kept := kept_text(record.all_steps.reused, record.all_steps.known, record.kept):
        rows.append(["kept", kept])
    if used := usage_text(record.all_usage):
        rows.append(["used", used])
    if record.phase:
        rows.append(["phase", one_line(record.phase)])
    if record.args_json != "{}":
        rows.append(["arguments", one_line(record.args_json)])
    if record.error is not None:
        first, *rest = failure_text(record.error).splitlines() or [""]
        rows += [["error", first], *(["", line] for line in rest)]
    return table(rows)


def _questions(questions: Sequence[Question], answered: Sequence[Question], invocation: Invocation) -> list[str]:
    lines: list[str] = []
    if questions:
        lines += ["", f"Open questions ({len(questions)}):", *open_question_lines(questions, invocation)]
    if answered:
        lines += ["", "Answered questions:", *answered_lines(answered)]
    return lines


def _answered(question: Question) -> dict[str, Any]:
    """As an open one, with the answer and who gave it."""
    asked = msgspec.to_builtins(convert.interaction(question))
    return {**asked, "answer": question.answer, **({"by": question.by} if question.by else {})}


def _kept(record: RunRecord) -> str:
    """What is not done again when a stopped run goes on."""
    if record.is_active or record.status is RunStatus.COMPLETED:
        return ""
    return f", {record.steps.completed} of {plural(record.steps.known, 'step')} kept"


def _lasted(record: RunRecord) -> str:
    return duration((record.ended_at_ms or record.updated_at_ms) - record.created_at_ms)


def _steps(steps: list[StepSummary]) -> list[str]:
    if not steps:
        return ["", "No steps."]
    rows = [
        [step.status, _took(step), "reused" if step.reused else "", one_line(step_name(step.step_id, step.title), 80)]
        for step in steps
    ]
    lines: list[str] = []
    for step, line in zip(steps, table(rows), strict=True):
        lines.append("  " + line)
        if step.error:
            lines.append("      " + one_line(step.error.message))
    return ["", f"Steps ({len(steps)}):", *lines]


def _took(step: StepSummary) -> str:
    if not step.ended_at:
        return ""
    return duration(parse_timestamp(step.ended_at) - parse_timestamp(step.started_at))
