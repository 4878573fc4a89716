"""The folders one connection has open, and which runs are therefore its own to be told about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.errors import WorkspaceInvalid
from sidestep.scripts.folder import FolderKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.run import RunRecord
    from sidestep_protocol.capabilities import InitializeParams


class Workspace:
    """Open folders; keys are compared, the client's URIs are echoed."""

    def __init__(self) -> None:
        self._uris: dict[FolderKey, str] = {}

    @property
    def folders(self) -> list[FolderKey]:
        return list(self._uris)

    def open(self, uris: Iterable[str]) -> list[FolderKey]:
        """
        Open folders; one that does not exist or is no `file:` URI is left out: plain LSP goes on without it.

        Returns:
            Those that are open now.
        """
        opened: list[FolderKey] = []
        for uri in uris:
            try:
                folder = FolderKey.existing(uri)
            except WorkspaceInvalid:
                continue
            self._uris[folder] = uri
            opened.append(folder)
        return opened

    def close(self, uris: Iterable[str]) -> None:
        for uri in uris:
            for folder in [folder for folder, opened in self._uris.items() if opened == uri]:
                del self._uris[folder]

    def open_from(self, params: InitializeParams) -> None:
        """The folders named by initialize: `workspaceFolders`, else `rootUri`."""
        if params.workspace_folders:
            self.open(folder.uri for folder in params.workspace_folders)
        elif params.root_uri:
            self.open([params.root_uri])

    def folder(self, uri: str | None) -> tuple[FolderKey, str]:
        """
        The folder a request means and the client's URI of it; it may be left out with exactly one open.

        Raises:
            WorkspaceInvalid: none was named and not exactly one is open, or the named one does not exist.
        """
        if uri is not None:
            return FolderKey.existing(uri), uri
        if len(self._uris) == 1:
            return next(iter(self._uris.items()))
        count = len(self._uris) or "no"
        raise WorkspaceInvalid(folder="", why=f"name workspaceFolder: {count} folders are open")

    def named(self, path: str) -> tuple[FolderKey, str]:
        """
        A folder that is there, by its path, and the client's URI of it if it has one.

        Raises:
            WorkspaceInvalid: it does not exist.
        """
        folder = FolderKey.existing(path)
        return folder, self._uris.get(folder, folder.uri)

    def owns(self, record: RunRecord) -> bool:
        """True for root runs of open folders."""
        return record.parent_run_id is None and self.has(record.folder)

    def has(self, folder: str) -> bool:
        """True for the key of an open folder."""
        return FolderKey(folder) in self._uris
