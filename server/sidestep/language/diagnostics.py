"""
What is wrong with a script as an editor shows it: the one check that a start makes, and what only an editor should say.

Invariant: every problem that `scripts/check.py` finds is here as it finds it; what is added is a warning.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from sidestep.language.steps import argument
from sidestep.language.unawaited import unawaited_steps
from sidestep.scripts.check import SCRIPT_PROBLEMS_MAX, check, check_syntax
from sidestep.scripts.near_names import did_you_mean, near_names
from sidestep.scripts.source_file import too_long

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sidestep.language.document import Snapshot
    from sidestep.language.surroundings import Surroundings
    from sidestep.model.problems import ScriptProblem


def diagnose(snapshot: Snapshot, surroundings: Surroundings, *, bytes_max: int) -> list[ScriptProblem]:
    """
    Every problem of a script, in the order of the text.

    Args:
        bytes_max: Size limit of a script; a longer one is not looked at.
    """
    if snapshot.is_longer_than(bytes_max):
        return list(too_long(snapshot.file, bytes_max).problems)
    if snapshot.syntax is None or snapshot.imports is None:
        return check(snapshot.text, snapshot.file)
    _, problems = check_syntax(snapshot.syntax, snapshot.imports)
    told = {(problem.line, problem.column) for problem in problems if problem.code == "unawaited"}
    added = [each for each in unawaited_steps(snapshot) if (each.line, each.column) not in told]
    added += _unknown_agents(snapshot, surroundings)
    problems += added[: max(SCRIPT_PROBLEMS_MAX - len(problems), 0)]
    return sorted(problems, key=lambda problem: (problem.line, problem.column, problem.severity))


def _unknown_agents(snapshot: Snapshot, surroundings: Surroundings) -> Iterator[ScriptProblem]:
    """Agents that are configured nowhere: a warning, as another machine, or the next minute, may have them."""
    syntax, imports = snapshot.syntax, snapshot.imports
    if syntax is None or imports is None or surroundings.agents is None:
        return
    named = [
        (value, name)
        for call, primitive in imports.calls
        if primitive.name == "agent" and (value := argument(call, primitive, "agent")) is not None
        if isinstance(value, ast.Constant) and isinstance(name := value.value, str)
    ]
    known: Sequence[str] | None = surroundings.agents(snapshot.folder) if named else None
    if known is None:
        return
    for value, name in named:
        if name in known:
            continue
        near = near_names(name, known, count=1)
        yield syntax.problem(
            value,
            "unknown-agent",
            f"no agent {name!r} is configured here.{did_you_mean(name, known)}",
            severity="warning",
            fix=(syntax.span(value), f'"{near[0]}"') if near else None,
            fix_title=f"Change to {near[0]!r}" if near else None,
        )
