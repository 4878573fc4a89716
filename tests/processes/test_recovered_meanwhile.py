"""F2, C2: a run that went to a living owner between two reads of the patrol is not taken from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidestep.model.run import Owner
from sidestep.service.recovery import Recovery
from sidestep.service.watch_pace import WatchPace
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from tests.contract.stores import OWNER, running
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sidestep.model.run import RunRecord

LIVING = Owner(owner_id="owner-living", pid=33, since_ms=3)


class StoreThatMovesOn(InMemoryRunStore):
    """Finds the run by its dead owner, and reads its row when others have recovered it, or claimed it too."""

    def __init__(self, owner: Owner | None) -> None:
        super().__init__(FakeClock(), Settings(), MemoryJournal())
        self._owner_now = owner

    async def owner_ids(self) -> Sequence[str]:
        return [OWNER.owner_id]

    async def owned_runs(self, owner_ids: Collection[str] | None = None) -> Sequence[RunRecord]:
        return [replace(record, owner=self._owner_now) for record in await super().owned_runs(owner_ids)]


class Owners:
    """Only one lives."""

    owner_id = "owner-mine"

    def __init__(self) -> None:
        self.stopped: list[str] = []

    def is_alive(self, owner_id: str) -> bool:
        return owner_id == LIVING.owner_id

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        self.stopped.append(owner_id)
        return 0


async def recovered_when(owner_now: Owner | None) -> list[str]:
    """Whose processes were stopped by a look for dead owners."""
    owners = Owners()
    async with StoreThatMovesOn(owner_now) as store:
        await running(store)
        recovery = Recovery(store, owners, FakeClock(), WatchPace(store.watch))  # type: ignore[arg-type]
        await recovery.recover_dead()
    return owners.stopped


async def test_a_dead_owners_processes_are_stopped() -> None:
    assert await recovered_when(OWNER) == [OWNER.owner_id]


async def test_a_run_that_was_claimed_meanwhile_is_left_to_its_living_owner() -> None:
    assert await recovered_when(LIVING) == []


async def test_a_run_that_was_recovered_meanwhile_is_left_alone() -> None:
    assert await recovered_when(None) == []
