"""
The scripts a service may run and whom it trusts: one object over discovery, resolution, checking and trust.

Reading and checking a script takes file access and parsing, so it happens in a thread; nothing here runs a script.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import ArgsInvalid, ScriptNotFound, WorkspaceUntrusted
from sidestep.model.execution import ChildScript
from sidestep.model.problems import ArgsProblem
from sidestep.model.replay_key import canonical_json
from sidestep.model.run import loads
from sidestep.scripts.arguments import validate_args
from sidestep.scripts.check import check
from sidestep.scripts.file_uri import path_of_uri
from sidestep.scripts.folder import FolderKey, real_path
from sidestep.scripts.resolver import FileScript, InlineScript, NamedScript, reference_of_word
from sidestep.scripts.source_file import read_source_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.problems import ScriptProblem
    from sidestep.model.run import RunRecord
    from sidestep.scripts.discovery import ScriptFinder, ScriptInfo
    from sidestep.scripts.resolver import ResolvedScript, ScriptReference, ScriptResolver
    from sidestep.scripts.trust import SessionTrust, TrustList
    from sidestep.settings import Settings


class Library:
    """Scripts and trust, as the service asks for them."""

    def __init__(
        self,
        finder: ScriptFinder,
        resolver: ScriptResolver,
        remembered: TrustList,
        session: SessionTrust,
        settings: Settings,
    ) -> None:
        """
        Args:
            remembered: The user's list of trusted folders, shared with the user's other processes.
            session: What this process's host, or command line, said about folders.
        """
        self._finder = finder
        self._resolver = resolver
        self._remembered = remembered
        self._session = session
        self._settings = settings

    async def resolve(self, reference: ScriptReference, folder: FolderKey) -> ResolvedScript:
        """
        The script a start means, read once and checked.

        Raises:
            WorkspaceUntrusted, ScriptNotFound, ScriptInvalid.
        """
        return await asyncio.to_thread(self._resolve, reference, folder)

    def _resolve(self, reference: ScriptReference, folder: FolderKey) -> ResolvedScript:
        return self._resolver.resolve(reference, folder, trusted=self.is_trusted(folder))

    async def resolve_again(self, record: RunRecord) -> ResolvedScript:
        """
        The script of a run as it stands now, for a retry with the current source.

        Raises:
            As `resolve`, and ArgsInvalid when the run's arguments no longer fit.
        """
        script = await self.resolve(reference_of_text(record.script_ref), FolderKey(record.folder))
        self.check_args(script, loads(record.args_json))
        return script

    def check_args(self, script: ResolvedScript, args: dict[str, Any]) -> None:
        """
        Raises:
            ArgsInvalid: with every problem and its path.
        """
        problems = validate_args(script.signature, args)
        if not problems:
            size = len(canonical_json(args).encode("utf-8", "surrogatepass"))
            limit = self._settings.args_bytes_max
            if size > limit:
                problems = [ArgsProblem("", f"the arguments have {size} bytes, the limit is {limit}")]
        if problems:
            raise ArgsInvalid(name=script.name, problems=tuple(problems))

    async def scripts(self, folder: FolderKey | None) -> list[ScriptInfo]:
        """Every script that can be named in the folder (None: without one), trusted or not."""
        return await asyncio.to_thread(self._scripts, folder)

    def _scripts(self, folder: FolderKey | None) -> list[ScriptInfo]:
        return self._finder.list(folder, trusted=folder is not None and self.is_trusted(folder))

    async def check_text(self, uri: str | None, source: str | None) -> tuple[str, list[ScriptProblem]]:
        """
        A text, given or read from a file, and everything the static check finds in it; never runs it.

        Raises:
            ScriptNotFound, ScriptInvalid: the file cannot be read.
        """
        return await asyncio.to_thread(self._check_text, uri, source)

    def _check_text(self, uri: str | None, source: str | None) -> tuple[str, list[ScriptProblem]]:
        if source is not None:
            return source, check(source, "<inline>")
        assert uri is not None, "one of the two is given"
        path, why = path_of_uri(uri)
        if path is None:
            raise ScriptNotFound(uri, why=why)
        try:
            real = real_path(path)
        except (OSError, ValueError) as error:
            raise ScriptNotFound(uri, why="it is no path") from error
        text = read_source_file(real, file=path, bytes_max=self._settings.script_bytes_max)
        return text, check(text, path)

    def is_trusted(self, folder: FolderKey) -> bool:
        """The session's word if it names the folder or one above it, else the user's list; read again each time."""
        return self._remembered.is_trusted(folder, self._session)

    def require_trust(self, folder: FolderKey) -> None:
        """
        Raises:
            WorkspaceUntrusted.
        """
        if not self.is_trusted(folder):
            raise WorkspaceUntrusted(folder=folder.path)

    def trust_for_session(self, folders: Iterable[FolderKey]) -> None:
        """Take the host's word for these folders, until it disconnects."""
        for folder in folders:
            self._session.trust(folder)

    def set_trust(self, folders: Iterable[FolderKey], *, trusted: bool, remember: bool) -> None:
        """
        Trust or distrust folders for this session, and with `remember` for this user.

        Raises:
            StoreUnavailable: the user's list cannot be written; the session's word stands.
        """
        named = list(folders)
        for folder in named:
            (self._session.trust if trusted else self._session.withdraw)(folder)
        if remember:
            (self._remembered.remember if trusted else self._remembered.forget)(named)


class LibraryChildScripts:
    """The port `ChildScripts` over the library."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def resolve(self, name_or_path: str, args: dict[str, Any], folder: str) -> ChildScript:
        reference = reference_of_word(name_or_path)
        script = await self._library.resolve(reference, FolderKey(folder))
        self._library.check_args(script, args)
        return _child_script(script, canonical_json(args), text_of_reference(reference))

    async def resolve_again(self, record: RunRecord) -> ChildScript:
        script = await self._library.resolve_again(record)
        return _child_script(script, record.args_json, record.script_ref)


def _child_script(script: ResolvedScript, args_json: str, script_ref: str) -> ChildScript:
    return ChildScript(
        name=script.name,
        file=script.file,
        source=script.source,
        source_hash=script.source_hash,
        args_json=args_json,
        args_schema_json=canonical_json(script.signature.args_schema),
        script_ref=script_ref,
    )


def text_of_reference(reference: ScriptReference) -> str:
    """A reference as it stands on a run's row: canonical JSON, equal for equal references."""
    match reference:
        case NamedScript(name):
            return canonical_json({"name": name})
        case FileScript(file):
            return canonical_json({"file": file})
        case InlineScript(source, name):
            return canonical_json({"source": source, "name": name})


def reference_of_text(text: str) -> ScriptReference:
    """The reference that `text_of_reference` wrote."""
    fields = loads(text)
    if "source" in fields:
        return InlineScript(fields["source"], fields["name"])
    return FileScript(fields["file"]) if "file" in fields else NamedScript(fields["name"])
