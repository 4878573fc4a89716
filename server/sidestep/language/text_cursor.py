"""
Where in a call a position stands, read from the text alone: what is being typed is no Python yet.

Owns a tolerant reading of brackets, strings, comments and words up to one position. It must not know what a name means.
Invariant: any text and any position give an answer; time is linear in the text before the position.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
      (?P<comment> \#[^\n]* )
    | (?P<string> (?P<prefix>[rRbBfFuU]{0,2}) (?P<quote> \"\"\" | \'\'\' | \" | \' ) )
    | (?P<word> [^\W\d]\w* )
    | (?P<number> \d[\w.]* )
    | (?P<open> [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<newline> \n )
    | (?P<space> [ \t\f\\]+ )
    | (?P<comparison> [=!<>]=|:=|[-+*/%@&|^]= )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_STRING_ENDS = {
    **{quote: re.compile(rf"(?:[^\\]|\\.)*?{quote}", re.DOTALL) for quote in ('"""', "'''")},
    **{quote: re.compile(rf"(?:[^\\\n{quote}]|\\.)*{quote}", re.DOTALL) for quote in ('"', "'")},
}
_PAIRS = {")": "(", "]": "[", "}": "{"}
# Words that begin a statement and stand nowhere inside brackets: a bracket still open there was forgotten.
_STATEMENTS = frozenset(
    {
        *("assert", "break", "class", "continue", "def", "del", "global", "import", "nonlocal"),
        *("pass", "raise", "return", "try", "while", "with"),
    }
)


@dataclass
class Bracket:
    """
    An open bracket.

    Attributes:
        sign: "(", "[" or "{".
        callee: The dotted name before it, which is called or subscripted; empty without one.
        callee_start: Index of that name.
        keywords: Names already given by `name=`, the present one included.
        index: Which argument the position stands in, from 0.
        keyword: The name the present argument is given by.
        argument_start: Index after the sign that began the present argument, or after its `=`.
    """

    sign: str
    callee: str
    callee_start: int
    start: int
    keywords: list[str] = field(default_factory=list[str])
    index: int = 0
    keyword: str | None = None
    argument_start: int = 0

    @property
    def is_call(self) -> bool:
        return self.sign == "(" and self.callee != ""


@dataclass(frozen=True)
class OpenString:
    """A string the position stands in: where its content begins, and that it holds names in braces."""

    start: int
    quote: str
    is_formatted: bool


