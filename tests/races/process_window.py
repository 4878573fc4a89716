"""
One window in a process of its own, on the real store; the parent decides when it goes on.

Whenever its event loop has nothing to do and no call of the store is under way, it writes one line: what it saw since
the last one, and the points where somebody is parked. Then it waits for one line that says what to do. Nothing happens
by itself: time stands still, and other processes' commits are looked for when the parent says so.

Run as `python -m tests.races.process_window NAME`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.executors import process_group
from sidestep.model.writes import Append
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.owners import OwnerDirectory
from sidestep.store.sqlite import SqliteRunStore
from tests.races.scenarios import RACES, SCRIPTS
from tests.races.window import Place, Window
from tests.races.world import Reply, Work, plain
from tests.support.fake_clock import FakeClock
from tests.support.schedule import Schedule, Stage
from tests.support.scripted_sandbox import ScriptedSandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.model.events import JournalEvent
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Write

# Nothing is looked for, and nothing lazy is written, by itself.
NEVER_MS = 24 * 3600 * 1000
SETTINGS = Settings(lazy_write_ms=NEVER_MS, watch_busy_ms=NEVER_MS, watch_idle_ms=NEVER_MS)


class Seen:
    """What the parent's `World` is to hear of, in order."""

    def __init__(self) -> None:
        self.notes: list[list[Any]] = []
        self._names: dict[str, str] = {}
        self._works: dict[Work, int] = {}
        self._numbers = 0

    def note(self, *what: Any) -> None:
        self.notes.append(list(what))

    def enter(self, window: str, run_id: str, what: str) -> Work:
        work = self._work(window, run_id, what)
        self.note("enter", self._works[work], run_id, what)
        return work

    def begin(self, window: str, run_id: str, key: str, what: str, entry: Work | None = None) -> Work:
        work = self._work(window, run_id, what)
        self.note("begin", self._works[work], run_id, key, what, None if entry is None else self._works.pop(entry))
        return work

    def _work(self, window: str, run_id: str, what: str) -> Work:
        work = Work(window, run_id, what)
        self._numbers += 1
        self._works[work] = self._numbers
        return work

    def end(self, work: Work) -> None:
        self.note("end", self._works.pop(work))

    def told(self, window: str, record: RunRecord, events: Sequence[JournalEvent]) -> None:
        self._names[record.name] = record.run_id
        self.note("told", msgspec.json.encode(record).decode(), msgspec.json.encode(list(events)).decode())

    def replied(self, reply: Reply) -> Reply:
        return reply

    def starting(self, name: str, run_id: str) -> None:
        self._names[name] = run_id

    def run_named(self, name: str) -> str:
        return self._names[name]

    def delivering(self, run_id: str) -> Deliveries:
        self._numbers += 1
        self.note("delivering", self._numbers, run_id)
        return Deliveries(self, self._numbers)


class Deliveries:
    """Takes what one execution is given."""

    def __init__(self, seen: Seen, number: int) -> None:
        self._seen = seen
        self._number = number

    def append(self, step_id: str) -> None:
        self._seen.note("delivered", self._number, step_id)


class ObedientSchedule(Schedule):
    """Lets go on whom the parent names."""

    def __init__(self, seen: Seen, clock: FakeClock) -> None:
        super().__init__(0, clock)
        self._seen = seen
        self.program: ProcessWindow | None = None

    def choose(self) -> bool:
        if not self.is_idle():
            return False
        notes, self._seen.notes = self._seen.notes, []
        assert self.program is not None
        report = {"notes": notes, "parked": self.parked(), "conducting": self.program.is_conducting}
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        self.program.obey(json.loads(sys.stdin.readline() or '{"do": "end"}'))
        return True


class PipedStore(SqliteRunStore):
    """The durable store; whoever asks it parks before and after, and its threads are waited for."""

    name: str
    schedule: ObedientSchedule

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        created = await self.schedule.outside(super().create(record, source))
        await self.schedule.point(f"{self.name}: create answered")
        return created

    async def write(self, write: Write) -> RunRecord:
        await self.schedule.point(f"{self.name}: {type(write).__name__} asked")
        record = await self.schedule.outside(super().write(write))
        if not isinstance(write, Append):
            await self.schedule.point(f"{self.name}: {type(write).__name__} answered")
        return record

    async def read(self, run_id: str) -> RunRecord:
        record = await self.schedule.outside(super().read(run_id))
        await self.schedule.point(f"{self.name}: read answered")
        return record

    async def read_source(self, source_hash: str) -> str:
        text = await self.schedule.outside(super().read_source(source_hash))
        await self.schedule.point(f"{self.name}: source read")
        return text

    async def read_question(self, interaction_id: str) -> Question | None:
        question = await self.schedule.outside(super().read_question(interaction_id))
        await self.schedule.point(f"{self.name}: question read")
        return question

    def watch(self, busy: bool | None) -> asyncio.Future[Any]:
        """Whatever the service thinks the pace should be: the parent says when to look."""
        return super().watch(busy=True)

    async def look(self) -> None:
        """Any transaction notices what others have committed."""
        await self.store_source("look")


