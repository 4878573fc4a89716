"""
LSP positions and ours: they count lines from 0 and columns in the units of an encoding, we from 1 in characters.

Source: LSP 3.17, "Position" (a column past the end of its line is the end of the line).
Invariant: any position of a client's is taken; one that is not there is the nearest one that is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidestep.scripts.source_text import Span

if TYPE_CHECKING:
    from sidestep.language.document import Snapshot

_LINE_END = re.compile(r"\r\n|\r|\n")
_UTF_8, _UTF_32 = "utf-8", "utf-32"


def units_of(text: str, encoding: str) -> int:
    """How many units of "utf-8", "utf-16" or "utf-32" a text takes; half of a surrogate pair takes what it would."""
    if text.isascii() or encoding == _UTF_32:
        return len(text)
    if encoding == _UTF_8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text) + sum(character > "\uffff" for character in text)


def characters_of(text: str, units: int, encoding: str) -> int:
    """How many characters of a text this many units are; inside a character they end before it."""
    if text.isascii() or encoding == _UTF_32:
        return min(max(units, 0), len(text))
    taken = 0
    for count, character in enumerate(text):
        taken += units_of(character, encoding)
        if taken > units:
            return count
    return len(text)


def edited(text: str, start: tuple[int, int], end: tuple[int, int], replacement: str, encoding: str) -> str:
    """
    The text with a range replaced.

    Args:
        start: Line and character, as the client counts; `end` likewise, exclusive.
    """
    first, last = _offset(text, start, encoding), _offset(text, end, encoding)
    return text[:first] + replacement + text[max(first, last) :]


def to_position(snapshot: Snapshot, line: int, column: int, encoding: str) -> dict[str, int]:
    """A place in a script as LSP has it."""
    line, column = snapshot.source.clamp(line, column)
    before = snapshot.source.lines[line - 1][: column - 1]
    mark = units_of("\ufeff", encoding) if snapshot.has_mark and line == 1 else 0
    return {"line": line - 1, "character": units_of(before, encoding) + mark}


def to_range(snapshot: Snapshot, span: Span, encoding: str) -> dict[str, dict[str, int]]:
    start = to_position(snapshot, span.line, span.column, encoding)
    return {"start": start, "end": to_position(snapshot, span.end_line, span.end_column, encoding)}


def from_position(snapshot: Snapshot, line: int, character: int, encoding: str) -> tuple[int, int]:
    """A place of the client's, line and character from 0, as the script has it."""
    if line >= len(snapshot.source.lines):
        return snapshot.source.clamp(line + 1, len(snapshot.source.lines[-1]) + 1)
    mark = units_of("\ufeff", encoding) if snapshot.has_mark and line == 0 else 0
    return line + 1, characters_of(snapshot.source.lines[max(line, 0)], character - mark, encoding) + 1


def from_range(snapshot: Snapshot, start: tuple[int, int], end: tuple[int, int], encoding: str) -> Span:
    return Span(*from_position(snapshot, *start, encoding), *from_position(snapshot, *end, encoding))


def _offset(text: str, position: tuple[int, int], encoding: str) -> int:
    line, character = position
    begin = 0
    ends = _LINE_END.finditer(text)
    for _ in range(line):
        end = next(ends, None)
        if end is None:
            return len(text)
        begin = end.end()
    last = next(ends, None)
    content = text[begin : len(text) if last is None else last.start()]
    return begin + characters_of(content, character, encoding)
