"""
The static check of a script: everything that can be said about it without running it.

Severity: an error surely fails wherever it is reached, and nothing starts with one; a warning is likely a mistake.
Invariant: any text is checked, nothing is raised and nothing is run.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sidestep.scripts.constructs import check_constructs
from sidestep.scripts.imports import Imports, check_imports
from sidestep.scripts.names import check_names
from sidestep.scripts.signature import signature_of
from sidestep.scripts.step_calls import check_step_calls
from sidestep.scripts.syntax import parse

if TYPE_CHECKING:
    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.signature import ScriptSignature
    from sidestep.scripts.syntax import ScriptSyntax

# Problems told about one script; who has more mends these first.
SCRIPT_PROBLEMS_MAX = 200


def check(source: str, file: str) -> list[ScriptProblem]:
    """
    Every problem of a script, in the order of the text, at most `SCRIPT_PROBLEMS_MAX`.

    Args:
        source: Any text.
        file: What the script is called in messages.
    """
    return check_with_signature(source, file)[1]


def check_with_signature(source: str, file: str) -> tuple[ScriptSignature | None, list[ScriptProblem]]:
    """The signature of `main`, if it can be read, and what `check` gives; the text is parsed once."""
    syntax, problems = parse(source, file)
    return (None, problems) if syntax is None else check_syntax(syntax, Imports(syntax))


def check_syntax(syntax: ScriptSyntax, imports: Imports) -> tuple[ScriptSignature | None, list[ScriptProblem]]:
    """As `check_with_signature`, of a script that is parsed already."""
    signature, problems = signature_of(syntax)
    for found in (
        check_constructs(syntax),
        check_imports(syntax),
        check_names(syntax, imports),
        check_step_calls(syntax, imports),
    ):
        # Looking no further bounds the time a hostile file can take.
        problems += itertools.islice(found, SCRIPT_PROBLEMS_MAX)
    # Errors first, so that no number of warnings hides one.
    kept = sorted(problems, key=lambda problem: problem.severity != "error")[:SCRIPT_PROBLEMS_MAX]
    kept.sort(key=lambda problem: (problem.line, problem.column, problem.severity))
    return signature, kept


def has_errors(problems: list[ScriptProblem]) -> bool:
    """True when the script must not be run."""
    return any(problem.severity == "error" for problem in problems)
