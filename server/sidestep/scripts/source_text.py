"""
A script's text as people count it: lines and columns from 1, columns in characters.

Owns the conversion from `ast` positions (columns in UTF-8 bytes, from 0) and the one rule for line ends.
It knows no Python grammar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidestep.model.value import Value

if TYPE_CHECKING:
    import ast

# What Python's tokenizer takes for a line end; `str.splitlines` knows more of them, and would count other lines.
_LINE_END = re.compile(r"\r\n|\r|\n")


def normalize_line_ends(text: str) -> str:
    """
    The text with every line end as a line feed.

    Python reads a triple-quoted string with line feeds whatever the file has, the sandbox keeps what it is given.
    Without this a checkout with CRLF would send other prompts, and so have other step keys, than one without.
    """
    return _LINE_END.sub("\n", text)


class Span(Value, frozen=True):
    """A range of text: 1-based lines and columns, the end exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class SourceText:
    """The text of one script and its positions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = _LINE_END.split(text)

    def column(self, line: int, byte_offset: int) -> int:
        """The 1-based column in characters of a 0-based offset in UTF-8 bytes; clamped to the line."""
        if not 1 <= line <= len(self.lines):
            return 1
        content = self.lines[line - 1]
        if content.isascii():
            return min(max(byte_offset, 0), len(content)) + 1
        head = content.encode("utf-8", "surrogatepass")[: max(byte_offset, 0)]
        return len(head.decode("utf-8", "ignore")) + 1

    def span(self, node: ast.expr | ast.stmt | ast.arg | ast.keyword | ast.alias | ast.excepthandler) -> Span:
        """Where a node stands."""
        end_line = node.end_lineno or node.lineno
        end_offset = node.col_offset if node.end_col_offset is None else node.end_col_offset
        return Span(node.lineno, self.column(node.lineno, node.col_offset), end_line, self.column(end_line, end_offset))

    def slice(self, span: Span) -> str:
        """The text of a range."""
        if span.line == span.end_line:
            return self.lines[span.line - 1][span.column - 1 : span.end_column - 1]
        first = self.lines[span.line - 1][span.column - 1 :]
        last = self.lines[span.end_line - 1][: span.end_column - 1]
        return "\n".join([first, *self.lines[span.line : span.end_line - 1], last])

    def clamp(self, line: int | None, column: int | None) -> tuple[int, int]:
        """The nearest position that exists; a syntax error may point one past the last line."""
        line = min(max(line or 1, 1), len(self.lines))
        return line, min(max(column or 1, 1), len(self.lines[line - 1]) + 1)
