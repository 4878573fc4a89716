"""
Where a store lives: the database file, and the folders that belong to it and to it alone.

Knows nothing of what stands in them. The folders carry the database's name, as `-wal` and `-shm` do, so that two
stores in one folder never share (and never delete) each other's files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.store.place import DATABASE_NAME, STORE_VARIABLE, database_path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DATABASE_NAME", "STORE_VARIABLE", "StoreLocation", "store_location"]


@dataclass(frozen=True)
class StoreLocation:
    """The paths of one store; all absolute."""

    database: Path

    @property
    def folder(self) -> Path:
        """The folder the store stands in; other files of the user (the trust list) stand there too."""
        return self.database.parent

    @property
    def outputs(self) -> Path:
        """Content-addressed files of large outputs."""
        return self.database.with_name(self.database.name + "-outputs")

    @property
    def results(self) -> Path:
        """One file for each result too large for its run's row."""
        return self.database.with_name(self.database.name + "-results")

    @property
    def worktrees(self) -> Path:
        """Agents' worktrees and patches, and what is known of patches being applied."""
        return self.database.with_name(self.database.name + "-worktrees")

    @property
    def owners(self) -> Path:
        """One locked file per living process that opened the store."""
        return self.database.with_name(self.database.name + "-owners")


def store_location(explicit: str | Path | None, environment: Mapping[str, str]) -> StoreLocation:
    """
    The store to use: an explicit path, else `SIDESTEP_STORE`, else the user's state folder.

    Args:
        explicit: What `--store` named: a database file that need not exist yet; relative to the working folder.
        environment: The process's environment.
    """
    return StoreLocation(Path(database_path(explicit, environment)))
