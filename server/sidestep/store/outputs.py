"""
Large outputs as files beside the database, named by the hash of their content.

Knows files, not steps: who refers to a file is the database's to know. Blocking; called from the store's threads.

Invariant: a file is complete and durable before the commit that names it; its name is its content's hash, so it is
never rewritten.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from typing import TYPE_CHECKING

from sidestep.model.errors import DataDamaged
from sidestep.model.replay_key import hash_text
from sidestep.store.faults import store_fault

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{64}\.json")


def exceeds_utf8(text: str, bytes_max: int) -> bool:
    """Whether `text` takes more than `bytes_max` bytes of UTF-8; encodes it only when its length does not tell."""
    if len(text) > bytes_max:
        return True
    return len(text) * 4 > bytes_max and len(text.encode("utf-8", "surrogatepass")) > bytes_max


class OutputFolder:
    """The folder of one store's output files; made with the first of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._temporary = itertools.count()

    def keep(self, text: str) -> str:
        """
        Store `text`, durably.

        Returns:
            The file's name, relative to the folder.

        Raises:
            StoreUnavailable: the file cannot be written.
        """
        digest = hash_text(text)
        target = self.folder / f"{digest}.json"
        temporary = self.folder / f".{digest}.{os.getpid()}.{next(self._temporary)}"
        try:
            self._make_folder()
            if not target.exists():
                try:
                    write_durably(temporary, text.encode("utf-8", "surrogatepass"))
                    temporary.replace(target)
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        temporary.unlink()
            # Also when the file was there: whoever wrote it may not have come this far yet.
            sync_folder(self.folder)
        except OSError as error:
            raise store_fault(error, self.folder) from error
        return target.name

    def read(self, name: str) -> str:
        """
        The text of a file, verified against its name.

        Raises:
            StoreUnavailable: the file is missing or damaged.
        """
        if not _NAME.fullmatch(name):
            raise damaged_output(name)
        try:
            text = (self.folder / name).read_bytes().decode("utf-8", "surrogatepass")
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise damaged_output(name) from error
        except OSError as error:
            raise store_fault(error, self.folder) from error
        if f"{hash_text(text)}.json" != name:
            raise damaged_output(name)
        return text

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def remove(self, name: str) -> None:
        """Delete a file; one that is missing, or cannot be deleted, is left to be garbage."""
        if _NAME.fullmatch(name):
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()

    def _make_folder(self) -> None:
        if self.folder.is_dir():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(self.folder.parent)


def damaged_output(name: str) -> DataDamaged:
    return DataDamaged(
        what=f"The stored output {name} is missing or damaged.",
        todo="Restore it from a copy of the store; the other steps of the run are not affected.",
    )


def write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    # Windows cannot open folders; its renames are journaled by the file system.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
