"""
What a script prints, as lines for its run's log, with a cap for the whole run (X3).

The sandbox delivers pieces whenever its buffer is flushed; lines are put together here, so that the same script gives
the same log whatever the timing was.
"""

from __future__ import annotations

from sidestep.model.execution import Call

# A line costs this much of the cap beside its own bytes: a flood of empty lines has an end, too.
_LINE_COST_BYTES = 32


class PrintedLines:
    """The lines of one run; `bytes_max` bounds all of them together."""

    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max
        self._bytes_max = bytes_max
        # Stream -> the line that has no end yet.
        self._open: dict[str, str] = {}

    def take(self, stream: str, text: str) -> list[Call]:
        """Add a piece; returns a call for each line that has ended."""
        if self._left <= 0:
            return []
        # Nothing longer than what is left can be kept; the rest of a huge piece is not even looked at.
        pending = self._open.pop(stream, "") + text[: self._left + 1]
        *lines, rest = pending.split("\n")
        calls: list[Call] = []
        for line in lines:
            calls += self._end(stream, line)
        if rest and self._left > 0:
            if len(rest) > self._left:
                return calls + self._end(stream, rest)
            self._open[stream] = rest
        return calls

    def flush(self) -> list[Call]:
        """The lines that never ended; for when the script has."""
        calls: list[Call] = []
        for stream, rest in list(self._open.items()):
            calls += self._end(stream, rest)
        self._open.clear()
        return calls

    def _end(self, stream: str, line: str) -> list[Call]:
        if self._left <= 0:
            return []
        cost = len(line.encode("utf-8", "replace")) + _LINE_COST_BYTES
        kept = line.encode("utf-8", "replace")[: self._left].decode("utf-8", "ignore")
        self._left -= cost
        calls = [_line(stream, kept)]
        if self._left <= 0:
            self._open.clear()
            calls.append(_line("stderr", f"printed output is over {self._bytes_max // 1024} KiB; the rest is dropped"))
        return calls


def _line(stream: str, text: str) -> Call:
    return Call(None, "print", {"text": text, "stream": stream})
