"""
Which loops a step's id does not change in: there its second round asks for the same step again.

Owns the little analysis of what varies from round to round. It is conservative: what it does not understand varies.
A loop around the function that a call stands in is not seen; the runtime still tells.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from sidestep.scripts.syntax import BINDERS, SCOPES, bound_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.scripts.syntax import ScriptSyntax

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Loop = ast.For | ast.AsyncFor | ast.While | Comprehension

# What is, or is part of, a loop, and has a target and what it goes over.
_GOES_OVER = (ast.For, ast.AsyncFor, ast.comprehension)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

# Rounds of looking which inner loops follow from which; a script that needs more is taken to vary everywhere.
_PASSES_MAX = 10

# Calls whose value follows from their arguments alone.
_PURE_CALLS = frozenset({"enumerate", "len", "list", "range", "repr", "reversed", "sorted", "str", "tuple", "zip"})


def loops_around(syntax: ScriptSyntax, node: ast.AST) -> Iterator[Loop]:
    """Loops that evaluate this node once per round, innermost first, up to the function it stands in."""
    child = node
    for parent in syntax.ancestors(node):
        if isinstance(parent, SCOPES):
            return
        if isinstance(parent, ast.For | ast.AsyncFor):
            if syntax.fields[child] == "body":
                yield parent
        elif isinstance(parent, ast.While):
            if syntax.fields[child] in ("test", "body"):
                yield parent
        elif isinstance(parent, _COMPREHENSIONS) and child is not parent.generators[0]:
            yield parent
        child = parent


class LoopIds:
    """Which names vary in the loops of one script; each loop is read once."""

    def __init__(self, syntax: ScriptSyntax) -> None:
        self._syntax = syntax
        self._varying: dict[ast.AST, set[str]] = {}

    def loops_with_constant(self, identifier: ast.expr) -> list[Loop]:
        """The loops around an expression in which it surely has the same value every round, innermost first."""
        return [
            loop for loop in loops_around(self._syntax, identifier) if not _varies(identifier, self._varying_in(loop))
        ]

    def _varying_in(self, loop: Loop) -> set[str]:
        if loop not in self._varying:
            self._varying[loop] = _varying_names(self._syntax, loop)
        return self._varying[loop]


def loop_variable(loop: Loop) -> str | None:
    """A name that is another one each round, to be put into an id; None for `while`."""
    if isinstance(loop, ast.While):
        return None
    target = loop.target if isinstance(loop, ast.For | ast.AsyncFor) else loop.generators[-1].target
    while isinstance(target, ast.Tuple | ast.List) and target.elts:
        target = target.elts[0]
    return target.id if isinstance(target, ast.Name) else None


def _varying_names(syntax: ScriptSyntax, loop: Loop) -> set[str]:
    """Names whose value may differ between two rounds."""
    varying: set[str] = set()
    # Targets of loops inside: they vary from round to round of this one only if what they go through does.
    inner: list[tuple[set[str], ast.expr]] = []
    inner_targets: set[ast.AST] = set()
    nodes = syntax.descendants(loop)
    for node in nodes:
        if isinstance(node, _GOES_OVER) and not _is_own_round(loop, node):
            targets = {each for each in ast.walk(node.target) if isinstance(each, ast.Name)}
            inner.append(({each.id for each in targets}, node.iter))
            inner_targets |= targets
    for node in nodes:
        # Most names are read, and bind nothing.
        is_read = type(node) is ast.Name and type(node.ctx) is ast.Load
        if not is_read and type(node) in BINDERS and node not in inner_targets:
            varying.update(bound_names(node))
    for _ in range(_PASSES_MAX):
        before = len(varying)
        for names, iterated in inner:
            if not names <= varying and _varies(iterated, varying):
                varying |= names
        if len(varying) == before:
            return varying
    return varying.union(*(names for names, _ in inner))


def _is_own_round(loop: Loop, node: ast.AST) -> bool:
    return node is loop or (isinstance(loop, _COMPREHENSIONS) and node in loop.generators)


def _varies(expression: ast.expr, varying: set[str]) -> bool:
    stack: list[ast.AST] = [expression]
    while stack:
        node = stack.pop()
        match node:
            case ast.Name(id=name):
                if name in varying:
                    return True
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _PURE_CALLS:
                stack.extend(node.args)
            case ast.Constant():
                pass
            case ast.JoinedStr() | ast.FormattedValue() | ast.BinOp() | ast.List() | ast.Tuple() | ast.Starred():
                stack.extend(each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr))
            case _:
                return True
    return False
