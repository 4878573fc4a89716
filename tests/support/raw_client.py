"""
A client of raw bytes for a real server process, independent of our own framing and client code.

    with RawClient.spawn(store=path) as client:
        client.initialize()
        number = client.request("workflow/start", {"script": {"name": "demo"}})
        started = client.expect(notification("workflow/statusChanged"))
        assert client.expect(response_to(number))["result"]["status"] == "completed"
        assert client.shut_down() == 0

A test that waits for what cannot come fails at once, with the transcript: see `expectations.py`. So it does when the
server's stdout ends, or carries a byte that belongs to no frame. Every wait has a timeout, but only a hanging server
meets it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.expectations import (
    UNMET,
    Expectation,
    Message,
    Verdict,
    before,
    count_of,
    message_where,
    never,
    notification,
    response_to,
    server_request,
)

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from types import TracebackType

# The expectations are part of this module for those who write tests.
__all__ = [
    "ExpectationFailed",
    "RawClient",
    "Verdict",
    "before",
    "count_of",
    "message_where",
    "never",
    "notification",
    "response_to",
    "server_request",
]

REPOSITORY = Path(__file__).resolve().parents[2]
SERVE = (sys.executable, "-m", "sidestep", "serve", "--stdio")
PATIENCE_S = 30.0


class ExpectationFailed(AssertionError):
    """An expectation was not met; `verdict` says whether it could still have been."""

    def __init__(self, verdict: Verdict, text: str) -> None:
        super().__init__(text)
        self.verdict = verdict


class RawClient:
    """One server process and everything it said."""

    def __init__(
        self,
        command: Sequence[str] = SERVE,
        *,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: Any = subprocess.PIPE,
    ) -> None:
        """
        Args:
            env: Added to this process's environment.
            stdin: Another standard input than a pipe (a file, `subprocess.DEVNULL`): nothing can be sent then.
        """
        path = os.pathsep.join([str(REPOSITORY / "server"), str(REPOSITORY / "protocol")])
        self.process = subprocess.Popen(
            list(command),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": path, **(env or {})},
            bufsize=0,
        )
        # Everything the server said, in order.
        self.messages: list[Message] = []
        # The first bytes on stdout that belong to no frame.
        self.stray: bytes = b""
        self._stderr = bytearray()
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._stdout_ended = False
        self._wake_read, self._wake_write = os.pipe()
        self._may_read = threading.Event()
        self._may_read.set()
        self._threads = [
            threading.Thread(target=self._read_stdout, name="raw-client-stdout", daemon=True),
            threading.Thread(target=self._read_stderr, name="raw-client-stderr", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def spawn(
        cls,
        *arguments: str,
        store: Path | str | None = None,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: Any = subprocess.PIPE,
    ) -> RawClient:
        """Start `sidestep serve` with these arguments after its own."""
        more = [f"--store={store}"] if store is not None else []
        return cls([*SERVE, *more, *arguments], cwd=cwd, env=env, stdin=stdin)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the server if it still runs, and let go of its pipes."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.leave_stdout()
        # A grandchild of the server may still hold the other end of stderr; the thread is a daemon.
        self._threads[1].join(timeout=1)
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        if not self._threads[1].is_alive():
            assert self.process.stderr is not None
            self.process.stderr.close()

    # -- Sending

    def send_bytes(self, data: bytes) -> None:
        """Raises: BrokenPipeError: the server does not read any more."""
        assert self.process.stdin is not None, "the server was started with another stdin"
        rest = memoryview(data)
        while rest:
            rest = rest[self.process.stdin.write(rest) :]

    def send_body(self, *bodies: bytes) -> None:
        """Several frames in one write."""
        self.send_bytes(b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies))

    def send(self, *messages: Message) -> None:
        """Several messages in one write; `jsonrpc` is added."""
        self.send_body(*(json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages))

    def new_id(self) -> int:
        return next(self._numbers)

    def request(self, method: str, params: Any = None) -> int:
        """Send a request; returns its id."""
        number = self.new_id()
        self.send({"id": number, "method": method, "params": {} if params is None else params})
        return number

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"method": method, "params": {} if params is None else params})

    def respond(self, request_id: int | str, result: Any) -> None:
        self.send({"id": request_id, "result": result})

    def respond_error(self, request_id: int | str, code: int, message: str) -> None:
        self.send({"id": request_id, "error": {"code": code, "message": message}})

    def cancel(self, request_id: int | str) -> None:
        self.notify("$/cancelRequest", {"id": request_id})

    # -- Expecting

    def expect(self, expectation: Expectation, *, since: int = 0, within_s: float = PATIENCE_S) -> Any:
        """
        Wait until the expectation is met.

        Args:
            since: Index into `messages`; earlier ones do not count (see `mark`).
            within_s: For a server that hangs only, in seconds.

        Returns:
            What meets it.

        Raises:
            ExpectationFailed: it cannot be met any more, or time is up.
        """
        ends_at = time.monotonic() + within_s
        with self._changed:
            while True:
                finding = expectation.judge(self.messages[since:])
                if finding.verdict is Verdict.MET:
                    return finding.value
                if finding.verdict is Verdict.UNMEETABLE:
                    raise self._failed(Verdict.UNMEETABLE, expectation, finding.why)
                if self.stray:
                    raise self._failed(Verdict.UNMEETABLE, expectation, f"stdout carries {self.stray[:200]!r}")
                if self._stdout_ended:
                    raise self._failed(Verdict.UNMEETABLE, expectation, "the server's stdout ended")
                left_s = ends_at - time.monotonic()
                if left_s <= 0:
                    raise self._failed(Verdict.UNMET, expectation, f"not within {within_s} s")
                self._changed.wait(left_s)

    def mark(self) -> int:
        """Where `messages` ends now, for `expect(since=...)`."""
        with self._changed:
            return len(self.messages)

    def call(self, method: str, params: Any = None) -> Message:
        """Send a request and await its response."""
        return self.expect(response_to(self.request(method, params)))

    def result(self, method: str, params: Any = None) -> Any:
        """Send a request and await its result. Raises: AssertionError: the answer is an error."""
        answer = self.call(method, params)
        assert "result" in answer, f"{method} was answered {answer['error']}"
        return answer["result"]

    def error(self, method: str, params: Any = None) -> Message:
        """Send a request and await its error. Raises: AssertionError: the answer is a result."""
        answer = self.call(method, params)
        assert "error" in answer, f"{method} was answered {answer['result']}"
        return answer["error"]

    def initialize(
        self,
        *,
        folders: Sequence[Path] = (),
        trusted: bool = True,
        workflow: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        process_id: int | None = None,
    ) -> Message:
        """
        Shake hands; returns the initialize result.

        Args:
            folders: Opened as workspace folders, and trusted for the session unless `trusted` is False.
            workflow: Added to `capabilities.experimental.workflow`.
            options: Added to `initializationOptions`.
        """
        uris = [folder.resolve().as_uri() for folder in folders]
        capability = {"protocolVersions": [1], **(workflow or {})}
        trust = {"trust": {"folders": uris}} if uris and trusted else {}
        result = self.result(
            "initialize",
            {
                "processId": process_id,
                "rootUri": None,
                "capabilities": {"experimental": {"workflow": capability}},
                "workspaceFolders": [{"uri": uri, "name": uri.rsplit("/", 1)[-1]} for uri in uris],
                "initializationOptions": {**trust, **(options or {})},
            },
        )
        self.notify("initialized")
        return result

    # -- The process

    def shut_down(self) -> int:
        """Say goodbye properly; returns the exit code."""
        self.result("shutdown")
        self.notify("exit")
        return self.exit_code()

    def close_stdin(self) -> None:
        assert self.process.stdin is not None, "the server was started with another stdin"
        self.process.stdin.close()

    def pause_reading(self) -> None:
        """Read no more of the server's stdout after the read under way, until `resume_reading`."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    def leave_stdout(self) -> None:
        """Close our end of the server's stdout. What is still in the pipe is lost."""
        if self._threads[0].is_alive():
            os.write(self._wake_write, b".")
            self._may_read.set()
            self._threads[0].join()
        for descriptor in self._wake_read, self._wake_write:
            if descriptor >= 0:
                os.close(descriptor)
        self._wake_read = self._wake_write = -1
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> int:
        """SIGKILL; returns the exit code."""
        self.process.kill()
        return self.exit_code()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self, within_s: float = PATIENCE_S) -> int:
        """Wait for the server's end. Raises: ExpectationFailed: it is still there."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise self._failed(
                Verdict.UNMET, Expectation("the server's end", lambda _: UNMET), f"not within {within_s} s"
            ) from None

    def wait_stdout_end(self, within_s: float = PATIENCE_S) -> None:
        """Wait until nothing can come any more: then `messages` is everything the server ever said."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._stdout_ended, within_s), "the server's stdout does not end"

    @property
    def stderr(self) -> str:
        """What the server has logged so far."""
        return self._stderr.decode(errors="replace")

    # -- Inside

    def _failed(self, verdict: Verdict, expectation: Expectation, why: str) -> ExpectationFailed:
        said = "\n".join(f"  {json.dumps(message)[:300]}" for message in self.messages[-20:])
        what = f"{verdict.value}: {expectation.name}: {why}"
        return ExpectationFailed(verdict, f"{what}\nthe server said last:\n{said}\nits stderr:\n{self.stderr[-4000:]}")

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        buffer = b""
        while True:
            self._may_read.wait()
            readable, _, _ = select.select([descriptor, self._wake_read], [], [])
            if self._wake_read in readable:
                self.process.stdout.close()
                break
            if not self._may_read.is_set():
                continue
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            buffer = self._take_frames(buffer + chunk)
        with self._changed:
            self.stray = self.stray or buffer
            self._stdout_ended = True
            self._changed.notify_all()

    def _take_frames(self, buffer: bytes) -> bytes:
        """Strict on purpose: exactly the header we promise. Returns what is left over."""
        with self._changed:
            while not self.stray:
                head = _header.match(buffer)
                if head is None:
                    if not _may_become_header(buffer):
                        self.stray = buffer
                    break
                end = head.end() + int(head[1])
                if len(buffer) < end:
                    break
                self.messages.append(json.loads(buffer[head.end() : end]))
                buffer = buffer[end:]
            self._changed.notify_all()
        return buffer

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        while True:
            try:
                chunk = self.process.stderr.read(65536)
            except (OSError, ValueError):
                return
            if not chunk:
                return
            self._stderr += chunk


_header = re.compile(rb"Content-Length: (0|[1-9][0-9]*)\r\n\r\n")
_header_rest = re.compile(rb"[0-9]*\r?\n?\r?")


def _may_become_header(buffer: bytes) -> bool:
    name = b"Content-Length: "
    return name.startswith(buffer) or (buffer.startswith(name) and bool(_header_rest.fullmatch(buffer[len(name) :])))
