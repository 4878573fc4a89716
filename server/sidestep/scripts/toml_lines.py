"""
Where settings stand in a TOML text, for messages.

tomllib does not tell, so the usual ways to write a table and a key are looked for; what is written otherwise gets the
nearest line that is found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class TomlLines:
    """The lines of one text, 1-based."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")

    def of(self, table: tuple[str, ...], key: str | None = None) -> int | None:
        """Line of a key in a table (the empty one: before any table), or of the table; None when neither is found."""
        header = self._header(table) if table else 0
        if key is not None and header is not None:
            for number, line in self._below(header):
                if re.match(rf"\s*{_name(key)}\s*[=.]", line):
                    return number
        if header:
            return header
        if key is not None and not table:
            return self._header((key,)) or self._inline((key,))
        return self._inline(table)

    def _header(self, table: tuple[str, ...]) -> int | None:
        dotted = r"\s*\.\s*".join(map(_name, table))
        pattern = re.compile(rf"\s*\[\[?\s*{dotted}\s*[\].]")
        return next((number for number, line in enumerate(self._lines, 1) if pattern.match(line)), None)

    def _inline(self, names: tuple[str, ...]) -> int | None:
        pattern = re.compile(rf"\s*(?:\w+\s*\.\s*)?{_name(names[-1])}\s*[=.]")
        return next((number for number, line in enumerate(self._lines, 1) if pattern.match(line)), None)

    def _below(self, header: int) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(self._lines[header:], header + 1):
            if line.lstrip().startswith("["):
                return
            yield number, line


def _name(name: str) -> str:
    return rf"[\"']?{re.escape(name)}[\"']?"
