"""
Named fault points around the real server, put there from outside: the product has no hook for them.

`arm` wraps methods of the product's classes, in a process that does nothing else. Each crossing of a point is counted;
at the chosen crossing of the chosen point the process dies by SIGKILL, or its lease is taken away.

The points, in the order in which one step crosses them:

    before-ledger   a child waits at its gate, and its group is not written down yet
    before-gate     the group is written down, the child still waits
    after-gate      the command runs
    after-executor  a command or a nested run has returned, its outcome is not committed
    after-sleep     the same of a sleep, whose end is fixed by its start
    before-begin    the writer is about to open a transaction
    before-commit   everything is written, COMMIT was not executed; the disk is slow here, so that whatever runs ahead
                    of the commit gets the time to show
    after-commit    committed; neither memory nor anybody else knows
    before-notify   memory knows, the host's connection is about to be told
    before-response an answer is about to be queued
    mid-frame       half of what is to be written has gone to the host
    after-child     a nested run was created; its parent does not know
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.store.location import StoreLocation

POINTS = (
    "before-ledger",
    "before-gate",
    "after-gate",
    "after-executor",
    "after-sleep",
    "before-begin",
    "before-commit",
    "after-commit",
    "before-notify",
    "before-response",
    "mid-frame",
    "after-child",
)

# Dying before a transaction begins is dying before it commits, without the wait.
KILLING = tuple(point for point in POINTS if point != "before-begin")
# Another window cannot write while this one's transaction is open; and no answer is given while a run is in flight.
LOSING = tuple(point for point in POINTS if point not in ("before-commit", "before-response", "mid-frame"))

# A commit of a slow disk: long enough for a turn of the sandbox, the start of a command and a message to the host.
SLOW_COMMIT_S = 0.06


class Trigger:
    """Counts crossings, and has its effect at one of them."""

    def __init__(self, point: str | None, crossing: int, effect: Callable[[], None], counts: str | None) -> None:
        """
        Args:
            crossing: 1-based.
            counts: A folder; the file named for a point grows by one byte with each crossing.
        """
        assert point is None or point in POINTS, f"{point} is no fault point"
        self._point = point
        self._crossing = crossing
        self._effect = effect
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(POINTS, 0)
        self._files: dict[str, int] = {}
        if counts is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._files = {name: os.open(os.path.join(counts, name), flags, 0o600) for name in POINTS}

    def is_next(self, point: str) -> bool:
        """True when the next crossing of this point is the one."""
        return point == self._point and self._counts[point] + 1 == self._crossing

    def cross(self, point: str) -> None:
        """The process passes a point: perhaps its last."""
        with self._lock:
            self._counts[point] += 1
            count = self._counts[point]
            if point in self._files:
                os.write(self._files[point], b".")
        if point == self._point and count == self._crossing:
            self._effect()


def die() -> None:
    """SIGKILL: no handler, no flush, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def stall(location: StoreLocation, stopped: str) -> None:
    """
    Lose the lease, and stand still with every thread until somebody sends SIGCONT: a laptop that slept, a debugger.

    Args:
        stopped: A FIFO; the process id is written into it just before.
    """
    lose_lease(location)
    with open(stopped, "w") as pipe:
        pipe.write(str(os.getpid()))
    # Sent to this very thread: one sent to the process lets it run on until another thread takes the signal.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def lose_lease(location: StoreLocation) -> None:
    """
    What another window does: interrupt every run that somebody owns, durably, over a connection of its own.

    The calling thread stands still meanwhile.
    """

    async def interrupt() -> None:
        from sidestep.model.writes import Interrupt
        from sidestep.settings import Settings
        from sidestep.store.sqlite import SqliteRunStore
        from sidestep.system import SystemClock

        async with SqliteRunStore(location, SystemClock(), Settings()) as store:
            for record in await store.owned_runs():
                await store.write(Interrupt(record.run_id, "user", "another window"))

    thread = threading.Thread(target=lambda: asyncio.run(interrupt()), name="another-window")
    thread.start()
    thread.join()


def arm(trigger: Trigger) -> None:
    """Put every fault point around the product's classes, for the rest of this process's life."""
    _arm_commits(trigger)
    _arm_wire(trigger)
    _arm_executors(trigger)
    _arm_children(trigger)


