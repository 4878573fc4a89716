"""
Changing files of a folder all together or not at all, also across a crash.

A change is prepared in a folder of its own: `before/` and `after/` hold every file it is about, `intent.json` says
which is which. Once that folder has its final name the change is *intended*: from then on either every file is as after
it, or `roll_back` brings every file to what it was. Knows files and bytes; nothing of git, patches or runs.

Invariant: a file is replaced or removed only while it is what it was when the change was prepared, so what somebody
else saves meanwhile is never lost; then everything is rolled back, save that file.
Invariant: nothing is written through a symbolic link, and nothing above the folder.
Blocking. Each step may be the last one: a process that dies leaves the intent, and at most one temporary file whose
name follows from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sidestep.executors.durable_files import make_folder, remove_tree, replace_durably, sync_file, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INTENT = "intent.json"
_VERSION = 1
_EXECUTABLE = 0o111


class ChangedMeanwhile(Exception):
    """A file was not what it was when the change was prepared; it was left alone."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class NotPlain(Exception):
    """What stands at a path, or above it, is neither a regular file nor nothing; the message says what."""


@dataclass(frozen=True)
class FileState:
    """A regular file: the SHA-256 of its bytes and its permission bits."""

    sha256: str
    permissions: int

    def is_like(self, other: FileState | None) -> bool:
        """The same bytes, and executable or not; the rest of the permissions is nobody's change."""
        if other is None:
            return False
        return self.sha256 == other.sha256 and not (self.permissions ^ other.permissions) & stat.S_IXUSR


@dataclass(frozen=True)
class FileChange:
    """One path, relative to the folder, and what stands there before and after; None is nothing."""

    path: str
    before: FileState | None
    after: FileState | None


@dataclass(frozen=True)
class Intent:
    """
    An intended change.

    Attributes:
        top: The folder, absolute.
        changes: Each path once.
        made_folders: Folders that the change makes, relative, outermost first.
        told: What whoever prepared it wants to find again; JSON values.
    """

    top: str
    changes: tuple[FileChange, ...]
    made_folders: tuple[str, ...]
    told: dict[str, Any]


def read_state(top: str, path: str) -> FileState | None:
    """
    What stands at a path.

    Raises:
        NotPlain: a symbolic link, a folder or a special file, there or above.
    """
    problem = _problem_above(top, path)
    if problem is not None:
        raise NotPlain(problem)
    full = os.path.join(top, path)
    try:
        facts = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(facts.st_mode):
        raise NotPlain("a symbolic link stands in its place")
    if stat.S_ISDIR(facts.st_mode):
        raise NotPlain("a folder stands in its place")
    if not stat.S_ISREG(facts.st_mode):
        raise NotPlain("something that is no regular file stands in its place")
    return FileState(_hash(full), stat.S_IMODE(facts.st_mode) & 0o777)


def save_image(top: str, path: str, image: Path) -> FileState | None:
    """Copy what stands at a path, durably; returns what was copied, None for nothing there. Raises as `read_state`."""
    if read_state(top, path) is None:
        return None
    shutil.copyfile(os.path.join(top, path), image, follow_symlinks=False)
    sync_file(image)
    facts = os.lstat(os.path.join(top, path))
    return FileState(_hash(image), stat.S_IMODE(facts.st_mode) & 0o777)


def state_after(image: Path, before: FileState | None, *, keeps_mode: bool) -> FileState:
    """
    The state a written file is to have: its bytes, and the permissions of what it replaces.

    Args:
        keeps_mode: False when the file becomes executable or ceases to be.
    """
    staged = stat.S_IMODE(os.lstat(image).st_mode) & 0o777
    if before is None:
        permissions = staged
    elif keeps_mode:
        permissions = before.permissions
    elif staged & stat.S_IXUSR:
        # Executable for whoever may read it, as git does.
        permissions = before.permissions | (before.permissions & 0o444) >> 2
    else:
        permissions = before.permissions & ~_EXECUTABLE
    return FileState(_hash(image), permissions)


def missing_folders(top: str, paths: Iterable[str]) -> tuple[str, ...]:
    """The folders above the paths that do not exist, outermost first."""
    missing: set[str] = set()
    for path in paths:
        parent = os.path.dirname(path)
        while parent and not os.path.isdir(os.path.join(top, parent)):
            missing.add(parent)
            parent = os.path.dirname(parent)
    return tuple(sorted(missing))


def intend(preparation: Path, intended: Path, intent: Intent) -> None:
    """Make a prepared change an intended one; durable on return. The images stand in `preparation` already."""
    fields = {"version": _VERSION, **asdict(intent)}
    replace_durably(preparation / INTENT, json.dumps(fields).encode("ascii"))
    for name in ("before", "after"):
        sync_folder(preparation / name)
    preparation.rename(intended)
    sync_folder(intended.parent)


def read_intent(intended: Path) -> Intent | None:
    """The intent in a folder; None when there is none (any more)."""
    try:
        fields = json.loads((intended / INTENT).read_text("ascii"))
    except FileNotFoundError:
        return None
    assert fields["version"] == _VERSION, "an intent is finished before its format changes"
    changes = tuple(
        FileChange(change["path"], _state(change["before"]), _state(change["after"])) for change in fields["changes"]
    )
    return Intent(fields["top"], changes, tuple(fields["made_folders"]), fields["told"])


