"""Work of one part of a connection that nobody waits for: kept until it ends, cancelled when its part is closed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

log = logging.getLogger("sidestep.lsp")


class SpawnedTasks:
    """The tasks of one part. Lives on the event loop's thread."""

    def __init__(self, name: str, complaint: str, failed: Callable[[], object] | None = None) -> None:
        """
        Args:
            name: What the tasks are called.
            complaint: Logged, with the traceback, when one of them fails.
            failed: Called then, too.
        """
        self._name = name
        self._complaint = complaint
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def close(self) -> None:
        """Cancel what is under way; nothing is awaited."""
        for task in list(self._tasks):
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error(self._complaint, exc_info=task.exception())
            if self._failed is not None:
                self._failed()
