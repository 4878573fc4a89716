"""
Logging of a Sidestep process: to stderr or a file, one line for each record, whatever the record holds.

stdout belongs to the protocol or to a command's result; nothing is ever logged there.
"""

from __future__ import annotations

import logging
import sys
import time

LEVELS = ("error", "warning", "info", "debug")


class LineFormatter(logging.Formatter):
    """`2026-01-31T09:30:00Z warning store: text`; line breaks, also a traceback's, become `\\n`."""

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\\n")


class _QuietStream(logging.StreamHandler["object"]):  # pyright: ignore[reportInvalidTypeArguments] -- any text stream
    """Drops a record when the stream cannot take it: a log never stops the work."""

    def handleError(self, record: logging.LogRecord) -> None:
        return None


def configure(level: str, path: str | None = None) -> None:
    """
    Send this process's log to `path`, or to stderr.

    Args:
        level: One of `LEVELS`.

    Raises:
        OSError: the file cannot be opened.
    """
    stream = sys.stderr if path is None else open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    handler = _QuietStream(stream)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sidestep").setLevel(level.upper())
