"""What is wrong with something that was written: a script at a place, a value at a path."""

from __future__ import annotations

from typing import Any

from sidestep.model.value import Value


class ScriptProblem(Value, frozen=True):
    """One thing wrong with a script. Lines and columns are 1-based; columns count characters."""

    line: int
    column: int
    message: str
    code: str
    end_line: int | None = None
    end_column: int | None = None
    severity: str = "error"
    # A replacement that surely mends it: (line, column, end_line, end_column, text), or None.
    fix: tuple[int, int, int, int, str] | None = None
    fix_title: str | None = None


class ArgsProblem(Value, frozen=True):
    """One argument that does not fit. `path` is a JSON pointer into the arguments (`/paths/0`), empty for the whole."""

    path: str
    message: str


def listed(problems: tuple[ArgsProblem, ...]) -> str:
    """All of them on one line, for people."""
    return "; ".join(f"{problem.path or '/'}: {problem.message}" for problem in problems)


def problem_data(problems: tuple[ArgsProblem, ...]) -> dict[str, Any]:
    """What a host gets of them."""
    return {"problems": [{"path": problem.path, "message": problem.message} for problem in problems]}
