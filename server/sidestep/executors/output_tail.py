"""
The end of a stream that may be endless: the last bytes and how many there were.

Knows bytes and UTF-8 only. Invariant: at most twice `bytes_max` bytes are held, whatever arrives.
"""

from __future__ import annotations

# A UTF-8 character has at most three bytes that continue it.
_CONTINUATION_BYTES_MAX = 3


class OutputTail:
    """
    Collects one stream.

    Attributes:
        total_bytes: Every byte that arrived, kept or not.
    """

    def __init__(self, bytes_max: int) -> None:
        assert bytes_max > 0, "a tail keeps something"
        self._bytes_max = bytes_max
        self._kept = bytearray()
        self.total_bytes = 0

    def append(self, data: bytes) -> None:
        self.total_bytes += len(data)
        self._kept += data[-self._bytes_max :]
        # Trimming only at twice the size makes the cost per byte flat however small the pieces are.
        if len(self._kept) > 2 * self._bytes_max:
            del self._kept[: -self._bytes_max]

    @property
    def is_truncated(self) -> bool:
        return self.total_bytes > self._bytes_max

    def text(self) -> str:
        """The last `bytes_max` bytes as UTF-8, what is not UTF-8 replaced; a character cut in two is left out."""
        tail = self._kept[-self._bytes_max :]
        if self.is_truncated:
            start = 0
            while start < min(_CONTINUATION_BYTES_MAX, len(tail)) and tail[start] & 0xC0 == 0x80:
                start += 1
            tail = tail[start:]
        return tail.decode("utf-8", "replace")
