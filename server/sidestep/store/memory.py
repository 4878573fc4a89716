"""
The store without a disk: `RunStore` on dictionaries, by the same rules.

Passes the contract suite the durable store passes; service tests run on it. Two stores on one `MemoryJournal` behave
like two processes on one file: each hears the other's commits when it watches.

Invariant: what is stored is encoded, as on disk, so a value its caller goes on changing does not change the journal.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from sidestep.model.errors import StoreUnavailable
from sidestep.model.events import JournalEvent, decode_body
from sidestep.model.ports import Committed, Deleted, Page
from sidestep.model.replay_key import hash_text
from sidestep.model.run import RunResult
from sidestep.model.writes import StepOutput
from sidestep.store.faults import closed_store
from sidestep.store.listeners import Listeners
from sidestep.store.memory_journal import MemoryJournal, StoredRun, list_place, matches_filter, open_questions
from sidestep.store.memory_transaction import MemoryTransaction
from sidestep.store.outputs import damaged_output, exceeds_utf8
from sidestep.store.paging import run_cursor, run_place, step_place
from sidestep.store.queries import damaged_source
from sidestep.store.results import result_text
from sidestep.store.transaction import Applied

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sidestep.model.ports import Clock, RunFilter
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord, StepRecord
    from sidestep.model.writes import Append, Write
    from sidestep.settings import Settings


class InMemoryRunStore:
    """
    `RunStore` in memory.

    Writes made in one turn of the event loop are committed together in the next, as the durable store's group commit
    does; lazy ones need no other write to go. Usable without `open`.

    Args:
        clock: Gives the time of commits.
        settings: Limits.
        journal: What is stored; give it to a second store for a second process, or after a close for a restart.
    """

    def __init__(self, clock: Clock, settings: Settings, journal: MemoryJournal | None = None) -> None:
        self._clock = clock
        self._settings = settings
        self.journal = MemoryJournal() if journal is None else journal
        self.journal.stores.append(self)
        self._listeners = Listeners()
        self._queue: list[tuple[Callable[[int], Applied], asyncio.Future[Any]]] = []
        self._is_open = True
        self._is_watching = False
        self._kept: dict[str, str] = {}
        self._changes = MemoryTransaction(self.journal, self._kept)
        # Other stores' commits that were not told yet.
        self._inbox: list[Committed | Deleted] = []

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        if not self._is_open:
            self._is_open = True
            self.journal.stores.append(self)
        self._require_usable()

    async def close(self) -> None:
        if self._is_open:
            self._commit()
            self._is_open = False
            self.journal.stores.remove(self)

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        return self._listeners.listen(listener)

    def listen_deleted(self, listener: Callable[[Deleted], None]) -> Callable[[], None]:
        return self._listeners.listen_deleted(listener)

    def listen_availability(self, listener: Callable[[StoreUnavailable | None], None]) -> Callable[[], None]:
        return self._listeners.listen_availability(listener)

    def watch(self, busy: bool | None) -> asyncio.Future[Any]:
        """As `SqliteRunStore.watch`; the pace makes no difference."""
        if not self._is_open:
            raise closed_store()
        self._is_watching = busy is not None
        in_force: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        in_force.set_result(None)
        return in_force

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        return await self._submit(lambda now_ms: self._create(record, source))

    async def write(self, write: Write) -> RunRecord:
        return await self._submit(lambda now_ms: self._write(write, now_ms))

    def write_lazily(self, write: Append) -> asyncio.Future[RunRecord]:
        answer: asyncio.Future[RunRecord] = asyncio.get_running_loop().create_future()
        # An error that nobody looks at is no fault of the program's.
        answer.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)
        self._enqueue(lambda now_ms: self._write(write, now_ms), answer)
        return answer

    async def store_source(self, source: str) -> str:
        return await self._submit(lambda now_ms: Applied(self._keep_source(source)))

    async def read(self, run_id: str) -> RunRecord:
        return self._run(run_id).record

    async def find_start_key(self, folder: str, start_key: str) -> RunRecord | None:
        self._require_usable()
        runs = (run.record for run in self.journal.runs.values())
        return next((record for record in runs if (record.folder, record.start_key) == (folder, start_key)), None)

    async def read_source(self, source_hash: str) -> str:
        self._require_usable()
        text = self.journal.sources.get(source_hash)
        if text is None or hash_text(text) != source_hash:
            raise damaged_source(source_hash)
        return text

    async def read_steps(
        self, run_id: str, *, step_id: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page[StepRecord]:
        """Raises ValueError when `after` is no cursor of such a page."""
        place = -1 if after is None else step_place(after)
        found = [
            (first, step)
            for first, step in self._run(run_id).steps.values()
            if first > place and step_id in (None, step.step_id)
        ]
        if limit is None or len(found) <= limit:
            return Page([step for _, step in found], None)
        return Page([step for _, step in found[:limit]], str(found[limit - 1][0]))

    async def read_output(self, step: StepRecord) -> str:
        self._require_usable()
        if step.output_file is not None:
            if step.output_file not in self.journal.outputs:
                raise damaged_output(step.output_file)
            return self.journal.outputs[step.output_file]
        assert step.output_json is not None, "a completed step has an output"
        return step.output_json

    async def keep_output(self, text: str) -> StepOutput:
        self._require_usable()
        if not exceeds_utf8(text, self._settings.output_inline_bytes_max):
            return StepOutput(json=text)
        name = f"{hash_text(text)}.json"
        self.journal.outputs[name] = self._kept[name] = text
        return StepOutput(json=None, file=name)

    async def keep_result(self, run_id: str, result: RunResult) -> RunResult:
        self._require_usable()
        if not exceeds_utf8((result.report or "") + (result.data_json or ""), self._settings.result_inline_bytes_max):
            return result
        self.journal.results[run_id] = result_text(result)
        return RunResult(file=f"/in-memory/{run_id}.json")

    async def read_events(self, run_id: str, *, after_sequence: int, limit: int) -> Sequence[JournalEvent]:
        first = max(0, after_sequence)
        chosen = self._run(run_id).events[first : first + limit]
        return [
            JournalEvent(sequence, at_ms, decode_body(body))
            for sequence, (at_ms, body) in enumerate(chosen, start=first + 1)
        ]

    async def read_question(self, interaction_id: str) -> Question | None:
        self._require_usable()
        found = (run.questions.get(interaction_id) for run in self.journal.runs.values())
        return next((question for question in found if question is not None), None)

    async def open_questions(self, run_id: str) -> Sequence[Question]:
        return open_questions(self.journal, self._run(run_id).record)

    async def list_runs(self, run_filter: RunFilter, *, cursor: str | None, limit: int) -> Page[RunRecord]:
        """Raises ValueError when `cursor` is no cursor of such a page."""
        self._require_usable()
        place = None if cursor is None else run_place(cursor)
        records = [run.record for run in self.journal.runs.values() if matches_filter(run.record, run_filter)]
        records.sort(key=list_place, reverse=True)
        if place is not None:
            records = [record for record in records if list_place(record) < place]
        page = records[:limit]
        return Page(page, run_cursor(page[-1]) if len(records) > limit else None)

    async def owner_ids(self) -> Sequence[str]:
        return sorted({record.owner.owner_id for record in await self.owned_runs() if record.owner is not None})

    async def owned_runs(self, owner_ids: Collection[str] | None = None) -> Sequence[RunRecord]:
        self._require_usable()
        owned = [run.record for run in self.journal.runs.values() if run.record.owner is not None]
        return (
            owned if owner_ids is None else [each for each in owned if each.owner and each.owner.owner_id in owner_ids]
        )

    async def delete(self, run_id: str) -> None:
        await self._submit(lambda now_ms: self._delete(run_id))

    async def health(self) -> dict[str, Any]:
        self._require_usable()
        return {"storePath": "", "storeBytes": 0, "storeId": f"memory-{id(self.journal):x}"}

    def _require_usable(self) -> None:
        if not self._is_open:
            raise closed_store()
        if self.journal.fault is not None:
            raise self.journal.fault

    def _run(self, run_id: str) -> StoredRun:
        self._require_usable()
        return self._changes.run(run_id)

    def _enqueue(self, apply: Callable[[int], Applied], answer: asyncio.Future[Any]) -> None:
        if not self._is_open:
            raise closed_store()
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._commit)
        self._queue.append((apply, answer))

    async def _submit(self, apply: Callable[[int], Applied]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._enqueue(apply, answer)
        return await answer

    def _commit(self) -> None:
        """Apply all that is queued, tell listeners in order, then let the callers go on."""
        # What others committed before is told before our own.
        self._hear()
        jobs, self._queue = self._queue, []
        now_ms = self._clock.now_ms()
        settled: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        for apply, answer in jobs:
            try:
                self._require_usable()
                applied = apply(now_ms)
            except Exception as error:
                # Handed to whoever waits for the write and raised there, as the durable store's writer does.
                settled.append((answer, None, error))
                continue
            settled.append((answer, applied.answer, None))
            for told in applied.told:
                self._tell(told)
        if settled:
            away = (error for _, _, error in settled if isinstance(error, StoreUnavailable))
            self._listeners.tell_availability(next(away, None))
        for answer, value, error in settled:
            if answer.done():
                continue
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)

    def _tell(self, told: Committed | Deleted) -> None:
        self._listeners.tell(told)
        for other in self.journal.stores:
            if other is not self and other._is_watching:
                other._inbox.append(replace(told, mine=False))
                asyncio.get_running_loop().call_soon(other._hear)

    def _hear(self) -> None:
        """Tell what other stores have committed."""
        inbox, self._inbox = self._inbox, []
        for told in inbox:
            self._listeners.tell(told)

    # What is applied, each in one piece; a test may look at it, or do the same elsewhere.

    def _create(self, record: RunRecord, source: str) -> Applied:
        return self._changes.create(record, source)

    def _write(self, write: Write, now_ms: int) -> Applied:
        return self._changes.write(write, now_ms)

    def _keep_source(self, source: str) -> str:
        return self._changes.keep_source(source)

    def _delete(self, run_id: str) -> Applied:
        return self._changes.delete(run_id)
