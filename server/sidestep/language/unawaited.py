"""
Steps that are called and surely never awaited, beyond the statements and operands that the check itself tells.

A name that anything reads may be awaited there, so only one that nothing reads is told. Invariant: warnings only.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from sidestep.scripts.edits import insertion
from sidestep.scripts.syntax import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.language.document import Snapshot
    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.syntax import ScriptSyntax


def unawaited_steps(snapshot: Snapshot) -> Iterator[ScriptProblem]:
    """Problems of coroutines that are kept in a name nobody reads, asked for their truth, or returned by `main`."""
    syntax, imports = snapshot.syntax, snapshot.imports
    if syntax is None or imports is None:
        return
    for call, primitive in imports.calls:
        why = _why_unawaited(syntax, call) if primitive.is_awaited else None
        if why is None:
            continue
        is_async = isinstance(syntax.function_of(call), ast.AsyncFunctionDef)
        at = syntax.span(call)
        fix = insertion(at.line, at.column, "await ") if is_async else None
        yield syntax.problem(
            call,
            "unawaited",
            f"{primitive.name}(...) {why}: await it",
            severity="warning",
            fix=fix,
            fix_title="Add await" if fix else None,
        )


def _why_unawaited(syntax: ScriptSyntax, call: ast.Call) -> str | None:
    parent = syntax.parents.get(call)
    match parent:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if (
            name not in syntax.read_names
        ):
            return f"is kept in {name!r} and never run"
        case ast.Return():
            main = syntax.function_of(call)
            is_main = isinstance(main, FUNCTIONS) and main.name == "main" and syntax.parents.get(main) is syntax.tree
            return "is returned before it is run" if is_main else None
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert() if parent.test is call:
            return "is true before it is run"
        case ast.UnaryOp(op=ast.Not()):
            return "is true before it is run"
        case _:
            return None
