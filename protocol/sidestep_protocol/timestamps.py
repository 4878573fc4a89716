"""Times on the wire: RFC 3339, UTC, exactly three decimals, `Z`. Owns the two conversions; reads no clock."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_timestamp(milliseconds: int) -> str:
    """Render milliseconds since the epoch, e.g. `0` as `1970-01-01T00:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


# What happens in one second shares its text: a replayed run has thousands of events and few seconds.
@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(timespec="seconds")


def parse_timestamp(text: str) -> int:
    """
    Read milliseconds since the epoch; parts of a millisecond are cut off.

    Raises:
        ValueError: `text` is no RFC 3339 time, or names no offset from UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"expected a time with an offset from UTC, got {text!r}")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
