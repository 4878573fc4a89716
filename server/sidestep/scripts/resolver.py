"""
From what was asked for (a name, a file, inline source) to the exact text that will run.

Invariant: a file is opened once; the text that is checked and hashed is the text that runs, whatever becomes of the
file. Invariant: in an untrusted folder nothing is resolved, so nothing is run. Invariant: a file outside the workspace
is read only if it stands in the user's folder of scripts, or is built in.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from sidestep.model.errors import ScriptInvalid, ScriptNotFound, WorkspaceUntrusted
from sidestep.model.replay_key import hash_text
from sidestep.model.value import Value
from sidestep.scripts.check import check_with_signature, has_errors
from sidestep.scripts.discovery import display_path, is_name
from sidestep.scripts.file_uri import path_of_uri, scheme_of, uri_of_path
from sidestep.scripts.folder import real_path
from sidestep.scripts.near_names import near_names
from sidestep.scripts.source_file import clean_source, read_source_file, too_long

if TYPE_CHECKING:
    from sidestep.scripts.discovery import ScriptFinder
    from sidestep.scripts.folder import FolderKey
    from sidestep.scripts.signature import ScriptSignature
    from sidestep.settings import Settings

INLINE_NAME = "inline"

# Checked scripts that are remembered: who starts one often starts it again, and most of resolving is the check.
CHECKED_SCRIPTS_MAX = 16


class NamedScript(Value, frozen=True):
    """A script by its name in the roots."""

    name: str


class FileScript(Value, frozen=True):
    """A script by its file: a file: URI, an absolute path, or a path relative to the workspace folder."""

    reference: str


class InlineScript(Value, frozen=True):
    """A script whose source is given; the name is for people."""

    source: str
    name: str | None = None


ScriptReference = NamedScript | FileScript | InlineScript


class ResolvedScript(Value, frozen=True):
    """
    A script that may run.

    Attributes:
        name: The run's name.
        file: What it is called in messages; relative to the workspace if it lies there, `<name>` for inline source.
        path: Its real path; None for inline source.
        source: Its text: no byte order mark, line ends as line feeds.
        source_hash: `hash_text(source)`.
        scope: "project", "user", "builtin", "file" (elsewhere in the workspace) or "inline".
    """

    name: str
    file: str
    path: str | None
    source: str
    source_hash: str
    scope: str
    signature: ScriptSignature

    @property
    def uri(self) -> str | None:
        return None if self.path is None else uri_of_path(self.path)


def reference_of_word(word: str) -> NamedScript | FileScript:
    """What a person means by a word: a name, unless it looks like a path or a URI."""
    looks_like_a_file = word.endswith(".py") or "/" in word or os.sep in word or scheme_of(word) == "file"
    return FileScript(word) if looks_like_a_file else NamedScript(word)


class ScriptResolver:
    """Resolves references, from the roots that `finder` knows."""

    def __init__(self, finder: ScriptFinder, settings: Settings) -> None:
        self._finder = finder
        self._settings = settings
        # By all that is read, the whole text too: an edited script is another one. What has errors is not remembered.
        self._checked = lru_cache(CHECKED_SCRIPTS_MAX)(_checked)

    @property
    def checked_scripts(self) -> int:
        """How many checked scripts are remembered."""
        return self._checked.cache_info().currsize

    def resolve(self, reference: ScriptReference, folder: FolderKey, *, trusted: bool) -> ResolvedScript:
        """
        Read and check the script a reference names.

        Args:
            folder: The workspace.
            trusted: Effective trust of the folder, asked just now.

        Raises:
            WorkspaceUntrusted: the folder is not trusted; nothing was read.
            ScriptNotFound: no such script, or its file leads outside the workspace.
            ScriptInvalid: it has errors, is too long, or is no UTF-8; warnings are among the problems.
        """
        if not trusted:
            raise WorkspaceUntrusted(folder.path)
        match reference:
            case NamedScript(name):
                return self._named(name, folder)
            case FileScript(given):
                return self._file(given, folder)
            case InlineScript(source, name):
                return self._inline(source, name)

    def _named(self, name: str, folder: FolderKey) -> ResolvedScript:
        script = self._finder.find(name, folder)
        if script is None:
            raise ScriptNotFound(name, near_names(name, self._finder.files(folder)))
        if script.blocked_reason is not None:
            raise ScriptNotFound(name, why=script.blocked_reason)
        return self._read(name, script.file, script.path, script.scope)

    def _file(self, given: str, folder: FolderKey) -> ResolvedScript:
        path, why = (given, "") if scheme_of(given) is None else path_of_uri(given)
        if path is None:
            raise ScriptNotFound(given, why=why)
        try:
            real = real_path(os.path.join(folder.path, path))
            scope = self._finder.scope_of(real, folder)
        except (OSError, ValueError) as error:
            raise ScriptNotFound(given, why="it is no path") from error
        if scope is None:
            raise ScriptNotFound(given, why="it lies outside the workspace")
        if not real.endswith(".py"):
            raise ScriptNotFound(given, why="a script is a .py file")
        name = os.fsencode(os.path.basename(real).removesuffix(".py")).decode("utf-8", "replace")
        try:
            return self._read(name, display_path(real, folder), real, scope)
        except ScriptNotFound as error:
            raise ScriptNotFound(given, near_names(name, self._finder.files(folder)), error.why) from error

    def _inline(self, source: str, name: str | None) -> ResolvedScript:
        name = name if name is not None and is_name(name) else INLINE_NAME
        file = f"<{name}>"
        if len(source.encode("utf-8", "surrogatepass")) > self._settings.script_bytes_max:
            raise too_long(file, self._settings.script_bytes_max)
        return self._checked(name, file, None, clean_source(source), "inline")

    def _read(self, name: str, file: str, path: str, scope: str) -> ResolvedScript:
        source = read_source_file(path, file=file, bytes_max=self._settings.script_bytes_max)
        return self._checked(name, file, path, source, scope)


def _checked(name: str, file: str, path: str | None, source: str, scope: str) -> ResolvedScript:
    signature, problems = check_with_signature(source, file)
    if signature is None or has_errors(problems):
        raise ScriptInvalid(file, tuple(problems), source)
    return ResolvedScript(name, file, path, source, hash_text(source), scope, signature)
