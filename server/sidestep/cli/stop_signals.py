"""
Ctrl-C, and the other ways a person or a system asks a command to stop: politely, then in a hurry, then at once.

The first signal does what the part of the command that is at work says (`politely`), else raises KeyboardInterrupt.
Every further one is handed on with its number; `hurry` is what the command line does with those.

Invariant: further signals ask nobody. They are handled in the signal handler and by a thread of their own, so that no
event loop, store or display that is stuck can keep the process alive.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from sidestep.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# What a process that was asked twice gets to write down how it stopped.
_HURRY_S = 1.0
_LAST_WORDS = b"Stopped in a hurry. The run is kept; `sidestep runs list` shows it.\n"
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class StopSignals:
    """
    The signals of one command, within its body.

    They do what they did before once the body is left, unless one came: the process is on its way out then, and that
    can be stuck as well.
    """

    def __init__(self, further: Callable[[int], None]) -> None:
        """
        Args:
            further: Called in the signal handler for the second signal and each one after it, with its number.
        """
        self._further = further
        self._count = 0
        self._stop: Callable[[], object] = _raise
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                # A command behind nohup outlives its terminal.
                if number is not None and not (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._heed)
        return self

    def __exit__(self, *_: object) -> None:
        if self._count == 0:
            for number, before in self._before.items():
                signal.signal(number, before)

    @contextlib.contextmanager
    def politely(self, stop: Callable[[], object]) -> Generator[None]:
        """Within the body the first signal calls `stop`, in the signal handler."""
        before, self._stop = self._stop, stop
        try:
            yield
        finally:
            self._stop = before

    def _heed(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self._stop()
        else:
            self._further(self._count)


def hurry(count: int) -> None:
    """The second signal kills what this process started and gives it a second; the third ends it."""
    if count > 2:
        _end()
    timer = threading.Timer(_HURRY_S, _end)
    timer.daemon = True
    timer.start()
    kill_descendants()


def kill_descendants() -> None:
    """SIGKILL every process below this one: what was asked to stop gets no more time."""
    # Imported late: it costs time, and few commands are stopped in a hurry.
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _end() -> None:
    """Leave without a word to anybody: the next process that opens the store finds the run's owner dead."""
    kill_descendants()
    with contextlib.suppress(OSError):
        os.write(2, (_SHOW_CURSOR if sys.stderr.isatty() else b"") + _LAST_WORDS)
    os._exit(Exit.INTERRUPTED)


def _raise() -> None:
    raise KeyboardInterrupt
