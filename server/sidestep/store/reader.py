"""
Reads, on a thread and a connection of their own: a slow one holds up neither the event loop nor a commit.

Under WAL a reader never waits for writers and never blocks them. Knows how to put a question, not what is asked.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, TypeVar

from sidestep.store.call_thread import CallThread
from sidestep.store.faults import primary_code, store_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.store.connection import Link

T = TypeVar("T")


class Reader:
    """Questions to the database, on one read-only connection."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._thread = CallThread("sidestep-reader")

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """
        Raises:
            StoreUnavailable: the store cannot be read; the next read tries with a new connection.
            What `question` raises.
        """
        return await self._thread.call(lambda: self._ask(question))

    async def stop(self) -> None:
        """Answer what was asked so far and close the connection."""
        await self._thread.stop(self._link.drop)

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return question(self._link.get())
        except (sqlite3.Error, OSError) as error:
            if not isinstance(error, sqlite3.Error) or primary_code(error) != sqlite3.SQLITE_BUSY:
                self._link.drop()
            raise store_fault(error, self._link.store_file.path) from error
