"""
The two descriptors of a server: who may have them, and what becomes of a message that is put into the outgoing one.

Owns the moves of fd 0 and fd 1. `reader.py` reads the one, `writer.py` writes the other; neither ever waits for the
other. It must not know JSON: bodies are bytes.

Invariant: nothing but frames reaches the real stdout. Its only descriptor is the `Writer`'s; fd 1 points at stderr.
"""

from __future__ import annotations

import enum
import os
import sys
from typing import Protocol


class Lane(enum.Enum):
    """What becomes of a message when the host does not read. Lanes share one queue: order holds across them."""

    MUST = "must"  # Responses, requests, statusChanged: never dropped.
    LAGGABLE = "laggable"  # A subscription's events: refused, and the subscription then lags.
    DROPPABLE = "droppable"  # Output: refused or taken out of the queue, and counted.


class Outbound(Protocol):
    """Where a session puts its messages."""

    @property
    def is_congested(self) -> bool:
        """True while the queue holds more than its limit."""
        ...

    def offer(self, body: bytes, lane: Lane) -> bool:
        """
        Queue one message. Never blocks, never raises, may be called from any thread.

        Returns:
            False when the message was refused because the queue is full (never for `Lane.MUST`).
        """
        ...


def take_stdin() -> int:
    """
    Move the real stdin to a private descriptor and leave the null device on fd 0.

    So no child that inherits fd 0 can swallow the host's frames.

    Raises:
        OSError: fd 0 is closed.
    """
    private = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return private


def take_stdout() -> int:
    """
    Move the real stdout to a private descriptor that no child inherits, and point fd 1 at stderr.

    `print`, a C library's `write(1, ...)` and children that inherit fd 1 then write to stderr.

    Raises:
        OSError: fd 1 is closed.
    """
    private = os.dup(1)
    try:
        os.dup2(2, 1)
    except OSError:
        # There is no stderr: what strays goes nowhere.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] -- None without a console
        # What was printed before now strays, too.
        sys.stdout.flush()
    return private
