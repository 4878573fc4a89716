"""What a person is told when a command is refused: one clear line, the list of problems, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidestep.cli.questions import problem_lines
from sidestep.cli.run_ids import LAST_OF
from sidestep.cli.terminal_text import local_time, one_line, place_text, printable
from sidestep.model.errors import (
    AnswerInvalid,
    ArgsInvalid,
    InteractionNotPending,
    InvalidTransition,
    RunLeased,
    RunNotFound,
    ScriptInvalid,
    ScriptNotFound,
    SidestepError,
    StoreUnavailable,
    WorkspaceUntrusted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.cli.invocation import Invocation


def complain(error: SidestepError, invocation: Invocation) -> None:
    """Print an error on stderr."""
    first, *rest = lines_of(error, invocation)
    click.echo(printable(f"sidestep: {first}"), err=True)
    for line in rest:
        click.echo(printable(line), err=True)


def lines_of(error: SidestepError, invocation: Invocation) -> list[str]:
    """The first line says what is wrong; the others list problems and say what to do."""
    for kind, tell in _TOLD.items():
        if isinstance(error, kind):
            return tell(error, invocation)
    return str(error).splitlines() or [type(error).__name__]


def problem_line(file: str, line: int, column: int, message: str, severity: str = "error") -> str:
    """`FILE:LINE:COLUMN: error: MESSAGE`, as compilers print it and editors jump to it."""
    return f"{file}:{line}:{column}: {severity}: {message}"


def _untrusted(error: WorkspaceUntrusted, invocation: Invocation) -> list[str]:
    return [
        f"{error.folder} is not trusted, so nothing runs there. Trust it with:",
        f"  {invocation.hint('trust', error.folder)}",
        "or give --trust to trust it for this command only.",
    ]


def _script_invalid(error: ScriptInvalid, _: Invocation) -> list[str]:
    found = [problem_line(error.file, p.line, p.column, p.message, p.severity) for p in error.problems]
    return [f"{error.file} cannot run as it is written:", *found]


def _script_not_found(error: ScriptNotFound, invocation: Invocation) -> list[str]:
    beside = f"{error.name}.py"
    if error.name == invocation.typed_script and Path(beside).is_file():
        return [str(error), f"There is a file of that name here: {invocation.hint('run', beside)}"]
    return [str(error), "`sidestep scripts` lists what there is."]


def _args_invalid(error: ArgsInvalid, invocation: Invocation) -> list[str]:
    problems = [f"  {_argument(p.path)}{p.message}" for p in error.problems]
    asked = invocation.hint("run", invocation.typed_script or error.name, "--help")
    hint = f"`{asked}` shows what it takes."
    return [f"the arguments do not fit {error.name!r}:", *problems, hint]


def _argument(path: str) -> str:
    """A JSON pointer as a person names an argument: `paths/0: `; nothing for the whole."""
    name = place_text(path)
    return f"{name}: " if name else ""


def _run_not_found(error: RunNotFound, invocation: Invocation) -> list[str]:
    hint = f"`{invocation.hint('runs', 'list', '--all')}` lists what there is."
    if error.run_id.startswith(LAST_OF):
        return [f"there is no run yet in {error.run_id.removeprefix(LAST_OF)}, so there is no last one.", hint]
    return [str(error), hint]


def _run_leased(error: RunLeased, invocation: Invocation) -> list[str]:
    return [
        f"{error.run_id} is being run by process {error.pid} since {local_time(error.since_ms)}.",
        f"Stop it there with: {invocation.hint('runs', 'interrupt', error.run_id)}",
    ]


def _invalid_transition(error: InvalidTransition, invocation: Invocation) -> list[str]:
    root = error.root_run_id
    if root is None:
        return str(error).splitlines()
    if not invocation.typed_verb:
        return [str(error), f"Its root is {root}."]
    return [f"{error.run_id} is a nested run of {root}. Ask for the whole tree:", f"  {invocation.hint_for(root)}"]


def _answer_invalid(error: AnswerInvalid, _: Invocation) -> list[str]:
    return ["that is no answer to the question:", *(f"  {line}" for line in problem_lines(error.problems))]


def _not_pending(error: InteractionNotPending, invocation: Invocation) -> list[str]:
    if not error.interaction_id.startswith("run_"):
        return [str(error)]
    lines = [f"{error.interaction_id} has no open question."]
    if error.recorded_json is not None:
        shown = invocation.hint("runs", "show", error.interaction_id)
        lines += [f"Its last one was answered already: {one_line(error.recorded_json)}", f"`{shown}` shows them."]
    return lines


def _store_unavailable(error: StoreUnavailable, _: Invocation) -> list[str]:
    return [error.what, error.todo]


_TOLD: dict[type[SidestepError], Callable[..., list[str]]] = {
    WorkspaceUntrusted: _untrusted,
    ScriptInvalid: _script_invalid,
    ScriptNotFound: _script_not_found,
    ArgsInvalid: _args_invalid,
    RunNotFound: _run_not_found,
    RunLeased: _run_leased,
    InvalidTransition: _invalid_transition,
    StoreUnavailable: _store_unavailable,
    AnswerInvalid: _answer_invalid,
    InteractionNotPending: _not_pending,
}
