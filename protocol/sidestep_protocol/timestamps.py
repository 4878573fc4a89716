"""Times on the wire: RFC 3339, UTC, exactly three decimals, `Z`. Owns the two conversions; reads no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_timestamp(milliseconds: int) -> str:
    """Render milliseconds since the epoch, e.g. `0` as `1970-01-01T00:00:00.000Z`."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


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
