"""
What one step costs, in counts: commits, statements, bytes, turns, tasks, messages. They are the same on every machine,
so a change that makes a step dearer is seen here, and `make bench` need not be run to see it.

A bound is what is needed today; a change that lowers a count lowers its bound.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.app import Application
from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.ports import RunFilter
from sidestep.runtime.sandbox import MontySandboxSession
from sidestep.runtime.worker import ScriptWorker
from sidestep.scripts.folder import FolderKey
from sidestep.settings import Settings
from sidestep.store import connection
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from sidestep.system import SystemClock
from tests.bench.bench_host import Answers, ask, connected, initialize
from tests.bench.bench_service import FreeExecutor, bench_service
from tests.bench.engines.sidestep_step import AT_ONCE, IN_TURN, copy_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from sidestep.rpc.transport import Lane

pytestmark = pytest.mark.slow

FEW, MANY = 20, 60
MORE = MANY - FEW

COMMITS_PER_STEP = 1
TURNS_PER_STEP = 1
TASKS_PER_STEP = 1
# The row of its events, its own and its run's, and what every transaction needs.
STATEMENTS_PER_STEP_MAX = 5.5
# Pages that a step's commit writes to the log, and what the step adds to the database in the end.
LOG_BYTES_PER_STEP_MAX = 4.5 * (4096 + 24)
STORED_BYTES_PER_STEP_MAX = 500
# A hundred steps that end together, with the creation and the end of their run.
GROUP, COMMITS_PER_GROUP_MAX = 100, 8
# A page is found by one statement, and each of its rows is read by one.
PAGE = 20
STATEMENTS_PER_LIST_MAX = PAGE + 1
# A host that follows a run of so many steps hears batches: this many messages of all kinds at most.
FOLLOWED, MESSAGES_MAX = 200, 100

# No write goes because it has waited long enough: how long a step takes must not count. Nor is the log made longer than
# what is written there.
PATIENT = Settings(lazy_write_ms=60_000, log_room_bytes=0)


class Statements:
    """Every statement that any connection executes, in order; numbers and texts left out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[str] = []
        # Of SQLite's machine, in all statements.
        self.instructions = 0
        connect = sqlite3.connect

        def traced(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*args, **options)
            connection.set_trace_callback(self.texts.append)
            connection.set_progress_handler(self._one_more, 1)
            return connection

        monkeypatch.setattr(sqlite3, "connect", traced)

    def _one_more(self) -> None:
        self.instructions += 1

    def counted(self) -> Counter[str]:
        """By first words, without the look for other processes' commits, whose pace is the clock's."""
        return Counter(" ".join(text.split()[:3]) for text in self.texts if text != "PRAGMA data_version")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    return Statements(monkeypatch)


def counted_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, method: str) -> list[None]:
    """Grows by one for each call of a method, which does what it did."""
    calls: list[None] = []
    original = getattr(owner, method)

    def counting(*args: Any, **options: Any) -> Any:
        calls.append(None)
        return original(*args, **options)

    monkeypatch.setattr(owner, method, counting)
    return calls


async def more_for_more_steps(tmp_path: Path, count: Callable[[], float]) -> float:
    """How much the count grows for each step by which one run is longer than another."""
    async with bench_service(tmp_path, PATIENT) as service:
        await service.run(IN_TURN, {"count": 5})

        async def grown(steps: int) -> float:
            before = count()
            await service.run(IN_TURN, {"count": steps})
            return count() - before

        short = await grown(FEW)
        return (await grown(MANY) - short) / MORE


async def test_a_step_is_one_commit(tmp_path: Path, statements: Statements) -> None:
    assert await more_for_more_steps(tmp_path, lambda: statements.counted()["COMMIT"]) == COMMITS_PER_STEP


async def test_a_run_is_two_commits_beside_its_steps(tmp_path: Path, statements: Statements) -> None:
    """One makes it and says that it runs, one has its result, its end and the lease that it gives back."""
    async with bench_service(tmp_path, PATIENT) as service:
        await service.run(IN_TURN, {"count": 1})
        before = statements.counted()["COMMIT"]
        await service.run(IN_TURN, {"count": 1})
        assert statements.counted()["COMMIT"] - before == 2 + COMMITS_PER_STEP


async def test_a_step_takes_few_statements(tmp_path: Path, statements: Statements) -> None:
    per_step = await more_for_more_steps(tmp_path, lambda: statements.counted().total())
    assert COMMITS_PER_STEP < per_step <= STATEMENTS_PER_STEP_MAX


async def test_every_commit_waits_for_the_disk(tmp_path: Path, statements: Statements) -> None:
    """What is counted as a commit is an fsync: the writer's connection is in WAL mode and FULL."""
    async with bench_service(tmp_path, PATIENT) as service:
        await service.run(IN_TURN, {"count": 1})
        executed = [text.casefold().replace(" ", "") for text in statements.texts]
        assert "pragmasynchronous=full" in executed
        assert not [text for text in executed if "synchronous=normal" in text or "synchronous=off" in text]
        with sqlite3.connect(tmp_path / "bench.db") as database:
            assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        database.close()


