"""
Text on its way to a terminal: what a script or a command wrote must not move the cursor or change its colours.

Also how times, durations and sizes read. Knows no run and no console.
"""

from __future__ import annotations

import datetime
import re
import unicodedata

# C0 and C1 but for the line feed and the tab, and the marks that turn the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|[\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with control characters shown as escapes; line feeds and tabs stay."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def one_line(text: str, width_max: int = 200) -> str:
    """The text on one line of at most `width_max` characters, white space collapsed."""
    flat = printable(" ".join(text.split()))
    return flat if len(flat) <= width_max else flat[: width_max - 3] + "..."


def place_text(path: str) -> str:
    """A JSON pointer as a person names a place: `paths/0`; nothing for the whole."""
    return path.removeprefix("/").replace("~1", "/").replace("~0", "~")


def columns(text: str) -> int:
    """How many cells of a terminal the text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, width: int) -> str:
    """The text, filled with blanks to `width` cells."""
    return text + " " * max(width - columns(text), 0)


def table(rows: list[list[str]]) -> list[str]:
    """Rows as lines with aligned columns, two blanks between them."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def duration(milliseconds: int) -> str:
    """`85 ms`, `1.2 s`, `3 min 04 s`, `2 h 05 min`."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02} s"
    hours, rest_min = divmod(minutes, 60)
    return f"{hours} h {rest_min:02} min"


def local_time(at_ms: int) -> str:
    """Wall clock time where the person is: `2026-01-31 09:30`."""
    return datetime.datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


def plural(count: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
