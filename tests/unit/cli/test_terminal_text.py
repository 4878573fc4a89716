"""Text that scripts and commands wrote, on its way to a terminal."""

from __future__ import annotations

import pytest

from sidestep.cli.terminal_text import columns, duration, one_line, plural, printable, table


def test_control_characters_cannot_reach_the_terminal() -> None:
    hostile = "a\x1b[2Jb\x07\r\x9b31m\u202ec\x00\x7f"
    shown = printable(hostile)
    assert shown.isprintable()
    assert shown == r"a\x1b[2Jb\x07\r\x9b31m\u202ec\x00\x7f"


def test_line_feeds_and_tabs_stay() -> None:
    assert printable("a\n\tb") == "a\n\tb"


def test_half_a_character_can_be_printed() -> None:
    printable("\ud800").encode()


def test_one_line_is_one_line_and_bounded() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 1000, 50)) == 50


def test_wide_and_combining_characters_take_their_cells() -> None:
    assert columns("日本") == 4
    assert columns("e\u0301") == 1


def test_a_table_is_aligned_by_cells() -> None:
    assert table([["日本", "x"], ["abc", "y"]]) == ["日本  x", "abc   y"]
    assert table([]) == []


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1234, "1.2 s"),
        (99_949, "99.9 s"),
        (184_000, "3 min 04 s"),
        (7_500_000, "2 h 05 min"),
    ],
)
def test_durations_read_well(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_plural() -> None:
    assert [plural(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
