"""
Running git: short calls, bounded output, nothing left behind.

Owns how git is found, started, read and ended. Knows no worktrees and no patches; who calls says what to run.

What is kept from git: variables that point it at another repository or index, prompts, hooks, the file system monitor
and its own housekeeping in the background. What is left as the user has it: configuration, and with it the filters and
line ends of files (LFS, autocrlf): a worktree has to look like the user's own.

Invariant: git runs in a group of its own, and when `run` returns or raises nobody of it is left. A call that outlives
this process (SIGKILL) ends by itself; whoever has to know hands it the descriptor of a lock.
Invariant: messages of git are for people; decisions are made by exit codes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sidestep.executors.output_tail import OutputTail
from sidestep.executors.process_group import group_alive, kill_group, terminate_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from sidestep.model.abort import AbortSignal

_STDERR_BYTES_MAX = 8 * 1024
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
_TERMINATE_GRACE_S = 2.0
# A filter that lives on behind git may hold its streams for this long.
_LEFTOVERS_S = 0.5

# Where the user's own git finds its configuration and itself; every other variable of git is taken away.
_KEPT = frozenset(
    {
        "GIT_CEILING_DIRECTORIES",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_SYSTEM",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
        "GIT_EXEC_PATH",
    }
)
_ADDED = {
    "GIT_TERMINAL_PROMPT": "0",
    # Reading never writes: no index is refreshed on the side.
    "GIT_OPTIONAL_LOCKS": "0",
    # Names of files are names, not patterns.
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PAGER": "cat",
}
_CONFIGURATION = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    # An index of ours is one file, and refusing mixed line ends is the user's commit's affair.
    "core.splitIndex": "false",
    "core.safecrlf": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "apply.ignoreWhitespace": "no",
    "apply.whitespace": "nowarn",
    "diff.noprefix": "false",
    "diff.mnemonicPrefix": "false",
}


class GitMissing(Exception):
    """There is no git."""


class GitFailed(Exception):
    """
    Git said no.

    Attributes:
        exit_code: Negative signal number when a signal ended it.
        said: The end of its standard error, for people.
    """

    def __init__(self, command: str, exit_code: int, said: str) -> None:
        super().__init__(f"git {command} ended with exit code {exit_code}" + (f": {said}" if said else ""))
        self.exit_code = exit_code
        self.said = said


class GitOutputTooLong(Exception):
    """Git printed more than the caller takes; it was ended."""


@dataclass(frozen=True)
class GitOutput:
    """What one call came to. `said` is the end of standard error."""

    exit_code: int
    stdout: bytes
    said: str

    @property
    def line(self) -> str:
        """Standard output without the line break at its end, as a path or a name."""
        return os.fsdecode(self.stdout.removesuffix(b"\n"))

    @property
    def items(self) -> list[bytes]:
        """Standard output of a command with `-z`."""
        return self.stdout.split(b"\0")[:-1]


class Git:
    """
    Runs git for any number of callers.

    Args:
        environ: The environment to inherit, as it was when the process started.
        sleep: Waits a number of seconds, really: processes live in real time.
    """

    def __init__(self, environ: Mapping[str, str], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._path = environ.get("PATH", os.defpath)
        kept = {name: value for name, value in environ.items() if not name.startswith("GIT_") or name in _KEPT}
        self._environ = {**kept, **_ADDED}
        self._options = [word for name, value in _CONFIGURATION.items() for word in ("-c", f"{name}={value}")]
        self.sleep = sleep

    async def run(
        self,
        *arguments: str,
        cwd: str,
        signal: AbortSignal | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        allowed: Collection[int] = (0,),
        inherit: Sequence[int] = (),
        take: Callable[[bytes], object] | None = None,
        bytes_max: int = OUTPUT_BYTES_MAX,
    ) -> GitOutput:
        """
        Run one command to its end. May be cancelled.

        Args:
            cwd: An absolute path.
            signal: Ends git when it fires.
            env: Added last.
            allowed: Exit codes that are answers and not failures.
            inherit: Descriptors that git and its children hold, too.
            take: Takes standard output piece by piece; then the answer has none.
            bytes_max: Of standard output.

        Raises:
            Aborted, GitMissing, GitFailed, GitOutputTooLong.
        """
        work = self._run(arguments, cwd, stdin, {**self._environ, **(env or {})}, inherit, take, bytes_max)
        if signal is not None:
            # A coroutine that is never awaited would be reported.
            work = signal.race(work)
        output = await work
        if output.exit_code not in allowed:
            raise GitFailed(arguments[0], output.exit_code, output.said)
        return output

    async def _run(
        self,
        arguments: Sequence[str],
        cwd: str,
        stdin: bytes | None,
        env: Mapping[str, str],
        inherit: Sequence[int],
        take: Callable[[bytes], object] | None,
        bytes_max: int,
    ) -> GitOutput:
        program = self._find()
        kept = bytearray()
        try:
            transport, child = await asyncio.get_running_loop().subprocess_exec(
                lambda: _GitProcess(take or kept.extend, bytes_max),
                *(program, *self._options, *arguments),
                stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=cwd,
                env=env,
                start_new_session=True,
                pass_fds=() if sys.platform == "win32" else tuple(inherit),
            )
        except OSError as error:
            raise GitFailed(arguments[0], -1, f"it could not be started: {error.strerror or error}") from error
        try:
            if stdin is not None:
                pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
                pipe.write(stdin)
                pipe.close()
            await asyncio.wait([child.exited])
            await asyncio.wait([child.drained], timeout=_LEFTOVERS_S)
        finally:
            await self._end(transport, child)
        if child.is_too_long:
            raise GitOutputTooLong(f"git {arguments[0]} printed more than {bytes_max} bytes")
        code = transport.get_returncode()
        assert code is not None, "an ended process has an exit code"
        return GitOutput(code, bytes(kept), child.stderr.text().strip())

    async def _end(self, transport: asyncio.SubprocessTransport, child: _GitProcess) -> None:
        """TERM lets git remove its lock files."""
        group_id = transport.get_pid()
        try:
            if group_alive(group_id):
                await terminate_group(group_id, _TERMINATE_GRACE_S, self.sleep, child.exited)
        finally:
            await asyncio.wait([child.exited])
            transport.close()
            await asyncio.wait([child.closed])

    def _find(self) -> str:
        # Only absolute entries: a relative one would find programs in whatever folder is current.
        path = os.pathsep.join(entry for entry in self._path.split(os.pathsep) if os.path.isabs(entry))
        program = shutil.which("git", path=path)
        if program is None:
            raise GitMissing(f"the program 'git' was not found on PATH ({path}); install it")
        return program


class _GitProcess(asyncio.SubprocessProtocol):
    """One call's streams."""

    def __init__(self, take: Callable[[bytes], object], bytes_max: int) -> None:
        loop = asyncio.get_running_loop()
        self._take = take
        self._bytes_left = bytes_max
        self._open_streams = {1, 2}
        self._transport: asyncio.SubprocessTransport | None = None
        self.is_too_long = False
        self.stderr = OutputTail(_STDERR_BYTES_MAX)
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.stderr.append(data)
            return
        self._bytes_left -= len(data)
        if self._bytes_left >= 0:
            self._take(data)
        elif not self.is_too_long:
            self.is_too_long = True
            assert self._transport is not None, "data comes after the start"
            with suppress(ProcessLookupError):
                kill_group(self._transport.get_pid())

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open_streams.discard(fd)
        if not self._open_streams and not self.drained.done():
            self.drained.set_result(None)

    def process_exited(self) -> None:
        self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
