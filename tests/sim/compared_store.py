"""
The store in memory with SQLite's tables beside it: every write and every question goes to both, and both must agree.

Each window has a connection and a row cache of its own on one database, as processes do. Threads, group commit
and the look for others' commits are not here: the simulation has one thread, and `tests/crash` has real processes.

Invariant: both answer alike, tell listeners alike, and refuse alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.model.errors import SidestepError
from sidestep.store import queries
from sidestep.store.connection import StoreFile
from sidestep.store.outputs import OutputFolder
from sidestep.store.questions import open_questions, read_question
from sidestep.store.transaction import Applied, Tables
from tests.sim.simulated_store import SimulatedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.ports import Clock
    from sidestep.settings import Settings
    from sidestep.store.location import StoreLocation
    from sidestep.store.memory_journal import MemoryJournal


class ComparedStore(SimulatedStore):
    """
    `RunStore` for one window.

    Args:
        broken: Where a difference is told; an exception could get lost on its way through the product.
    """

    def __init__(
        self, clock: Clock, settings: Settings, journal: MemoryJournal, location: StoreLocation, broken: list[str]
    ) -> None:
        super().__init__(clock, settings, journal)
        file = StoreFile(location.database, location.owners, busy_timeout_ms=1000)
        self._connection = file.connect(read_only=False)
        # Nothing here loses power.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._tables = Tables(self._connection, OutputFolder(location.outputs), lambda name: True)
        self._broken = broken

    def die(self, *, loses_queue: bool) -> None:
        super().die(loses_queue=loses_queue)
        self._connection.close()

    def _create(self, record: Any, source: str) -> Applied:
        return self._both(
            "create",
            lambda: self._tables.create(record, source),
            lambda: super(ComparedStore, self)._create(record, source),
        )

    def _write(self, write: Any, now_ms: int) -> Applied:
        return self._both(
            str(write),
            lambda: self._tables.write(write, now_ms),
            lambda: super(ComparedStore, self)._write(write, now_ms),
        )

    def _delete(self, run_id: str) -> Applied:
        def in_tables() -> Applied:
            # Its answer is which files are left to remove.
            return Applied(None, self._tables.delete(run_id).told)

        return self._both("delete", in_tables, lambda: super(ComparedStore, self)._delete(run_id))

    def _keep_source(self, source: str) -> str:
        if not self._connection.in_transaction:
            self._in_transaction(lambda: self._tables.store_source(source))
        return super()._keep_source(source)

    async def read(self, run_id: str) -> Any:
        return self._same("read", await super().read(run_id), lambda: queries.read_run(self._connection, run_id))

    async def read_steps(self, run_id: str, **wanted: Any) -> Any:
        page = await super().read_steps(run_id, **wanted)
        if not wanted:
            other = queries.read_steps(self._connection, run_id, None, None, None)
            self._same("steps", list(page.items), lambda: list(other.items))
        return page

    async def read_events(self, run_id: str, *, after_sequence: int, limit: int) -> Any:
        events = await super().read_events(run_id, after_sequence=after_sequence, limit=limit)
        return self._same(
            "events", events, lambda: list(queries.read_events(self._connection, run_id, after_sequence, limit))
        )

    async def read_question(self, interaction_id: str) -> Any:
        question = await super().read_question(interaction_id)
        return self._same("question", question, lambda: read_question(self._connection, interaction_id))

    async def open_questions(self, run_id: str) -> Any:
        found = await super().open_questions(run_id)
        return self._same("open questions", list(found), lambda: list(open_questions(self._connection, run_id)))

    async def list_runs(self, run_filter: Any, *, cursor: str | None, limit: int) -> Any:
        page = await super().list_runs(run_filter, cursor=cursor, limit=limit)
        if cursor is None:
            self._same(
                "list",
                list(page.items),
                lambda: list(queries.list_runs(self._connection, run_filter, None, limit).items),
            )
        return page

    async def find_start_key(self, folder: str, start_key: str) -> Any:
        found = await super().find_start_key(folder, start_key)
        return self._same("start key", found, lambda: queries.find_start_key(self._connection, folder, start_key))

    def _same(self, what: str, memory: Any, ask: Callable[[], Any]) -> Any:
        sqlite = ask()
        if sqlite != memory:
            self._broken.append(f"{what}: SQLite says {sqlite}, memory {memory}")
        return memory

    def _both(self, what: str, tables: Callable[[], Applied], memory: Callable[[], Applied]) -> Applied:
        refused: SidestepError | None = None
        applied: Applied | None = None
        try:
            applied = self._in_transaction(tables)
        except SidestepError as error:
            refused = error
        try:
            expected = memory()
        except SidestepError as error:
            if str(refused) != str(error):
                self._broken.append(f"{what}: SQLite says {refused or applied}, memory refuses: {error}")
            raise
        if refused is not None or applied != expected:
            self._broken.append(f"{what}: SQLite says {refused or applied}, memory {expected}")
        return expected

    def _in_transaction(self, work: Callable[[], Applied]) -> Applied:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._tables.begin(self._connection.execute("PRAGMA data_version").fetchone()[0])
            applied = work()
            self._tables.flush()
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._tables.rolled_back()
            raise
        self._connection.execute("COMMIT")
        return applied
