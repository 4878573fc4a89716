"""The frame reader: any bytes, in any pieces."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidestep_protocol.framing import (
    ENDS_BYTES,
    BadFrame,
    Frame,
    FrameReader,
    SkippedEnds,
    SkippedFrame,
    encode_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

GIB = 1024 * 1024 * 1024

# What streams are made of, good and bad; small limits bring every branch within reach.
FRAGMENTS = st.sampled_from(
    [
        b"Content-Length: 2\r\n\r\n{}",
        b"content-length:5\n\nhello",
        b"Content-Type: x\r\nContent-Length: 1\r\n\r\n1",
        b"Content-Length: 0\r\n\r\n",
        b"Content-Length: 30\r\n\r\n" + b"s" * 30,
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: ",
        b"X-Content-Length: 3",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 99999999999999\r\n\r\n",
        b"Foo: bar\r\n",
        b"Content-Length",
        b": ",
        b"7",
        b"\r\n",
        b"\n",
        b"\r",
        b"{}",
        b"\xff\x00",
        b"x" * 61,
        b"x" * 130,
        b"y" * 300,
        b" " * 64,
    ]
)
STREAMS = st.one_of(st.lists(FRAGMENTS, max_size=12).map(b"".join), st.binary(max_size=200))


# What a stream that never becomes a message is made of.
PIECES = [b"x" * 64, b"content-length:" * 4, b"Content-Length: 1\n" * 3, b"\n" * 64, b"a:" * 32]


def read(*chunks: bytes, message_bytes_max: int = 16 * 1024 * 1024, header_bytes_max: int = 8192) -> list[object]:
    reader = FrameReader(message_bytes_max=message_bytes_max, header_bytes_max=header_bytes_max)
    return [item for chunk in chunks for item in reader.feed(chunk)]


def bodies(items: Iterable[object]) -> list[bytes]:
    return [item.body for item in items if isinstance(item, Frame)]


def problems(items: Iterable[object]) -> list[str]:
    return [item.reason for item in items if isinstance(item, BadFrame)]


def check_one_bad_then_good(header: bytes) -> str:
    """A bad header block is told once, and the next message arrives; returns the problem."""
    items = read(header + b'{"id":1}' + encode_frame(b'{"id":2}') + encode_frame(b"{}"))
    assert [type(item) for item in items] == [BadFrame, Frame, Frame]
    assert bodies(items) == [b'{"id":2}', b"{}"]
    return problems(items)[0]


@pytest.mark.slow
@given(STREAMS, st.data())
@example(b"x" * 130 + b"\r\n" + b"Content-Length: 2\r\n\r\n{}", None)
@example(b"Content-Length: -1\r\n\r\nContent-Length: 7\r\n" + b"y" * 300 + b"\n", None)
@example(b"a: 1\r\n\r\n" + b"b" * 126 + b": 1\r\n\r\nc: 1\n\n", None)
@example(b"a: 1\r\n\r\n" + b"b" * 300 + b": 1\r\n\r\nc: 1\n\n", None)
@example(b"a: 1\r\n\r\n" + b"b: 1\r\n" * 20 + b"\r\nc: 1\n\n", None)
def test_any_split_gives_the_same_items(stream: bytes, data: st.DataObject | None) -> None:
    """W3: where the operating system cuts the stream means nothing; no bytes raise."""
    whole = read(stream, message_bytes_max=20, header_bytes_max=64)
    single = [stream[index : index + 1] for index in range(len(stream))]
    assert read(*single, message_bytes_max=20, header_bytes_max=64) == whole
    if data is not None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert read(*pieces, message_bytes_max=20, header_bytes_max=64) == whole


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 30))
def test_what_is_encoded_is_read_back(messages: list[bytes], size: int) -> None:
    stream = b"".join(encode_frame(message) for message in messages)
    items = read(*[stream[start : start + size] for start in range(0, len(stream), size)])
    assert items == [Frame(message) for message in messages]


@given(st.binary(max_size=300))
def test_a_good_message_arrives_after_any_garbage(garbage: bytes) -> None:
    """W2: garbage costs at most itself, here ended by a line so that it cannot claim the message as its body."""
    lost = b"Content-Length: none\r\n\r\n" + garbage.replace(b":", b"") + b"\n"
    assert bodies(read(lost + encode_frame(b"{}")))[-1:] == [b"{}"]


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 2\r\n\r\n",
        b"content-length: 2\r\n\r\n",
        b"CONTENT-LENGTH:2\r\n\r\n",
        b"Content-Length :\t2 \r\n\r\n",
        b"Content-Length: 002\r\n\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2\r\nContent-Type: application/vscode-jsonrpc\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
        b"\r\n\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2\n\n",
        b"Content-Type: x\nContent-Length: 2\n\n",
    ],
)
def test_every_form_of_a_good_header_is_accepted(header: bytes) -> None:
    """W3, W4: case, space, order, LF alone, empty lines before."""
    assert read(header + b"{}" + header + b"[]") == [Frame(b"{}"), Frame(b"[]")]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"Content-Type: x\r\n\r\n", "no Content-Length"),
        (b"Content-Length: NaN\r\n\r\n", "Content-Length is not a number of bytes"),
        (b"Content-Length: -5\r\n\r\n", "Content-Length is not a number of bytes"),
        (b"Content-Length: 1e14\r\n\r\n", "Content-Length is not a number of bytes"),
        (b"Content-Length: 1_0\r\n\r\n", "Content-Length is not a number of bytes"),
        (b"Content-Length:\r\n\r\n", "Content-Length is not a number of bytes"),
        (b"Content-Length: 100000000000000\r\n\r\n", "Content-Length is over 1 GiB"),
        (b"Content-Length: %d\r\n\r\n" % (GIB + 1), "Content-Length is over 1 GiB"),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "Content-Length is over 1 GiB"),
        (b"Content-Length: 8\r\nContent-Length: 9\r\n\r\n", "several Content-Lengths"),
        (b"Content-Length: 8\r\n" + b"X: y\r\n" * 2000 + b"\r\n", "the header is too long"),
        (b"warning, this is no header\r\n", "a line is not a header"),
        (b'{"jsonrpc":"2.0"}\r\n', "a line is not a header"),
    ],
)
def test_a_bad_header_is_told_once_and_reading_goes_on(header: bytes, problem: str) -> None:
    """W3."""
    assert check_one_bad_then_good(header) == problem


def test_a_length_too_short_loses_only_its_own_message() -> None:
    """W2: the body's rest stands before the next header, in the same line."""
    items = read(b'Content-Length: 10\r\n\r\n{"id":1,"method":"x"}' + encode_frame(b'{"id":2}'))
    assert [type(item) for item in items] == [Frame, BadFrame, Frame]
    assert bodies(items)[1] == b'{"id":2}'


