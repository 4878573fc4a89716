"""
The files an agent may read and write through us: those below its folder, by real path.

A program can open files by itself; this is for agents that ask their client, so that they see no more through it than
the folder they work in. Blocking, for threads. Invariants: no path leads outside, through `..`, symbolic links or the
name of the file itself, also when a folder becomes a link meanwhile (but on Windows, which cannot open below a folder);
a reader of a written file sees the old text or the new, whenever we die.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

_CAN_OPEN_BELOW = os.open in os.supports_dir_fd
# To open below it; it need not be readable.
_FOLDER = sum(getattr(os, flag, 0) for flag in ("O_PATH", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC"))


class FileRefused(Exception):
    """The file cannot be read or written; the message says why, for the agent."""


class AgentFiles:
    """
    Args:
        folder: The agent's folder; what lies below its real path is open to it.
        bytes_max: Of one file, read or written.
    """

    def __init__(self, folder: str, bytes_max: int) -> None:
        self._root = os.path.realpath(folder)
        self._bytes_max = bytes_max

    def named(self, path: str) -> str:
        """The path as it is compared: absolute and without dots, links as they are."""
        return os.path.normpath(os.path.join(self._root, path))

    def require_inside(self, path: str) -> None:
        """Raises FileRefused."""
        self._inside(path)

    def read(self, path: str, line: int | None, limit: int | None) -> str:
        """
        The text of a file, what is not UTF-8 replaced.

        Args:
            line: The first line to give, 1-based; None for the first.
            limit: How many lines; None for all.

        Raises:
            FileRefused: outside, not there, no regular file, or too large.
        """
        real = self._inside(path)
        try:
            with self._folder_of(real, make=False) as (folder, name):
                # Not following: what was looked at is what is opened. Not blocking: a pipe without a writer would hang.
                flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
                fd = os.open(name, flags, dir_fd=folder)
            with os.fdopen(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise FileRefused(f"{path} is no regular file")
                data = file.read(self._bytes_max + 1)
        except OSError as error:
            raise FileRefused(f"{path} cannot be read: {error.strerror or error}") from error
        if len(data) > self._bytes_max:
            raise FileRefused(f"{path} has more than {self._bytes_max} bytes")
        text = data.decode("utf-8", "replace")
        if not line and limit is None:
            return text
        first = max(0, (line or 1) - 1)
        return "".join(text.splitlines(keepends=True)[first : None if limit is None else first + limit])

    def write(self, path: str, text: str) -> None:
        """
        Write a file whole; it and the folders above it are made when they are not there.

        Durability: on return the text survives power loss, the name of a new file may not.

        Raises:
            FileRefused: outside, no regular file, too large, or the system refuses.
        """
        real = self._inside(path)
        data = text.encode("utf-8", "replace")
        if len(data) > self._bytes_max:
            raise FileRefused(f"the text for {path} has more than {self._bytes_max} bytes")
        try:
            with self._folder_of(real, make=True) as (folder, name):
                mode = _mode_of(name, folder)
                if mode is not None and not stat.S_ISREG(mode):
                    raise FileRefused(f"{path} is no regular file")
                _replace(name, folder, data, mode)
        except OSError as error:
            raise FileRefused(f"{path} cannot be written: {error.strerror or error}") from error

    def _inside(self, path: str) -> str:
        if "\0" in path:
            raise FileRefused("a path holds no NUL character")
        real = os.path.realpath(os.path.join(self._root, path))
        if not real.startswith(os.path.join(self._root, "")):
            raise FileRefused(f"{path} lies outside {self._root}")
        return real

    @contextlib.contextmanager
    def _folder_of(self, real: str, *, make: bool) -> Generator[tuple[int | None, str]]:
        """The folder a file stands in, opened step by step from ours, and the file's name in it."""
        above = os.path.dirname(real)
        if not _CAN_OPEN_BELOW:
            if make:
                os.makedirs(above, exist_ok=True)
            yield None, real
            return
        folder = os.open(self._root, _FOLDER)
        try:
            for name in os.path.relpath(above, self._root).split(os.sep):
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=folder)
                below = os.open(name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder, os.path.basename(real)
        finally:
            os.close(folder)


def _mode_of(name: str, folder: int | None) -> int | None:
    try:
        return os.lstat(name, dir_fd=folder).st_mode
    except FileNotFoundError:
        return None


def _replace(name: str, folder: int | None, data: bytes, mode: int | None) -> None:
    beside = os.path.join(os.path.dirname(name), f".{secrets.token_hex(8)}.tmp")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            if mode is not None:
                os.chmod(beside, stat.S_IMODE(mode), dir_fd=folder)
            os.fsync(file.fileno())
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside, dir_fd=folder)
        raise
