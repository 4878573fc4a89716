"""The end of a stream."""

from __future__ import annotations

import pytest

from sidestep.executors.output_tail import OutputTail


def tail_of(pieces: list[bytes], bytes_max: int) -> OutputTail:
    tail = OutputTail(bytes_max)
    for piece in pieces:
        tail.append(piece)
    return tail


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_keeps_the_end_and_counts_all_however_the_pieces_are_cut(size: int) -> None:
    data = bytes(range(65, 91)) * 40
    tail = tail_of([data[at : at + size] for at in range(0, len(data), size)], 100)
    assert (tail.text(), tail.total_bytes, tail.is_truncated) == (data[-100:].decode(), len(data), True)


def test_exactly_the_limit_is_not_truncated() -> None:
    tail = tail_of([b"abc", b"de"], 5)
    assert (tail.text(), tail.is_truncated) == ("abcde", False)


def test_a_character_cut_at_the_front_is_left_out_not_mangled() -> None:
    assert tail_of(["aé€😀z".encode()], 4).text() == "z"
    assert tail_of(["a€z".encode()], 3).text() == "z"


def test_what_is_not_utf8_is_replaced_and_a_whole_stream_loses_nothing() -> None:
    assert tail_of([b"\x80\xffa"], 10).text() == "\ufffd\ufffda"


def test_memory_is_bounded_by_twice_the_limit() -> None:
    tail = OutputTail(1000)
    for _ in range(5000):
        tail.append(b"x" * 700)
        assert len(tail._kept) <= 2000
