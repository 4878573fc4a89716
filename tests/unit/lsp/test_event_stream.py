"""
A stream of one run's events: pages of the journal, then commits, each sequence once and in order (W24, G2).

The journal, the pages and the commits of a test are under its control; only time is not real.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sidestep.lsp.event_stream import EventStream
from sidestep.model.events import JournalEvent, Logged
from sidestep.rpc.transport import Lane
from tests.unit.lsp.test_notifier import RECORD, FakeLoop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.model.run import RunRecord


class Streamed:
    """A journal, a stream of it and what the host got."""

    def __init__(self, after_sequence: int | None = 0, length: int = 0) -> None:
        self.loop = FakeLoop()
        self.sent: list[tuple[str, Any]] = []
        self.ended = 0
        self.refuses = False
        self.journal = [JournalEvent(number, 1, Logged(message="")) for number in range(1, length + 1)]
        loop: Any = self.loop
        self.stream = EventStream(self._send, 0.05, loop, after_sequence, self._end)

    def _send(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool:
        if self.refuses and lane is Lane.LAGGABLE:
            return False
        self.sent.append((method, msgspec.to_builtins(params)))
        return True

    def _end(self, stream: EventStream) -> None:
        assert stream is self.stream
        self.ended += 1

    @property
    def record(self) -> RunRecord:
        return replace(RECORD, sequence=len(self.journal))

    def write(self, count: int = 1) -> Sequence[JournalEvent]:
        """Commit events; they are told with `tell`."""
        first = len(self.journal) + 1
        events = [JournalEvent(first + offset, 1, Logged(message="")) for offset in range(count)]
        self.journal += events
        return events

    def tell(self, events: Sequence[JournalEvent]) -> None:
        self.stream.told(replace(RECORD, sequence=events[-1].sequence), events)

    def commit(self, count: int = 1) -> None:
        self.tell(self.write(count))

    def page(self, size: int) -> Sequence[JournalEvent]:
        """What the journal holds now after the stream's cursor."""
        return self.journal[self.stream.cursor : self.stream.cursor + size]

    @property
    def sequences(self) -> list[int]:
        batches = [params["events"] for method, params in self.sent if method == "workflow/eventsAppended"]
        return [event["sequence"] for batch in batches for event in batch]

    @property
    def lagged(self) -> list[int]:
        return [params["lastSequence"] for method, params in self.sent if method == "workflow/lagged"]


def test_a_live_stream_begins_with_the_next_commit_and_gathers_for_its_time() -> None:
    told = Streamed(None, length=7)
    told.commit()
    told.commit(2)
    told.loop.advance(0.04)
    assert told.sent == []
    told.loop.advance(0.01)
    assert [method for method, _ in told.sent] == ["workflow/eventsAppended"]
    assert told.sequences == [8, 9, 10]


def test_w24_commits_told_while_it_catches_up_are_not_sent_twice() -> None:
    told = Streamed(2, length=5)
    assert not told.stream.go_live(5)
    told.commit()
    told.stream.send_page(told.record, told.page(10))
    assert told.stream.go_live(6)
    told.commit()
    told.loop.advance(1)
    assert told.sequences == [3, 4, 5, 6, 7]


def test_w24_it_is_not_live_before_it_has_what_it_heard_of() -> None:
    """The row may have been read before a commit that was told since."""
    told = Streamed(5, length=5)
    stale = told.record.sequence
    told.commit()
    assert not told.stream.go_live(stale)
    told.stream.send_page(told.record, told.page(10))
    assert told.stream.go_live(stale)


def test_w24_a_page_read_before_a_commit_was_told_reaches_further_than_the_row() -> None:
    told = Streamed(0, length=1)
    late = told.write()
    told.stream.send_page(told.record, told.page(10))
    assert told.stream.go_live(2)
    told.tell(late)
    told.commit()
    told.loop.advance(1)
    assert told.sequences == [1, 2, 3]


