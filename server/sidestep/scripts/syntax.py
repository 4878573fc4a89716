"""
A script's syntax tree, read without running it, with what every check asks of it.

Owns: parsing (user text never raises), parents, scopes, and which names are bound where. It must not know what a name
means: primitives and the sandbox's modules stand in `primitives.py` and `sandbox_language.py`.

Invariant: annotations are not part of `nodes`: the sandbox never evaluates them.
Invariant: nothing here recurses; a tree may be as deep as the parser let it.
Invariant: what stands inside an f-string is placed at the f-string and never edited: Python 3.11 gives no true
positions there.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from sidestep.model.parsing import compile_module, parse_module
from sidestep.model.problems import ScriptProblem
from sidestep.scripts.source_text import SourceText, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Node = TypeVar("Node", bound=ast.AST)

# What no Python source may hold: the end of a C string, and halves of a character that no file can hold.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")

# The language of scripts, whatever Python the server runs on (WRITING_WORKFLOWS.md).
FEATURE_VERSION = (3, 11)

Placed = ast.expr | ast.stmt | ast.arg | ast.keyword | ast.alias | ast.excepthandler
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# What may bind a name. The parser makes exactly these types, and a look into a set is a third of `isinstance`.
BINDERS: frozenset[type[ast.AST]] = frozenset(
    {
        *(ast.Name, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.arg, ast.alias, ast.ExceptHandler),
        *(ast.MatchAs, ast.MatchStar, ast.MatchMapping, ast.Global, ast.Nonlocal),
    }
)
# Nodes without any below them.
_LEAVES: frozenset[type[ast.AST]] = frozenset({ast.Name, ast.Constant, ast.alias})
# Fields of a node that a run never evaluates; `Load()` and its like are shared between nodes and have no place.
_NOT_EVALUATED = frozenset({"annotation", "returns", "ctx", "op", "ops"})
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class ScriptSyntax:
    """One parsed script."""

    def __init__(self, text: SourceText, file: str, tree: ast.Module) -> None:
        self.text = text
        self.file = file
        self.tree = tree
        self.parents: dict[ast.AST, ast.AST] = {}
        # The field of its parent that a node stands in.
        self.fields: dict[ast.AST, str] = {}
        # Every node but those of annotations, parents before children.
        self.nodes: list[ast.AST] = [tree]
        # Where in `nodes` the children of a node stand; a leaf has no entry. Ranges cost the garbage collector nothing.
        self._children: dict[ast.AST, range] = {}
        # Levels of the tree: no expression or statement is nested deeper.
        self.depth = 0
        first = 0
        while first < len(self.nodes):
            self.depth += 1
            level = self.nodes[first:]
            first = len(self.nodes)
            self._read_level(level)

    @cached_property
    def by_type(self) -> Mapping[type[ast.AST], Sequence[Any]]:
        """The nodes of each type, as the parser makes it, in the order of `nodes`: most checks look at a few types."""
        found: defaultdict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in self.nodes:
            found[type(node)].append(node)
        return found

    def of_type(self, kind: type[Node]) -> Sequence[Node]:
        """The nodes of one type, none of its subtypes, parents before children."""
        return self.by_type.get(kind, ())

    def descendants(self, node: ast.AST) -> list[ast.AST]:
        """A node and everything below it, parents before children."""
        found = [node]
        children, nodes = self._children, self.nodes
        for each in found:
            if each in children:
                below = children[each]
                found += nodes[below.start : below.stop]
        return found

    def span(self, node: Placed) -> Span:
        """Where a node stands; for one inside an f-string, where the f-string does."""
        return self.text.span(self._formatted.get(node, node))

    def is_placed(self, node: ast.AST) -> bool:
        """True when the node's own position is known, so that its text can be replaced."""
        return node not in self._formatted

    @cached_property
    def _formatted(self) -> dict[ast.AST, ast.JoinedStr]:
        """What stands inside an f-string, with the outermost one."""
        found: dict[ast.AST, ast.JoinedStr] = {}
        # Outer ones come first in `nodes`; what is inside one of them is known by then.
        for outer in self.of_type(ast.JoinedStr):
            if outer not in found:
                found.update(dict.fromkeys(self.descendants(outer)[1:], outer))
        return found

    def _read_level(self, level: Sequence[ast.AST]) -> None:
        """Note the children of these nodes, in their order. All of a big script passes through here."""
        parents, fields, nodes, children = self.parents, self.fields, self.nodes, self._children
        for node in level:
            # More than half of a script's nodes.
            if type(node) in _LEAVES:
                continue
            first = len(nodes)
            for name in node._fields:
                if name in _NOT_EVALUATED:
                    continue
                value = getattr(node, name, None)
                if isinstance(value, ast.AST):
                    parents[value] = node
                    fields[value] = name
                    nodes.append(value)
                elif isinstance(value, list):
                    for item in value:  # pyright: ignore[reportUnknownVariableType]
                        if isinstance(item, ast.AST):
                            parents[item] = node
                            fields[item] = name
                            nodes.append(item)
            if len(nodes) > first:
                children[node] = range(first, len(nodes))

    def problem(
        self,
        node: Placed,
        code: str,
        message: str,
        *,
        severity: str = "error",
        fix: tuple[Span, str] | None = None,
        fix_title: str | None = None,
    ) -> ScriptProblem:
        """A problem that stands where `node` stands; its fix is dropped where positions are not known."""
        if fix is not None and not self.is_placed(node):
            fix, fix_title = None, None
        return problem_at(self.span(node), code, message, severity=severity, fix=fix, fix_title=fix_title)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Parents of a node, nearest first."""
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)

    def function_of(self, node: ast.AST) -> Function | ast.Lambda | None:
        """The function whose body a node stands in; decorators and defaults belong to the scope around it."""
        child = node
        for parent in self.ancestors(node):
            if isinstance(parent, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) and self.fields[child] == "body":
                return parent
            child = parent
        return None

    def is_tried(self, node: ast.AST) -> bool:
        """True when a failure of this node may be caught, so that it does not surely fail the run."""
        child = node
        for parent in self.ancestors(node):
            if isinstance(parent, ast.Try) and parent.handlers and self.fields[child] == "body":
                return True
            child = parent
        return False

    @cached_property
    def bindings(self) -> dict[str, list[ast.AST]]:
        """Every name bound anywhere in the script, in any scope, with the nodes that bind it."""
        found: dict[str, list[ast.AST]] = {}
        for node in self.nodes:
            if type(node) not in BINDERS:
                continue
            if isinstance(node, ast.Name):
                # Most names are read; they cost no more than this.
                if not isinstance(node.ctx, ast.Load):
                    found.setdefault(node.id, []).append(node)
                continue
            for name in bound_names(node):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def read_names(self) -> set[str]:
        """Every name that is read anywhere in the script, in any scope."""
        return {node.id for node in self.of_type(ast.Name) if isinstance(node.ctx, ast.Load)}

    def is_rebound(self, name: str) -> bool:
        """True when something other than one import binds the name, so that its meaning is not sure."""
        binders = self.bindings.get(name, [])
        return len(binders) > 1 or any(not isinstance(node, ast.alias) for node in binders)


def parse(source: str, file: str) -> tuple[ScriptSyntax | None, list[ScriptProblem]]:
    """
    Parse a script of any text; never raises, never runs it.

    Returns:
        (syntax, []), or (None, problems) with the position of what is no Python.
    """
    text = SourceText(source)
    if _NO_TEXT.search(source):
        line, found = next((n, match) for n, each in enumerate(text.lines, 1) if (match := _NO_TEXT.search(each)))
        message = f"the script holds a character that is no text (U+{ord(found.group()):04X})"
        return None, [_syntax_problem(text, message, line, found.start() + 1)]
    try:
        try:
            tree = parse_module(source, FEATURE_VERSION)
        except SyntaxError as error:
            return None, [_from_parser(text, error)]
        try:
            compile_module(tree)
        except SyntaxError as error:
            return None, [_from_compiler(text, error)]
    except (RecursionError, MemoryError):
        return None, [_syntax_problem(text, "the script is nested too deeply to be read", 1, 1)]
    except (ValueError, OverflowError) as error:
        return None, [_syntax_problem(text, str(error), 1, 1)]
    return ScriptSyntax(text, file, tree), []


def bound_names(node: ast.AST) -> Iterator[str]:
    """Names this very node binds, in whatever scope it stands."""
    match node:
        case ast.Name(id=name, ctx=context):
            if not isinstance(context, ast.Load):
                yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
        case _:
            pass


def problem_at(
    span: Span,
    code: str,
    message: str,
    *,
    severity: str = "error",
    fix: tuple[Span, str] | None = None,
    fix_title: str | None = None,
) -> ScriptProblem:
    """A problem at a range of the text, with the replacement that mends it if one is sure."""
    edit = None if fix is None else (fix[0].line, fix[0].column, fix[0].end_line, fix[0].end_column, fix[1])
    return ScriptProblem(
        line=span.line,
        column=span.column,
        message=message,
        code=code,
        end_line=span.end_line,
        end_column=span.end_column,
        severity=severity,
        fix=edit,
        fix_title=fix_title,
    )


def _from_parser(text: SourceText, error: SyntaxError) -> ScriptProblem:
    start = text.clamp(error.lineno, error.offset)
    end = text.clamp(error.end_lineno or start[0], error.end_offset or start[1])
    return problem_at(Span(*start, *max(start, end)), "syntax", error.msg)


def _from_compiler(text: SourceText, error: SyntaxError) -> ScriptProblem:
    # The parser counts characters, the compiler hands on the tree's bytes (CPython 3.11 to 3.13).
    start = text.clamp(error.lineno, text.column(error.lineno or 1, (error.offset or 1) - 1))
    end = text.clamp(
        error.end_lineno or start[0], text.column(error.end_lineno or start[0], (error.end_offset or 1) - 1)
    )
    return problem_at(Span(*start, *max(start, end)), "syntax", error.msg)


def _syntax_problem(text: SourceText, message: str, line: int, column: int) -> ScriptProblem:
    line, column = text.clamp(line, column)
    return problem_at(Span(line, column, line, column), "syntax", message)
