"""What a host's person is told of the runs that were found interrupted: a few messages, never a flood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.service.automatic_resume import Recovered

# Messages about single runs; one more counts the others.
SINGLE_MAX = 3

_WARNING, _INFO = 2, 3


def recovery_messages(recovered: Sequence[Recovered]) -> list[dict[str, Any]]:
    """`window/showMessage` params for the runs that were found together: each a sentence, the rest as a number."""
    news = [run for run in recovered if run.is_news]
    messages = [_message(run.message, is_good=run.resumed) for run in news[:SINGLE_MAX]]
    rest = news[SINGLE_MAX:]
    if rest:
        resumed = sum(run.resumed for run in rest)
        counts = ((resumed, "resumed"), (len(rest) - resumed, "not resumed"))
        told = " and ".join(f"{count} {what}" for count, what in counts if count)
        text = f"More interrupted workflows: {told}; the log and the list of runs tell which"
        messages.append(_message(text, is_good=resumed == len(rest)))
    return messages


def _message(text: str, *, is_good: bool) -> dict[str, Any]:
    return {"type": _INFO if is_good else _WARNING, "message": text}
