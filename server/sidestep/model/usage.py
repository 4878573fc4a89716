"""What work was paid for: tokens and money as agents report them, and time. Sums are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sidestep.model.abort import Aborted

if TYPE_CHECKING:
    from sidestep.model.abort import AbortReason


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one piece of work used, as its agent reported it; 0 for what it did not say."""

    input_tokens: int = 0
    output_tokens: int = 0
    # Dollars in millionths: sums of it are exact.
    cost_micro_usd: int = 0

    def plus(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost_micro_usd + other.cost_micro_usd,
        )

    def minus(self, earlier: Usage) -> Usage:
        """What was used since; `earlier` is a part of this."""
        return Usage(
            self.input_tokens - earlier.input_tokens,
            self.output_tokens - earlier.output_tokens,
            self.cost_micro_usd - earlier.cost_micro_usd,
        )


class AbortedWork(Aborted):
    """Work was aborted that had used something by then."""

    def __init__(self, reason: AbortReason, usage: Usage) -> None:
        super().__init__(reason)
        self.usage = usage


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Time (milliseconds of work, side by side counted twice) and usage of some steps."""

    duration_ms: int = 0
    usage: Usage = Usage()

    def plus(self, duration_ms: int, usage: Usage) -> Spent:
        return Spent(self.duration_ms + duration_ms, self.usage.plus(usage))


def spent_text(spent: Spent) -> str:
    """For people: "12 min and $3.10"; empty when there is nothing to speak of."""
    parts: list[str] = []
    if spent.duration_ms >= 1000:
        parts.append(_time_text(spent.duration_ms // 1000))
    if spent.usage.cost_micro_usd:
        parts.append(cost_text(spent.usage.cost_micro_usd))
    return " and ".join(parts)


def cost_text(micro_usd: int) -> str:
    """ "$3.10"; small sums with as many digits as they need to be seen."""
    digits = 2 if micro_usd >= 10_000 or micro_usd == 0 else 4
    return f"${micro_usd / 1_000_000:.{digits}f}"


def _time_text(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
