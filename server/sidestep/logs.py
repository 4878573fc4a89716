"""
Logging of a serving process: to stderr or a file, one line for each record, whatever the record holds.

stdout belongs to the protocol; nothing is ever logged there. Owns the queue of lines, the thread that writes them, and
the size of the log file. It must not know what is logged, nor the protocol.

Invariant: whoever logs never waits. A pipe that nobody reads, or a disk that hangs, holds the thread and nothing else;
lines beyond the queue are dropped, counted, and the number is logged when lines are taken again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import threading
import time
from collections import deque
from typing import Protocol

LEVELS = ("error", "warning", "info", "debug")

KIB = 1024
# Lines that wait to be written.
QUEUE_BYTES_MAX = 1024 * KIB
# A longer line keeps its beginning.
LINE_CHARS_MAX = 16 * KIB
# A log file that has grown past this becomes `PATH.1`, in place of an earlier one, and a new one is begun.
FILE_BYTES_MAX = 10 * 1024 * KIB
# At the end, lines that wait get this long to be written.
FLUSH_S = 0.2

_LINE_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r"})


class LineFormatter(logging.Formatter):
    """`2026-01-31T09:30:00Z warning store: text`; line breaks, also a traceback's, become `\\n`."""

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).translate(_LINE_BREAKS)
        return line if len(line) <= LINE_CHARS_MAX else f"{line[:LINE_CHARS_MAX]} ... ({len(line)} characters)"


class Sink(Protocol):
    """Where lines end up. Only the log's thread calls it, and it may block."""

    def write(self, data: bytes) -> None:
        """Raises: OSError: the data is lost."""
        ...


class LineLog(logging.Handler):
    """Hands formatted records to a thread of its own, which writes them to the sink."""

    def __init__(self, sink: Sink, *, queue_bytes_max: int = QUEUE_BYTES_MAX) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self._sink = sink
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        # Lines dropped since the last time that was told, and ever.
        self._untold = 0
        self.dropped_lines = 0
        self._is_writing = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="sidestep-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        except (TypeError, ValueError, KeyError):
            # The record's arguments do not fit its text; `logging` says so on stderr only where that cannot block.
            line = f"a record of {record.name} that cannot be written: {record.msg!r:.200}\n".encode()
        with self._changed:
            if self._queued_bytes + len(line) > self._queue_bytes_max:
                self._drop(1)
                return
            self._queue.append(line)
            self._queued_bytes += len(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything is written, at most `FLUSH_S`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._is_writing, FLUSH_S)

    def _drop(self, lines: int) -> None:
        self._untold += lines
        self.dropped_lines += lines

    def _run(self) -> None:
        while True:
            lines, untold = self._take()
            try:
                self._sink.write(b"".join(lines))
                if untold:
                    self._sink.write(_dropped_line(untold))
            except OSError:
                with self._changed:
                    self._drop(len(lines))
                    self._untold += untold
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()

    def _take(self) -> tuple[list[bytes], int]:
        """Everything that waits, and how many lines were dropped after it."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue)
            lines, untold = list(self._queue), self._untold
            self._queue.clear()
            self._queued_bytes = self._untold = 0
            self._is_writing = True
        return lines, untold


class StandardError:
    """The sink that is fd 2."""

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(2, rest) :]
            except BlockingIOError:
                # Somebody who shares the description made it non-blocking.
                select.select([], [2], [])


class LogFile:
    """
    The sink that is a file; several processes may append to one.

    Bounded: past `bytes_max` it is renamed to `PATH.1`. A file that somebody moved or removed is made anew.
    """

    def __init__(self, path: str, *, bytes_max: int = FILE_BYTES_MAX) -> None:
        """Raises: OSError: the file cannot be opened."""
        self._path = path
        self._bytes_max = bytes_max
        self._descriptor = _open(path)

    def write(self, data: bytes) -> None:
        status = os.fstat(self._descriptor)
        if stat.S_ISREG(status.st_mode):
            self._renew(status, len(data))
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _renew(self, status: os.stat_result, wanted_bytes: int) -> None:
        """Go to the file that has the path now; begin another when it is full."""
        if not self._has_path(status):
            self._reopen()
            status = os.fstat(self._descriptor)
        if status.st_size and status.st_size + wanted_bytes > self._bytes_max:
            # A folder that cannot be written holds no second file: then the first grows on.
            with contextlib.suppress(OSError):
                os.replace(self._path, f"{self._path}.1")
                self._reopen()

    def _has_path(self, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), status)
        except OSError:
            return False

    def _reopen(self) -> None:
        fresh = _open(self._path)
        os.close(self._descriptor)
        self._descriptor = fresh


def configure(level: str, path: str | None = None) -> LineLog:
    """
    Send this process's log to `path`, or to stderr.

    Args:
        level: One of `LEVELS`.

    Raises:
        OSError: the file cannot be opened.
    """
    handler = LineLog(StandardError() if path is None else LogFile(path))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sidestep").setLevel(level.upper())
    return handler


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


def _dropped_line(count: int) -> bytes:
    text = f"{count} lines were dropped here: the log was not taken"
    record = logging.LogRecord("sidestep.logs", logging.WARNING, "", 0, text, None, None)
    return LineFormatter().format(record).encode() + b"\n"
