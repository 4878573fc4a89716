"""One line from the person at the terminal, while the event loop goes on with the run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys


def is_a_person_there() -> bool:
    """Whether somebody can be asked: what is typed comes from a terminal, and what is asked goes to one."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def read_line() -> str | None:
    """The next line that is typed, without its end; None when the person has closed the input. May be cancelled."""
    descriptor = sys.stdin.fileno()
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str | None] = loop.create_future()
    typed = bytearray()

    def take() -> None:
        try:
            data = os.read(descriptor, 65536)
        except OSError:
            data = b""
        typed.extend(data)
        if not line.done() and (not data or typed.endswith(b"\n")):
            is_end = not data and not typed
            line.set_result(None if is_end else typed.decode("utf-8", "surrogateescape").rstrip("\r\n"))

    # Not a thread that reads: one could not be stopped when the question is answered elsewhere.
    try:
        loop.add_reader(descriptor, take)
    except (NotImplementedError, OSError):
        # An event loop that cannot wait for a terminal.
        return None
    try:
        return await line
    finally:
        loop.remove_reader(descriptor)


def drop_what_was_typed() -> None:
    """Forget what was typed so far: it answers nothing that is asked from now on."""
    with contextlib.suppress(ImportError):
        import termios

        with contextlib.suppress(termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
