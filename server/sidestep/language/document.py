"""
One open script: its text as the editor has it, and what is read from that text, once for each version.

Lines and columns count from 1, columns in characters, as everywhere in `scripts/`; what a client counts in is the
wire's matter. Invariant: a `Snapshot` never changes, so any thread may read it while the document goes on.
Invariant: any text is taken; one that is no Python has no `syntax`, and nothing is raised.
"""

from __future__ import annotations

import os
from functools import cached_property

from sidestep.language.steps import CallSite, call_sites
from sidestep.language.surroundings import workspace_of
from sidestep.language.text_cursor import TextCursor
from sidestep.scripts.imports import Imports
from sidestep.scripts.source_text import SourceText, Span, normalize_line_ends
from sidestep.scripts.syntax import ScriptSyntax, parse


class Snapshot:
    """The text of a document at one version, and its syntax."""

    def __init__(self, path: str, text: str, version: int | None, before: Snapshot | None = None) -> None:
        """
        Args:
            path: Of the file; it need not exist.
            text: As the editor has it, with whatever line ends.
            before: The last snapshot that was read as Python, for what is better a little old than gone.
        """
        self.path = path
        self.version = version
        # A byte order mark is a character of the editor's text, and none of the script's.
        self.has_mark = text.startswith("\ufeff")
        self.line_end = "\r\n" if "\r\n" in text else "\n"
        self.source = SourceText(normalize_line_ends(text.removeprefix("\ufeff")))
        self._before = before

    @property
    def text(self) -> str:
        """The script's text, as it would be checked and run."""
        return self.source.text

    @property
    def file(self) -> str:
        """What the script is called in messages."""
        return os.path.basename(self.path)

    @property
    def folder(self) -> str | None:
        """The workspace folder the script belongs to; None for the user's scripts."""
        return workspace_of(self.path)

    @cached_property
    def syntax(self) -> ScriptSyntax | None:
        """None for what is no Python."""
        syntax = parse(self.text, self.file)[0]
        if syntax is not None:
            # Nobody looks further back; the chain of all that was ever typed would stay.
            self._before = None
        return syntax

    @property
    def readable(self) -> Snapshot | None:
        """This snapshot if it is Python, else the last one that was."""
        return self if self.syntax is not None else self._before

    @property
    def known_readable(self) -> Snapshot | None:
        """As `readable`, but a text that nobody has asked about is not parsed for it."""
        return self.readable if "syntax" in vars(self) else self._before

    @cached_property
    def imports(self) -> Imports | None:
        return None if self.syntax is None else Imports(self.syntax)

    def offset(self, line: int, column: int) -> int:
        """The index into `text` of a position; a position that is not there is the nearest one that is."""
        line, column = self.source.clamp(line, column)
        return self._line_starts[line - 1] + column - 1

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an index into `text`."""
        before = self.text[: max(offset, 0)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    def span(self, start: int, end: int) -> Span:
        """The range between two indexes into `text`."""
        return Span(*self.position(start), *self.position(end))

    def cursor(self, line: int, column: int) -> TextCursor:
        """What stands at a position, read from the text alone: half-typed code is read too."""
        return TextCursor(self.text, self.offset(line, column))

    @cached_property
    def call_sites(self) -> list[CallSite]:
        """See `steps.call_sites`."""
        return call_sites(self)

    def is_longer_than(self, bytes_max: int) -> bool:
        return len(self.text) > bytes_max or len(self.text.encode("utf-8", "surrogatepass")) > bytes_max

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        for line in self.source.lines:
            starts.append(starts[-1] + len(line) + 1)
        return starts


class Document:
    """An open script. Its edits come in the order the editor made them."""

    def __init__(self, path: str, text: str, version: int | None) -> None:
        self.path = path
        # The editor's own text: edits are made in it, not in the script's.
        self._text = text
        self._snapshot = Snapshot(path, text, version)

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def text(self) -> str:
        """The text as the editor has it."""
        return self._text

    def change(self, text: str, version: int | None) -> None:
        """Take the next version's text."""
        self._text = text
        self._snapshot = Snapshot(self.path, text, version, self._snapshot.known_readable)
