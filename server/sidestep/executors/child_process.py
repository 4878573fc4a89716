"""
One child process in a group of its own, held at a gate until its group is written down.

Owns the pipes, the waiting and the end of the group; knows nothing of steps, ledgers or failures.

The gate: the child starts as `sh`, which reads one line from its standard input and then becomes the program (`exec`),
with the rest of that same pipe as standard input. No user code runs before `open_gate`, and when this process dies
first, `sh` reads the end of the pipe and goes. It costs 0.8 ms a command (a bare start is 1.1 ms). Rejected:
`preexec_fn` (forks a process with threads, and `Popen` waits for the exec that would wait for us), a gate in Python
(13 ms), writing the group down after the start (a crash in between leaves a group nobody knows).

Invariant: the child gets standard input, output and error as pipes or /dev/null, and no other descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, cast

from sidestep.executors.child_watcher import watch_by_descriptor
from sidestep.executors.output_tail import OutputTail
from sidestep.executors.process_group import ask_group_to_end, group_alive, outlast_group, terminate_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.executors.launch import Launch

_SHELL = "/bin/sh"
_GATE = 'read -r _ || exit 125; exec "$@"'
_GATE_NO_INPUT = f"{_GATE} </dev/null"
# A shell hands on only variables whose names it could have itself; `env` puts back the others.
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ENV_PROGRAM = "/usr/bin/env"

_STDOUT, _STDERR = 1, 2


class ChildInput(asyncio.BaseProtocol):
    """Our end of a child's standard input, once the gate is open."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        # A child that closed its input early is no error of ours, so `exc` is not looked at.
        self._transport = None
        self.closed.set_result(None)

    @property
    def unread_bytes(self) -> int:
        """What was written and did not yet fit into the pipe: nothing waits for a child to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write in the background; what comes after the child closed its input, or we did, is dropped."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def end(self) -> None:
        """Close when everything is written. Idempotent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        transport = self._transport
        # Closed with nothing left to write, its end is on the way; asyncio takes a second one for a fault.
        if transport is not None and not (transport.is_closing() and transport.get_write_buffer_size() == 0):
            transport.abort()


