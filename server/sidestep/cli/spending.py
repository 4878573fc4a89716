"""What a run cost and what it did not cost again, as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.cli.terminal_text import plural
from sidestep.model.usage import cost_text, spent_text

if TYPE_CHECKING:
    from sidestep.model.usage import Spent, Usage


def kept_text(kept: int, known: int, spent: Spent) -> str:
    """`4 of 7 steps kept, 12 min and $3.10 not spent again`; empty when that is nothing to speak of."""
    saved = spent_text(spent)
    return f"{kept} of {plural(known, 'step')} kept, {saved} not spent again" if kept and saved else ""


def usage_text(usage: Usage) -> str:
    """`21,000 tokens in, 900 out, $0.08`, as far as agents told; empty when they told nothing."""
    parts: list[str] = []
    if usage.input_tokens or usage.output_tokens:
        parts += [f"{usage.input_tokens:,} tokens in", f"{usage.output_tokens:,} out"]
    if usage.cost_micro_usd:
        parts.append(cost_text(usage.cost_micro_usd))
    return ", ".join(parts)