async def test_steps_that_end_together_share_commits(tmp_path: Path, statements: Statements) -> None:
    async with bench_service(tmp_path, PATIENT) as service:
        await service.run(AT_ONCE, {"count": 2})
        before = statements.counted()["COMMIT"]
        await service.run(AT_ONCE, {"count": GROUP})
        assert statements.counted()["COMMIT"] - before <= COMMITS_PER_GROUP_MAX


async def test_a_step_waits_for_the_disk_in_its_commit_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of its own is synced beside the database: small outputs stand in its row."""
    synced = [counted_calls(monkeypatch, os, name) for name in ("fsync", "fdatasync")]
    assert await more_for_more_steps(tmp_path, lambda: sum(map(len, synced))) == 0


async def test_a_step_writes_few_pages_to_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_WAL_PAGES_MAX", 10_000)
    log = tmp_path / "bench.db-wal"
    per_step = await more_for_more_steps(tmp_path, lambda: log.stat().st_size)
    assert 4096 < per_step <= LOG_BYTES_PER_STEP_MAX


async def test_a_step_adds_few_bytes_to_the_store(tmp_path: Path) -> None:
    database = tmp_path / "bench.db"

    def stored() -> int:
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        return database.stat().st_size

    async with bench_service(tmp_path, PATIENT) as service:
        await service.run(IN_TURN, {"count": 100})
        before = stored()
        await service.run(IN_TURN, {"count": 400})
        assert 100 < (stored() - before) / 400 <= STORED_BYTES_PER_STEP_MAX


async def test_a_step_is_one_turn_of_the_sandbox_and_one_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = counted_calls(monkeypatch, MontySandboxSession, "settle")
    answers = counted_calls(monkeypatch, ScriptWorker, "_take_call")
    tasks = 0

    def make(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        nonlocal tasks
        # The end of a run finds its last step ended, or waits for it.
        tasks += work.__qualname__ not in ("wait", "SystemClock.sleep")
        return asyncio.Task(work, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(make)
    (turns_each, answers_each, tasks_each) = [
        await more_for_more_steps(tmp_path / name, count)
        for name, count in {"turns": lambda: len(turns), "calls": lambda: len(answers), "tasks": lambda: tasks}.items()
        if (tmp_path / name).mkdir() is None
    ]
    assert (turns_each, answers_each, tasks_each) == (TURNS_PER_STEP, TURNS_PER_STEP, TASKS_PER_STEP)


async def test_a_list_costs_the_same_whatever_is_stored(tmp_path: Path, statements: Statements) -> None:
    """The same number of statements, and the same work in them: SQLite's own count of its instructions."""
    async with bench_service(tmp_path, PATIENT) as service:
        await service.run(IN_TURN, {"count": 1})
    database = tmp_path / "bench.db"
    newest = RunFilter(folder=FolderKey.existing(str(tmp_path)).path)
    asked: list[int] = []
    worked: list[int] = []
    async with SqliteRunStore(StoreLocation(database), SystemClock(), Settings()) as store:
        await store.list_runs(newest, cursor=None, limit=1)
        for stored in (50, 2_000):
            copy_runs(database, stored)
            before, instructions = len(statements.texts), statements.instructions
            page = await store.list_runs(newest, cursor=None, limit=PAGE)
            assert len(page.items) == PAGE
            asked.append(sum(text.startswith("SELECT") for text in statements.texts[before:]))
            worked.append(statements.instructions - instructions)
    assert asked[0] == asked[1] <= STATEMENTS_PER_LIST_MAX
    assert 0 < worked[1] <= 1.1 * worked[0], worked


class Counting(Answers):
    """A host that counts what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: Counter[str] = Counter()

    def offer(self, body: bytes, lane: Lane) -> bool:
        self.heard[json.loads(body).get("method", "response")] += 1
        return super().offer(body, lane)


async def test_a_host_that_follows_a_run_hears_batches(tmp_path: Path) -> None:
    app = Application(Settings(), tmp_path / "store.db", os.environ, executors={"command": FreeExecutor()})
    answers = Counting()
    connection = connected(app, answers)
    try:
        await initialize(connection, answers, tmp_path)
        start = {"script": {"source": IN_TURN}, "args": {"count": FOLLOWED}, "events": True}
        answer = await ask(connection, answers, 1, "workflow/start", start)
        assert answer["result"]["status"] == "completed", answer
        assert answers.heard["workflow/eventsAppended"] >= 1
        assert answers.heard.total() <= MESSAGES_MAX, answers.heard
    finally:
        connection.close()
        await app.close(AbortReason(AbortKind.SHUTDOWN))