class ChildProcess(asyncio.SubprocessProtocol):
    """
    A started child. Get one from `start_child`; it must be closed.

    Attributes:
        group_id: Its process id, its group's and its session's.
        stdout, stderr: The end of each stream.
        exited_at: Loop time of the leader's end, None before.
    """

    def __init__(self, stream_bytes_max: int, emit: Callable[[str, bytes], None]) -> None:
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self.stdout = OutputTail(stream_bytes_max)
        self.stderr = OutputTail(stream_bytes_max)
        self.exited_at: float | None = None
        self._open_streams = {_STDOUT, _STDERR}
        # Ends with the leader.
        self.exited: asyncio.Future[None] = self._loop.create_future()
        # Ends when nobody holds the standard output any more, or the child closed it.
        self.stdout_ended: asyncio.Future[None] = self._loop.create_future()
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.SubprocessTransport | None = None
        self._is_asked_to_end = False
        # Our end of the child's standard input: a descriptor until the gate opens, then a writer when there is text.
        self._stdin_fd: int | None = None
        self._stdin: ChildInput | None = None

    @property
    def group_id(self) -> int:
        return self._started.get_pid()

    async def open_gate(self, stdin: str | None) -> None:
        """Let the program run and give it its standard input, which ends with the text."""
        if sys.platform == "win32":
            pipe_transport = cast("asyncio.WriteTransport", self._started.get_pipe_transport(0))
            pipe_transport.write((stdin or "").encode())
            pipe_transport.close()
            return
        assert self._stdin_fd is not None, "the gate opens once"
        fd, self._stdin_fd = self._stdin_fd, None
        if stdin is None:
            with os.fdopen(fd, "wb", buffering=0) as pipe, contextlib.suppress(BrokenPipeError):
                pipe.write(b"\n")
            return
        writer = await self._connect_input(fd)
        writer.write(b"\n" + stdin.encode())
        writer.end()

    async def open_gate_to_talk(self) -> ChildInput:
        """Let the program run, with a standard input that stays open for what is to be said to it."""
        if sys.platform == "win32":
            writer = ChildInput()
            writer.connection_made(cast("asyncio.WriteTransport", self._started.get_pipe_transport(0)))
            return writer
        assert self._stdin_fd is not None, "the gate opens once"
        fd, self._stdin_fd = self._stdin_fd, None
        writer = await self._connect_input(fd)
        writer.write(b"\n")
        return writer

    async def _connect_input(self, fd: int) -> ChildInput:
        # Kept before the wait: `close` has to find it when this is cancelled.
        self._stdin = writer = ChildInput()
        await self._loop.connect_write_pipe(lambda: writer, os.fdopen(fd, "wb", buffering=0))
        return writer

    async def wait(self) -> int:
        """
        Wait for the leader's end.

        Returns:
            The exit code; the negative signal number when a signal ended the leader.
        """
        await asyncio.wait([self.exited])
        code = self._started.get_returncode()
        assert code is not None, "an ended process has an exit code"
        return code

    async def drained_within(self, seconds: float) -> bool:
        """Wait until both streams have ended, at most that long: a grandchild may hold one for as long as it likes."""
        await asyncio.wait([self._drained], timeout=seconds)
        return self._drained.done()

    def shut_gate(self) -> None:
        """Close standard input; a child that still waits at the gate goes away by itself. Idempotent."""
        if self._stdin_fd is not None:
            fd, self._stdin_fd = self._stdin_fd, None
            os.close(fd)
        if self._stdin is not None:
            self._stdin.abort()

    def ask_to_end(self) -> None:
        """Send TERM to the whole group, once; nothing when its leader has ended by itself."""
        if not self._is_asked_to_end and not self.exited.done():
            self._is_asked_to_end = True
            ask_group_to_end(self.group_id)

    async def end(self, grace_s: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        """
        End the group, TERM first and KILL after the grace, and give back every descriptor.

        Cut short, the group is killed and no longer waited for; its leader is.
        """
        self.shut_gate()
        self.ask_to_end()
        try:
            if self._is_asked_to_end:
                await outlast_group(self.group_id, grace_s, sleep, self.exited)
            elif group_alive(self.group_id):
                await terminate_group(self.group_id, grace_s, sleep)
        finally:
            await self.close()

    async def close(self) -> None:
        """Give back every descriptor. The group must be gone, or at least the leader: its end is waited for."""
        self.shut_gate()
        if self._stdin is not None:
            await asyncio.wait([self._stdin.closed])
        await asyncio.wait([self.exited])
        self._started.close()
        await asyncio.wait([self._closed])

    @property
    def _started(self) -> asyncio.SubprocessTransport:
        assert self._transport is not None, "the child was started"
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self.stdout if fd == _STDOUT else self.stderr).append(data)
        self._emit("stdout" if fd == _STDOUT else "stderr", data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open_streams.discard(fd)
        if fd == _STDOUT:
            self.stdout_ended.set_result(None)
        if not self._open_streams and not self._drained.done():
            self._drained.set_result(None)

    def process_exited(self) -> None:
        self.exited_at = self._loop.time()
        self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set_result(None)


async def start_child(
    launch: Launch, *, has_input: bool, stream_bytes_max: int, emit: Callable[[str, bytes], None]
) -> ChildProcess:
    """
    Start a child at its gate. May be cancelled: then nothing is left.

    Args:
        emit: Takes what the child prints as it arrives: "stdout" or "stderr", and the bytes.

    Raises:
        OSError: the system refuses (too many processes or files, arguments too long).
    """
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        _, child = await loop.subprocess_exec(
            lambda: ChildProcess(stream_bytes_max, emit),
            *launch.argv,
            cwd=launch.cwd,
            env=launch.env,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        return child
    watch_by_descriptor()
    gate_read, gate_write = os.pipe()
    try:
        _, child = await loop.subprocess_exec(
            lambda: ChildProcess(stream_bytes_max, emit),
            *(_SHELL, "-c", _GATE if has_input else _GATE_NO_INPUT, "sh"),
            *_odd_variables(launch),
            *launch.argv,
            stdin=gate_read,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=launch.cwd,
            env=launch.env,
            start_new_session=True,
        )
    except BaseException:
        os.close(gate_write)
        raise
    finally:
        os.close(gate_read)
    child._stdin_fd = gate_write  # pyright: ignore[reportPrivateUsage] -- the maker completes what it made
    return child


def _odd_variables(launch: Launch) -> list[str]:
    """The start of an `env` command that sets the variables a shell would drop; empty when there are none."""
    odd = [f"{name}={value}" for name, value in launch.env.items() if not _SHELL_NAME.match(name)]
    # `env` would take a program with an equals sign in its path for one more variable.
    return [_ENV_PROGRAM, *odd] if odd and "=" not in launch.argv[0] else []
