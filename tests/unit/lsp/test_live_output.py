"""`workflow/output`: gathered, bounded, counted, and never half a character."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidestep.lsp.live_output import LiveOutput
from sidestep.rpc.transport import Lane
from tests.unit.lsp.test_notifier import FakeLoop


class Host:
    """What was sent, and whether there is room for it."""

    def __init__(self) -> None:
        self.loop: Any = FakeLoop()
        self.sent: list[Any] = []
        self.has_room = True
        self.watched = {"run_1"}
        self.output = LiveOutput(self.send, wants=self.watched.__contains__, batch_s=0.05, loop=self.loop)

    def send(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool:
        assert (method, lane) == ("workflow/output", Lane.DROPPABLE)
        if self.has_room:
            self.sent.append(params)
        return self.has_room

    def print(self, data: bytes, stream: str = "stdout", step_id: str = "s", run_id: str = "run_1") -> None:
        self.output.told(run_id, step_id, stream, data)

    def pass_time(self) -> None:
        self.loop.advance(0.05)


def test_what_is_printed_within_a_moment_goes_out_together_by_stream() -> None:
    host = Host()
    host.print(b"a")
    host.print(b"!", stream="stderr")
    host.print(b"b")
    assert host.sent == []
    host.pass_time()
    assert [(told.run_id, told.step_id, told.stream, told.text, told.dropped_bytes) for told in host.sent] == [
        ("run_1", "s", "stdout", "ab", 0),
        ("run_1", "s", "stderr", "!", 0),
    ]
    host.pass_time()
    assert len(host.sent) == 2


def test_a_run_nobody_watches_costs_nothing() -> None:
    host = Host()
    host.print(b"a", run_id="run_2")
    assert host.loop.timers == []


def test_w21_what_a_slow_host_misses_is_counted_and_bounded() -> None:
    host = Host()
    host.has_room = False
    host.print(b"x" * 100)
    host.pass_time()
    host.has_room = True
    host.print(b"y" * (64 * 1024 + 5))
    host.pass_time()
    (told,) = host.sent
    assert told.dropped_bytes == 105
    assert told.text == "y" * (64 * 1024)
    host.print(b"z")
    host.pass_time()
    assert (host.sent[1].text, host.sent[1].dropped_bytes) == ("z", 0)


def test_g4_the_end_of_a_run_sends_what_is_left_of_it_and_keeps_nothing() -> None:
    """W21: neither half a character nor a loss that could not be told stays behind."""
    host = Host()
    host.watched.add("run_2")
    host.print("half \N{EURO SIGN}".encode()[:-1])
    host.pass_time()
    host.print(b"last words", step_id="t")
    host.has_room = False
    host.print(b"lost", step_id="u")
    host.print(b"of another run", run_id="run_2")
    host.output.end("run_0")
    host.pass_time()
    host.has_room = True
    host.sent.clear()
    host.print(b"!", step_id="t")
    host.output.end("run_1")
    assert [(told.step_id, told.text, told.dropped_bytes) for told in host.sent] == [
        ("s", "\N{REPLACEMENT CHARACTER}", 0),
        ("t", "!", 10),
        ("u", "", 4),
    ]
    host.pass_time()
    assert len(host.sent) == 3
    host.print(b"new", run_id="run_2")
    host.pass_time()
    assert (host.sent[3].text, host.sent[3].dropped_bytes) == ("new", 14)


def test_g5_of_a_run_nobody_watches_any_more_nothing_is_sent_or_kept() -> None:
    host = Host()
    host.print(b"gone \xe2")
    host.watched.clear()
    host.output.end("run_1")
    assert host.loop.timers == []
    host.watched.add("run_1")
    host.print(b"again")
    host.pass_time()
    assert [told.text for told in host.sent] == ["again"]


def test_w22_after_the_end_nothing_is_sent() -> None:
    host = Host()
    host.print(b"a")
    host.output.close()
    host.pass_time()
    assert host.sent == []


@given(st.text(max_size=30), st.lists(st.integers(0, 120), max_size=8))
def test_w5_no_character_is_cut_in_two(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    host = Host()
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(bounds):
        if start != end:
            host.print(data[start:end])
            host.pass_time()
    assert "".join(told.text for told in host.sent) == data.decode()
