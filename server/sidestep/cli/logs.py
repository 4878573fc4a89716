"""
The log of a command: warnings as lines on stderr, errors with their traceback in a file beside the store.

The file is made when the first error is written to it and not before.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

import click

from sidestep.store.location import store_location

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


# The same warning is said again after this time.
_REPEAT_S = 30.0
# Warnings remembered for that.
_WARNINGS_MAX = 200


def incident_log(environ: Mapping[str, str]) -> Path:
    """Where errors nobody foresaw are written, with what led to them."""
    return store_location(None, environ).folder / "incidents.log"


def configure(environ: Mapping[str, str]) -> None:
    """Send this process's log to stderr and, from errors on, to the incident log."""
    root = logging.getLogger()
    root.handlers[:] = [StderrLines(time.monotonic), _IncidentFile(incident_log(environ))]
    root.setLevel(logging.WARNING)


class StderrLines(logging.Handler):
    """
    One line a record, without tracebacks; to whatever stderr is then, for a live card stands in for it.

    What was said in the last 30 s is not said again: what is waited for is tried often.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._monotonic = monotonic
        self._said_s: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "sidestep.cli":
            # The edge says itself what a person needs to know.
            return
        first_line = record.getMessage().partition("\n")[0]
        now_s = self._monotonic()
        if now_s - self._said_s.get(first_line, -_REPEAT_S) < _REPEAT_S:
            return
        if len(self._said_s) >= _WARNINGS_MAX:
            self._said_s.clear()
        self._said_s[first_line] = now_s
        with contextlib.suppress(OSError):
            click.echo(f"sidestep: {record.levelname.lower()}: {first_line}", err=True)


class _Records(logging.Formatter):
    """A record begins with its time; the further lines of a traceback are indented, so that none begins another."""

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\n    ")


class _IncidentFile(logging.Handler):
    """Appends errors with their tracebacks."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.ERROR)
        self._path = path
        self.setFormatter(_Records())

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")
        except OSError as error:
            with contextlib.suppress(OSError):
                click.echo(f"sidestep: cannot write {self._path}: {error.strerror}", err=True)
