"""An in-memory store that holds one call after it was done, so that a test decides what happens in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.store.memory import InMemoryRunStore

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Write


class HeldStore(InMemoryRunStore):
    """Holds one call between the store's answer and what its caller does with it; counts reads of rows."""

    held: str | None = None
    reads = 0

    def hold(self, call: str) -> None:
        """Hold the next call of this name; a write's is its class."""
        self.held, self.reached, self.release = call, asyncio.Event(), asyncio.Event()

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        created = await super().create(record, source)
        await self._pass("create")
        return created

    async def write(self, write: Write) -> RunRecord:
        record = await super().write(write)
        await self._pass(type(write).__name__)
        return record

    async def read(self, run_id: str) -> RunRecord:
        self.reads += 1
        record = await super().read(run_id)
        await self._pass("read")
        return record

    async def read_source(self, source_hash: str) -> str:
        text = await super().read_source(source_hash)
        await self._pass("read_source")
        return text

    async def find_start_key(self, folder: str, start_key: str) -> RunRecord | None:
        found = await super().find_start_key(folder, start_key)
        await self._pass("find_start_key")
        return found

    async def _pass(self, call: str) -> None:
        if self.held == call:
            self.held = None
            self.reached.set()
            await self.release.wait()