def _arm_commits(trigger: Trigger) -> None:
    from sidestep.store import connection as store_connection

    class ArmedConnection(sqlite3.Connection):
        """Only transactions that write are crossed: looking for foreign commits is none of them."""

        is_writing = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE":
                trigger.cross("before-begin")
                self.is_writing = True
            if sql != "COMMIT" or not self.is_writing:
                return super().execute(sql, *parameters)
            self.is_writing = False
            if trigger.is_next("before-commit"):
                time.sleep(SLOW_COMMIT_S)
            trigger.cross("before-commit")
            done = super().execute(sql, *parameters)
            trigger.cross("after-commit")
            return done

    class ArmedSqlite:
        """The module `sqlite3`, but for its connections."""

        def __getattr__(self, name: str) -> Any:
            return getattr(sqlite3, name)

        def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
            return sqlite3.connect(*arguments, **{**options, "factory": ArmedConnection})

    store_connection.sqlite3 = ArmedSqlite()


def _arm_wire(trigger: Trigger) -> None:
    from sidestep.lsp.notifier import Notifier
    from sidestep.rpc.writer import Writer

    told, offer, write, write_at_once = Notifier.told, Writer.offer, Writer._write, Writer._write_at_once

    def armed_told(self: Notifier, committed: Any) -> None:
        trigger.cross("before-notify")
        told(self, committed)

    def armed_offer(self: Writer, body: bytes, lane: Any) -> bool:
        message = json.loads(body)
        if "id" in message and "method" not in message:
            trigger.cross("before-response")
        return offer(self, body, lane)

    def armed_write(self: Writer, batch: bytes) -> None:
        if trigger.is_next("mid-frame"):
            write(self, batch[: len(batch) // 2])
            trigger.cross("mid-frame")
            write(self, batch[len(batch) // 2 :])
        else:
            trigger.cross("mid-frame")
            write(self, batch)

    def armed_write_at_once(self: Writer, data: bytes) -> bytes:
        if self._direct is None:
            return write_at_once(self, data)
        if not trigger.is_next("mid-frame"):
            trigger.cross("mid-frame")
            return write_at_once(self, data)
        rest = write_at_once(self, data[: len(data) // 2])
        trigger.cross("mid-frame")
        return rest + data[len(data) // 2 :] if rest else write_at_once(self, data[len(data) // 2 :])

    Notifier.told, Writer.offer = armed_told, armed_offer
    Writer._write, Writer._write_at_once = armed_write, armed_write_at_once


def _arm_executors(trigger: Trigger) -> None:
    from sidestep.engine.nested import NestedRuns
    from sidestep.engine.sleeper import SleepExecutor
    from sidestep.executors.child_process import ChildProcess
    from sidestep.executors.command import CommandExecutor
    from sidestep.store.owners import OwnerDirectory

    def returning(executor: Any, point: str) -> None:
        execute = executor.execute

        async def armed_execute(self: Any, request: Any, signal: Any) -> Any:
            outcome = await execute(self, request, signal)
            trigger.cross(point)
            return outcome

        executor.execute = armed_execute

    returning(CommandExecutor, "after-executor")
    returning(SleepExecutor, "after-sleep")
    returning(NestedRuns, "after-executor")
    record, open_gate = OwnerDirectory.record, ChildProcess.open_gate

    def armed_record(self: OwnerDirectory, run_id: str, group_id: int, started_at: float) -> None:
        trigger.cross("before-ledger")
        record(self, run_id, group_id, started_at)

    async def armed_open_gate(self: ChildProcess, stdin: str | None) -> None:
        trigger.cross("before-gate")
        await open_gate(self, stdin)
        trigger.cross("after-gate")

    OwnerDirectory.record, ChildProcess.open_gate = armed_record, armed_open_gate


def _arm_children(trigger: Trigger) -> None:
    from sidestep.store.sqlite import SqliteRunStore

    create = SqliteRunStore.create

    async def armed_create(self: SqliteRunStore, record: Any, *rest: Any, **more: Any) -> Any:
        created = await create(self, record, *rest, **more)
        if record.parent_run_id is not None:
            trigger.cross("after-child")
        return created

    SqliteRunStore.create = armed_create


def read_counts(folder: str) -> dict[str, int]:
    """How often each point was crossed by the processes that counted into this folder."""
    found: dict[str, int] = {}
    for point in POINTS:
        with contextlib.suppress(FileNotFoundError):
            found[point] = os.stat(os.path.join(folder, point)).st_size
    return found
