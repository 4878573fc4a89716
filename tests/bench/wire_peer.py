"""
A server process on two pipes, driven as cheaply as Python can, so that the figure is the server's and not the client's.

Every server is driven by the same code, with blocking reads and writes: nothing of the client runs while it waits.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidestep_protocol.framing import Frame, FrameReader, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_MARK = b"Content-Length:"
_READ_BYTES = 1024 * 1024
# A server that was told nothing new and used no processor time for this long is idle.
_QUIET_S = 0.3


def message(method: str, params: dict[str, Any], number: int | None = None) -> bytes:
    """One frame: a request, or without a number a notification."""
    head: dict[str, Any] = {"jsonrpc": "2.0"} if number is None else {"jsonrpc": "2.0", "id": number}
    return encode_frame(json.dumps({**head, "method": method, "params": params}, separators=(",", ":")).encode())


class WirePeer:
    """One process. Its stderr is thrown away; `close` kills it."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self._numbers = itertools.count(1)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=cwd,
            env=dict(environment),
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()

    def __enter__(self) -> WirePeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def number(self) -> int:
        """A fresh request id."""
        return next(self._numbers)

    def initialize(self, *, capabilities: dict[str, Any] | None = None, folder: Path | None = None) -> None:
        """Send `initialize` and read its reply; `folder` is open and trusted."""
        params: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": capabilities or {}}
        if folder is not None:
            params["workspaceFolders"] = [{"uri": folder.as_uri(), "name": "bench"}]
            params["initializationOptions"] = {"trust": {"folders": [folder.as_uri()]}}
        answer = self.ask("initialize", params)
        assert "capabilities" in answer["result"], answer

    def initialized(self) -> None:
        """Send `initialized`, and wait until what follows from it is done."""
        self.write(message("initialized", {}))
        self.settle()

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """One request, and its answer: the next message."""
        self.write(message(method, params, self.number()))
        return json.loads(self.read(1)[0])

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._input, rest) :]

    def exchange(self, data: bytes) -> None:
        """Write a frame and read until one has come back; for a server that has nothing else to say."""
        os.write(self._input, data)
        head, gap, body = os.read(self._output, _READ_BYTES).partition(b"\r\n\r\n")
        assert gap, f"{self.name} ended, or cut a header in two"
        missing = _length(head) - len(body)
        while missing > 0:
            missing -= len(os.read(self._output, missing))

    def flood(self, data: bytes, count: int) -> tuple[float, list[bytes]]:
        """
        Write `data` at once, and read until `count` messages have come.

        Returns:
            Seconds until the last has come, and their bodies.
        """
        # A server that does not read while it writes would wait for us as we wait for it.
        writer = threading.Thread(target=self.write, args=(data,))
        began = time.perf_counter()
        writer.start()
        chunks = self._read_chunks(count)
        took_s = time.perf_counter() - began
        writer.join()
        return took_s, _bodies(chunks)

    def flood_until(self, data: bytes, is_last: Callable[[bytes], bool]) -> tuple[float, list[bytes]]:
        """Write one request; returns the seconds until the last message, and all bodies up to it."""
        reader = FrameReader()
        bodies: list[bytes] = []
        has_ended = False
        began = time.perf_counter()
        self.write(data)
        while not has_ended:
            chunk = os.read(self._output, _READ_BYTES)
            assert chunk, f"{self.name} ended"
            new = [item.body for item in reader.feed(chunk) if isinstance(item, Frame)]
            # Each is asked about, so that it may count.
            has_ended = any([is_last(body) for body in new])
            bodies += new
        return time.perf_counter() - began, bodies

    def check_answers(self, bodies: Sequence[bytes], numbers: Sequence[int], *, is_error: bool) -> None:
        """Each request has its answer, and the answers are what was meant to be measured."""
        answers = [json.loads(body) for body in bodies]
        assert sorted(answer["id"] for answer in answers) == sorted(numbers), f"{self.name} left some unanswered"
        assert all(("error" in answer) == is_error for answer in answers), f"{self.name}: {answers[0]}"

    def read(self, count: int) -> list[bytes]:
        """The bodies of the next messages; no more than `count` may be on their way."""
        return _bodies(self._read_chunks(count))

    def resident_bytes(self) -> int:
        """Of the process, now: its resident set, and those of its children."""
        return _resident_bytes(self._process.pid)

    def settle(self) -> None:
        """Wait until the process has used no processor time for a while."""
        used = self._processor_ticks()
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_S:
            time.sleep(0.02)
            now = self._processor_ticks()
            if now != used:
                used, quiet_since = now, time.monotonic()

    def _processor_ticks(self) -> int:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def _read_chunks(self, count: int) -> list[bytes]:
        """Read until `count` messages are whole. Counting headers is all that is done while the server runs."""
        chunks: list[bytes] = []
        seen, tail = 0, b""
        while seen < count or not _is_whole(tail):
            chunk = os.read(self._output, _READ_BYTES)
            assert chunk, f"{self.name} ended"
            chunks.append(chunk)
            seen += (tail[-len(_MARK) + 1 :] + chunk).count(_MARK)
            # The last message may be cut off: it begins at the last header.
            joined = tail + chunk
            tail = joined[max(joined.rfind(_MARK), 0) :]
        return chunks


def _is_whole(last: bytes) -> bool:
    head, gap, body = last.partition(b"\r\n\r\n")
    return bool(gap) and len(body) == _length(head)


def _length(head: bytes) -> int:
    line = next(line for line in head.split(b"\r\n") if line.startswith(_MARK))
    return int(line.removeprefix(_MARK))


def _bodies(chunks: Sequence[bytes]) -> list[bytes]:
    reader = FrameReader()
    items = [item for chunk in chunks for item in reader.feed(chunk)]
    assert reader.is_between_frames
    bodies = [item.body for item in items if isinstance(item, Frame)]
    assert len(bodies) == len(items), "a server sent bad frames"
    return bodies


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident_bytes(int(child)) for child in children)
