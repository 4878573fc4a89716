"""
Files that survive power loss, and file work in threads that nothing cuts short.

Knows no step and no repository. Blocking, save for `in_thread`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_FOLDER_MODE = 0o700


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do blocking file work in a thread. A cancellation waits for its end: nothing goes on behind the caller's back."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        # Looked at, so that a failure of work that nobody waits for any more is not reported as forgotten.
        if not task.cancelled():
            task.exception()
        raise


def make_folder(folder: Path) -> None:
    """Make a private folder with its parents; those that are new are durable on return."""
    missing = [folder, *folder.parents]
    missing = missing[: next((n for n, one in enumerate(missing) if one.is_dir()), len(missing))]
    for one in reversed(missing):
        one.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        sync_folder(one.parent)


def replace_durably(path: Path, content: bytes) -> None:
    """Write a whole file in place of an older one, or of none; a crash leaves either, never a mixture."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: str | Path) -> None:
    # Windows cannot open folders; its renames are journaled by the file system.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """
    Remove a folder and everything in it; one that is gone is fine. Links are removed, never followed.

    Programs make folders that may not be written to (caches of modules, for one): those are opened first.

    Raises:
        OSError: something could not be removed.
    """
    if not os.path.lexists(folder):
        return
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
        return
    for parent, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(parent, stat.S_IRWXU)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
