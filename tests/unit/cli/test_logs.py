"""The log of a command."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sidestep.cli.logs import StderrLines

if TYPE_CHECKING:
    import pytest


def test_a_warning_is_said_once_and_again_after_half_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    handler = StderrLines(lambda: now[0])

    def warn(text: str) -> str:
        handler.handle(logging.LogRecord("sidestep.store", logging.WARNING, "", 0, text, None, None))
        return capsys.readouterr().err

    assert warn("it waits for its store") == "sidestep: warning: it waits for its store\n"
    now[0] += 29.9
    assert warn("it waits for its store") == ""
    assert warn("another") != ""
    now[0] += 0.2
    assert warn("it waits for its store") != ""
