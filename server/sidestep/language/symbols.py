"""A script's outline: functions, and in them the phases and steps in the order of the text, with their ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidestep.language.steps import readable_text
from sidestep.scripts.syntax import FUNCTIONS

if TYPE_CHECKING:
    import ast

    from sidestep.language.document import Snapshot
    from sidestep.language.steps import CallSite
    from sidestep.scripts.source_text import Span

# An outline with more is no help; who has more has a list made by hand.
SYMBOLS_MAX = 5000


@dataclass
class Symbol:
    """
    One entry.

    Attributes:
        kind: "function", "phase" or "step".
        detail: A step's primitive and title; empty otherwise.
        span: The whole of it; `name_span`, inside that, what is selected.
    """

    name: str
    kind: str
    detail: str
    span: Span
    name_span: Span
    children: list[Symbol] = field(default_factory=list["Symbol"])


def outline(snapshot: Snapshot) -> list[Symbol]:
    """
    The outline of a script; while it is no Python, of the last text that was.

    Functions without a step, a phase or such a function in them are left out; `main` never is.
    """
    readable = snapshot.readable
    syntax = None if readable is None else readable.syntax
    if readable is None or syntax is None:
        return []
    top: list[Symbol] = []
    functions: dict[ast.AST, Symbol] = {}
    entries: list[tuple[ast.AST | None, Symbol]] = []
    for node in syntax.nodes:
        if isinstance(node, FUNCTIONS):
            # The keyword's line: the name has no place of its own in the tree.
            span = syntax.span(node)
            head = type(span)(span.line, span.column, span.line, len(syntax.text.lines[span.line - 1]) + 1)
            symbol = Symbol(node.name, "function", "", span, min(span, head, key=lambda each: each.end_line))
            functions[node] = symbol
            entries.append((_function_around(syntax.function_of(node)), symbol))
    for site in readable.call_sites[:SYMBOLS_MAX]:
        symbol = _symbol_of(site)
        if symbol is not None:
            entries.append((_function_around(syntax.function_of(site.call)), symbol))
    for function, symbol in entries:
        (top if function is None else functions[function].children).append(symbol)
    return _in_order(top, depth=0)


def _function_around(node: ast.AST | None) -> ast.AST | None:
    return node if isinstance(node, FUNCTIONS) else None


def _symbol_of(site: CallSite) -> Symbol | None:
    first = site.argument(site.primitive.parameters[0].name)
    text = None if first is None else readable_text(first)
    if site.primitive.name == "phase":
        return Symbol(_short(text or "phase"), "phase", "", site.span, site.name_span)
    if not site.primitive.is_step:
        return None
    title = next((each.value for each in site.call.keywords if each.arg == "title"), None)
    shown = (readable_text(title) if title is not None else None) or ""
    name = site.step_id.text if site.step_id is not None else text
    detail = f"{site.primitive.name}: {_short(shown)}" if shown else site.primitive.name
    return Symbol(_short(name or site.primitive.name), "step", detail, site.span, site.name_span)


def _in_order(symbols: list[Symbol], depth: int) -> list[Symbol]:
    kept: list[Symbol] = []
    # A tree of functions deeper than this is nobody's script.
    for symbol in sorted(symbols, key=lambda each: (each.span.line, each.span.column)) if depth < 50 else []:
        symbol.children = _in_order(symbol.children, depth + 1)
        if symbol.kind != "function" or symbol.children or (symbol.name == "main" and depth == 0):
            kept.append(symbol)
    return kept


def _short(text: str) -> str:
    # An entry without a name is refused by some editors.
    line = " ".join(text.split()) or "..."
    return line if len(line) <= 80 else f"{line[:79]}…"
