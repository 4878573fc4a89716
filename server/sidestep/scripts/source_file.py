"""
Reading a script's text from disk: once, bounded, and exactly the file that was meant.

The path is resolved once (`folder.real_path`) and then opened without following any link, so what was checked to lie in
a folder is what is read, whatever is swapped in between (D2).
"""

from __future__ import annotations

import codecs
import errno
import os
import stat

from sidestep.model.errors import ScriptInvalid, ScriptNotFound
from sidestep.model.problems import ScriptProblem
from sidestep.scripts.source_text import normalize_line_ends


def read_source_file(path: str, *, file: str, bytes_max: int) -> str:
    """
    The text of a script.

    Args:
        path: A real path, as `real_path` gives it.
        file: What the script is called in messages.
        bytes_max: Size limit of the file.

    Returns:
        The text without a byte order mark, line ends as line feeds.

    Raises:
        ScriptNotFound: no such file, no regular file, not readable, or a link stands in the path.
        ScriptInvalid: too long, or not UTF-8.
    """
    try:
        descriptor = _open_without_links(path)
    except (OSError, ValueError) as error:
        raise ScriptNotFound(file, why=_why_not_opened(error)) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ScriptNotFound(file, why="it is no file")
        content = _read(descriptor, bytes_max + 1)
    except OSError as error:
        raise ScriptNotFound(file, why=error.strerror or "it cannot be read") from error
    finally:
        os.close(descriptor)
    if len(content) > bytes_max:
        raise too_long(file, bytes_max)
    return clean_source(_decoded(content, file))


def clean_source(text: str) -> str:
    """The text as it is checked, hashed, stored and run: no byte order mark, line ends as line feeds."""
    return normalize_line_ends(text.removeprefix("\ufeff"))


def too_long(file: str, bytes_max: int) -> ScriptInvalid:
    """The error of a script over the size limit."""
    return ScriptInvalid(file, (ScriptProblem(1, 1, f"the script is longer than {bytes_max} bytes", "too-long"),))


def _open_without_links(path: str) -> int:
    # O_NONBLOCK: opening a pipe must not wait for its writer.
    flags = os.O_RDONLY | _flag("O_CLOEXEC") | _flag("O_NONBLOCK") | _flag("O_NOCTTY") | _flag("O_BINARY")
    if _flag("O_NOFOLLOW_ANY"):
        return os.open(path, flags | _flag("O_NOFOLLOW_ANY"))
    if os.open not in os.supports_dir_fd:
        return _open_and_compare(path, flags)
    # One folder at a time, each relative to the one held open: a link put into any place of the path is refused.
    at = os.open("/", _flag("O_PATH") | os.O_DIRECTORY | os.O_CLOEXEC)
    *folders, name = path.strip("/").split("/")
    try:
        for folder in folders:
            below = os.open(folder, _flag("O_PATH") | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


def _open_and_compare(path: str, flags: int) -> int:
    """Where folders cannot be held open (Windows): open, then look whether the path still leads to the same file."""
    descriptor = os.open(path, flags)
    if os.path.realpath(path) == path and os.path.samestat(os.fstat(descriptor), os.stat(path)):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ELOOP, "a link was put into the path")


def _flag(name: str) -> int:
    return getattr(os, name, 0)


def _why_not_opened(error: OSError | ValueError) -> str:
    match getattr(error, "errno", None):
        case errno.ENOENT:
            return "there is no such file"
        case errno.ELOOP | errno.ENOTDIR:
            return "its path changed while it was opened"
        case errno.EISDIR:
            return "it is a folder"
        case errno.EACCES | errno.EPERM:
            return "it may not be read"
        case _:
            return getattr(error, "strerror", None) or "it is no path"


def _read(descriptor: int, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    left = bytes_max
    while left > 0 and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _decoded(content: bytes, file: str) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ScriptInvalid(file, (ScriptProblem(1, 1, "the script is UTF-16; save it as UTF-8", "encoding"),))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = normalize_line_ends(content[: error.start].decode("utf-8")).split("\n")
        message = f"the script is not UTF-8: byte 0x{content[error.start]:02x}"
        problem = ScriptProblem(len(before), len(before[-1]) + 1, message, "encoding")
        raise ScriptInvalid(file, (problem,)) from error
