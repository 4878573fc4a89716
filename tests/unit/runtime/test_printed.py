"""X3: printed lines, capped for the run."""

from __future__ import annotations

from sidestep.runtime.printed import PrintedLines

NOTICE = ("stderr", "printed output is over 1 KiB; the rest is dropped")


def texts(calls: list) -> list[tuple[str, str]]:
    return [(call.payload["stream"], call.payload["text"]) for call in calls]


def test_pieces_are_put_together_to_whole_lines_by_stream():
    printed = PrintedLines(1024)
    assert texts(printed.take("stdout", "a")) == []
    assert texts(printed.take("stderr", "x\ny")) == [("stderr", "x")]
    assert texts(printed.take("stdout", "b\nc\n\nd")) == [("stdout", "ab"), ("stdout", "c"), ("stdout", "")]
    assert sorted(texts(printed.flush())) == [("stderr", "y"), ("stdout", "d")]
    assert printed.flush() == []


def test_the_same_text_gives_the_same_lines_however_it_is_cut():
    text = "".join(f"line {n}\n" for n in range(200)) + "end"
    whole, pieces = PrintedLines(1024), PrintedLines(1024)
    expected = texts(whole.take("stdout", text) + whole.flush())
    for start in range(0, len(text), 7):
        pieces_of = pieces.take("stdout", text[start : start + 7])
        expected = expected[: len(expected)]
        assert texts(pieces_of) == expected[: len(pieces_of)]
        expected = expected[len(pieces_of) :]
    assert texts(pieces.flush()) == expected


def test_over_the_cap_comes_one_notice_and_then_nothing():
    for text in ("x" * 5000 + "\n", "x" * 5000, "\n" * 5000, "abc\n" * 5000, "é" * 5000):
        printed = PrintedLines(1024)
        calls = texts(printed.take("stdout", text))
        assert calls[-1] == NOTICE
        assert sum(len(line.encode()) for _, line in calls[:-1]) <= 1024
        assert len(calls) < 40
        assert printed.take("stdout", "more\n") == []
        assert printed.flush() == []


def test_a_line_that_grows_over_the_cap_is_cut():
    printed = PrintedLines(1024)
    calls = [call for _ in range(2000) for call in printed.take("stdout", "ab")]
    assert texts(calls)[-1] == NOTICE
    assert len(calls) == 2
