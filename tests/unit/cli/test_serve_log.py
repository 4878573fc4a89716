"""The log of `serve`: `sidestep/logs.py`."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

import pytest

from sidestep.logs import LINE_CHARS_MAX, LineLog, LogFile

if TYPE_CHECKING:
    from pathlib import Path


class HeldSink:
    """A sink that hangs until it is let go, and keeps what it takes."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.failure: OSError | None = None
        self.taken = b""

    def write(self, data: bytes) -> None:
        self.entered.set()
        assert self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        self.taken += data

    @property
    def lines(self) -> list[str]:
        """Without their times."""
        return [line.partition(" ")[2] for line in self.taken.decode().splitlines()]


def record(text: str, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("sidestep.x", level, "", 0, text, args, None)


def flush(handler: LineLog, sink: HeldSink) -> list[str]:
    """Wait, however long the machine takes, until the sink has everything."""
    with handler._changed:
        assert handler._changed.wait_for(lambda: not handler._queue and not handler._is_writing, 10)
    return sink.lines


def test_a_record_is_one_line_whatever_it_holds() -> None:
    sink = HeldSink()
    sink.gate.set()
    handler = LineLog(sink)
    handler.handle(record("two\nlines\r\nand %s", "a\nthird"))
    handler.handle(record("x" * 10 * LINE_CHARS_MAX))
    handler.handle(record("%d", "no number"))
    handler.handle(record("\ud800"))
    two, long, unfit, surrogate = flush(handler, sink)
    assert two == "WARNING sidestep.x: two\\nlines\\r\\nand a\\nthird"
    assert len(long) < LINE_CHARS_MAX + 100
    assert unfit.endswith("of sidestep.x that cannot be written: '%d'")
    assert surrogate.endswith("\\ud800")


def test_w22_who_logs_never_waits_and_lines_that_do_not_fit_are_counted() -> None:
    sink = HeldSink()
    handler = LineLog(sink, queue_bytes_max=200)
    handler.handle(record("first"))
    assert sink.entered.wait(10)
    for number in range(100):
        handler.handle(record("number %d", number))
    dropped = handler.dropped_lines
    assert 0 < dropped < 100
    handler.flush()
    sink.gate.set()
    lines = flush(handler, sink)
    assert lines[-1] == f"WARNING sidestep.logs: {dropped} lines were dropped here: the log was not taken"
    # What is kept is how it began, in order.
    assert lines[1:-1] == [f"WARNING sidestep.x: number {number}" for number in range(100 - dropped)]


def test_lines_a_sink_could_not_take_are_counted_and_later_ones_are_written() -> None:
    sink = HeldSink()
    sink.gate.set()
    sink.failure = OSError("full")
    handler = LineLog(sink)
    handler.handle(record("lost"))
    assert flush(handler, sink) == []
    sink.failure = None
    handler.handle(record("kept"))
    assert flush(handler, sink) == [
        "WARNING sidestep.x: kept",
        "WARNING sidestep.logs: 1 lines were dropped here: the log was not taken",
    ]


def test_a_log_file_is_appended_to_and_renamed_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    log = LogFile(str(path), bytes_max=20)
    log.write(b"one\n")
    assert path.read_text() == "before\none\n"
    log.write(b"much longer\n")
    assert (path.read_text(), (tmp_path / "log.1").read_text()) == ("much longer\n", "before\none\n")
    log.write(b"x" * 100 + b"\n")
    assert ((tmp_path / "log.1").read_text(), path.stat().st_size) == ("much longer\n", 101)


def test_two_processes_on_one_log_file_lose_nothing_when_one_renames_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    one, other = LogFile(str(path), bytes_max=20), LogFile(str(path), bytes_max=20)
    one.write(b"one: 1234567890\n")
    other.write(b"other: 1234567890\n")
    one.write(b"1\n")
    assert path.read_text() == "other: 1234567890\n1\n"
    path.unlink()
    other.write(b"again\n")
    assert path.read_text() == "again\n"


def test_what_is_no_regular_file_is_written_and_never_renamed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(str(pipe), bytes_max=1)
    log.write(b"one\n")
    log.write(b"two\n")
    with os.fdopen(reading, "rb", buffering=0) as reader:
        assert reader.read(100) == b"one\ntwo\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


def test_a_log_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        LogFile(str(tmp_path / "no" / "folder"))