def test_what_was_answered_is_not_sent() -> None:
    told = Streamed(1, length=4)
    told.stream.caught_up(told.page(10))
    assert told.stream.go_live(4)
    assert told.sent == []
    assert told.stream.cursor == 4


def test_a_page_from_elsewhere_breaks_the_invariant() -> None:
    told = Streamed(0, length=4)
    with pytest.raises(AssertionError, match="goes on"):
        told.stream.caught_up(told.journal[2:])


def test_an_unreadable_event_between_two_commits_ends_the_stream() -> None:
    told = Streamed(None)
    told.commit()
    told.write()
    told.commit()
    told.commit()
    told.loop.advance(1)
    # What waited for its batch counts as unsent.
    assert (told.sequences, told.lagged, told.ended) == ([], [0], 1)


@pytest.mark.parametrize("live", [True, False])
def test_w21_a_refused_sending_ends_it_with_the_last_sequence_that_was_sent(live: bool) -> None:
    told = Streamed(0, length=3)
    told.stream.send_page(told.record, told.page(3))
    told.refuses = True
    if live:
        assert told.stream.go_live(3)
        told.commit(2)
        told.commit()
        told.loop.advance(1)
    else:
        told.write(2)
        told.stream.send_page(told.record, told.page(2))
    assert (told.sequences, told.lagged, told.ended) == ([1, 2, 3], [3], 1)
    told.refuses = False
    told.commit()
    told.stream.flush()
    told.stream.lag("run_1")
    told.loop.advance(1)
    assert (told.sequences, told.lagged, told.ended) == ([1, 2, 3], [3], 1)


def test_nothing_is_sent_after_close_not_even_that_it_lags() -> None:
    told = Streamed(None)
    told.commit()
    told.stream.close()
    told.stream.lag("run_1")
    told.stream.send_page(told.record, [])
    told.stream.close()
    told.loop.advance(1)
    assert (told.sent, told.ended) == ([], 1)


@given(st.data())
def test_w24_any_interleaving_of_pages_and_commits_tells_each_sequence_once_in_order(data: st.DataObject) -> None:
    """
    Commits are told late, rows and pages are read at any time in between, the host refuses when it likes.

    However that goes: from the cursor on each sequence once, in order, up to where it lagged.
    """
    draw = data.draw
    length = draw(st.integers(0, 8), "length")
    after = draw(st.integers(0, length), "after")
    told = Streamed(after, length)
    untold: list[Sequence[JournalEvent]] = []
    # A row as it was read at some time since the stream began; never one from before.
    read = told.record.sequence
    is_live = False
    steps = st.sampled_from(["write", "tell", "read", "page", "live", "time", "refuse"])
    for step in draw(st.lists(steps, max_size=40), "steps"):
        match step:
            case "write":
                untold.append(told.write(draw(st.integers(1, 3))))
            case "tell" if untold:
                told.tell(untold.pop(0))
            case "read":
                read = told.record.sequence
            case "page" if not is_live and not told.ended:
                told.stream.send_page(told.record, told.page(draw(st.integers(1, 4))))
            case "live" if not is_live and not told.ended:
                # As whoever catches up does it: a row is read after the last page.
                read = told.record.sequence
                is_live = told.stream.go_live(read)
            case "time":
                told.loop.advance(0.05)
            case "refuse":
                told.refuses = draw(st.booleans())
    told.refuses = False
    for events in untold:
        told.tell(events)
    while not is_live and not told.ended:
        is_live = told.stream.go_live(told.record.sequence)
        if not is_live:
            told.stream.send_page(told.record, told.page(3))
    told.loop.advance(1)
    last = told.lagged[0] if told.ended else len(told.journal)
    assert told.sequences == list(range(after + 1, last + 1))
    assert len(told.lagged) == told.ended
    assert (told.sent[-1][0] == "workflow/lagged") == bool(told.ended) if told.sent else not told.ended
