"""
The steps and phases a script can make, where they stand, and what their ids may be.

Invariant: an id that is put together is known by the pieces that stand there; what fills the gaps is anything.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.language.document import Snapshot
    from sidestep.scripts.primitives import Primitive
    from sidestep.scripts.source_text import Span


@dataclass(frozen=True)
class StepId:
    """
    An id as it stands in a script.

    Attributes:
        node: The expression.
        span: Where it stands, quotes included.
        pieces: The constant text around each gap: `f"fix:{n}"` is ("fix:", ""); one piece is the whole id.
        text: As people read it: `fix:{n}`.
    """

    node: ast.expr
    span: Span
    pieces: tuple[str, ...]
    text: str

    def matches(self, step_id: str) -> bool:
        """Whether a step of this call may have this id."""
        first, *others = self.pieces
        if not others:
            return step_id == first
        *middle, last = others
        if len(step_id) < len(first) + len(last) or not step_id.startswith(first) or not step_id.endswith(last):
            return False
        at, end = len(first), len(step_id) - len(last)
        for piece in middle:
            # The earliest place leaves the most room for the others.
            at = step_id.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True


@dataclass(frozen=True)
class CallSite:
    """
    One call of a primitive.

    Attributes:
        span: Of the whole call; `name_span` of the name that is called.
        step_id: None for what is no step, and for an id that cannot be read.
    """

    call: ast.Call
    primitive: Primitive
    span: Span
    name_span: Span
    step_id: StepId | None

    def argument(self, name: str) -> ast.expr | None:
        """See `argument`."""
        return argument(self.call, self.primitive, name)


def argument(call: ast.Call, primitive: Primitive, name: str) -> ast.expr | None:
    """What is given for a parameter by name, or by position if it is the first."""
    by_name = next((each.value for each in call.keywords if each.arg == name), None)
    is_first = primitive.parameters[0].name == name
    if by_name is not None or not is_first or not call.args:
        return by_name
    return call.args[0]


def call_sites(snapshot: Snapshot) -> list[CallSite]:
    """Every sure call of a primitive, in the order of the tree; none while the text is no Python."""
    syntax, imports = snapshot.syntax, snapshot.imports
    if syntax is None or imports is None:
        return []
    return [
        CallSite(call, primitive, syntax.span(call), syntax.span(call.func), _step_id(snapshot, call, primitive))
        for call, primitive in imports.calls
    ]


def site_at(snapshot: Snapshot, line: int, column: int) -> CallSite | None:
    """The innermost call whose name or id stands at a position."""
    found: CallSite | None = None
    for site in snapshot.call_sites:
        places = [site.name_span, *([site.step_id.span] if site.step_id is not None else [])]
        if any(covers(place, line, column) for place in places):
            found = site
    return found


def covers(span: Span, line: int, column: int) -> bool:
    """Whether a position stands in a range, its end included: a cursor stands between characters."""
    return (span.line, span.column) <= (line, column) <= (span.end_line, span.end_column)


def string_at(snapshot: Snapshot, line: int, column: int) -> ast.Constant | ast.JoinedStr | None:
    """The string literal that stands at a position."""
    syntax = snapshot.syntax
    if syntax is None:
        return None
    for node in syntax.nodes:
        if not isinstance(node, ast.Constant | ast.JoinedStr) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        is_text = isinstance(node, ast.JoinedStr) or isinstance(node.value, str)
        if is_text and syntax.is_placed(node) and covers(syntax.span(node), line, column):
            return node
    return None


def readable_text(node: ast.expr) -> str | None:
    """A string expression as people read it, names in braces; None for what is no string."""
    pieces = _pieces(node)
    if pieces is None:
        return None
    return "".join(piece if isinstance(piece, str) else "{" + _gap(piece) + "}" for piece in pieces)


def _step_id(snapshot: Snapshot, call: ast.Call, primitive: Primitive) -> StepId | None:
    if not primitive.is_step or snapshot.syntax is None:
        return None
    node = next((keyword.value for keyword in call.keywords if keyword.arg == "id"), None)
    pieces = None if node is None else _pieces(node)
    if node is None or not pieces:
        return None
    constant = [""]
    for piece in pieces:
        if isinstance(piece, str):
            constant[-1] += piece
        else:
            constant.append("")
    return StepId(node, snapshot.syntax.span(node), tuple(constant), readable_text(node) or "")


def _pieces(node: ast.expr) -> list[str | ast.expr] | None:
    """Constant text and gaps, in their order."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return [_piece(value) for value in values]
        case _:
            return None


def _piece(value: ast.expr) -> str | ast.expr:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return value.value if isinstance(value, ast.FormattedValue) else value


def _gap(node: ast.expr) -> str:
    # Longer expressions say no more than a name would.
    return ".".join(reversed(list(_names(node)))) or "..."


def _names(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Attribute):
        yield node.attr
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
