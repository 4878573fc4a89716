"""
Which folders may run anything: the user's list and what the host said in this session.

Effective trust: the session's word if it names the folder (or one above it), else the user's list, else untrusted.
Trust of a folder covers what lies below its real path; of two entries the nearer one decides.

Invariant: the list is read again each time it is asked, so that two windows and the CLI see one list.
Invariant: a list that cannot be read trusts nothing, and is never overwritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, cast

from msgspec import field

from sidestep.model.errors import StoreUnavailable
from sidestep.model.value import Value
from sidestep.scripts.folder import FolderKey

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

TRUST_VERSION = 1

# A longer file is no list of folders.
TRUST_BYTES_MAX = 4 * 1024 * 1024


class SessionTrust:
    """What one host said about folders; gone with its connection."""

    def __init__(self, trusted: Iterable[FolderKey] = ()) -> None:
        self._words: dict[str, bool] = {folder.path: True for folder in trusted}

    def trust(self, folder: FolderKey) -> None:
        """Trust a folder and what lies below it."""
        self._words[folder.path] = True

    def withdraw(self, folder: FolderKey) -> None:
        """Trust a folder and what lies below it no more, whatever the user's list says."""
        self._words[folder.path] = False

    def word(self, folder: FolderKey) -> bool | None:
        """What was said about the folder or the nearest one above it; None when nothing was."""
        return _nearest(self._words, folder)


class TrustedFolders(Value, frozen=True):
    """
    The user's list as it was read.

    Attributes:
        folders: Path of a folder's key -> trusted; False only for a folder below a trusted one.
        problem: Why the list could not be read, for people; None when it could, or is not there yet.
    """

    folders: Mapping[str, bool] = field(default_factory=dict[str, bool])
    problem: str | None = None

    def word(self, folder: FolderKey) -> bool | None:
        return _nearest(self.folders, folder)


class TrustList:
    """
    The user's list of trusted folders, `trust.json` beside the store, shared by all processes of the user.

    Args:
        path: The file; it and its folder are made when something is first remembered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> TrustedFolders:
        """The list as it is now; never raises."""
        document, problem = self._document()
        return TrustedFolders(document.get("folders", {}), problem)

    def is_trusted(self, folder: FolderKey, session: SessionTrust | None = None) -> bool:
        """
        Effective trust of a folder, now.

        A key whose path has become a link is trusted by nobody: it was swapped after it was named.
        """
        if not folder.is_still_real:
            return False
        word = session.word(folder) if session is not None else None
        return bool(self.read().word(folder) if word is None else word)

    def remember(self, folders: Iterable[FolderKey]) -> None:
        """
        Add folders to the user's list.

        Raises:
            StoreUnavailable: the list cannot be read (it is left as it is) or written.

        Durability: on return the list survives power loss.
        """

        def add(words: dict[str, bool]) -> None:
            words.update((folder.path, True) for folder in folders)

        self._change(add)

    def forget(self, folders: Iterable[FolderKey]) -> None:
        """
        Trust folders no more; one below a trusted folder is noted as untrusted.

        Raises:
            StoreUnavailable: as `remember`.

        Durability: as `remember`.
        """

        def remove(words: dict[str, bool]) -> None:
            for folder in folders:
                words.pop(folder.path, None)
                if _nearest(words, folder):
                    words[folder.path] = False

        self._change(remove)

    def _change(self, change: Callable[[dict[str, bool]], None]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(self.path.with_name(self.path.name + ".lock")):
                document, problem = self._document()
                if problem is not None:
                    raise StoreUnavailable(f"{problem}.", f"Mend or remove {self.path}; nothing was changed.")
                words = dict(cast("dict[str, bool]", document.get("folders", {})))
                change(words)
                document |= {"version": TRUST_VERSION, "folders": dict(sorted(words.items()))}
                _replace(self.path, json.dumps(document, indent=2) + "\n")
        except OSError as error:
            what = f"The list of trusted folders cannot be written: {error.strerror or error}."
            raise StoreUnavailable(what, f"Make {self.path} writable.") from error

    def _document(self) -> tuple[dict[str, Any], str | None]:
        try:
            with self.path.open("rb") as file:
                content = file.read(TRUST_BYTES_MAX + 1)
        except FileNotFoundError:
            return {}, None
        except OSError as error:
            return {}, f"{self.path} cannot be read ({error.strerror or error}), so no folder is trusted by it"
        why = "it is too long"
        if len(content) <= TRUST_BYTES_MAX:
            try:
                document, why = _checked(json.loads(content))
            except (ValueError, RecursionError) as error:
                document, why = {}, f"it is not JSON: {error}"
            if not why:
                return document, None
        return {}, f"{self.path} is no list of trusted folders ({why}), so no folder is trusted by it"


def _checked(document: Any) -> tuple[dict[str, Any], str]:
    if not isinstance(document, dict):
        return {}, "it is no object"
    checked = cast("dict[str, Any]", document)
    if checked.get("version") != TRUST_VERSION:
        return {}, f"its version is not {TRUST_VERSION}"
    folders = checked.get("folders")
    if not isinstance(folders, dict) or not all(
        isinstance(word, bool) for word in cast("dict[str, Any]", folders).values()
    ):
        return {}, "its folders are not paths with true or false"
    return checked, ""


def _nearest(words: Mapping[str, bool], folder: FolderKey) -> bool | None:
    covering = [path for path in words if FolderKey(path).covers(folder)]
    return words[max(covering, key=len)] if covering else None


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all; mode 0600."""
    # Imported late: most processes only read.
    import tempfile

    descriptor, temporary = tempfile.mkstemp(prefix=path.name, suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold a file's lock, so that two processes do not lose each other's change; waits for the other one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Closing lets the lock go.
        os.close(descriptor)
