"""Several replacements as the one a problem carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.scripts.source_text import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.scripts.source_text import SourceText

Edit = tuple[Span, str]


def merged_edit(text: SourceText, edits: Sequence[Edit]) -> Edit:
    """
    One replacement, of the range from the first edit's start to the last one's end, that does what all of them do.

    Args:
        edits: At least one, in any order; no two overlap.
    """
    ordered = sorted(edits, key=lambda edit: (edit[0].line, edit[0].column))
    pieces: list[str] = []
    at = ordered[0][0]
    for span, replacement in ordered:
        pieces.append(text.slice(Span(at.line, at.column, span.line, span.column)))
        pieces.append(replacement)
        at = Span(span.end_line, span.end_column, span.end_line, span.end_column)
    first = ordered[0][0]
    return Span(first.line, first.column, at.line, at.column), "".join(pieces)


def insertion(line: int, column: int, replacement: str) -> Edit:
    """A replacement of nothing, at a place."""
    return Span(line, column, line, column), replacement
