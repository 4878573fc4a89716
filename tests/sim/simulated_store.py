"""The store of one simulated process."""

from __future__ import annotations

from sidestep.store.memory import InMemoryRunStore


class SimulatedStore(InMemoryRunStore):
    """The store in memory, which a SIGKILL can find in the middle of a commit."""

    def die(self, *, loses_queue: bool) -> None:
        """Its process is gone; `loses_queue`: before what it was about to commit was committed."""
        if loses_queue:
            self._queue.clear()
        self.journal.stores.remove(self)
