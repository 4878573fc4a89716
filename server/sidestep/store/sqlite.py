"""
The durable store: the `RunStore` port on one SQLite file.

Puts the parts together: the writer (all that is durable), the reader, and the folder of large outputs. Every answer to
a write is given after its commit; listeners have heard of it by then.

Source: SQLite, "Write-Ahead Logging"; `synchronous=FULL` makes each commit survive power loss.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sidestep.model.writes import Append, StepOutput, Write
from sidestep.store import queries
from sidestep.store.call_thread import CallThread
from sidestep.store.connection import MOUNT_TABLE, Link, StoreFile, no_preparation
from sidestep.store.faults import closed_store
from sidestep.store.listeners import Listeners
from sidestep.store.migrations import CURRENT
from sidestep.store.outputs import OutputFolder, exceeds_utf8
from sidestep.store.questions import open_questions, read_question
from sidestep.store.reader import Reader
from sidestep.store.results import ResultFolder
from sidestep.store.sweep import sweep
from sidestep.store.transaction import Applied, Tables
from sidestep.store.writer import Writer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from sidestep.model.errors import StoreUnavailable
    from sidestep.model.events import JournalEvent
    from sidestep.model.ports import Clock, Committed, Deleted, Page, RunFilter
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord, RunResult, StepRecord
    from sidestep.settings import Settings
    from sidestep.store.location import StoreLocation
    from sidestep.store.migrations import Schema

# Outputs written to files whose steps are not committed yet, kept to write them again should the file be deleted.
_KEPT_TEXTS_MAX = 64


@dataclass(frozen=True)
class _Parts:
    """What lives while the store is open."""

    writer: Writer
    reader: Reader
    files: CallThread


class SqliteRunStore:
    """
    `RunStore` on the database at `location`; open it before use, close it after.

    Args:
        location: The database and the folders beside it.
        clock: Gives the time of commits.
        settings: Limits and paces.
        mount_table, prepare, schema, connection_type: As in `StoreFile`.
    """

    def __init__(
        self,
        location: StoreLocation,
        clock: Clock,
        settings: Settings,
        *,
        mount_table: Path = MOUNT_TABLE,
        prepare: Callable[[sqlite3.Connection], None] = no_preparation,
        schema: Schema = CURRENT,
        connection_type: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._listeners = Listeners()
        self._store_file = StoreFile(
            location.database,
            location.owners,
            settings.busy_timeout_ms,
            mount_table,
            prepare,
            schema,
            connection_type,
        )
        self._outputs = OutputFolder(location.outputs)
        self._results = ResultFolder(location.results)
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._parts: _Parts | None = None
        self._is_swept = False

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """
        Start the threads and open the database, making it when there is none. May be called again after it failed.

        Raises:
            StoreUnavailable: it cannot be used now. The store is open all the same: each call tries again by itself.
                A file that may only be read opens: what is stored can be read, and writes say what is wrong.
        """
        if self._parts is None:
            reader = Reader(Link(self._store_file, read_only=True))
            writer = Writer(
                Link(self._store_file, read_only=False),
                lambda connection: Tables(connection, self._outputs, self._restore_output),
                self._clock,
                self._listeners.tell,
                self._listeners.tell_availability,
                self._settings.lazy_write_ms / 1000,
                (self._settings.log_room_bytes, self._settings.log_room_after_ms / 1000),
            )
            self._parts = _Parts(writer, reader, CallThread("sidestep-files"))
        await self._parts.writer.submit(lambda tables, now_ms: Applied(None))
        if not self._is_swept:
            self._is_swept = True
            self._parts.files.send(self._sweep)

    async def close(self) -> None:
        """Write what is queued and end the threads. Calls made later answer that the store is closed."""
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.writer.stop()
            await parts.reader.stop()
            await parts.files.stop()

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        return self._listeners.listen(listener)

    def listen_deleted(self, listener: Callable[[Deleted], None]) -> Callable[[], None]:
        return self._listeners.listen_deleted(listener)

    def listen_availability(self, listener: Callable[[StoreUnavailable | None], None]) -> Callable[[], None]:
        return self._listeners.listen_availability(listener)

    def watch(self, busy: bool | None) -> asyncio.Future[Any]:
        """
        Tell listeners what other processes commit from now on (`Committed.mine` is False).

        Args:
            busy: Look every `watch_busy_ms` (True) or `watch_idle_ms` (False); None stops looking.

        Returns:
            A future that ends when this is in force: what is committed after that is told. Need not be awaited.
        """
        if busy is None:
            return self._open_parts.writer.set_pace(None)
        pace_ms = self._settings.watch_busy_ms if busy else self._settings.watch_idle_ms
        return self._open_parts.writer.set_pace(pace_ms / 1000)

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        return await self._open_parts.writer.submit(lambda tables, now_ms: tables.create(record, source))

    async def write(self, write: Write) -> RunRecord:
        after = await self._open_parts.writer.submit(lambda tables, now_ms: tables.write(write, now_ms))
        self._forget_kept(write)
        return after

    def write_lazily(self, write: Append) -> asyncio.Future[RunRecord]:
        return self._open_parts.writer.submit_lazily(lambda tables, now_ms: tables.write(write, now_ms))

    async def store_source(self, source: str) -> str:
        return await self._open_parts.writer.submit(lambda tables, now_ms: tables.store_source(source))

    async def read(self, run_id: str) -> RunRecord:
        return await self._open_parts.reader.read(lambda connection: queries.read_run(connection, run_id))

    async def find_start_key(self, folder: str, start_key: str) -> RunRecord | None:
        return await self._open_parts.reader.read(
            lambda connection: queries.find_start_key(connection, folder, start_key)
        )

    async def read_source(self, source_hash: str) -> str:
        return await self._open_parts.reader.read(lambda connection: queries.read_source(connection, source_hash))

    async def read_steps(
        self, run_id: str, *, step_id: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page[StepRecord]:
        """Raises ValueError when `after` is no cursor of such a page."""
        return await self._open_parts.reader.read(
            lambda connection: queries.read_steps(connection, run_id, step_id, after, limit)
        )

    async def read_output(self, step: StepRecord) -> str:
        name = step.output_file
        if name is not None:
            return await self._open_parts.files.call(lambda: self._outputs.read(name))
        assert step.output_json is not None, "a completed step has an output"
        return step.output_json

    async def keep_output(self, text: str) -> StepOutput:
        """On return a large output is durable; the step that names it is still to be written."""
        if not exceeds_utf8(text, self._settings.output_inline_bytes_max):
            return StepOutput(json=text)
        name = await self._open_parts.files.call(lambda: self._outputs.keep(text))
        self._kept[name] = text
        while len(self._kept) > _KEPT_TEXTS_MAX:
            self._kept.popitem(last=False)
        return StepOutput(json=None, file=name)

    async def keep_result(self, run_id: str, result: RunResult) -> RunResult:
        if not exceeds_utf8((result.report or "") + (result.data_json or ""), self._settings.result_inline_bytes_max):
            return result
        return await self._open_parts.files.call(lambda: self._results.keep(run_id, result))

    async def read_events(self, run_id: str, *, after_sequence: int, limit: int) -> Sequence[JournalEvent]:
        return await self._open_parts.reader.read(
            lambda connection: queries.read_events(connection, run_id, after_sequence, limit)
        )

    async def read_question(self, interaction_id: str) -> Question | None:
        return await self._open_parts.reader.read(lambda connection: read_question(connection, interaction_id))

    async def open_questions(self, run_id: str) -> Sequence[Question]:
        return await self._open_parts.reader.read(lambda connection: open_questions(connection, run_id))

    async def list_runs(self, run_filter: RunFilter, *, cursor: str | None, limit: int) -> Page[RunRecord]:
        """Raises ValueError when `cursor` is no cursor of such a page."""
        return await self._open_parts.reader.read(
            lambda connection: queries.list_runs(connection, run_filter, cursor, limit)
        )

    async def owner_ids(self) -> Sequence[str]:
        return await self._open_parts.reader.read(queries.owner_ids)

    async def owned_runs(self, owner_ids: Collection[str] | None = None) -> Sequence[RunRecord]:
        return await self._open_parts.reader.read(lambda connection: queries.owned_runs(connection, owner_ids))

    async def delete(self, run_id: str) -> None:
        writer = self._open_parts.writer
        files, members = await writer.submit(lambda tables, now_ms: tables.delete(run_id))
        await self._open_parts.files.call(lambda: [self._results.remove(member) for member in members])
        if files:
            # Only after the commit: had it failed, the steps would still refer to them.
            await writer.submit(lambda tables, now_ms: tables.remove_unused(files))

    async def health(self) -> dict[str, Any]:
        """`{"storePath": str, "storeBytes": int, "storeId": str}`; bytes of the database and its log."""
        identity = await self._open_parts.reader.read(queries.store_id)
        path = self._store_file.path
        return {"storePath": str(path), "storeBytes": self._store_file.bytes_on_disk(), "storeId": identity}

    @property
    def _open_parts(self) -> _Parts:
        if self._parts is None:
            raise closed_store()
        return self._parts

    def _sweep(self) -> int:
        return sweep(
            self._store_file,
            (self._outputs.folder, self._results.folder),
            before_s=self._clock.now_ms() / 1000 - self._settings.sweep_age_s,
            files_max=self._settings.sweep_files_max,
        )

    def _restore_output(self, name: str) -> bool:
        """Write an output again whose file was deleted before its step was committed. Called in the writer's thread."""
        text = self._kept.get(name)
        return text is not None and self._outputs.keep(text) == name

    def _forget_kept(self, write: Write) -> None:
        if isinstance(write, Append):
            for output in write.outputs.values():
                if output.file is not None:
                    self._kept.pop(output.file, None)