def carry_out(intended: Path, intent: Intent) -> None:
    """
    Bring every file to its state after; durable on return.

    Raises:
        ChangedMeanwhile, OSError: something is done and something is not; roll it back.
    """
    for change in intent.changes:
        if change.after is None:
            _require_before(intent, change)
            _remove(intent.top, change.path)
    for number, change in enumerate(intent.changes):
        if change.after is not None:
            _write(intended, intent, number, "after", change.after)
    _sync_folders(intent)


def is_carried_out(intent: Intent) -> bool:
    """Whether every file is in its state after."""
    return all(_is(intent.top, change.path, change.after) for change in intent.changes)


def roll_back(intended: Path, intent: Intent) -> list[str]:
    """
    Bring every file to its state before; durable on return. May be done again, however far it came.

    Returns:
        Paths that somebody else changed, which were left alone.

    Raises:
        OSError: a file cannot be written; try again when that is mended.
    """
    left: list[str] = []
    for number, change in enumerate(intent.changes):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(_temporary(intended, intent, number))
        if not _is(intent.top, change.path, change.before) and not _is_ours(intent, change):
            left.append(change.path)
    for change in intent.changes:
        if change.before is None and change.path not in left and not _is(intent.top, change.path, None):
            os.unlink(os.path.join(intent.top, change.path))
    for folder in reversed(intent.made_folders):
        if _problem_above(intent.top, folder) is None:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(intent.top, folder))
    for number, change in enumerate(intent.changes):
        if change.before is None or change.path in left or _is(intent.top, change.path, change.before):
            continue
        # Also where a change makes a folder of a file: what was below it has gone by now, unless it is not ours.
        if _problem_above(intent.top, change.path) or os.path.isdir(os.path.join(intent.top, change.path)):
            left.append(change.path)
            continue
        _write(intended, intent, number, "before", change.before)
    _sync_folders(intent)
    return left


def discard(folder: Path) -> None:
    """Remove a change's folder; the intent goes first, so that half a folder is none."""
    with contextlib.suppress(FileNotFoundError):
        (folder / INTENT).unlink()
        sync_folder(folder)
    remove_tree(folder)


def make_preparation(folder: Path) -> None:
    for name in ("before", "after"):
        make_folder(folder / name)


def _state(fields: dict[str, Any] | None) -> FileState | None:
    return None if fields is None else FileState(**fields)


def _hash(file: str | Path) -> str:
    # Imported late, here and below, as `hash_text` does: an idle server does not need libcrypto.
    import hashlib

    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _is(top: str, path: str, state: FileState | None) -> bool:
    try:
        found = read_state(top, path)
    except NotPlain:
        # A folder where a file was or will be is nothing of the change's own.
        return state is None and os.path.isdir(os.path.join(top, path)) and _problem_above(top, path) is None
    return found is None if state is None else state.is_like(found)


def _is_ours(intent: Intent, change: FileChange) -> bool:
    """Whether what stands there was put there by the change: its state after."""
    return _is(intent.top, change.path, change.after)


def _require_before(intent: Intent, change: FileChange) -> None:
    try:
        found = read_state(intent.top, change.path)
    except NotPlain as error:
        raise ChangedMeanwhile(change.path) from error
    if found is None and change.before is None:
        return
    if found is None or not found.is_like(change.before):
        raise ChangedMeanwhile(change.path)


def _problem_above(top: str, path: str) -> str | None:
    parent = top
    for part in path.split("/")[:-1]:
        parent = os.path.join(parent, part)
        try:
            mode = os.lstat(parent).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(mode):
            return "it lies behind a symbolic link"
        if not stat.S_ISDIR(mode):
            # A file: the path below it does not exist, and may once the file is removed.
            return None
    return None


def _remove(top: str, path: str) -> None:
    """Remove a file and the folders that this leaves empty, as git does."""
    os.unlink(os.path.join(top, path))
    parent = os.path.dirname(path)
    while parent:
        try:
            os.rmdir(os.path.join(top, parent))
        except OSError:
            return
        parent = os.path.dirname(parent)


def _write(intended: Path, intent: Intent, number: int, images: str, state: FileState) -> None:
    """Put an image in its place by one rename. Going forward, only in place of the state before."""
    change = intent.changes[number]
    target = os.path.join(intent.top, change.path)
    temporary = _temporary(intended, intent, number)
    if _problem_above(intent.top, change.path) is not None:
        raise ChangedMeanwhile(change.path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        with open(intended / images / str(number), "rb") as image, open(_create(temporary), "wb") as file:
            shutil.copyfileobj(image, file)
            file.flush()
            os.chmod(temporary, state.permissions)
            os.fsync(file.fileno())
        if images == "after":
            _require_before(intent, change)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _create(path: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _temporary(intended: Path, intent: Intent, number: int) -> str:
    """Beside the target: a rename works within one file system only."""
    import hashlib

    word = hashlib.sha256(os.fsencode(intended)).hexdigest()[:12]
    folder = os.path.join(intent.top, os.path.dirname(intent.changes[number].path))
    return os.path.join(folder, f".sidestep-{word}-{number}.tmp")


def _sync_folders(intent: Intent) -> None:
    folders = {os.path.dirname(change.path) for change in intent.changes}
    for folder in sorted({above for path in folders for above in (path, *_above(path))}):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            sync_folder(os.path.join(intent.top, folder))


def _above(path: str) -> Iterable[str]:
    while path:
        path = os.path.dirname(path)
        yield path
