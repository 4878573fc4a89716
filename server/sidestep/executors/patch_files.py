"""
Patches as files named by their content, and what stands in one.

A patch is what `git diff` of two trees prints, with full hashes, binary contents and no renames: each section makes,
changes or deletes one path. Paths are relative to the top of the working tree.

Owns the folder `patches` of the state folder: `<hash>.patch` a patch, `refs/<run id>/<hash>` says that the run made it.
The empty patch is no file.

Invariant: a patch file is complete and durable when it has its name, and never rewritten; it is verified when read.
Invariant: a patch stays for as long as a run refers to it; a run's reference is durable before the patch is.
Blocking, save where it says otherwise.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from sidestep.executors.durable_files import make_folder, remove_tree, replace_durably, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

PATCH_BYTES_MAX = 64 * 1024 * 1024
_ID = re.compile(r"patch_([0-9a-f]{64})")
_SECTION = re.compile(rb"^diff --git ", re.MULTILINE)
_BODY = re.compile(rb"^(?:@@ |GIT binary patch$)", re.MULTILINE)
_MODE = re.compile(
    rb"^(?:(?:old|new|deleted file|new file) mode |index [0-9a-f]+\.\.[0-9a-f]+ )([0-7]{6})$", re.MULTILINE
)
_DELETED = re.compile(rb"^deleted file mode ", re.MULTILINE)
_MADE = re.compile(rb"^new file mode ", re.MULTILINE)
# SHA-256 of nothing.
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_REGULAR = frozenset({b"100644", b"100755"})


class PatchUnknown(Exception):
    """No patch of that id is stored, or its file is damaged."""


@dataclass(frozen=True)
class PatchFile:
    """
    One stored patch.

    Attributes:
        patch_id: `patch_` and the SHA-256 of its bytes, 64 hex characters.
        files: Paths it makes, changes or deletes, relative to the folder the work was done in; `../` leads out of it.
            What is not UTF-8 is replaced.
        additions, deletions: Lines; binary files count none.
    """

    patch_id: str
    files: tuple[str, ...]
    additions: int
    deletions: int

    @property
    def description(self) -> dict[str, object]:
        """What a script gets; JSON values."""
        return {
            "id": self.patch_id,
            "files": list(self.files),
            "additions": self.additions,
            "deletions": self.deletions,
        }


@dataclass(frozen=True)
class Section:
    """
    What a patch does to one path.

    Attributes:
        path: As the file system has it, relative to the working tree's top.
        is_regular: Neither before nor after it is anything but a regular file.
    """

    path: str
    text: bytes
    makes: bool
    deletes: bool
    is_regular: bool


class PatchFolder:
    """The patches of one state folder; the folder is made with the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._references = folder / "refs"

    def begin(self) -> PatchWriter:
        """A patch to be written piece by piece. Close it."""
        make_folder(self.folder)
        return PatchWriter(self.folder, self._references)

    def read(self, patch_id: str) -> bytes:
        """
        The bytes of a patch.

        Raises:
            PatchUnknown.
        """
        known = _ID.fullmatch(patch_id)
        if known is None:
            raise PatchUnknown(f"{patch_id[:80]!r} is no id of a patch")
        if known[1] == _EMPTY:
            return b""
        try:
            content = (self.folder / f"{known[1]}.patch").read_bytes()
        except FileNotFoundError:
            raise PatchUnknown(
                f"there is no patch {patch_id}; it is kept where it was made, until its run is deleted"
            ) from None
        # Imported late, here and below, as `hash_text` does: an idle server does not need libcrypto.
        import hashlib

        if hashlib.sha256(content).hexdigest() != known[1]:
            raise PatchUnknown(f"the file of patch {patch_id} is damaged")
        return content

    def run_ids(self) -> list[str]:
        """The runs that refer to patches, sorted."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(entry.name for entry in self._references.iterdir())
        return []

    def forget_run(self, run_id: str) -> None:
        """
        Remove what a run refers to, and the patches that no other run does.

        Raises:
            OSError: something could not be removed; `sweep` will.
        """
        references = self._references / run_id
        if not references.is_dir():
            return
        names = sorted(os.listdir(references))
        remove_tree(references)
        for name in names:
            self._remove_unused(name)

    def sweep(self, before_s: float) -> None:
        """
        Remove patches that no run refers to, and what dead processes left half written.

        Args:
            before_s: Only files from before that time, in seconds of the wall clock.

        Raises:
            OSError: something could not be removed.
        """
        for file in sorted(self.folder.glob("*")):
            try:
                is_old = file.is_file() and file.stat().st_mtime < before_s
            except FileNotFoundError:
                continue
            if is_old and file.suffix == ".patch":
                self._remove_unused(file.stem)
            elif is_old:
                file.unlink(missing_ok=True)

    def _remove_unused(self, name: str) -> None:
        if self._is_used(name):
            return
        file = self.folder / f"{name}.patch"
        aside = self.folder / f".{name}-{os.getpid()}"
        try:
            file.rename(aside)
        except FileNotFoundError:
            return
        # A run that makes the same patch at this moment refers to it first, and gives it its name afterwards.
        if self._is_used(name):
            aside.replace(file)
        else:
            aside.unlink()

    def _is_used(self, name: str) -> bool:
        return any((self._references / run_id / name).exists() for run_id in self.run_ids())


class PatchWriter:
    """A patch on its way into its folder."""

    def __init__(self, folder: Path, references: Path) -> None:
        import hashlib

        self._folder = folder
        self._references = references
        self._temporary = folder / f".{os.getpid()}-{id(self):x}"
        self._digest = hashlib.sha256()
        self._file: BinaryIO = open(os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115 -- closed by `close`

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)

    def keep(self, run_id: str) -> str:
        """Give the patch its name, durably, for as long as the run is there; returns its id."""
        digest = self._digest.hexdigest()
        if digest == _EMPTY:
            return f"patch_{digest}"
        self._file.flush()
        os.fsync(self._file.fileno())
        references = self._references / run_id
        make_folder(references)
        replace_durably(references / digest, b"")
        self._temporary.replace(self._folder / f"{digest}.patch")
        sync_folder(self._folder)
        return f"patch_{digest}"

    def close(self) -> None:
        """Give everything back; what was not kept is gone. Idempotent."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._temporary.unlink()


def split_sections(content: bytes, paths: list[str]) -> list[Section]:
    """
    The sections of a patch.

    Args:
        paths: The path of each section, in order, as git reads them.

    Raises:
        ValueError: the patch has not one section for each path.
    """
    starts = [found.start() for found in _SECTION.finditer(content)]
    if len(starts) != len(paths) or (starts and starts[0] != 0):
        raise ValueError("not a patch as they are made here")
    ends = [*starts[1:], len(content)]
    return [_section(content[start:end], path) for start, end, path in zip(starts, ends, paths, strict=True)]


def _section(text: bytes, path: str) -> Section:
    body = _BODY.search(text)
    head = text if body is None else text[: body.start()]
    modes = set(_MODE.findall(head))
    return Section(
        path=path,
        text=text,
        makes=_MADE.search(head) is not None,
        deletes=_DELETED.search(head) is not None,
        is_regular=bool(modes) and modes <= _REGULAR,
    )
