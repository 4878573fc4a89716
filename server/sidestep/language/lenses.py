"""
What a person can do with a script and its runs, as code lenses and code actions offer it: titles and commands.

Pure presentation: which verb is legal is decided where it is carried out. The commands' names and arguments are the
contract's ("Commands" in protocol/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidestep.model.run import FailureCode, RunStatus
from sidestep.scripts.syntax import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.language.document import Snapshot
    from sidestep.model.run import RunRecord
    from sidestep.scripts.source_text import Span

# Characters of a title; editors show it on one line.
TITLE_MAX = 80


@dataclass(frozen=True)
class Offer:
    """
    Attributes:
        command: As `workspace/executeCommand` takes it, with its one argument.
    """

    title: str
    command: str
    argument: dict[str, Any]


def main_span(snapshot: Snapshot) -> tuple[Span, Span] | None:
    """
    Where `main` stands, in the last text that was Python.

    Returns:
        (its first line, the whole of it), or None without one.
    """
    readable = snapshot.readable
    if readable is None or readable.syntax is None:
        return None
    syntax = readable.syntax
    for node in reversed(syntax.tree.body):
        if isinstance(node, FUNCTIONS) and node.name == "main":
            whole = syntax.span(node)
            end_column = len(syntax.text.lines[whole.line - 1]) + 1
            return type(whole)(whole.line, whole.column, whole.line, end_column), whole
    return None


def current_run(runs: Sequence[RunRecord]) -> RunRecord | None:
    """The run that is spoken of: the newest active one, else the newest."""
    return next((run for run in runs if run.is_active), runs[0] if runs else None)


def offers(uri: str, runs: Sequence[RunRecord], source_hash: str) -> list[Offer]:
    """
    What is offered for a script, the likeliest first.

    Args:
        runs: Of the script, newest first.
        source_hash: Of the script's present text; a stopped run of another one can go on with it.
    """
    begin = Offer("Run", "sidestep.run", {"uri": uri})
    run = current_run(runs)
    if run is None:
        return [begin]
    one = {"runId": run.run_id}
    show = Offer(_cut(f"Last run: {state_text(run)}"), "sidestep.showRun", one)
    if run.is_active:
        return [Offer("Interrupt", "sidestep.interrupt", one), show]
    if run.status is RunStatus.COMPLETED:
        return [begin, show]
    edited = run.source_hash != source_hash
    kept = kept_text(run)
    go_on: list[Offer] = []
    if run.status is RunStatus.INTERRUPTED:
        go_on.append(Offer(f"Resume{kept}", "sidestep.resume", one))
    elif not needs_edit(run):
        go_on.append(Offer(f"Retry{kept}", "sidestep.retry", one))
    if edited:
        title = f"Continue with the edited script{kept}"
        go_on.append(Offer(title, "sidestep.retry", {**one, "source": "current"}))
    return [*go_on, begin, show]


def needs_edit(run: RunRecord) -> bool:
    """Whether a failed run can only go on with another script: it failed by itself, and no step can be done again."""
    error = run.error
    if error is None or error.code is FailureCode.INFRASTRUCTURE or run.steps.failed:
        return False
    return error.step_id is None


def kept_text(run: RunRecord) -> str:
    """` (3 of 7 steps kept)`; empty for a run without steps."""
    known = run.steps.known
    return f" ({run.steps.completed} of {known} {'step' if known == 1 else 'steps'} kept)" if known else ""


def state_text(run: RunRecord) -> str:
    """What a run does or how it ended, on one line."""
    counted = f"{run.steps.completed} step{'' if run.steps.completed == 1 else 's'} done"
    if run.is_active:
        what = "waits for an answer" if run.pending else run.phase or run.status.value
        return f"{what}, {counted}"
    if run.status is RunStatus.FAILED:
        return f"failed: {_first_line(run.error.message if run.error is not None else '')}"
    if run.status is RunStatus.INTERRUPTED:
        return f"interrupted ({run.reason}), {counted}" if run.reason else f"interrupted, {counted}"
    report = _first_line((run.result.report if run.result is not None else None) or "")
    return f"completed: {report}" if report else f"completed, {counted}"


def _first_line(text: str) -> str:
    return next((line.strip().lstrip("# ") for line in text.splitlines() if line.strip()), "")


def _cut(text: str) -> str:
    return text if len(text) <= TITLE_MAX else f"{text[: TITLE_MAX - 1]}…"
