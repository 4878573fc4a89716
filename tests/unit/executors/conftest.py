"""Commands under test: real processes, told apart from hanging ones by pipes they hold, never by waiting a while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.executors.command import CommandExecutor
from sidestep.model.abort import AbortController, AbortSignal
from sidestep.model.execution import StepFailed, StepOutcome, StepRequest, StepSucceeded
from sidestep.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.run import Failure


@dataclass
class RecordingLedger:
    """A group ledger in memory; `refuses` makes it fail as a full disk would. Forgetting the unknown is allowed."""

    standing: dict[int, tuple[str, float]] = field(default_factory=dict)
    ever: list[int] = field(default_factory=list)
    refuses: bool = False

    def record(self, run_id: str, group_id: int, started_at: float) -> None:
        if self.refuses:
            raise OSError(28, "No space left on device")
        self.standing[group_id] = (run_id, started_at)
        self.ever.append(group_id)

    def forget(self, group_id: int) -> None:
        self.standing.pop(group_id, None)


class Commands:
    """One executor with its folder; `run` and `fail` are what most tests need."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.ledger = RecordingLedger()
        # What was printed while it ran, by stream.
        self.emitted: dict[str, bytearray] = {}
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.settings = Settings(**{"terminate_grace_s": 0.1, **settings})
        self.executor = CommandExecutor(self.settings, self.ledger, self.environ, asyncio.sleep)

    async def outcome(self, argv: Any, signal: AbortSignal | None = None, **options: Any) -> StepOutcome:
        request = StepRequest(
            run_id="run_a",
            step_id="s",
            key="k",
            kind="command",
            input={"argv": argv, **options},
            folder=str(self.folder),
            attempt=1,
            require_claim=self.require_claim,
            emit=self.emit,
        )
        return await self.executor.execute(request, signal or AbortController().signal)

    def emit(self, stream: str, data: bytes) -> None:
        self.emitted.setdefault(stream, bytearray()).extend(data)

    async def require_claim(self) -> None:
        """The run is ours, unless a test says otherwise."""

    async def run(self, argv: Any, signal: AbortSignal | None = None, **options: Any) -> dict[str, Any]:
        outcome = await self.outcome(argv, signal, **options)
        assert isinstance(outcome, StepSucceeded), outcome
        return outcome.output

    async def fail(self, argv: Any, **options: Any) -> Failure:
        outcome = await self.outcome(argv, **options)
        assert isinstance(outcome, StepFailed), outcome
        assert outcome.failure.step_id == "s"
        return outcome.failure


class Lifeline:
    """
    A named pipe that processes open for writing and hold: what they write is news, its end is the death of them all.

    In a shell: `exec 9>life; echo up >&9`.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def line(self) -> str:
        """The next line; waits for it."""
        line = b""
        while not line.endswith(b"\n"):
            piece = await self._read()
            assert piece, f"every holder died after {line!r}"
            line += piece
        return line.decode().strip()

    def line_now(self) -> str:
        """As `line`, and nothing else runs meanwhile."""
        line = b""
        while not line.endswith(b"\n"):
            select.select([self._fd], [], [])
            piece = os.read(self._fd, 1)
            assert piece, f"every holder died after {line!r}"
            line += piece
        return line.decode().strip()

    async def end(self) -> str:
        """Wait until no process holds the pipe any more; returns what was still written."""
        rest = b""
        while piece := await self._read():
            rest += piece
        return rest.decode()

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            readable = loop.create_future()
            loop.add_reader(self._fd, lambda future=readable: future.done() or future.set_result(None))
            try:
                await readable
            finally:
                loop.remove_reader(self._fd)
            with contextlib.suppress(BlockingIOError):
                return os.read(self._fd, 1)

    @property
    def is_held(self) -> bool:
        """True while a process holds the pipe. Reads what is left in it."""
        try:
            while os.read(self._fd, 4096):
                pass
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture
def life(tmp_path: Path):
    lifeline = Lifeline(tmp_path / "life")
    yield lifeline
    lifeline.close()
