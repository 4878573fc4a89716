"""One line for each thing that happens in a run, for a terminal without a card and for logs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from sidestep.cli.run_view import child_text, log_text, phase_text, question_text
from sidestep.cli.terminal_text import duration, one_line
from sidestep_protocol import events as wire

if TYPE_CHECKING:
    from typing import TextIO

    from sidestep.cli.run_view import RunView, StepLine


class PlainLines:
    """Implements `display.Display` with lines."""

    def __init__(self, view: RunView, stream: TextIO) -> None:
        self._view = view
        self._stream = stream

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Say what was spent, if the run is over."""
        for said in self._view.spending if self._view.is_stopped else ():
            self._print("spent", said)

    def say(self, line: str) -> None:
        """Print one line that belongs to no event."""
        self._echo(one_line(line))

    def take(self, event: wire.Event) -> None:
        """Apply the event to the view and print what it says."""
        line = self._view.take(event)
        match event:
            case wire.StatusEvent():
                reason = f" ({event.reason})" if event.reason else ""
                self._print("run", f"{self._view.run_id or self._view.name} {event.status}{reason}")
            case wire.PhaseEvent():
                self._print("phase", phase_text(event))
            case wire.LogEvent():
                self._print("log", log_text(event))
            case wire.StepEvent():
                if line is not None and event.status not in ("queued", "started"):
                    self._print("step", _step_text(line))
            case wire.InteractionEvent():
                self._print("ask", question_text(event))
            case wire.ChildEvent():
                self._print("child", child_text(event))
            case wire.ErrorEvent():
                where = f"line {event.error.line}: " if event.error.line else ""
                self._print("error", where + event.error.message)
            case wire.SourceEvent():
                self._print("source", f"the script was edited: {event.old_hash[:12]} -> {event.new_hash[:12]}")
            case _:
                pass

    def _print(self, word: str, text: str) -> None:
        self._echo(f"{word:<7}{one_line(text)}")

    def _echo(self, line: str) -> None:
        # A stream that nobody reads any more stops the telling, not the run.
        with contextlib.suppress(OSError):
            click.echo(line, file=self._stream)


def _step_text(line: StepLine) -> str:
    took = "" if line.duration_ms is None else f" in {duration(line.duration_ms)}"
    error = f": {line.error}" if line.error else ""
    return f"{line.name} {line.status}{took}{error}"
