"""
What the configuration of the open folders has wrong, told to the person: each text once.

A configuration is read only where somebody trusts the folder, so it is looked at again before a run begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidestep.scripts.folder import FolderKey

_WARNING = 2


class ConfigurationWarnings:
    """One connection's."""

    def __init__(
        self,
        notify: Callable[[str, object], object],
        folders: Callable[[], Sequence[FolderKey]],
        warnings: Callable[[str], Sequence[str]],
    ) -> None:
        """
        Args:
            folders: Those that are open now.
            warnings: What the configuration that holds in a folder (its path) has wrong; looks at its files.
        """
        self._notify = notify
        self._folders = folders
        self._warnings = warnings
        self._told: set[str] = set()

    def tell(self) -> None:
        """Tell what was not told yet."""
        for folder in self._folders():
            for warning in self._warnings(folder.path):
                if warning not in self._told:
                    self._told.add(warning)
                    self._notify("window/showMessage", {"type": _WARNING, "message": warning})
