"""The card and the plain lines."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

from rich.console import Console

from sidestep.cli.card import RunCard
from sidestep.cli.plain import PlainLines
from sidestep.cli.run_view import RunView
from tests.support.fake_clock import FakeClock
from tests.unit.cli.wire_events import BEGAN_MS, Events

if TYPE_CHECKING:
    import pytest


def console(height: int = 40, **options: object) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    settings = {"force_terminal": True, "width": 70, "height": height, "color_system": None, **options}
    return Console(file=stream, **settings), stream  # type: ignore[arg-type]


def drawn(view: RunView, height: int = 40) -> str:
    made, stream = console(height)
    made.print(RunCard(view, made, FakeClock(BEGAN_MS + 60_000)).draw())
    return stream.getvalue()


def shown(view: RunView) -> None:
    """A run with one of everything."""
    events = Events()
    view.run_id = "run_abc"
    for event in (
        events.status("running"),
        events.phase("verify"),
        events.step("tests", "started"),
        events.step("tests", "completed", title="All tests"),
        events.step("lint", "failed"),
        events.step("types", "started"),
        events.log("half way"),
    ):
        view.take(event)


def test_the_card_shows_phase_steps_with_status_and_time_and_log_lines() -> None:
    view = RunView("review")
    shown(view)
    card = drawn(view)
    assert "review run_abc" in card
    assert "phase verify" in card
    assert "✓ tests" in card
    assert "100 ms" in card
    assert "✗ lint  exit code 1" in card
    assert "types" in card
    assert "1 ran · 1 failed · 1 running" in card
    assert "half way" in card
    assert "running · 59.9 s" in card


def test_the_card_names_the_nested_run_of_a_step_in_flight_and_of_one_that_ended() -> None:
    """P8"""
    view, events = RunView("x"), Events()
    for event in (
        events.step("done", "started"),
        events.child("done", "run_1"),
        events.step("done", "completed"),
        events.step("check", "started"),
        events.child("check", "run_2"),
    ):
        view.take(event)
    card = drawn(view)
    assert "done · review run_1" in card
    assert "check · review run_2" in card


def test_the_card_fits_the_terminal_whatever_the_run_does() -> None:
    view, events = RunView("x"), Events()
    for number in range(500):
        view.take(events.step(f"done {number}", "completed"))
        view.take(events.step(f"running {number}", "started"))
    for height in (16, 24, 50, 200):
        assert len(drawn(view, height).splitlines()) <= max(height - 2, 14)
    assert "more in flight" in drawn(view)
    assert "steps before" in drawn(view)


def test_what_a_script_says_cannot_paint_the_terminal() -> None:
    view, events = RunView("x"), Events()
    view.take(events.log("\x1b[2J[red]bold[/red]\r"))
    view.take(events.step("\x1b]0;title\x07", "completed"))
    card = drawn(view)
    assert "\x1b" not in card
    assert "[red]bold[/red]" in card


def test_a_terminal_without_unicode_gets_plain_symbols() -> None:
    view = RunView("review")
    shown(view)
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    made = Console(file=stream, force_terminal=True, width=70, height=40, color_system=None)
    made.print(RunCard(view, made, FakeClock()).draw())
    assert "+ tests" in raw.getvalue().decode("ascii")


async def test_the_live_card_ends_with_what_was_last_true() -> None:
    made, stream = console()
    view, clock = RunView("review"), FakeClock(BEGAN_MS)
    card = RunCard(view, made, clock)
    card.open()
    await clock.sleeper(0.1)
    card.take(Events().status("completed"))
    card.say("a word in between")
    card.close()
    card.close()
    assert "a word in between" in stream.getvalue()
    assert "completed" in stream.getvalue().rpartition("review")[2]


async def test_a_terminal_that_is_gone_stops_the_drawing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = console()
    clock = FakeClock(BEGAN_MS)
    card = RunCard(RunView("review"), made, clock)
    card.open()
    await clock.sleeper(0.1)

    def gone() -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(card._live, "refresh", gone)
        clock.advance(0.1)
        ticking = card._ticking
        assert ticking is not None
        await ticking
        assert ticking.exception() is None
    card.close()


def test_plain_lines_say_each_thing_once_and_on_one_line() -> None:
    view, stream = RunView("review"), io.StringIO()
    lines = PlainLines(view, stream)
    events = Events()
    lines.take(events.status("interrupted", reason="user"))
    lines.take(events.phase("verify", round=1))
    lines.take(events.step("tests", "started"))
    lines.take(events.step("tests", "completed"))
    lines.take(events.step("lint", "failed"))
    lines.take(events.log("a\nb\x1b[2J"))
    lines.take(events.child("check", "run_2"))
    lines.take(events.child("check", "run_2", "running"))
    assert stream.getvalue().splitlines() == [
        "run    review interrupted (user)",
        "phase  verify (round=1)",
        "step   tests completed in 100 ms",
        "step   lint failed in 0 ms: exit code 1",
        r"log    a b\x1b[2J",
        "child  review run_2 begins (step check)",
        "child  review run_2 goes on (step check)",
    ]


def test_the_tick_is_cancelled_with_the_card() -> None:
    async def open_and_close() -> list[asyncio.Task[object]]:
        made, _ = console()
        clock = FakeClock(BEGAN_MS)
        card = RunCard(RunView("x"), made, clock)
        card.open()
        await clock.sleeper(0.1)
        card.close()
        await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "card"), return_exceptions=True)
        return [t for t in asyncio.all_tasks() if t.get_name() == "card"]

    assert asyncio.run(open_and_close()) == []