def test_a_length_too_short_with_a_rest_that_reads_as_a_name() -> None:
    """W2: `rest` glued to `Content-Length` is a name in itself, but not one that is meant."""
    items = read(b"Content-Length: 2\r\n\r\n{}rest" + encode_frame(b"[]"))
    assert items == [Frame(b"{}"), BadFrame("bytes stand before a header"), Frame(b"[]")]


def test_a_length_too_long_eats_into_the_next_message_and_no_further() -> None:
    """W2."""
    eaten = encode_frame(b'{"id":2}')
    items = read(b"Content-Length: 9\r\n\r\n{}" + eaten + encode_frame(b'{"id":3}'))
    assert bodies(items) == [b"{}" + eaten[:7], b'{"id":3}']
    assert len(problems(items)) == 1


def test_each_bad_header_block_is_told() -> None:
    """W3: three in a row end the process, so the second and third have to be seen."""
    bad = b"Content-Length: -1\r\n\r\n{}"
    assert [type(item) for item in read(bad * 3 + encode_frame(b"{}"))] == [BadFrame] * 3 + [Frame]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_each_block_of_headers_without_a_length_is_told(end: bytes) -> None:
    """W3: as those with a bad length are."""
    nonsense = b"Nonsense: 1" + end + b"More: 2" + end + end
    assert [type(item) for item in read(nonsense * 3 + encode_frame(b"{}"))] == [BadFrame] * 3 + [Frame]
    for bad in (b"Content-Length: -1" + end + end, b"no header" + end + end):
        assert [type(item) for item in read(bad + nonsense + encode_frame(b"{}"))] == [BadFrame] * 2 + [Frame]


def test_the_rest_of_a_bad_block_is_no_block() -> None:
    """W3: what stands between a bad line and the next empty one was told with it."""
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
    assert [type(item) for item in read(request + encode_frame(b"{}"))] == [BadFrame, Frame]
    glued = b'Nonsense: 1\r\n\r\n{"id":1}\nNonsense: 1\r\n\r\n'
    assert [type(item) for item in read(glued + encode_frame(b"{}"))] == [BadFrame, Frame]


