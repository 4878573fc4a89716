"""How a run that was waited for is told at the end: its result on stdout, everything about it on stderr."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from sidestep.cli.exits import Exit, exit_of_status
from sidestep.cli.questions import open_question_lines
from sidestep.cli.terminal_text import printable
from sidestep.lsp import convert, error_map
from sidestep.model.abort import AbortKind
from sidestep.model.run import FailureCode, RunStatus, loads
from sidestep.scripts.discovery import builtin_folder
from sidestep.store.results import read_result_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.cli.invocation import Invocation
    from sidestep.model.errors import SidestepError
    from sidestep.model.questions import Question
    from sidestep.model.run import Failure, RunRecord
    from sidestep.service.workflows import WorkflowService


async def questions_of(service: WorkflowService, record: RunRecord) -> Sequence[Question]:
    """What a run that was waited for still waits to be told."""
    return await service.store.open_questions(record.run_id) if record.pending else ()


def tell(
    record: RunRecord,
    invocation: Invocation,
    questions: Sequence[Question] = (),
    *,
    as_json: bool,
    as_events: bool,
) -> Exit:
    """
    Print the outcome and answer the exit code.

    Args:
        record: The row after the wait.
        questions: Its open ones.
        as_json: The outcome is one line of JSON, the last on stdout; with the open questions as `pending`.
        as_events: stdout is for JSON lines: the result stands among the events, not below them.
    """
    if as_json:
        click.echo(_outcome_json(record, questions))
    elif not as_events and record.status is RunStatus.COMPLETED:
        print_result(record)
    if not record.is_stopped:
        stop = invocation.hint("runs", "interrupt", record.run_id)
        _say(f"{record.run_id} goes on in another process.", f"Stop it with: {stop}")
        return Exit.INTERRUPTED
    if record.status is RunStatus.FAILED:
        _say(f"{record.run_id} failed: {failure_text(record.error)}", _what_next(record, invocation))
    elif record.status is RunStatus.INTERRUPTED and questions:
        go_on = invocation.hint("runs", "continue", record.run_id)
        _say(f"{record.run_id} is interrupted{_why(record)}: it waits for an answer.")
        _say(*open_question_lines(questions, invocation), "", "Then go on with:", f"  {go_on}")
    elif record.status is RunStatus.INTERRUPTED:
        go_on = invocation.hint("runs", "continue", record.run_id)
        _say(f"{record.run_id} is interrupted{_why(record)}. Finished steps are kept; go on with:", f"  {go_on}")
    return exit_of_status(record.status)


def _outcome_json(record: RunRecord, questions: Sequence[Question]) -> str:
    told: Any = convert.outcome(record)
    if questions:
        told = {**msgspec.to_builtins(told), "pending": [convert.interaction(question) for question in questions]}
    return msgspec.json.encode(told).decode("utf-8", "surrogatepass")


def tell_refusal(error: SidestepError, *, as_json: bool) -> None:
    """Print the one line of JSON of a command that was refused; the edge says the rest."""
    mapped = error_map.map_error(error) if as_json else None
    if mapped is not None:
        click.echo(json.dumps({"error": msgspec.to_builtins(mapped)}, ensure_ascii=True))


def print_result(record: RunRecord) -> None:
    """The report, set for a terminal or as it is; without one, the data as JSON."""
    if record.result is None:
        return
    result = record.result
    if result.file is not None:
        result = read_result_text(Path(result.file).read_bytes().decode("utf-8", "surrogatepass"))
    if result.report is not None:
        print_markdown(result.report)
    elif result.data_json is not None:
        click.echo(json.dumps(loads(result.data_json), indent=2))


def print_markdown(text: str) -> None:
    """Markdown on stdout: set by rich on a terminal, else the text itself."""
    if not sys.stdout.isatty():
        click.echo(text.encode("utf-8", "backslashreplace"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(printable(text)))


def failure_text(error: Failure | None) -> str:
    """`FILE:LINE: message`, as far as it is known."""
    if error is None:
        return "no reason is stored"
    where = f"{error.file}:{error.line}: " if error.file and error.line else ""
    return f"{where}{error.message}"


def wants_edited(record: RunRecord) -> bool:
    """True when a failed run goes on only with another script: no step of it can be done again."""
    has_failed_step = record.error is not None and record.error.step_id is not None and record.steps.failed > 0
    return not has_failed_step and failure_is_the_scripts(record.error)


def failure_is_the_scripts(error: Failure | None) -> bool:
    """True when only another script can help: it raised, or what it did itself, in no step, cannot be taken."""
    if error is None or error.code is FailureCode.INFRASTRUCTURE:
        return False
    return error.code is FailureCode.SCRIPT or error.step_id is None


def is_built_in(record: RunRecord) -> bool:
    """True for a run of a script that comes with Sidestep: people do not mend it."""
    return record.file is not None and Path(record.folder, record.file).parent == Path(builtin_folder())


def _why(record: RunRecord) -> str:
    """Why it is interrupted, as the end of a sentence."""
    if record.reason == AbortKind.DEADLINE.value:
        return ": its deadline passed"
    return f" ({record.reason})" if record.reason else ""


def _what_next(record: RunRecord, invocation: Invocation) -> str:
    go_on = ("runs", "continue", record.run_id)
    if is_built_in(record):
        return f"Try again, once what it says is mended, with: {invocation.hint(*go_on)}"
    if wants_edited(record):
        return f"Mend the script, then go on with: {invocation.hint(*go_on, '--edited')}"
    if record.error is not None and record.error.step_id is not None and record.steps.failed:
        return f"Do the failed steps again with: {invocation.hint(*go_on)}"
    return f"Try again with: {invocation.hint(*go_on)}"


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(printable(line), err=True)
