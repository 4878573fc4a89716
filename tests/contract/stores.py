"""The two stores under one name, and the records and writes the contract is told with."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.events import Logged, StepChanged
from sidestep.model.questions import Question, QuestionKind, interaction_id
from sidestep.model.replay_key import hash_text, step_key
from sidestep.model.run import Attention, Owner, RunRecord, RunStatus, StepStatus
from sidestep.model.transitions import RunEvent
from sidestep.model.writes import Append, Claim, Finish, Interrupt, StepOutput
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from sidestep.store.sqlite import SqliteRunStore
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sidestep.model.ports import Committed

    Store = InMemoryRunStore | SqliteRunStore

SOURCE = "async def main():\n    return None\n"
OWNER = Owner(owner_id="owner-a", pid=11, since_ms=1)
OTHER_OWNER = Owner(owner_id="owner-b", pid=22, since_ms=2)


@dataclass
class Backend:
    """One journal, in memory or in a file; every `store()` is a process of its own on it."""

    kind: str
    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    settings: Settings = field(default_factory=lambda: Settings(watch_busy_ms=1, watch_idle_ms=1))
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    @property
    def location(self) -> StoreLocation:
        return StoreLocation(self.folder / "state" / "sidestep.db")

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        if self.kind == "memory":
            store: Store = InMemoryRunStore(self.clock, self.settings, self.journal)
        else:
            store = SqliteRunStore(self.location, self.clock, self.settings)
        async with store:
            yield store


def new_run(number: int = 1, **changes: Any) -> RunRecord:
    """A row as the service makes it; `number` gives the id and the time of creation."""
    run_id = f"run_{number:016d}"
    fields: dict[str, Any] = {
        "run_id": run_id,
        "name": "report",
        "folder": "/work/project",
        "folder_uri": "file:///work/project",
        "status": RunStatus.PENDING,
        "epoch": 1,
        "claim_epoch": 1,
        "owner": OWNER,
        "attention": Attention.BLOCKING,
        "sequence": 0,
        "created_at_ms": 1000 * number,
        "updated_at_ms": 1000 * number,
        "source_hash": hash_text(SOURCE),
        "file": None,
        "args_json": "{}",
        "args_schema_json": "{}",
        "script_ref": '{"name":"report"}',
        "root_run_id": run_id,
    }
    return RunRecord(**{**fields, **changes})


def new_child(number: int, parent: RunRecord, **changes: Any) -> RunRecord:
    """A nested run's row as the engine makes it under its root's claim; `parent` is its root, or a nested run too."""
    under = {"parent_run_id": parent.run_id, "root_run_id": parent.root_run_id, "depth": parent.depth + 1}
    return new_run(number, owner=None, epoch=parent.claim_epoch, claim_epoch=parent.claim_epoch, **{**under, **changes})


def question(record: RunRecord, key: str = "k") -> Question:
    return Question(
        interaction_id=interaction_id(record.run_id, key),
        run_id=record.run_id,
        root_run_id=record.root_run_id,
        step_id="ship",
        kind=QuestionKind.QUESTION,
        title="Ship it?",
        asked_at_ms=0,
    )


async def running(store: Store, number: int = 1, **changes: Any) -> RunRecord:
    record, _ = await store.create(new_run(number, **changes), SOURCE)
    return record


async def child_of(store: Store, number: int, parent: RunRecord) -> RunRecord:
    """A nested run that is being conducted."""
    record, created = await store.create(new_child(number, parent), SOURCE)
    assert created
    return record


async def stopped(store: Store, number: int = 1, **changes: Any) -> RunRecord:
    """A completed, quiescent run."""
    record = await running(store, number, **changes)
    return await store.write(Finish(record.run_id, claim_epoch=1))


def key_of(step_id: str) -> str:
    return step_key(step_id, "command", {"argv": ["true"]})


def step_body(step_id: str, status: StepStatus, **changes: Any) -> StepChanged:
    return StepChanged(step_id=step_id, kind="command", key=key_of(step_id), status=status, attempt=1, **changes)


def started(record: RunRecord, *step_ids: str) -> Append:
    bodies = tuple(step_body(step_id, StepStatus.STARTED) for step_id in step_ids)
    return Append(record.run_id, record.claim_epoch, bodies)


def completed(record: RunRecord, step_id: str, output: StepOutput | None = None) -> Append:
    body = step_body(step_id, StepStatus.COMPLETED, duration_ms=3)
    return Append(record.run_id, record.claim_epoch, (body,), {body.key: output or StepOutput(json='{"ok":true}')})


def logged(record: RunRecord, message: str) -> Append:
    return Append(record.run_id, record.claim_epoch, (Logged(message=message),))


def interrupt(record: RunRecord, reason: str = "user") -> Interrupt:
    return Interrupt(record.run_id, reason)


def claim(record: RunRecord, event: RunEvent = RunEvent.RESUME, owner: Owner = OWNER) -> Claim:
    """A claim on the epoch of `record`, as read when the request was accepted."""
    return Claim(record.run_id, record.epoch, owner, event, Attention.BLOCKING)


async def sequences(store: Store, run_id: str) -> list[int]:
    return [event.sequence for event in await store.read_events(run_id, after_sequence=0, limit=100_000)]


async def kinds(store: Store, run_id: str) -> list[str]:
    """The journal in words: `status:running`, `step:completed`, `log` ..."""
    events = await store.read_events(run_id, after_sequence=0, limit=100_000)
    return [_kind(event.body) for event in events]


def _kind(body: Any) -> str:
    tag: str = body.__struct_config__.tag
    return f"{tag}:{body.status.value}" if tag in ("status", "step") else tag


class Told:
    """What a listener of `store` has heard."""

    def __init__(self, store: Store) -> None:
        self.commits: list[Committed] = []
        self._waiting: list[tuple[int, Any]] = []
        self.unlisten = store.listen(self.commits.append)

    @property
    def events(self) -> list[tuple[str, int, bool]]:
        """(run id, sequence, mine) of every event heard, in order."""
        return [(c.record.run_id, event.sequence, c.mine) for c in self.commits for event in c.events]


async def heard(store: Store, run_id: str, sequence: int) -> Committed:
    """Wait until a listener hears of that event."""
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def look(committed: Committed) -> None:
        reached = committed.record.run_id == run_id and any(e.sequence == sequence for e in committed.events)
        if reached and not found.done():
            found.set_result(committed)

    unlisten = store.listen(look)
    try:
        return await asyncio.wait_for(found, 5)
    finally:
        unlisten()