def test_a_header_as_long_as_what_is_kept_of_a_line_is_found_in_any_split() -> None:
    """While resynchronising, an endless line is cut to its tail; the line's own end must not push the header out."""
    header = b"content-length:" + b" " * 112 + b"2"
    assert len(header) == 128
    # Where the line is cut depends on its length: one of these is cut between the header and its end.
    for junk in range(100, 160):
        stream = b"Content-Length: -1\r\n\r\n" + b"x" * junk + header + b"\r\n\r\n{}"
        assert bodies(read(stream)) == [b"{}"]
        assert read(*[stream[index : index + 1] for index in range(len(stream))]) == read(stream), junk


def test_text_that_speaks_of_content_length_is_no_header() -> None:
    """While resynchronising, a line that ends in a plain length begins a block, and a header after an empty line."""
    lost = b'Content-Length: no\r\n\r\n{"text":"Content-Length: 7"}\nContent-Length: see above\nX-Content-Length: 4\n\n'
    items = read(lost + encode_frame(b"{}"))
    assert bodies(items) == [b"{}"]
    assert len(problems(items)) == 1


def test_a_body_over_the_limit_is_passed_over_and_told_at_once() -> None:
    """W7."""
    reader = FrameReader(message_bytes_max=10)
    assert reader.feed(b"Content-Length: 11\r\n\r\n123") == [SkippedFrame(11)]
    ends = SkippedEnds(11, b"12345678901", b"12345678901")
    assert reader.feed(b"45678901" + encode_frame(b"1234567890")) == [ends, Frame(b"1234567890")]


def test_both_ends_of_a_body_that_is_passed_over_are_handed_on_however_it_is_split() -> None:
    """W25: they may say whose answer it was to be."""
    body = bytes(range(256)) * 3
    wanted = [SkippedFrame(768), SkippedEnds(768, body[:ENDS_BYTES], body[-ENDS_BYTES:]), Frame(b"{}")] * 2
    stream = (encode_frame(body) + encode_frame(b"{}")) * 2
    for size in (1, 511, 512, 513, len(stream)):
        reader = FrameReader(message_bytes_max=700)
        assert [item for at in range(0, len(stream), size) for item in reader.feed(stream[at : at + size])] == wanted


@pytest.mark.slow
def test_a_body_of_100_mb_is_never_in_memory() -> None:
    """W7: bounded memory, whatever the length claims."""
    reader = FrameReader()
    length = 100_000_000
    chunk = bytes(65536)
    whole, rest = divmod(length, len(chunk))
    tracemalloc.start()
    try:
        items = reader.feed(b"Content-Length: %d\r\n\r\n" % length)
        for _ in range(whole):
            items += reader.feed(chunk)
        items += reader.feed(chunk[:rest] + encode_frame(b"{}"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert items == [SkippedFrame(length), SkippedEnds(length, bytes(ENDS_BYTES), bytes(ENDS_BYTES)), Frame(b"{}")]
    assert peak < 1_000_000


def test_a_large_body_in_small_pieces_is_put_together() -> None:
    """16 MiB, the limit itself."""
    body = bytes(16 * 1024 * 1024)
    stream = encode_frame(body)
    assert read(*[stream[start : start + 4096] for start in range(0, len(stream), 4096)]) == [Frame(body)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", [b"", b"Content-Length: x\r\n\r\n", b"Content-Length: 3\r\n"], ids=["header", "lost", "inside a block"]
)
@pytest.mark.parametrize("piece", PIECES, ids=["text", "names", "headers", "empty lines", "one header"])
def test_endless_garbage_is_neither_kept_nor_told_again(start: bytes, piece: bytes) -> None:
    """Memory that stays small also means that no byte is looked at again and again."""
    reader = FrameReader()
    tracemalloc.start()
    try:
        told = len(reader.feed(start))
        for _ in range(500_000 // len(piece)):
            told += len(reader.feed(piece))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Headers over and over are blocks that are too long, one after the other; all else is told twice at most.
    assert told <= (500_000 // 8192 + 2 if piece.startswith(b"Content-Length") else 2)
    assert peak < 100_000


def test_the_end_of_a_stream_is_clean_only_between_frames() -> None:
    """W18: mid-header, mid-body."""
    reader = FrameReader()
    assert reader.is_between_frames
    for piece in (b"Content-Len", b"gth: 2\r\n", b"\r\n", b"{"):
        reader.feed(piece)
        assert not reader.is_between_frames
    assert reader.feed(b"}") == [Frame(b"{}")]
    assert reader.is_between_frames
