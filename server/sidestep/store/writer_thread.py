"""
The thread through which everything durable of a process goes, one connection, one transaction at a time.

It takes all that is queued, writes it in one transaction with one fsync (group commit) and hands the outcome over in
one piece. Between writes it looks for other processes' commits, at the pace that was asked for. Knows jobs and
transactions, not runs: what a job writes is `transaction.py`'s.

Invariant: jobs are applied in the order they were queued.
Invariant: a job's own error fails that job alone; an error of SQLite rolls the whole batch back and fails all of it.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.errors import StoreUnavailable
from sidestep.store.faults import primary_code, store_fault
from sidestep.store.foreign import ForeignCommits, read_data_version
from sidestep.store.log_room import make_room
from sidestep.store.migrations import require_known_version

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator, Iterator

    from sidestep.model.ports import Clock, Committed, Deleted
    from sidestep.store.connection import Link
    from sidestep.store.transaction import Applied, Tables

    Apply = Callable[[Tables, int], Applied]

log = logging.getLogger("sidestep.store")

# Jobs of one transaction: other processes wait while it lasts.
_JOBS_PER_COMMIT_MAX = 500


@dataclass(frozen=True)
class Job:
    """One write: what it does to the tables at a commit time, and whom its answer is for."""

    apply: Apply
    answer: asyncio.Future[Any]


@dataclass(frozen=True)
class Pace:
    """Look for foreign commits every `seconds` from now on; None stops looking. `in_force` ends when that is so."""

    seconds: float | None
    in_force: asyncio.Future[Any]


@dataclass(frozen=True)
class Settled:
    """How a job or an order ended, for the one who waits."""

    answer: asyncio.Future[Any]
    value: Any = None
    error: Exception | None = None


@dataclass
class Delivery:
    """What the loop does next: tell the commits in order, then let the waiting callers go on."""

    told: list[Committed | Deleted] = field(default_factory=list["Committed | Deleted"])
    settled: list[Settled] = field(default_factory=list[Settled])


@dataclass(frozen=True)
class Stop:
    """The last order: close the connection and end. `ended` ends when that is done."""

    ended: asyncio.Future[Any]


class WriterThread:
    """
    Args:
        link: The connection; used in the thread alone.
        make_tables: Wraps a new connection.
        deliver: Called in the thread with each outcome.
        clock: Gives the time of a commit.
        log_room: Bytes of room in the log (0: none), and after how many idle seconds it is made.
    """

    def __init__(
        self,
        link: Link,
        make_tables: Callable[[sqlite3.Connection], Tables],
        deliver: Callable[[Delivery], None],
        clock: Clock,
        log_room: tuple[int, float],
    ) -> None:
        self._link = link
        self._make_tables = make_tables
        self._deliver = deliver
        self._clock = clock
        self._queue: queue.SimpleQueue[Job | Pace | Stop] = queue.SimpleQueue()
        self._tables: Tables | None = None
        self._links_seen = 0
        self._foreign = ForeignCommits()
        self._log_room_bytes, self._idle_s = log_room
        # Of the connection there is: its log has no room yet.
        self._wants_room = False
        self._idle_since = time.monotonic()
        self._pace_s: float | None = None
        self._next_look_at = 0.0
        self._thread = threading.Thread(target=self._serve, name="sidestep-writer", daemon=True)
        self._thread.start()

    def put(self, order: Job | Pace | Stop) -> None:
        """Queue an order. Thread-safe."""
        self._queue.put(order)

    def _serve(self) -> None:
        stop: Stop | None = None
        while stop is None:
            jobs: list[Job] = []
            for order in self._take():
                if isinstance(order, Job):
                    jobs.append(order)
                elif isinstance(order, Pace):
                    self._change_pace(order)
                else:
                    stop = order
            if jobs:
                self._commit(jobs)
                self._idle_since = time.monotonic()
            self._look_if_due()
            self._make_room_if_due()
        self._link.drop()
        self._deliver(Delivery(settled=[Settled(stop.ended)]))

    def _take(self) -> Iterator[Job | Pace | Stop]:
        """The next orders: waits for the first, or until it is time to do something without one."""
        due = [self._idle_since + self._idle_s] if self._wants_room else []
        if self._pace_s is not None:
            due.append(self._next_look_at)
        try:
            yield self._queue.get(timeout=max(0.0, min(due) - time.monotonic()) if due else None)
            for _ in range(_JOBS_PER_COMMIT_MAX - 1):
                yield self._queue.get_nowait()
        except queue.Empty:
            return

    def _commit(self, jobs: list[Job]) -> None:
        delivery = Delivery()
        try:
            delivery.settled = self._transact(jobs, delivery.told)
        except Exception as error:
            # Whatever it was: the batch is undone and every caller hears of it, or all of them would wait for ever.
            # A lock held by another leaves the connection sound; after anything else a new one is made.
            is_busy = isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY
            self._give_up(keep_connection=is_busy)
            if isinstance(error, sqlite3.Error | OSError):
                error = store_fault(error, self._link.store_file.path)
            delivery.settled = _failed(jobs, error)
        self._deliver(delivery)

    def _transact(self, jobs: list[Job], told: list[Committed | Deleted]) -> list[Settled]:
        """Write all jobs in one transaction; adds what is to be told to `told`: foreign commits also when it fails."""
        connection, tables = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        # The write lock is held from here on: what others have committed stays as it is.
        data_version = read_data_version(connection)
        if tables.begin(data_version):
            require_known_version(connection, self._link.store_file.path, self._link.store_file.schema)
        # Told before our own, because committed before.
        told.extend(self._foreign.collect(connection, data_version))
        now_ms = self._clock.now_ms()
        settled: list[Settled] = []
        own: list[Committed | Deleted] = []
        for job in jobs:
            changes = connection.total_changes - tables.written_back
            try:
                applied = job.apply(tables, now_ms)
            except sqlite3.Error:
                raise
            except Exception as error:
                if connection.total_changes - tables.written_back != changes:
                    raise _torn(error) from error
                # Handed to whoever waits for the job and raised there; the batch's other jobs are not its business.
                settled.append(Settled(job.answer, error=error))
                continue
            settled.append(Settled(job.answer, applied.answer))
            own.extend(applied.told)
        position = tables.flush()
        connection.execute("COMMIT")
        self._foreign.passed(position, tables.last_notice)
        told.extend(own)
        return settled

    def _give_up(self, *, keep_connection: bool) -> None:
        connection = self._link.get_if_made()
        if connection is not None and connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        if self._tables is not None:
            self._tables.rolled_back()
        if not keep_connection:
            self._link.drop()

    def _connected(self) -> tuple[sqlite3.Connection, Tables]:
        connection = self._link.get()
        if self._tables is None or self._links_seen != self._link.made:
            self._tables = self._make_tables(connection)
            self._links_seen = self._link.made
            self._wants_room = self._log_room_bytes > 0
            self._foreign.reconnected(connection)
        if self._pace_s is not None and not self._foreign.is_on:
            self._foreign.start(connection)
        return connection, self._tables

    def _make_room_if_due(self) -> None:
        if not self._wants_room or time.monotonic() < self._idle_since + self._idle_s:
            return
        # Also without a connection, or the thread would wake for it again and again; the next one wants room anew.
        self._wants_room = False
        connection = self._link.get_if_made()
        if connection is not None:
            make_room(connection, self._link.store_file.path, self._log_room_bytes)

    def _change_pace(self, pace: Pace) -> None:
        self._pace_s = pace.seconds
        if pace.seconds is None:
            self._foreign.stop()
        else:
            self._next_look_at = time.monotonic() + pace.seconds
            with self._quietly():
                self._connected()
        self._deliver(Delivery(settled=[Settled(pace.in_force)]))

    def _look_if_due(self) -> None:
        if self._pace_s is None or time.monotonic() < self._next_look_at:
            return
        self._next_look_at = time.monotonic() + self._pace_s
        with self._quietly():
            connection, _ = self._connected()
            if not self._foreign.may_have_new(read_data_version(connection)):
                return
            connection.execute("BEGIN")
            told = self._foreign.collect(connection, read_data_version(connection))
            connection.execute("COMMIT")
            if told:
                self._deliver(Delivery(told=told))

    @contextlib.contextmanager
    def _quietly(self) -> Generator[None]:
        """
        Looking fails silently: the next write tells its caller what is wrong, and the next look tries again.

        Whatever it is must not end the thread: every write would wait for ever.
        """
        try:
            yield
        except Exception as error:
            expected = isinstance(error, sqlite3.Error | OSError | StoreUnavailable)
            log.log(logging.DEBUG if expected else logging.ERROR, "looking for foreign commits failed", exc_info=error)
            self._give_up(keep_connection=False)


def _failed(jobs: list[Job], error: Exception) -> list[Settled]:
    return [Settled(job.answer, error=error) for job in jobs]


def _torn(error: Exception) -> StoreUnavailable:
    # A programmer's error: writes fail before their first statement. The whole batch is rolled back.
    return StoreUnavailable(what=f"A write broke off half-way: {error!r}.", todo="Report this as a bug of Sidestep.")
