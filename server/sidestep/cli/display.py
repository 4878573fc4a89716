"""How a run is shown while it goes on: a live card on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from sidestep.cli.plain import PlainLines
from sidestep.system import SystemClock

if TYPE_CHECKING:
    from typing import TextIO

    from sidestep.cli.run_view import RunView
    from sidestep_protocol import events as wire


class Display(Protocol):
    """Shows one run."""

    def open(self) -> None:
        """Begin to show; on the event loop's thread."""
        ...

    def close(self) -> None:
        """Show the end and let go of the terminal. Idempotent."""
        ...

    def say(self, line: str) -> None:
        """Tell the person one line that belongs to no event."""
        ...

    def take(self, event: wire.Event) -> None:
        """Show one event; they come in order."""
        ...


def display_of(view: RunView, stream: TextIO) -> Display:
    """A card if the stream is a terminal that can move its cursor, else lines."""
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        # rich costs 0.1 s, so nobody pays for it who has no use for it.
        from rich.console import Console

        from sidestep.cli.card import RunCard

        return RunCard(view, Console(file=stream, highlight=False), SystemClock())
    return PlainLines(view, stream)
