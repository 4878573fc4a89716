"""
The run card: a run's phase, steps and log lines in a frame that changes in place, drawn with rich.

Draws `run_view.RunView` and decides nothing. Everything happens on the event loop's thread: no refreshing thread of
rich's is started, so the view never changes while it is drawn.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sidestep.cli.terminal_text import duration, one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType

    from sidestep.cli.run_view import RunView, StepLine
    from sidestep.model.ports import Clock
    from sidestep_protocol import events as wire

REFRESH_S = 0.1
# Lines of the frame that are no steps: borders, phase, counts, spending, logs, and room for a prompt.
_OTHER_LINES = 14
_STEPS_MIN, _STEPS_MAX = 4, 24
_QUESTIONS_MAX = 3
WIDTH_MAX = 100

# Symbol, its plain form for terminals without Unicode, and style, by status.
_MARKS = {
    "completed": ("✓", "+", "green"),
    "reused": ("↺", "=", "cyan"),
    "failed": ("✗", "x", "red"),
    "interrupted": ("■", "-", "yellow"),
}
_STATUS_STYLES = {"completed": "green", "failed": "red", "interrupted": "yellow"}


class RunCard:
    """Implements `display.Display` with a live card."""

    def __init__(self, view: RunView, console: Console, clock: Clock) -> None:
        self._view = view
        self._console = console
        self._clock = clock
        self._plain = console.options.ascii_only
        self._spinner = Spinner("line" if self._plain else "dots", style="blue")
        self._dot = " - " if self._plain else " · "
        self._live = self._new_live()
        self._ticking: asyncio.Task[None] | None = None

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=False, get_renderable=self.draw)

    def open(self) -> None:
        """Show the card; from here on it moves by itself until `close`."""
        self._live.start(refresh=True)
        self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="card")

    def close(self) -> None:
        """Draw it a last time and leave it standing. Idempotent."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
            self._live.refresh()
            self._live.stop()
            # The next opening draws below what stands there now, not over it.
            self._live = self._new_live()

    def say(self, line: str) -> None:
        """Print one line above the card."""
        self._console.print(Text(one_line(line)))

    def take(self, event: wire.Event) -> None:
        """Apply the event to the view; the next tick shows it."""
        self._view.take(event)

    async def _tick(self) -> None:
        # A terminal that is gone ends the drawing and nothing else.
        with contextlib.suppress(OSError):
            while True:
                self._live.refresh()
                await self._clock.sleep(REFRESH_S)

    def draw(self) -> RenderableType:
        """The card as it is now."""
        view = self._view
        parts: list[RenderableType] = []
        if view.phase:
            parts.append(Text.assemble(("phase ", "dim"), (one_line(view.phase, 80), "bold")))
        parts.append(self._steps())
        parts.append(self._counts())
        parts += [Text(line, style="dim", no_wrap=True) for line in view.spending]
        asked = list(view.questions.values())[:_QUESTIONS_MAX]
        parts += [Text("? " + one_line(title, WIDTH_MAX - 8), style="yellow", no_wrap=True) for title in asked]
        parts += [Text("  " + one_line(line, WIDTH_MAX - 8), style="dim", no_wrap=True) for line in view.logs]
        style = _STATUS_STYLES.get(view.status, "blue")
        title = Text.assemble((one_line(view.name, 40), "bold"), (f" {view.run_id}", "dim"))
        return Panel(
            Group(*parts),
            title=title,
            title_align="left",
            subtitle=Text(self._status(), style=style),
            subtitle_align="right",
            border_style=style,
            width=min(self._console.width, WIDTH_MAX),
        )

    def _status(self) -> str:
        view = self._view
        reason = f" ({view.reason})" if view.reason else ""
        elapsed = (
            "" if view.started_at_ms is None else f"{self._dot}{duration(self._clock.now_ms() - view.started_at_ms)}"
        )
        return f"{view.status}{reason}{elapsed}"

    def _steps(self) -> RenderableType:
        """The steps that fit: those in flight, and before them the last that ended."""
        room = min(max(self._console.height - _OTHER_LINES, _STEPS_MIN), _STEPS_MAX)
        running = list(self._view.running.values())
        shown_running = running[:room]
        ended = list(self._view.finished)
        shown_ended = ended[len(ended) - min(len(ended), room - len(shown_running)) :]
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(width=1)
        rows.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        rows.add_column(justify="right", no_wrap=True)
        hidden = self._view.completed + self._view.reused + self._view.failed - len(shown_ended)
        if hidden > 0:
            rows.add_row("", Text(f"{plural(hidden, 'step')} before", style="dim"), "")
        self._add_ended(rows, shown_ended)
        now_ms = self._clock.now_ms()
        for line in shown_running:
            took = duration(max(now_ms - line.started_at_ms, 0))
            rows.add_row(self._spinner, self._name(line), Text(took, style="blue"))
        if len(running) > len(shown_running):
            rows.add_row("", Text(f"{len(running) - len(shown_running)} more in flight", style="dim"), "")
        return rows

    def _add_ended(self, rows: Table, lines: Iterable[StepLine]) -> None:
        for line in lines:
            status = "reused" if line.reused else line.status
            symbol, plain_symbol, style = _MARKS.get(status, ("?", "?", "dim"))
            took = "" if line.duration_ms is None else duration(line.duration_ms)
            name = self._name(line)
            if line.error:
                name.append("  " + one_line(line.error), style=style)
            rows.add_row(
                Text(plain_symbol if self._plain else symbol, style=style),
                name,
                Text("reused" if line.reused else took, style=style if line.reused else "dim"),
            )

    def _name(self, line: StepLine) -> Text:
        """The step's name, and which nested run does its work."""
        name = Text(one_line(line.name))
        if line.child:
            name.append(f"{self._dot}{one_line(line.child)}", style="dim")
        return name

    def _counts(self) -> Text:
        view = self._view
        counted = [
            (view.completed, "ran", "green"),
            (view.reused, "reused", "cyan"),
            (view.failed, "failed", "red"),
            (len(view.running), "running", "blue"),
        ]
        text = Text()
        for count, word, style in counted:
            if count:
                text.append(f"{self._dot if text else ''}{count} {word}", style=style)
        return text
