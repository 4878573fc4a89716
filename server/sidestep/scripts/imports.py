"""
What a script imports, what its names therefore mean, and what is wrong with an import.

Only `from sidestep import a, b [as c]` brings primitives: the loader puts the prelude's functions in the place of that
statement. Everything else is looked up in the sandbox's table of modules.
"""

from __future__ import annotations

import ast
from functools import cached_property
from typing import TYPE_CHECKING

from sidestep.scripts.edits import merged_edit
from sidestep.scripts.near_names import did_you_mean, near_names
from sidestep.scripts.primitives import PRIMITIVES
from sidestep.scripts.sandbox_language import MODULE_HINTS, MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.edits import Edit
    from sidestep.scripts.primitives import Primitive
    from sidestep.scripts.syntax import ScriptSyntax

AUTHORING = "sidestep"


class Imports:
    """What names of one script stand for, where that is sure."""

    def __init__(self, syntax: ScriptSyntax) -> None:
        self._syntax = syntax
        self._meanings = dict(_meanings(syntax))

    def dotted_name(self, node: ast.AST) -> str | None:
        """`datetime.datetime.now` for an expression that surely is that, through any alias; else None."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        meaning = self._meanings.get(node.id)
        if meaning is None:
            if node.id in self._syntax.bindings:
                return None
            # A primitive that was not imported is told as such; its call is checked all the same.
            meaning = f"{AUTHORING}.{node.id}" if node.id in PRIMITIVES else node.id
        return ".".join([meaning, *reversed(attributes)])

    def primitive(self, call: ast.Call) -> Primitive | None:
        """The primitive a call surely calls."""
        package, _, name = (self.dotted_name(call.func) or "").partition(".")
        return PRIMITIVES.get(name) if package == AUTHORING else None

    @cached_property
    def calls(self) -> list[tuple[ast.Call, Primitive]]:
        """Every sure call of a primitive, in the order of the tree."""
        found = ((node, self.primitive(node)) for node in self._syntax.of_type(ast.Call))
        return [(node, primitive) for node, primitive in found if primitive is not None]


def check_imports(syntax: ScriptSyntax) -> Iterator[ScriptProblem]:
    """Problems of every import statement."""
    for node in syntax.of_type(ast.Import):
        for alias in node.names:
            if alias.name.partition(".")[0] == AUTHORING:
                yield _sidestep_as_a_module(syntax, node, alias)
            elif not _is_for_type_checkers(syntax, node):
                yield from _check_module(syntax, node, alias, alias.name)
    for node in syntax.of_type(ast.ImportFrom):
        module = node.module or ""
        if node.level == 0 and module == AUTHORING:
            yield from _check_authoring_import(syntax, node)
        elif node.level == 0 and module.partition(".")[0] == AUTHORING:
            yield syntax.problem(
                node, "import", f"only `from {AUTHORING} import ...` is there for scripts, not `{module}`"
            )
        elif not _is_for_type_checkers(syntax, node):
            yield from _check_names_of_module(syntax, node, module)


def add_import(syntax: ScriptSyntax, name: str) -> Edit | None:
    """The edit that adds a primitive to the import from sidestep, or the whole import when there is none."""
    for node in syntax.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == AUTHORING and node.level == 0 and node.names:
            last = syntax.span(node.names[-1])
            from_end = type(last)(last.end_line, last.end_column, last.end_line, last.end_column)
            return None if node.names[-1].name == "*" else (from_end, f", {name}")
    return add_statement(syntax, f"from {AUTHORING} import {name}")


def add_statement(syntax: ScriptSyntax, statement: str) -> Edit | None:
    """The edit that puts an import before the first statement that is neither the docstring nor `from __future__`."""
    for node in syntax.tree.body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            continue
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
        at = syntax.span(node)
        if decorators or at.column != 1:
            return None
        apart = "\n" if isinstance(node, ast.Import | ast.ImportFrom) else "\n\n\n"
        return type(at)(at.line, 1, at.line, 1), statement + apart
    return None


def _meanings(syntax: ScriptSyntax) -> Iterator[tuple[str, str]]:
    for name, binders in syntax.bindings.items():
        meanings = {_meaning(syntax, node) if isinstance(node, ast.alias) else None for node in binders}
        if len(meanings) == 1 and (meaning := meanings.pop()) is not None:
            yield name, meaning


def _meaning(syntax: ScriptSyntax, alias: ast.alias) -> str | None:
    statement = syntax.parents[alias]
    if isinstance(statement, ast.ImportFrom):
        return f"{statement.module}.{alias.name}" if statement.module and statement.level == 0 else None
    return alias.name if alias.asname else alias.name.partition(".")[0]


def _check_authoring_import(syntax: ScriptSyntax, node: ast.ImportFrom) -> Iterator[ScriptProblem]:
    for alias in node.names:
        if alias.name == "*":
            used = sorted(
                {each.id for each in syntax.nodes if isinstance(each, ast.Name) and each.id in PRIMITIVES}
                - syntax.bindings.keys()
            )
            fix = (syntax.span(alias), ", ".join(used)) if used else None
            message = f"name what the script uses: `from {AUTHORING} import {', '.join(used) or 'command'}`"
            yield syntax.problem(alias, "import", message, fix=fix, fix_title="Import the names that are used")
        elif alias.name not in PRIMITIVES:
            yield _unknown_primitive(syntax, alias)


def _unknown_primitive(syntax: ScriptSyntax, alias: ast.alias) -> ScriptProblem:
    message = f"{AUTHORING} has no {alias.name!r}.{did_you_mean(alias.name, PRIMITIVES)}"
    near = near_names(alias.name, PRIMITIVES, count=1)
    if not near:
        return syntax.problem(alias, "unknown-primitive", message)
    local = alias.asname or alias.name
    uses = [each for each in syntax.nodes if isinstance(each, ast.Name) and each.id == local]
    edits = [(syntax.span(alias), near[0] if alias.asname is None else f"{near[0]} as {alias.asname}")]
    if alias.asname is None:
        if syntax.is_rebound(local) or not all(syntax.is_placed(each) for each in uses):
            return syntax.problem(alias, "unknown-primitive", message)
        edits += [(syntax.span(each), near[0]) for each in uses]
    fix = merged_edit(syntax.text, edits)
    return syntax.problem(alias, "unknown-primitive", message, fix=fix, fix_title=f"Change to {near[0]!r}")


def _sidestep_as_a_module(syntax: ScriptSyntax, node: ast.Import, alias: ast.alias) -> ScriptProblem:
    message = f"write `from {AUTHORING} import ...`: the sandbox has no module {AUTHORING}"
    fix = _names_instead_of_module(syntax, node, alias)
    title = f"Import the names from {AUTHORING}"
    return syntax.problem(alias, "import", message, fix=fix, fix_title=title if fix else None)


def _names_instead_of_module(syntax: ScriptSyntax, node: ast.Import, alias: ast.alias) -> Edit | None:
    """`from sidestep import command` and `command` for `import sidestep` and each `sidestep.command`, where sure."""
    local = alias.asname or alias.name
    if len(node.names) > 1 or alias.name != AUTHORING or syntax.is_rebound(local):
        return None
    edits: list[Edit] = []
    names: set[str] = set()
    for each in syntax.nodes:
        if not isinstance(each, ast.Name) or each.id != local:
            continue
        use = syntax.parents[each]
        if not isinstance(use, ast.Attribute) or use.attr not in PRIMITIVES or use.attr in syntax.bindings:
            return None
        if not syntax.is_placed(use):
            return None
        names.add(use.attr)
        edits.append((syntax.span(use), use.attr))
    if not names:
        return None
    edits.append((syntax.span(node), f"from {AUTHORING} import {', '.join(sorted(names))}"))
    return merged_edit(syntax.text, edits)


def _check_module(
    syntax: ScriptSyntax, node: ast.Import | ast.ImportFrom, alias: ast.alias, module: str
) -> Iterator[ScriptProblem]:
    if module in MODULES and module != "__future__":
        return
    hint = MODULE_HINTS.get(module.partition(".")[0])
    advice = f": {hint}" if hint else f".{did_you_mean(module, MODULES)}"
    severity = "warning" if syntax.is_tried(node) else "error"
    yield syntax.problem(alias, "unknown-module", f"scripts have no module {module!r}{advice}", severity=severity)


def _check_names_of_module(syntax: ScriptSyntax, node: ast.ImportFrom, module: str) -> Iterator[ScriptProblem]:
    severity = "warning" if syntax.is_tried(node) else "error"
    if node.level:
        yield syntax.problem(node, "import", "a script imports nothing from beside it: it is one file")
    elif module == "__future__":
        return  # Python itself knows which features there are.
    elif module not in MODULES:
        yield from _check_module(syntax, node, node.names[0], module)
    else:
        for alias in node.names:
            known = MODULES[module]
            if alias.name == "*":
                yield syntax.problem(alias, "import", "name what is imported: the sandbox knows no `import *`")
            elif alias.name not in known:
                message = f"module {module!r} has no {alias.name!r} here.{did_you_mean(alias.name, known)}"
                yield syntax.problem(alias, "unknown-module", message, severity=severity)


def _is_for_type_checkers(syntax: ScriptSyntax, node: ast.stmt) -> bool:
    child: ast.AST = node
    for parent in syntax.ancestors(node):
        if isinstance(parent, ast.If) and syntax.fields[child] == "body":
            test = parent.test
            name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
            if name == "TYPE_CHECKING":
                return True
        child = parent
    return False
