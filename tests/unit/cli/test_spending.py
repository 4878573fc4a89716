"""What a run cost and did not cost again, where it is shown: the view, the card, the plain lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sidestep.cli.card import RunCard
from sidestep.cli.plain import PlainLines
from sidestep.cli.run_view import RunView
from sidestep.cli.spending import kept_text, usage_text
from sidestep.model.usage import Spent, Usage
from sidestep_protocol import runs
from tests.support.fake_clock import FakeClock
from tests.unit.cli.wire_events import BEGAN_MS, Events

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


def gone_on() -> tuple[RunView, Events]:
    """A run that goes on with four finished steps, and does three more."""
    view, events = RunView("x"), Events()
    view.seed_spending(4, KEPT, KEPT.usage)
    more = runs.Usage(input_tokens=1000, output_tokens=100, cost_usd=0.25)
    view.take(events.status("running"))
    for step_id, status in (("e", "completed"), ("f", "failed"), ("g", "completed")):
        view.take(events.step(step_id, "started"))
        view.take(events.step(step_id, status, usage=more))
    return view, events


def test_the_view_adds_up_what_events_say() -> None:
    """Failed steps cost, too; cents are exact."""
    view, _ = gone_on()
    assert view.usage == Usage(23_000, 700, 3_850_000)
    assert view.spending == [SAVED, "23,000 tokens in, 700 out, $3.85 used"]


def test_the_card_says_it() -> None:
    view, _ = gone_on()
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=90, height=40, color_system=None, highlight=False)
    console.print(RunCard(view, console, FakeClock(BEGAN_MS)).draw())
    assert SAVED in stream.getvalue()
    assert "$3.85 used" in stream.getvalue()


def test_plain_lines_say_it_once_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    view, events = gone_on()
    stream = io.StringIO()
    lines = PlainLines(view, stream)
    lines.take(events.log("nearly"))
    assert "spent" not in stream.getvalue()
    lines.take(events.status("completed"))
    assert stream.getvalue().splitlines()[1:] == [
        "run    x completed",
        f"spent  {SAVED}",
        "spent  23,000 tokens in, 700 out, $3.85 used",
    ]


def test_a_run_without_agents_that_began_at_the_beginning_says_nothing() -> None:
    view, events = RunView("x"), Events()
    view.take(events.step("a", "completed"))
    assert view.spending == []
