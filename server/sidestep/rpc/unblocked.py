"""
Pipes and sockets that are read or written without waiting, although their descriptor waits.

O_NONBLOCK belongs to the open file description, which the parent and every sibling may share, so it is never set on one
that was given to us: a pipe is opened a second time, and a socket is asked anew with each call.
"""

from __future__ import annotations

import os
import socket
import stat
from functools import partial
from typing import Protocol


class Unblocked(Protocol):
    """One end. All but `close` raise BlockingIOError when it would have to wait, OSError when it is broken."""

    descriptor: int

    def read(self, bytes_max: int, /) -> bytes:
        """The next bytes; empty at the end."""
        ...

    def write(self, data: bytes, /) -> int:
        """Returns how many bytes were taken."""
        ...

    def close(self) -> None: ...


def unblocked(descriptor: int, *, writing: bool) -> Unblocked | None:
    """
    A second way to the same pipe or socket. The descriptor stays its owner's.

    Returns:
        None for files, terminals and devices, and where the system offers no such way.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(mode):
            return _Pipe(descriptor, os.O_WRONLY if writing else os.O_RDONLY)
        return _Socket(descriptor) if stat.S_ISSOCK(mode) else None
    except (OSError, AttributeError):
        # No /proc, not our user's pipe, nobody at its other end; or a system without these flags.
        return None


class _Pipe:
    """Source: proc(5), "/proc/pid/fd": opening the link makes a new open file description."""

    def __init__(self, descriptor: int, access: int) -> None:
        self.descriptor = os.open(f"/proc/self/fd/{descriptor}", access | os.O_NONBLOCK | os.O_CLOEXEC)
        self.read = partial(os.read, self.descriptor)
        self.write = partial(os.write, self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


class _Socket:
    """Node gives its children sockets for pipes."""

    def __init__(self, descriptor: int) -> None:
        self._flags = socket.MSG_DONTWAIT
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self.descriptor = self._socket.fileno()

    def read(self, bytes_max: int) -> bytes:
        return self._socket.recv(bytes_max, self._flags)

    def write(self, data: bytes) -> int:
        return self._socket.send(data, self._flags | getattr(socket, "MSG_NOSIGNAL", 0))

    def close(self) -> None:
        self._socket.close()
