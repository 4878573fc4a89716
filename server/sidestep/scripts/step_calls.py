"""
Calls of primitives: their options, and whether they are awaited; ids stand in `step_ids.py`, schemas and choices in
`expected_answers.py`.

Invariant: an error here is what the runtime refuses whenever the call is reached; the rest is a warning.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

from sidestep.scripts.edits import insertion
from sidestep.scripts.expected_answers import ExpectedAnswers
from sidestep.scripts.near_names import did_you_mean, near_names
from sidestep.scripts.primitives import Kind
from sidestep.scripts.step_ids import StepIds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.edits import Edit
    from sidestep.scripts.imports import Imports
    from sidestep.scripts.primitives import Primitive
    from sidestep.scripts.syntax import ScriptSyntax


def check_step_calls(syntax: ScriptSyntax, imports: Imports) -> Iterator[ScriptProblem]:
    """Problems of every call of a primitive."""
    calls = imports.calls
    ids = StepIds(syntax, calls)
    answers = ExpectedAnswers(syntax)
    for call, primitive in calls:
        yield from _check_options(syntax, call, primitive)
        if primitive.is_step:
            yield from ids.check(call, primitive)
            yield from answers.check(call, primitive)
        if primitive.name == "command":
            yield from _check_argv(syntax, call)
        yield from _check_awaited(syntax, call, primitive)


def _check_options(syntax: ScriptSyntax, call: ast.Call, primitive: Primitive) -> Iterator[ScriptProblem]:
    spreads_positions = any(isinstance(each, ast.Starred) for each in call.args)
    spreads_names = any(keyword.arg is None for keyword in call.keywords)
    fits = primitive.positions_max
    if fits is not None and len(call.args) > fits and not spreads_positions:
        yield _too_many_positions(syntax, call, primitive, fits)
    positional = [each.name for each in primitive.parameters if each.kind is Kind.POSITIONAL]
    given = {keyword.arg for keyword in call.keywords} | set(positional[: len(call.args)])
    for keyword in call.keywords:
        if keyword.arg is None:
            continue
        parameter = primitive.parameter(keyword.arg)
        if parameter is None and not primitive.takes_details:
            yield _unknown_option(syntax, keyword, primitive)
        elif primitive.takes_details:
            # A detail may be named like the subject: log("failed", message=...).
            continue
        elif parameter is not None and not spreads_positions and keyword.arg in positional[: len(call.args)]:
            message = f"{primitive.name}() got {keyword.arg!r} twice"
            yield syntax.problem(keyword, "unknown-option", message)
        elif parameter is not None and parameter.choices:
            yield from _check_choice(syntax, keyword, parameter.choices)
    if spreads_positions or spreads_names:
        return
    for parameter in primitive.parameters:
        if parameter.required and parameter.name not in given and parameter.name != "id":
            message = f"{primitive.name}() needs {parameter.name!r}: {parameter.doc}"
            yield syntax.problem(call, "missing-option", message)


def _too_many_positions(syntax: ScriptSyntax, call: ast.Call, primitive: Primitive, fits: int) -> ScriptProblem:
    extra = call.args[fits]
    message = f"{primitive.name}() takes {fits} positional argument{'s' if fits != 1 else ''}; name the others"
    is_id = (
        primitive.is_step
        and len(call.args) == fits + 1
        and isinstance(extra, ast.Constant | ast.JoinedStr)
        and not any(keyword.arg == "id" for keyword in call.keywords)
    )
    at = syntax.span(extra)
    fix = insertion(at.line, at.column, "id=") if is_id else None
    title = "Give it as id" if is_id else None
    return syntax.problem(extra, "unknown-option", message, fix=fix, fix_title=title)


def _unknown_option(syntax: ScriptSyntax, keyword: ast.keyword, primitive: Primitive) -> ScriptProblem:
    name = keyword.arg or ""
    known = [each.name for each in primitive.parameters if each.kind in (Kind.POSITIONAL, Kind.KEYWORD)]
    message = f"{primitive.name}() has no option {name!r}.{did_you_mean(name, known)}"
    near = near_names(name, known, count=1)
    at = syntax.span(keyword)
    if not near or any(other.arg == near[0] for other in _call_of(syntax, keyword).keywords):
        return syntax.problem(keyword, "unknown-option", message)
    name_only = type(at)(at.line, at.column, at.line, at.column + len(name))
    return syntax.problem(
        keyword, "unknown-option", message, fix=(name_only, near[0]), fix_title=f"Change to {near[0]!r}"
    )


def _call_of(syntax: ScriptSyntax, keyword: ast.keyword) -> ast.Call:
    call = syntax.parents[keyword]
    assert isinstance(call, ast.Call), "Invariant: options are keywords of calls"
    return call


def _check_choice(syntax: ScriptSyntax, keyword: ast.keyword, choices: tuple[str, ...]) -> Iterator[ScriptProblem]:
    if not isinstance(keyword.value, ast.Constant) or keyword.value.value in choices:
        return
    listed = " or ".join(json.dumps(choice) for choice in choices)
    near = near_names(str(keyword.value.value), choices, count=1)
    fix = (syntax.span(keyword.value), json.dumps(near[0])) if near else None
    title = f"Change to {near[0]!r}" if near else None
    yield syntax.problem(keyword.value, "bad-option", f"{keyword.arg} is {listed}", fix=fix, fix_title=title)


def _check_argv(syntax: ScriptSyntax, call: ast.Call) -> Iterator[ScriptProblem]:
    argv = call.args[0] if call.args else next((each.value for each in call.keywords if each.arg == "argv"), None)
    if isinstance(argv, ast.List | ast.Tuple) and not argv.elts:
        yield syntax.problem(argv, "bad-option", "argv names at least the program")
    elif isinstance(argv, ast.List | ast.Tuple):
        for word in argv.elts:
            yield from _check_word(syntax, word)
    elif isinstance(argv, ast.JoinedStr) or (isinstance(argv, ast.Constant) and isinstance(argv.value, str)):
        words = argv.value.split() if isinstance(argv, ast.Constant) and isinstance(argv.value, str) else []
        is_plain = bool(words) and all(re.fullmatch(r"[\w./:=@%+,-]+", word, re.ASCII) for word in words)
        fix = (syntax.span(argv), json.dumps(words)) if is_plain else None
        message = "argv is a list of words, as no shell splits it"
        message += f": {json.dumps(words)}" if is_plain else ', e.g. ["git", "log"]'
        yield syntax.problem(argv, "bad-option", message, fix=fix, fix_title="Split into words" if fix else None)


def _check_word(syntax: ScriptSyntax, word: ast.expr) -> Iterator[ScriptProblem]:
    literal = word.operand if isinstance(word, ast.UnaryOp) else word
    if not isinstance(literal, ast.Constant) or isinstance(literal.value, str):
        return
    is_number = isinstance(literal.value, int | float) and not isinstance(literal.value, bool)
    fix = (syntax.span(word), json.dumps(syntax.text.slice(syntax.span(word)))) if is_number else None
    title = "Write it as a string" if fix else None
    yield syntax.problem(word, "bad-option", "argv is a list of strings", fix=fix, fix_title=title)


def _check_awaited(syntax: ScriptSyntax, call: ast.Call, primitive: Primitive) -> Iterator[ScriptProblem]:
    parent = syntax.parents.get(call)
    at = syntax.span(call)
    if not primitive.is_awaited:
        if isinstance(parent, ast.Await):
            outer = syntax.span(parent)
            keyword = type(at)(outer.line, outer.column, at.line, at.column)
            is_plain = syntax.text.slice(keyword).strip() == "await"
            fix = (keyword, "") if is_plain else None
            message = f"{primitive.name}() is not awaited: it is done when it is called"
            yield syntax.problem(call, "awaited", message, fix=fix, fix_title="Remove await" if fix else None)
        return
    fix: Edit | None = None
    is_async = isinstance(syntax.function_of(call), ast.AsyncFunctionDef)
    if isinstance(parent, ast.Expr):
        fix = insertion(at.line, at.column, "await ")
        message = f"this {primitive.name}(...) is never run: await it"
        title = "Add await"
        severity = "warning"
    elif _needs_the_value(parent, call):
        fix = (at, f"(await {syntax.text.slice(at)})")
        message = f"{primitive.name}(...) has no value before it is awaited"
        title = "Await it first"
        severity = "warning" if isinstance(parent, ast.FormattedValue | ast.Compare) else "error"
    else:
        return
    fix, title = (fix, title) if is_async else (None, None)
    yield syntax.problem(call, "unawaited", message, severity=severity, fix=fix, fix_title=title)


def _needs_the_value(parent: ast.AST | None, call: ast.Call) -> bool:
    match parent:
        case ast.Attribute() | ast.BinOp() | ast.FormattedValue() | ast.Compare():
            return True
        case ast.Subscript(value=value):
            return value is call
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated):
            return iterated is call
        case _:
            return False
