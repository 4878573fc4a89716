"""
One engine's program (`engines/`) as a child process with a store of its own: ask, kill, weigh.

It leads a session, so that a kill takes all its processes at once, as the end of a machine does.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_READ_BYTES = 65536
START_S = 90.0
_STDERR = "stderr.log"


class EngineBroken(Exception):
    """An engine did not do what it was asked; the message has its own words."""


class EngineStopped(Exception):
    """An order took longer than it may; the process is gone."""


class EngineProcess:
    """
    Args:
        name: For messages.
        command: The program, without its arguments.
        folder: Exists; holds everything it stores, and its stderr.
        is_recovering: The folder is a killed process's.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        is_recovering: bool = False,
    ) -> None:
        self.name = name
        self.folder = folder
        self._heard = b""
        self._stderr = (folder / _STDERR).open("ab")
        self._process = subprocess.Popen(
            [*command, str(folder), *(["recover"] if is_recovering else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=folder,
            env=dict(environment),
            bufsize=0,
            start_new_session=True,
        )

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def wait_ready(self) -> None:
        self.wait_told("ready", START_S)

    def ask(self, order: str, limit_s: float, **options: Any) -> Any:
        """
        One order and its answer.

        Raises:
            EngineBroken: It failed.
            EngineStopped: It took longer than `limit_s`.
        """
        self.send(order, **options)
        return self._next("answer", limit_s)

    def send(self, order: str, **options: Any) -> None:
        """An order whose answer nobody waits for."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": order, "with": options}).encode() + b"\n")

    def wait_told(self, beginning: str, limit_s: float) -> str:
        """Until the engine tells something that begins so; raises as `ask`."""
        while True:
            told = str(self._next("told", limit_s))
            if told.startswith(beginning):
                return told

    def kill(self) -> None:
        """SIGKILL for all its processes; also those that left its session. Idempotent."""
        if self._stderr.closed:
            return
        below = processes_below(self._process.pid)
        for kill, each in [(os.killpg, self._process.pid), *((os.kill, pid) for pid in below)]:
            try:
                kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._stderr.close()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def proportional_bytes(self) -> int:
        """Memory of all its processes now; what several share is counted once."""
        return sum(_kibibytes(pid, "smaps_rollup", "Pss:") for pid in self.pids()) * 1024

    def peak_bytes(self) -> int:
        """The largest resident set that each of its living processes ever had, added up."""
        return sum(_kibibytes(pid, "status", "VmHWM:") for pid in self.pids()) * 1024

    def pids(self) -> list[int]:
        return [self._process.pid, *processes_below(self._process.pid)]

    def _next(self, kind: str, limit_s: float) -> Any:
        assert self._process.stdout is not None
        while True:
            while b"\n" not in self._heard:
                if not select.select([self._process.stdout], [], [], limit_s)[0]:
                    self.kill()
                    raise EngineStopped(f"{self.name} took more than {limit_s:g} s")
                chunk = os.read(self._process.stdout.fileno(), _READ_BYTES)
                if not chunk:
                    raise EngineBroken(f"{self.name} ended:\n{self._last_words()}")
                self._heard += chunk
            line, _, self._heard = self._heard.partition(b"\n")
            message = json.loads(line)
            if "error" in message:
                raise EngineBroken(f"{self.name}: {message['error']}\n{self._last_words()}")
            if kind in message:
                return message[kind]

    def _last_words(self) -> str:
        return (self.folder / _STDERR).read_text(errors="replace")[-2000:]


def processes_below(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except OSError:
        return found
    for child in (int(word) for text in texts for word in text.split()):
        found += [child, *processes_below(child)]
    return found


def stored_bytes(folder: Path) -> int:
    """
    What stands in an engine's folder, without what it said on stderr; SQLite's journals are written back first.

    RocksDB's are counted as they stand (its `.log` files, by their length and not by what is allocated ahead).
    """
    for path in folder.rglob("*"):
        if path.suffix in (".db", ".sqlite"):
            with closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != _STDERR)


def _kibibytes(pid: int, file: str, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        # It ended meanwhile.
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
