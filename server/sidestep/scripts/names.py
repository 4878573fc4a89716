"""
Names a script uses that are not there, and calls that fail wherever they are made.

Invariant: a name bound anywhere in the script, in whatever scope, is taken to be there: only what surely fails is told.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING

from sidestep.scripts.imports import AUTHORING, add_import, add_statement
from sidestep.scripts.near_names import did_you_mean
from sidestep.scripts.primitives import PRIMITIVES
from sidestep.scripts.sandbox_language import BUILTINS, FORBIDDEN_CALLS, GATHER_KEYWORDS, MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.imports import Imports
    from sidestep.scripts.syntax import ScriptSyntax

_PYTHON_BUILTINS = frozenset(dir(builtins))


def check_names(syntax: ScriptSyntax, imports: Imports) -> Iterator[ScriptProblem]:
    """Problems of names, attributes of modules, and forbidden calls."""
    # `exec` may bind anything; who uses it knows what they do.
    binds_by_itself = "exec" in syntax.read_names
    there = syntax.bindings.keys() | BUILTINS
    for name in syntax.of_type(ast.Name):
        # Most names are there; they cost no more than this.
        if name.id not in there and isinstance(name.ctx, ast.Load) and not binds_by_itself:
            yield from _check_name(syntax, name)
    for attribute in syntax.of_type(ast.Attribute):
        if isinstance(attribute.ctx, ast.Load):
            yield from _check_attribute(syntax, imports, attribute)
    for call in syntax.of_type(ast.Call):
        yield from _check_call(syntax, imports, call)


def _check_name(syntax: ScriptSyntax, node: ast.Name) -> Iterator[ScriptProblem]:
    name = node.id
    if _is_told_elsewhere(syntax, node):
        return
    severity = "warning" if syntax.is_tried(node) else "error"
    if name in PRIMITIVES or name in MODULES:
        statement = f"from {AUTHORING} import {name}" if name in PRIMITIVES else f"import {name}"
        fix = add_import(syntax, name) if name in PRIMITIVES else add_statement(syntax, statement)
        message = f"{name!r} is not imported: `{statement}`"
        title = "Import it" if fix else None
        yield syntax.problem(node, "not-imported", message, severity=severity, fix=fix, fix_title=title)
    elif name in _PYTHON_BUILTINS:
        yield syntax.problem(node, "unknown-name", f"scripts have no builtin {name!r}", severity=severity)
    else:
        known = syntax.bindings.keys() | BUILTINS | PRIMITIVES.keys()
        message = f"name {name!r} is not defined.{did_you_mean(name, known)}"
        yield syntax.problem(node, "unknown-name", message, severity=severity)


def _is_told_elsewhere(syntax: ScriptSyntax, node: ast.Name) -> bool:
    field, parent = syntax.fields[node], syntax.parents[node]
    if field == "decorator_list":
        # Decorated methods are refused, whatever the decorator.
        return isinstance(syntax.parents[parent], ast.ClassDef)
    return field == "func" and node.id in FORBIDDEN_CALLS


def _check_attribute(syntax: ScriptSyntax, imports: Imports, node: ast.Attribute) -> Iterator[ScriptProblem]:
    module = imports.dotted_name(node.value)
    if module not in MODULES or (isinstance(node.value, ast.Name) and node.value.id not in syntax.bindings):
        return
    if node.attr in MODULES[module] or f"{module}.{node.attr}" in MODULES:
        return
    if node.attr.startswith("__"):
        return
    severity = "warning" if syntax.is_tried(node) else "error"
    message = f"module {module!r} has no {node.attr!r} here.{did_you_mean(node.attr, MODULES[module])}"
    if (module, node.attr) == ("asyncio", "create_task"):
        message = "scripts have no tasks; use parallel([...]) or asyncio.gather(...)"
    yield syntax.problem(node, "unknown-name", message, severity=severity)


def _check_call(syntax: ScriptSyntax, imports: Imports, node: ast.Call) -> Iterator[ScriptProblem]:
    name = imports.dotted_name(node.func)
    if name != "asyncio.gather" and name not in FORBIDDEN_CALLS:
        return
    severity = "warning" if syntax.is_tried(node) else "error"
    if name in FORBIDDEN_CALLS:
        yield syntax.problem(node, "forbidden-call", f"{name}(): {FORBIDDEN_CALLS[name]}", severity=severity)
    else:
        for keyword in node.keywords:
            if keyword.arg is not None:
                yield syntax.problem(keyword, "unknown-option", GATHER_KEYWORDS, severity=severity)
