"""What a run cost and did not cost again, where it is shown: the view, the card, the plain lines."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from sidestep.cli.card import RunCard
from sidestep.cli.plain import PlainLines
from sidestep.cli.run_view import RunView
from sidestep.cli.spending import kept_text, usage_text
from sidestep.model.run import NestedSums, StepCounts
from sidestep.model.usage import Spent, Usage
from tests.support.fake_clock import FakeClock
from tests.support.service_harness import Harness
from tests.unit.cli.wire_events import BEGAN_MS, Events

if TYPE_CHECKING:
    from pathlib import Path

KEPT = Spent(12 * 60_000, Usage(20_000, 400, 3_100_000))
SAVED = "4 of 7 steps kept, 12 min and $3.10 not spent again"


@pytest.mark.parametrize(
    ("kept", "known", "spent", "text"),
    [
        (4, 7, KEPT, SAVED),
        (1, 1, Spent(2000), "1 of 1 step kept, 2 s not spent again"),
        (4, 7, Spent(10), ""),
        (0, 7, KEPT, ""),
    ],
)
def test_what_was_kept(kept: int, known: int, spent: Spent, text: str) -> None:
    assert kept_text(kept, known, spent) == text


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (Usage(), ""),
        (Usage(21_000, 900, 80_000), "21,000 tokens in, 900 out, $0.08"),
        (Usage(0, 3), "0 tokens in, 3 out"),
        (Usage(cost_micro_usd=400), "$0.0004"),
    ],
)
def test_what_was_used(usage: Usage, text: str) -> None:
    assert usage_text(usage) == text


async def gone_on(tmp_path: Path) -> tuple[RunView, Events]:
    """A run that went on with two steps of its own and two of nested runs."""
    async with Harness(tmp_path) as h:
        record = await h.completed("async def main():\n    return 1\n")
    view, events = RunView("x"), Events()
    nested = NestedSums(StepCounts(completed=2, reused=2, known=4), Usage(10_000, 200, 1_000_000))
    steps = StepCounts(completed=3, reused=2, known=3)
    used = Usage(13_000, 500, 2_850_000)
    view.spent(msgspec.structs.replace(record, steps=steps, usage=used, kept=KEPT, nested=nested))
    view.take(events.status("running"))
    return view, events


async def test_the_view_has_the_sums_of_the_whole_tree(tmp_path: Path) -> None:
    view, _ = await gone_on(tmp_path)
    assert view.spending == [SAVED, "23,000 tokens in, 700 out, $3.85 used"]


async def test_the_card_says_it(tmp_path: Path) -> None:
    view, _ = await gone_on(tmp_path)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=90, height=40, color_system=None, highlight=False)
    console.print(RunCard(view, console, FakeClock(BEGAN_MS)).draw())
    assert SAVED in stream.getvalue()
    assert "$3.85 used" in stream.getvalue()


async def test_plain_lines_say_it_once_at_the_end(tmp_path: Path) -> None:
    view, events = await gone_on(tmp_path)
    stream = io.StringIO()
    lines = PlainLines(view, stream)
    lines.take(events.log("nearly"))
    lines.close()
    assert "spent" not in stream.getvalue(), "closed for a question"
    lines.take(events.status("completed"))
    lines.close()
    assert stream.getvalue().splitlines()[1:] == [
        "run    x completed",
        f"spent  {SAVED}",
        "spent  23,000 tokens in, 700 out, $3.85 used",
    ]


def test_a_run_without_agents_that_began_at_the_beginning_says_nothing() -> None:
    view, events = RunView("x"), Events()
    view.take(events.step("a", "completed"))
    assert view.spending == []