class TextCursor:
    """
    One position in a text.

    Attributes:
        offset: Index into the text.
        brackets: Open ones, innermost last.
        string: The string the position stands in, if any.
        in_comment: True inside a comment.
        statement_start: Index where the present statement begins, as far as line ends and brackets tell.
    """

    def __init__(self, text: str, offset: int) -> None:
        self.text = text
        self.offset = offset
        self.brackets: list[Bracket] = []
        self.string: OpenString | None = None
        self.in_comment = False
        self.statement_start = 0
        # The dotted name that ends just before the token that is read, with its start.
        self._name: tuple[str, int] | None = None
        self._ends_in_dot = False
        self._read()

    @property
    def word_start(self) -> int:
        """Index of the first letter of the word that is being typed; the position itself between words."""
        start = self.offset
        while start > 0 and (self.text[start - 1].isalnum() or self.text[start - 1] == "_"):
            start -= 1
        return start

    @property
    def word(self) -> str:
        """The whole word at the position, also what follows it."""
        end = self.offset
        while end < len(self.text) and (self.text[end].isalnum() or self.text[end] == "_"):
            end += 1
        return self.text[self.word_start : end]

    @property
    def is_attribute(self) -> bool:
        """True behind a dot."""
        return self.text[: self.word_start].rstrip(" \t").endswith(".")

    @property
    def call(self) -> Bracket | None:
        """The innermost call the position stands in, through lists and dicts; None outside."""
        return next((each for each in reversed(self.brackets) if each.is_call), None)

    @property
    def begins_argument(self) -> bool:
        """True where a new argument of the innermost bracket begins: nothing but the present word stands in it."""
        if not self.brackets:
            return False
        bracket = self.brackets[-1]
        return bracket.keyword is None and not self.text[bracket.argument_start : self.word_start].strip()

    @property
    def begins_value(self) -> bool:
        """True where the value of `name=` begins."""
        if not self.brackets or self.brackets[-1].keyword is None:
            return False
        return not self.text[self.brackets[-1].argument_start : self.word_start].strip()

    def _read(self) -> None:
        at = 0
        begins_line = True
        while at < self.offset:
            token = _TOKEN.match(self.text, at)
            assert token is not None, "Invariant: the last alternative matches anything"
            kind, at = token.lastgroup or "", token.end()
            match kind:
                case "comment":
                    # At its very end one still types in it.
                    self.in_comment = at >= self.offset
                case "quote" | "string" | "prefix":
                    at = self._read_string(token)
                    self._name = None
                case "newline":
                    begins_line = True
                    self._name = None
                    if not self.brackets:
                        self.statement_start = at
                    continue
                case "word":
                    self._read_word(token[0], token.start(), begins_line=begins_line)
                case "space":
                    # `f (x)` calls, too; only the indentation keeps a line beginning.
                    continue
                case _:
                    self._read_sign(token[0], token.start())
            begins_line = False

    def _read_string(self, token: re.Match[str]) -> int:
        quote = token["quote"]
        end = _STRING_ENDS[quote].match(self.text, token.end())
        if end is not None:
            after = end.end()
        elif len(quote) == 3:
            after = len(self.text) + 1
        else:
            # Its end was not typed yet: it goes to the end of the line.
            line_end = self.text.find("\n", token.end())
            after = len(self.text) + 1 if line_end < 0 else line_end
        is_inside = after > self.offset or (end is None and after >= self.offset)
        if is_inside and token.end() <= self.offset:
            self.string = OpenString(token.end(), quote, "f" in token["prefix"].lower())
        return after

    def _read_word(self, word: str, start: int, *, begins_line: bool) -> None:
        if begins_line and word in _STATEMENTS:
            self.brackets.clear()
            self.statement_start = start
        if self._name is not None and self._ends_in_dot:
            self._name = (f"{self._name[0]}.{word}", self._name[1])
        else:
            self._name = (word, start)
        self._ends_in_dot = False

    def _read_sign(self, sign: str, start: int) -> None:
        name, self._name = self._name, None
        if sign in "([{":
            callee, callee_start = name if name is not None and not self._ends_in_dot else ("", start)
            bracket = Bracket(sign, callee, callee_start, start, argument_start=start + 1)
            self.brackets.append(bracket)
        elif sign in ")]}":
            self._close(sign)
        elif sign == "." and name is not None:
            self._name = name
            self._ends_in_dot = True
            return
        elif self.brackets:
            self._read_separator(self.brackets[-1], sign, name, start)
        self._ends_in_dot = False

    def _read_separator(self, bracket: Bracket, sign: str, name: tuple[str, int] | None, start: int) -> None:
        if sign == ",":
            bracket.index += 1
            bracket.keyword = None
            bracket.argument_start = start + 1
        elif sign == "=" and bracket.sign == "(" and name is not None and bracket.keyword is None:
            begins_with_name = not self.text[bracket.argument_start : name[1]].strip()
            if begins_with_name:
                bracket.keyword = name[0]
                bracket.keywords.append(name[0])
                bracket.argument_start = start + 1

    def _close(self, sign: str) -> None:
        """Close the nearest bracket of this kind; what was left open inside it is closed with it."""
        for depth in range(len(self.brackets) - 1, -1, -1):
            if self.brackets[depth].sign == _PAIRS[sign]:
                del self.brackets[depth:]
                return