def _waited_for(method: Any) -> Any:
    async def call(store: PipedStore, *args: Any, **named: Any) -> Any:
        return await store.schedule.outside(method(store, *args, **named))

    return call


# Every other call of the store goes to its threads, too.
for _name, _method in vars(SqliteRunStore).items():
    if inspect.iscoroutinefunction(_method) and not _name.startswith("_") and _name not in vars(PipedStore):
        setattr(PipedStore, _name, _waited_for(_method))


class NotedOwners(OwnerDirectory):
    """The real owners; a take-over is told to the parent, whose steps are no processes."""

    seen: Seen

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        self.seen.note("kill", owner_id, run_id)
        return super().stop_groups(owner_id, run_id)


class ProcessWindow:
    """Does what the parent says."""

    def __init__(self, name: str, seen: Seen, schedule: ObedientSchedule, clock: FakeClock) -> None:
        self._name = name
        self._seen = seen
        self._schedule = schedule
        self._clock = clock
        self._stack = AsyncExitStack()
        self._window: Window | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()

    @property
    def is_conducting(self) -> bool:
        return self._window is not None and self._window.is_conducting

    def obey(self, order: dict[str, Any]) -> None:
        """One order: `{"do": word, ...}`."""
        match order["do"]:
            case "go":
                self._schedule.cross(order["token"])
            case "advance":
                self._clock.advance(order["seconds"])
            case "look":
                self._spawn(self._look())
            case "open":
                self._spawn(self._open(Path(order["folder"]), order["race"]))
            case "close":
                self._spawn(self._close())
            case "end":
                self.ended.set()
            case verb:
                self._spawn(self._answer(order["call"], verb, order["arguments"]))

    async def _open(self, folder: Path, race: str) -> None:
        store = PipedStore(StoreLocation(folder / "store.db"), self._clock, SETTINGS)
        store.name, store.schedule = self._name, self._schedule
        await self._schedule.outside(self._stack.enter_async_context(store))
        owners = NotedOwners(StoreLocation(folder / "store.db").owners, self._name, process_group)
        owners.seen = self._seen
        self._stack.enter_context(owners)
        place = Place(folder.parent, SETTINGS, SCRIPTS)
        self._window = Window(
            self._name,
            place,
            store,
            ScriptedSandbox(),
            self._clock,
            self._schedule,
            self._seen,
            owners,
        )
        self._window.commands.deaf |= RACES[race].deaf
        self._window.commands.failing |= RACES[race].failing
        await self._window.open()
        await self._schedule.outside(store.watch(busy=True))

    async def _close(self) -> None:
        assert self._window is not None
        window, self._window = self._window, None
        await window.close()
        await self._schedule.outside(self._stack.aclose())
        self._stack = AsyncExitStack()

    async def _look(self) -> None:
        assert self._window is not None
        store = self._window.store
        assert isinstance(store, PipedStore)
        await store.look()

    async def _answer(self, call: int, verb: str, arguments: dict[str, Any]) -> None:
        reply = await getattr(self._window, verb)(**arguments)
        self._seen.note("reply", call, None if reply is None else plain(reply))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_complain)


def _complain(done: asyncio.Task[None]) -> None:
    """The parent will find that nobody goes on; here is why."""
    if not done.cancelled() and (broken := done.exception()) is not None:
        traceback.print_exception(broken)


async def obey_until_the_end(name: str, seen: Seen, schedule: ObedientSchedule, clock: FakeClock) -> None:
    schedule.program = ProcessWindow(name, seen, schedule, clock)
    await schedule.program.ended.wait()


def main() -> None:
    logging.disable(logging.CRITICAL)
    clock, seen = FakeClock(), Seen()
    schedule = ObedientSchedule(seen, clock)
    with Stage() as stage:
        stage.run(schedule, obey_until_the_end(sys.argv[1], seen, schedule, clock))


if __name__ == "__main__":
    main()
