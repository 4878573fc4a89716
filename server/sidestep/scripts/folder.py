"""
A folder's key: its real path, case as the disk has it, computed once when the folder is named.

Runs, start keys, filters and trust compare keys; the client's URI is only echoed.
Invariant: two names of one folder (a symlink, another letter case, an encoded URI) give one key.
"""

from __future__ import annotations

import os
import stat
import unicodedata

from sidestep.model.errors import WorkspaceInvalid
from sidestep.model.value import Value
from sidestep.scripts.file_uri import path_of_uri, scheme_of, uri_of_path


class FolderKey(Value, frozen=True, order=True):
    """
    Attributes:
        path: The real path, absolute, without a trailing separator (save for the root); what is stored.
    """

    path: str

    @classmethod
    def existing(cls, reference: str) -> FolderKey:
        """
        The key of a folder that is there.

        Args:
            reference: A file: URI or an absolute path.

        Raises:
            WorkspaceInvalid: no such URI or path, or it is no folder.
        """
        key = cls.named(reference)
        if not os.path.isdir(key.path):
            raise WorkspaceInvalid(reference, "it is not a folder" if os.path.exists(key.path) else "it does not exist")
        return key

    @classmethod
    def named(cls, reference: str) -> FolderKey:
        """
        The key of a folder that need not be there any more, as when its trust is withdrawn.

        Raises:
            WorkspaceInvalid: the reference is neither a file: URI nor an absolute path.
        """
        path, why = (reference, "") if scheme_of(reference) is None else path_of_uri(reference)
        if path is None:
            raise WorkspaceInvalid(reference, why)
        if not os.path.isabs(path):
            raise WorkspaceInvalid(reference, "it is not an absolute path")
        try:
            return cls(real_path(path))
        except (OSError, ValueError) as error:
            # ValueError: a NUL, or a character no file name can hold.
            raise WorkspaceInvalid(reference, f"it is no path: {error}") from error

    @property
    def uri(self) -> str:
        return uri_of_path(self.path)

    @property
    def is_still_real(self) -> bool:
        """False when the folder was moved away and a link put in its place: then the key names another folder."""
        if os.name != "posix":
            # Here other things than links lead elsewhere, too.
            return os.path.isdir(self.path) and real_path(self.path) == self.path
        if os.path.normpath(self.path) != self.path:
            return False
        # Asked before each start and step: a fifth of the time that the real path takes.
        at = ""
        for name in self.path.strip("/").split("/"):
            at = f"{at}/{name}"
            try:
                mode = os.lstat(at).st_mode
            except (OSError, ValueError):
                return False
            if not stat.S_ISDIR(mode):
                return False
        return True

    def covers(self, other: FolderKey) -> bool:
        """True for the folder itself and what lies below it; compares keys alone."""
        return other.path == self.path or other.path.startswith(self.path.rstrip(os.sep) + os.sep)

    def contains(self, path: str) -> bool:
        """
        True when the real path of `path` lies in the folder, or is the folder.

        Raises:
            OSError, ValueError: the path cannot be one.
        """
        return self.covers(FolderKey(real_path(path)))

    def __str__(self) -> str:
        return self.path


def real_path(path: str) -> str:
    """
    The path without symlinks, `.` and `..`, each name in the letter case (and Unicode form) the disk has it in.

    Parts that do not exist stay as they are.

    Raises:
        OSError, ValueError: the path cannot be one.
    """
    # Python's `realpath` follows links, and keeps the case it is given on a disk that does not tell cases apart.
    resolved = os.path.realpath(path)
    drive, rest = os.path.splitdrive(resolved)
    at = (drive.upper() if len(drive) == 2 else drive) + os.sep
    for name in rest.strip(os.sep).split(os.sep):
        if name:
            at = os.path.join(at, _name_on_disk(at, name))
    return at


def _name_on_disk(folder: str, name: str) -> str:
    given = os.path.join(folder, name)
    if not _finds_by_other_names(folder, name):
        return name
    try:
        there = os.listdir(folder)
    except OSError:
        return name
    if name in there:
        return name
    return next((each for each in there if _folded(each) == _folded(name) and _is_same(folder, each, given)), name)


def _finds_by_other_names(folder: str, name: str) -> bool:
    """True when the disk takes another case or Unicode form of the name for the same; asks the disk, not the system."""
    given = os.path.join(folder, name)
    others = {name.swapcase(), unicodedata.normalize("NFD", name), unicodedata.normalize("NFC", name)} - {name}
    return any(_is_same(folder, each, given) for each in others)


def _is_same(folder: str, name: str, given: str) -> bool:
    try:
        return os.path.samefile(os.path.join(folder, name), given)
    except (OSError, ValueError):
        return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
