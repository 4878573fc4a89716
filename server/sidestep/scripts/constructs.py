"""
Python the sandbox refuses before it runs anything: each construct with what to write instead.

Invariant: everything reported here as an error makes the sandbox refuse the whole script.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from sidestep.scripts.sandbox_language import NESTING_MAX
from sidestep.scripts.source_text import Span
from sidestep.scripts.syntax import problem_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.syntax import ScriptSyntax

_CODE = "unsupported"
# Whatever else a script holds, of which there is much more, needs no look.
_MAYBE_REFUSED: frozenset[type[ast.AST]] = frozenset(
    {
        *(ast.ClassDef, ast.Yield, ast.YieldFrom, ast.Delete, ast.AsyncWith, ast.AsyncFor, ast.TryStar),
        *(ast.comprehension, ast.AugAssign),
    }
)


def check_constructs(syntax: ScriptSyntax) -> Iterator[ScriptProblem]:
    """Problems of refused syntax."""
    for node in syntax.nodes:
        if type(node) not in _MAYBE_REFUSED:
            continue
        match node:
            case ast.ClassDef():
                yield from _check_class(syntax, node)
            case ast.Yield() | ast.YieldFrom():
                yield syntax.problem(node, _CODE, "scripts have no `yield`; build a list and return it")
            case ast.Delete():
                yield _deletion(syntax, node)
            case ast.AsyncWith():
                yield _head(syntax, node, "async with", "scripts have no `async with`")
            case ast.AsyncFor():
                yield _head(syntax, node, "async for", "scripts have no `async for`; use `for` and `await` in its body")
            case ast.TryStar():
                yield _head(syntax, node, "try", "scripts have no `except*`; use `except`")
            case ast.comprehension(is_async=1):
                message = "scripts have no `async for` in a comprehension; `await` may stand in an ordinary one"
                yield syntax.problem(node.target, _CODE, message)
            case ast.AugAssign(op=ast.MatMult()):
                yield syntax.problem(node, _CODE, "scripts have no `@=`")
            case _:
                pass
    yield from _check_nesting(syntax)


def _check_class(syntax: ScriptSyntax, node: ast.ClassDef) -> Iterator[ScriptProblem]:
    for base in [*node.bases, *node.keywords]:
        message = "scripts have no class inheritance"
        if isinstance(base, ast.Name) and base.id.endswith(("Error", "Exception")):
            message += ", so no exceptions of their own; raise RuntimeError(...)"
        yield syntax.problem(base, _CODE, message)
        break
    for statement in node.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for decorator in statement.decorator_list:
                    yield syntax.problem(decorator, _CODE, "methods have no decorators in a script")
                    break
            case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name()) | ast.Pass():
                pass
            case ast.Expr() if _is_harmless(statement):
                pass
            case ast.Assign() | ast.AnnAssign():
                yield syntax.problem(statement, _CODE, "in a class, only `name = value` assigns")
            case _:
                message = "a class body holds methods and `name = value` only"
                yield _first_line(syntax, statement, message)


def _is_harmless(statement: ast.Expr) -> bool:
    value = statement.value
    return isinstance(value, ast.Constant) and (isinstance(value.value, str) or value.value is ...)


def _deletion(syntax: ScriptSyntax, node: ast.Delete) -> ScriptProblem:
    message = "scripts have no `del`"
    match node.targets:
        case [ast.Subscript(value=container, slice=key)] if not isinstance(key, ast.Slice | ast.Tuple):
            text = syntax.text
            replacement = f"{text.slice(syntax.span(container))}.pop({text.slice(syntax.span(key))})"
            return syntax.problem(
                node,
                _CODE,
                f"{message}; use `.pop(...)`",
                fix=(syntax.span(node), replacement),
                fix_title="Use pop",
            )
        case _:
            return syntax.problem(node, _CODE, message)


def _check_nesting(syntax: ScriptSyntax) -> Iterator[ScriptProblem]:
    if syntax.depth <= NESTING_MAX:
        return
    depths: dict[ast.AST, int] = {}
    for node in syntax.nodes:
        depth = depths.get(syntax.parents.get(node, syntax.tree), 0)
        if isinstance(node, ast.stmt | ast.expr) and not isinstance(node, ast.FormattedValue | ast.JoinedStr):
            depth += 1
            # One level of tolerance: the sandbox counts the name at the bottom of a chain of calls in with the call.
            if depth > NESTING_MAX + 1:
                yield syntax.problem(node, _CODE, f"nested more than {NESTING_MAX} deep")
                return
        depths[node] = depth


def _head(syntax: ScriptSyntax, node: ast.stmt, words: str, message: str) -> ScriptProblem:
    at = syntax.span(node)
    return problem_at(Span(at.line, at.column, at.line, at.column + len(words)), _CODE, message)


def _first_line(syntax: ScriptSyntax, node: ast.stmt, message: str) -> ScriptProblem:
    at = syntax.span(node)
    if at.line == at.end_line:
        return syntax.problem(node, _CODE, message)
    end_column = len(syntax.text.lines[at.line - 1]) + 1
    return problem_at(Span(at.line, at.column, at.line, end_column), _CODE, message)
