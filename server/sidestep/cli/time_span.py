"""A length of time as a person types it: `90s`, `15m` (minutes), `12h`, `30d`, `2w`."""

from __future__ import annotations

import re

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,6})([smhdw])")
# As the protocol's `deadlineS`: its end has to be a time that can be written down.
_DEADLINE_S_MAX = 366 * 86_400


def read_age(context: click.Context, parameter: click.Parameter, words: str) -> int:
    """How long ago, in milliseconds."""
    return _seconds(context, parameter, words) * 1000


def read_deadline(context: click.Context, parameter: click.Parameter, words: str | None) -> int | None:
    """How long a run may take, in seconds, from 1 s to 366 days; None when it was not said."""
    if words is None:
        return None
    seconds = _seconds(context, parameter, words)
    if not 0 < seconds <= _DEADLINE_S_MAX:
        raise click.BadParameter(f"{words!r} is not between 1s and 366d", context, parameter)
    return seconds


def _seconds(context: click.Context, parameter: click.Parameter, words: str) -> int:
    found = _SPAN.fullmatch(words)
    if found is None:
        raise click.BadParameter(
            f"{words!r} is no length of time: a number and s, m (minutes), h, d or w, as 90s or 2h", context, parameter
        )
    return int(found[1]) * _SECONDS[found[2]]
