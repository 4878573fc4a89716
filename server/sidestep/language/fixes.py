"""The quick fixes of a range: the replacements that problems carry where one is sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.scripts.source_text import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.model.problems import ScriptProblem


@dataclass(frozen=True)
class Fix:
    """One replacement; `text` has line feeds, whatever the document has."""

    title: str
    span: Span
    text: str
    problem: ScriptProblem


def span_of(problem: ScriptProblem) -> Span:
    """Where a problem stands; one without an end is a place."""
    end_line = problem.line if problem.end_line is None else problem.end_line
    end_column = problem.column if problem.end_column is None else problem.end_column
    return Span(problem.line, problem.column, end_line, end_column)


def fixes_in(problems: Sequence[ScriptProblem], wanted: Span) -> list[Fix]:
    """Fixes of the problems that touch a range; a cursor is an empty one."""
    found: list[Fix] = []
    for problem in problems:
        at = span_of(problem)
        begins_after = (at.line, at.column) > (wanted.end_line, wanted.end_column)
        ends_before = (at.end_line, at.end_column) < (wanted.line, wanted.column)
        if problem.fix is None or begins_after or ends_before:
            continue
        *place, text = problem.fix
        line, column, end_line, end_column = place
        found.append(Fix(problem.fix_title or "Fix it", Span(line, column, end_line, end_column), text, problem))
    return found
