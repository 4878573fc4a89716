"""
Stands between a host and a real server, and does one thing wrong: `python faulty_proxy.py FAULT COMMAND ...`.

Frames are parsed both ways. Bytes of the host's that are no frame go on as they are, unless the fault changes what the
server reads. Ends as the server does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Run as a script: the protocol package comes from the environment.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sidestep_protocol.framing import Frame, FrameReader, encode_frame
from tests.conformance.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.fault import Message

_CHUNK_BYTES = 64 * 1024


class Proxy:
    """One server behind one fault."""

    def __init__(self, fault: str, command: list[str]) -> None:
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        # The fault is asked by one thread at a time.
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._fault = FAULTS[fault](self._to_host, self._to_server)

    def run(self) -> int:
        """Pass messages on until the server ends; returns the exit code."""
        threading.Thread(target=self._pass_input, daemon=True).start()
        assert self._server.stdout is not None
        reader = FrameReader()
        while chunk := os.read(self._server.stdout.fileno(), _CHUNK_BYTES):
            for message in messages(reader, chunk):
                with self._lock:
                    for told in self._fault.from_server(message):
                        self._to_host(told)
        code = self._server.wait()
        return self._fault.exit_code(code if code >= 0 else 128 - code)

    def _pass_input(self) -> None:
        assert self._server.stdin is not None
        reader = FrameReader()
        while chunk := os.read(0, _CHUNK_BYTES):
            whole = b"".join(self._changed(message) for message in messages(reader, chunk))
            try:
                self._write(whole if self._fault.changes_input else chunk)
            except BrokenPipeError:
                return
        self._server.stdin.close()

    def _write(self, data: bytes) -> None:
        assert self._server.stdin is not None
        with self._writing:
            rest = memoryview(data)
            while rest:
                rest = rest[self._server.stdin.write(rest) :]

    def _changed(self, message: Message) -> bytes:
        with self._lock:
            return b"".join(encode_frame(json.dumps(m).encode()) for m in self._fault.from_host(message))

    def _to_host(self, told: Message | bytes) -> None:
        data = told if isinstance(told, bytes) else encode_frame(json.dumps(told).encode())
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(1, rest) :]

    def _to_server(self, message: Message) -> None:
        self._write(encode_frame(json.dumps(message).encode()))


def messages(reader: FrameReader, chunk: bytes) -> Iterator[dict[str, Any]]:
    """The messages that this chunk completes; what is none is left out."""
    for item in reader.feed(chunk):
        if isinstance(item, Frame):
            try:
                decoded = json.loads(item.body)
            except (ValueError, RecursionError):
                continue
            if isinstance(decoded, dict):
                yield decoded


if __name__ == "__main__":
    # A signal to the group reaches the server too, and its end is ours.
    signal.signal(signal.SIGTERM, lambda *_: None)
    code = Proxy(sys.argv[1], sys.argv[2:]).run()
    sys.stdout.flush()
    os._exit(code)
