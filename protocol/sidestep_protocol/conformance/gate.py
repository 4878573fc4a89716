"""
Two named pipes by which steps of a workflow and the kit tell each other things, without waiting for time to pass.

    step:  sh -c 'echo begun > told; read line < gate'
    kit:   await gate.told("begun", ...); gate.open()

Owns the pipes. Knows no server. Both ends are held open here, so neither side ever waits to open one, and a step that
is left behind by a killed server ends when the kit lets go.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from sidestep_protocol.conformance.check import CheckFailed

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK_BYTES = 64 * 1024


class Gate:
    """Made in a folder under a name nobody else uses there; ended by `close`."""

    def __init__(self, folder: Path, name: str, answer_s: float) -> None:
        """Names of the files, relative to the folder, are `gate`, `told_at` and `done_at`."""
        self.gate = f"gate-{name}"
        self.told_at = f"told-{name}"
        # A file that steps append to: one line each time a step's work was really done.
        self.done_at = f"done-{name}"
        self._done = folder / self.done_at
        self._answer_s = answer_s
        self._descriptors: list[int] = []
        for file in (folder / self.gate, folder / self.told_at):
            os.mkfifo(file)
            self._descriptors.append(os.open(file, os.O_RDWR | os.O_NONBLOCK))
        self._lines: list[str] = []
        self._buffer = b""
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptors[1], self._read)

    def open(self, times: int = 1) -> None:
        """Let so many steps through."""
        os.write(self._descriptors[0], b"go\n" * times)

    async def told(self, line: str, times: int = 1) -> None:
        """
        Wait until steps have told this line so many times in all.

        Raises:
            CheckFailed: They do not.
        """
        try:
            async with asyncio.timeout(self._answer_s):
                while self._lines.count(line) < times:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            expected = f"a step that says {line!r} ({times} times so far)"
            raise CheckFailed(expected, f"{self._lines} within {self._answer_s:g} s") from None

    def done(self) -> list[str]:
        """What steps appended so far."""
        return self._done.read_text().splitlines() if self._done.exists() else []

    def close(self) -> None:
        """Let go of both pipes."""
        asyncio.get_running_loop().remove_reader(self._descriptors[1])
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _read(self) -> None:
        self._buffer += os.read(self._descriptors[1], _CHUNK_BYTES)
        *lines, self._buffer = self._buffer.split(b"\n")
        self._lines += [line.decode(errors="replace") for line in lines]
        self._changed.set()
