"""Positions in every encoding of LSP 3.17, and edits as clients make them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidestep.language.document import Snapshot
from sidestep.lsp.positions import edited, from_position, to_position, units_of

PATH = "/w/.sidestep/workflows/a.py"
ENCODINGS = ["utf-8", "utf-16", "utf-32"]
TEXTS = st.text(st.sampled_from("ab é🛰\ud800\n\r\f\u2028\ufeff"), max_size=40)


@pytest.mark.parametrize(("encoding", "units"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
def test_a_character_outside_the_first_plane_takes_its_units(encoding: str, units: int) -> None:
    snapshot = Snapshot(PATH, "🛰 = 1\n", 1)
    assert to_position(snapshot, 1, 2, encoding) == {"line": 0, "character": units}
    assert from_position(snapshot, 0, units, encoding) == (1, 2)
    # Half a character is the place before it.
    assert from_position(snapshot, 0, units - 1, encoding) == (1, 1)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(TEXTS, st.data())
def test_a_place_goes_out_and_comes_back(encoding: str, text: str, data: st.DataObject) -> None:
    snapshot = Snapshot(PATH, text, 1)
    line = data.draw(st.integers(1, len(snapshot.source.lines)))
    column = data.draw(st.integers(1, len(snapshot.source.lines[line - 1]) + 1))
    told = to_position(snapshot, line, column, encoding)
    assert from_position(snapshot, told["line"], told["character"], encoding) == (line, column)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_places_that_are_not_there_are_the_nearest(encoding: str) -> None:
    snapshot = Snapshot(PATH, "ab\ncd", 1)
    assert from_position(snapshot, 0, 99, encoding) == (1, 3)
    assert from_position(snapshot, 99, 0, encoding) == (2, 3)


@pytest.mark.parametrize(("encoding", "units"), [("utf-8", 3), ("utf-16", 1)])
def test_a_byte_order_mark_shifts_the_first_line_only(encoding: str, units: int) -> None:
    snapshot = Snapshot(PATH, "\ufeffab\ncd\n", 1)
    assert to_position(snapshot, 1, 1, encoding) == {"line": 0, "character": units}
    assert to_position(snapshot, 2, 1, encoding) == {"line": 1, "character": 0}
    assert from_position(snapshot, 0, units + 1, encoding) == (1, 2)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=50)
@given(TEXTS, TEXTS, st.data())
def test_an_edit_replaces_exactly_its_range(encoding: str, text: str, typed: str, data: st.DataObject) -> None:
    """Counted the slow way: LSP's three line ends, and a range given as the units before it on its line."""
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    is_inside = any(text[at - 1 : at + 1] == "\r\n" for at in (first, last))
    if not is_inside:
        place = _place(text, first, encoding), _place(text, last, encoding)
        assert edited(text, *place, typed, encoding) == text[:first] + typed + text[last:]


def test_a_form_feed_is_no_line_end() -> None:
    assert edited("a\fb\nc", (1, 0), (1, 1), "d", "utf-16") == "a\fb\nd"


def _place(text: str, offset: int, encoding: str) -> tuple[int, int]:
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n"), units_of(before[before.rfind("\n") + 1 :], encoding)
