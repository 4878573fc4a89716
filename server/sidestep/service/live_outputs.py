"""
What steps print while they run, on its way to whoever watches.

Ephemeral: nothing is kept, and nobody is waited for; the step's output in the journal is another thing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    OutputListener = Callable[[str, str, str, bytes], None]

log = logging.getLogger("sidestep.listeners")


class LiveOutputs:
    """The port `OutputSink`: hands on to listeners, on the event loop's thread."""

    def __init__(self) -> None:
        self._listeners: list[OutputListener] = []

    def listen(self, listener: OutputListener) -> Callable[[], None]:
        """Call `listener(run_id, step_id, stream, data)` from now on; returns the function that ends it."""
        self._listeners.append(listener)

        def unlisten() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unlisten

    def emit(self, run_id: str, step_id: str, stream: str, data: bytes) -> None:
        for listener in list(self._listeners):
            try:
                listener(run_id, step_id, stream, data)
            except Exception:
                # A listener that fails never affects the run (S8).
                log.exception("%s: a listener of its output failed", run_id)
