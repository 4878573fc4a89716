"""
Where scripts are found: the workspace's, the user's, the built-in ones; of one name the first wins.

Reading is bounded and nothing is run. A broken file hides only itself: it is listed with the reason, and still hides
what a later root has of its name, so that a typing error never starts another script than the one meant.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import ScriptInvalid, ScriptNotFound
from sidestep.model.value import Value
from sidestep.scripts.check import check_with_signature, has_errors
from sidestep.scripts.file_uri import uri_of_path
from sidestep.scripts.folder import FolderKey, real_path
from sidestep.scripts.signature import read_description
from sidestep.scripts.source_file import read_source_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sidestep.model.problems import ScriptProblem
    from sidestep.settings import Settings

PROJECT_ROOT = os.path.join(".sidestep", "workflows")

# Files of one root that are looked at, by name; a root with more is not a folder of scripts.
ROOT_FILES_MAX = 2000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

NAME_RULE = "a script's name is letters, digits, _, - and ., at most 100"
NOT_TRUSTED = "the folder is not trusted"


class ScriptFile(Value, frozen=True):
    """
    One file of a root.

    Attributes:
        path: Its real path.
        file: What it is called in messages: relative to the workspace if it lies there.
        scope: "project", "user" or "builtin".
        blocked_reason: Why it cannot be used whatever it holds, or None.
    """

    name: str
    path: str
    file: str
    scope: str
    blocked_reason: str | None = None


class ScriptInfo(Value, frozen=True):
    """
    A script as a list shows it.

    Attributes:
        uri: The file's URI.
        args_schema: JSON Schema of its arguments; an empty object's when it cannot be read.
        runnable: False with the reason in `blocked_reason`.
    """

    name: str
    path: str
    uri: str
    scope: str
    description: str
    args_schema: dict[str, Any]
    runnable: bool
    blocked_reason: str | None = None


def builtin_folder() -> str:
    """The folder of the scripts that come with Sidestep."""
    return str(Path(__file__).resolve().parent.parent / "builtin")


def is_name(word: str) -> bool:
    """True for what can be the name of a script."""
    return _NAME.fullmatch(word) is not None


class ScriptFinder:
    """
    Finds scripts by name.

    Args:
        user_folder: The user's folder of scripts (need not exist), or None.
        builtin: The folder of the built-in scripts, as `builtin_folder()`.
    """

    def __init__(self, *, user_folder: str | None, builtin: str, settings: Settings) -> None:
        self._user_folder = user_folder
        self._builtin = builtin
        self._settings = settings

    def files(self, folder: FolderKey | None) -> dict[str, ScriptFile]:
        """Every script by name, first match wins; a folder that cannot be read is like an empty one."""
        found: dict[str, ScriptFile] = {}
        for scope, root in self.roots(folder):
            for name, path in _python_files(root):
                if name not in found:
                    found[name] = _script_file(name, path, scope, folder)
        return found

    def find(self, name: str, folder: FolderKey | None) -> ScriptFile | None:
        """The script `files` has under a name; of the others nothing but their names is read."""
        for scope, root in self.roots(folder):
            for each, path in _python_files(root):
                if each == name:
                    return _script_file(name, path, scope, folder)
        return None

    def list(self, folder: FolderKey | None, *, trusted: bool) -> list[ScriptInfo]:
        """
        Every script that a workspace has, by name.

        Args:
            folder: The workspace; None lists the user's and the built-in scripts.
            trusted: Effective trust of the folder, now; without it nothing there is runnable.
        """
        blocked = None if trusted or folder is None else NOT_TRUSTED
        return [self._info(script, blocked) for _, script in sorted(self.files(folder).items())]

    def scope_of(self, path: str, folder: FolderKey) -> str | None:
        """The scope of a real path: that of the root it stands in, "file" elsewhere in the workspace, None outside."""
        at = os.path.dirname(path)
        for scope, root in self.roots(folder):
            with contextlib.suppress(OSError, ValueError):
                # The folder of a real path is real, so a root of this very name need not be looked at.
                stands_there = at == root or at == real_path(root)
                if stands_there and (scope != "project" or folder.covers(FolderKey(path))):
                    return scope
        # The path's own letters decide, not where it leads now: it is opened without following a link.
        return "file" if folder.covers(FolderKey(path)) else None

    def roots(self, folder: FolderKey | None) -> Iterator[tuple[str, str]]:
        """(scope, folder) in order of precedence."""
        if folder is not None:
            yield "project", os.path.join(folder.path, PROJECT_ROOT)
        if self._user_folder is not None:
            yield "user", self._user_folder
        yield "builtin", self._builtin

    def _info(self, script: ScriptFile, blocked: str | None) -> ScriptInfo:
        description, schema, reason = "", _empty_schema(), script.blocked_reason
        if reason is None:
            try:
                source = read_source_file(script.path, file=script.file, bytes_max=self._settings.script_bytes_max)
                signature, problems = check_with_signature(source, script.file)
            except ScriptNotFound as error:
                reason = error.why
            except ScriptInvalid as error:
                reason = _first_error(script.file, error.problems)
            else:
                description = signature.description if signature else read_description(source)
                schema = signature.args_schema if signature else schema
                reason = _first_error(script.file, problems) if has_errors(problems) else None
        reason = reason or blocked
        uri = uri_of_path(script.path)
        return ScriptInfo(script.name, script.path, uri, script.scope, description, schema, reason is None, reason)


def display_path(path: str, folder: FolderKey | None) -> str:
    """A real path for people: relative to the workspace if it lies there; text that any encoder takes."""
    if folder is not None and folder.covers(FolderKey(path)):
        path = Path(path).relative_to(folder.path).as_posix()
    return os.fsencode(path).decode("utf-8", "replace")


def _script_file(name: str, path: str, scope: str, folder: FolderKey | None) -> ScriptFile:
    try:
        real = real_path(path)
        inside = scope != "project" or folder is None or folder.covers(FolderKey(real))
    except (OSError, ValueError):
        return ScriptFile(name, path, display_path(path, None), scope, "it is no path")
    file = display_path(real if inside else path, folder)
    if not inside:
        return ScriptFile(name, path, file, scope, "it leads out of the workspace")
    return ScriptFile(name, real, file, scope, None if is_name(name) else NAME_RULE)


def _python_files(root: str) -> Iterator[tuple[str, str]]:
    """(name, path) of the scripts in a folder, by name; `_private.py` and `.hidden.py` are none."""
    try:
        with os.scandir(root) as entries:
            names = sorted(each.name for each in entries if each.name.endswith(".py") and each.name[0] not in "._")
    except (OSError, ValueError):
        return
    for file_name in names[:ROOT_FILES_MAX]:
        stem = os.fsencode(file_name.removesuffix(".py")).decode("utf-8", "replace")
        yield stem, os.path.join(root, file_name)


def _first_error(file: str, problems: Sequence[ScriptProblem]) -> str:
    errors = [each for each in problems if each.severity == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{file}:{errors[0].line}:{errors[0].column}: {errors[0].message}{more}"


def _empty_schema() -> dict[str, Any]:
    return {"type": "object", "properties": {}}
