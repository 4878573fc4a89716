"""Where a position stands, read from the text alone. `|` is the position."""

from __future__ import annotations

import pytest

from sidestep.language.text_cursor import TextCursor


def cursor(marked: str) -> TextCursor:
    before, _, after = marked.partition("|")
    return TextCursor(before + after, len(before))


def shape(marked: str) -> list[tuple[str, int, str | None]]:
    """(callee or sign, argument, keyword) of each open bracket."""
    return [(each.callee or each.sign, each.index, each.keyword) for each in cursor(marked).brackets]


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("f(|", [("f", 0, None)]),
        ("f(a, |b)", [("f", 1, None)]),
        ("f(a, b)|", []),
        ("a.b.f(x=1, y=|", [("a.b.f", 1, "y")]),
        ("f(g(1, 2), [3, |", [("f", 1, None), ("[", 1, None)]),
        ("f(x == |", [("f", 0, None)]),
        ("f(x := |", [("f", 0, None)]),
        ("f(x <= 1, y=a == |", [("f", 1, "y")]),
        ("f('a, (', |", [("f", 1, None)]),
        ("f('''a,\n(''', |", [("f", 1, None)]),
        ("f(# a, (\n|", [("f", 0, None)]),
        ('f("a\\", ", |', [("f", 1, None)]),
        # A string that was not ended ends with its line; a bracket that was not closed with the next statement.
        ("f('a, \n|", [("f", 0, None)]),
        ("f(a, (b\nreturn g(|", [("g", 0, None)]),
        ("f(a, (b\n    c(|", [("f", 1, None), ("(", 0, None), ("c", 0, None)]),
        ("f([a)|", []),
        ("f(a)]|", []),
        ("f(a[b](|", [("f", 0, None), ("(", 0, None)]),
        ("x = {'a': f(|", [("{", 0, None), ("f", 0, None)]),
    ],
)
def test_open_brackets(marked: str, expected: list[tuple[str, int, str | None]]) -> None:
    assert shape(marked) == expected


@pytest.mark.parametrize(
    ("marked", "is_string"),
    [
        ("'|'", True),
        ("|''", False),
        ("''|", False),
        ("'abc|", True),
        ("'abc|\n'", True),
        ("'abc\n|", False),
        ('f"a{b|}"', True),
        ('"""a\n|', True),
        ('"""a"""|', False),
        ("'''|''' + x", True),
        ("x|", False),
        ("rb'|", True),
        ("'a\\'|", True),
    ],
)
def test_strings(marked: str, is_string: bool) -> None:
    assert (cursor(marked).string is not None) == is_string


def test_comments_and_words() -> None:
    assert cursor("x # a|").in_comment
    assert not cursor("x # a\n|").in_comment
    assert not cursor("'#'|").in_comment
    assert cursor("await ag|ent(").word == "agent"
    assert cursor("a . |").is_attribute
    assert cursor("f(a, b|").begins_argument
    assert not cursor("f(a, -b|").begins_argument
    assert cursor("f(a, b=c|").begins_value


def test_a_long_text_is_read_in_one_go() -> None:
    """Linear, counted: twice the text takes twice the tokens, whatever is open."""
    text = "f(" * 20_000
    assert len(TextCursor(text, len(text)).brackets) == 20_000
