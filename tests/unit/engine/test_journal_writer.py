"""What a runner announces goes along with its next durable write, keeps its place, and only a crash loses it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from sidestep.engine import journal_writer
from sidestep.engine.journal_writer import STORE_RETRY_S, JournalWriter
from sidestep.model.abort import AbortController, Aborted
from sidestep.model.errors import StoreUnavailable
from sidestep.model.events import Logged
from sidestep.model.run import RunStatus, StepStatus
from sidestep.model.usage import Usage
from sidestep.model.writes import Append, StepOutput
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from tests.contract.stores import interrupt, key_of, kinds, running, step_body
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Write

AWAY = StoreUnavailable("The disk is full.", "Free some space.")
OUTPUT = StepOutput(json='{"ok":true}')
A_STARTED = step_body("a", StepStatus.STARTED)
A_COMPLETED = step_body("a", StepStatus.COMPLETED, duration_ms=3)


class NotingStore(InMemoryRunStore):
    """Notes how many events each write asks for; `lazily` says of which nobody waits for."""

    def __init__(self, clock: FakeClock, journal: MemoryJournal) -> None:
        super().__init__(clock, Settings(), journal)
        self.asked: list[int] = []
        self.lazily: list[int] = []

    async def write(self, write: Write) -> RunRecord:
        if isinstance(write, Append):
            self.asked.append(len(write.bodies))
        return await super().write(write)

    def write_lazily(self, write: Append) -> asyncio.Future[RunRecord]:
        self.lazily.append(len(write.bodies))
        return super().write_lazily(write)


class Pen:
    """A writer for one running run, with its store and clock."""

    def __init__(self, store: NotingStore, journal: MemoryJournal, clock: FakeClock, record: RunRecord) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock
        self.record = record
        self.writer = JournalWriter(store, record, AbortController(), clock)

    def announce(self, text: str) -> None:
        self.writer.write_lazily(Logged(message=text))

    async def told(self) -> list[str]:
        """Log lines as their text, everything else by its kind."""
        events = await self.store.read_events(self.record.run_id, after_sequence=2, limit=1000)
        words = (await kinds(self.store, self.record.run_id))[2:]
        lines = [event.body.message if isinstance(event.body, Logged) else "" for event in events]
        return [line or word for line, word in zip(lines, words, strict=True)]


@asynccontextmanager
async def pen() -> AsyncIterator[Pen]:
    clock, journal = FakeClock(), MemoryJournal()
    async with NotingStore(clock, journal) as store:
        yield Pen(store, journal, clock, await running(store))


async def test_a_step_that_ends_at_once_is_one_write() -> None:
    async with pen() as one:
        one.writer.write_lazily(A_STARTED)
        assert await one.writer.write(A_COMPLETED, OUTPUT) == 4
        assert (one.store.asked, one.store.lazily) == ([2], [])
        assert await one.told() == ["step:started", "step:completed"]
        (step,) = (await one.store.read_steps(one.record.run_id)).items
        assert (step.status, step.sequence, step.output_json) == (StepStatus.COMPLETED, 4, OUTPUT.json)
        steps = (await one.store.read(one.record.run_id)).steps
        assert (steps.completed, steps.running, steps.known) == (1, 0, 1)


async def test_what_is_others_goes_in_a_write_of_its_own_and_before() -> None:
    """So that neither can be lost, or refused, with the other."""
    async with pen() as one:
        one.announce("first")
        one.writer.write_lazily(A_STARTED)
        one.writer.write_lazily(step_body("b", StepStatus.STARTED))
        assert await one.writer.write(A_COMPLETED, OUTPUT) == 6
        assert (one.store.asked, one.store.lazily) == ([1], [3])
        assert await one.told() == ["first", "step:started", "step:started", "step:completed"]
        one.announce("last")
        assert await one.writer.write(step_body("b", StepStatus.INTERRUPTED)) == 8


async def test_what_nothing_takes_along_goes_by_itself_and_together() -> None:
    async with pen() as one:
        heard = asyncio.get_running_loop().create_future()
        one.store.listen(heard.set_result)
        for text in "abc":
            one.announce(text)
        assert one.store.lazily == []
        await heard
        assert (one.store.asked, one.store.lazily) == ([], [3])
        assert await one.told() == ["a", "b", "c"]


async def test_what_was_announced_stands_before_whatever_is_written_next() -> None:
    async with pen() as one:
        one.writer.write_lazily(A_STARTED)
        await one.writer.charge(key_of("a"), Usage(input_tokens=5))
        assert one.store.lazily == [1]
        assert (await one.store.read(one.record.run_id)).usage.input_tokens == 5


async def test_many_announcements_are_several_writes_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "_BODIES_MAX", 3)
    async with pen() as one:
        for number in range(8):
            one.announce(str(number))
        await one.writer.record(Logged(message="8"))
        assert (one.store.lazily, one.store.asked) == ([3, 3, 2], [1])
        assert await one.told() == [str(number) for number in range(9)]


async def test_j3_what_went_along_outlasts_the_one_who_waited_while_the_store_was_away() -> None:
    """Its place is before what was announced later, and it is written once."""
    async with pen() as one:
        one.journal.fault = AWAY
        one.announce("first")
        waiting = asyncio.ensure_future(one.writer.write(A_STARTED))
        await one.clock.sleeper(STORE_RETRY_S)
        one.announce("second")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        one.journal.fault = None
        await one.writer.record(Logged(message="third"))
        assert await one.told() == ["first", "second", "third"]


async def test_j3_a_write_that_outlasts_the_store_brings_everything_once() -> None:
    async with pen() as one:
        one.journal.fault = AWAY
        one.writer.write_lazily(A_STARTED)
        waiting = asyncio.ensure_future(one.writer.write(A_COMPLETED, OUTPUT))
        for _ in range(3):
            await one.clock.sleeper(STORE_RETRY_S)
            one.announce("meanwhile")
            one.clock.advance(STORE_RETRY_S)
        await one.clock.sleeper(STORE_RETRY_S)
        one.journal.fault = None
        one.clock.advance(STORE_RETRY_S)
        assert await waiting == 7
        assert await one.told() == ["step:started", "meanwhile", "meanwhile", "meanwhile", "step:completed"]


async def test_i3b_a_late_result_is_kept_whatever_goes_along_with_it() -> None:
    """The step was begun before the interrupt; what was announced after it is not written, and the result is."""
    async with pen() as one:
        await one.writer.write(A_STARTED)
        await one.store.write(interrupt(one.record))
        one.announce("too late")
        one.writer.write_lazily(step_body("b", StepStatus.STARTED))
        assert await one.writer.write(A_COMPLETED, OUTPUT) == 5
        assert await one.told() == ["step:started", "status:interrupted", "step:completed"]
        assert (await one.store.read(one.record.run_id)).status is RunStatus.INTERRUPTED
        one.announce("too late")
        with pytest.raises(Aborted):
            await one.writer.write(step_body("b", StepStatus.COMPLETED), OUTPUT)


async def test_j3_what_is_announced_outlasts_a_waiter_that_is_cancelled_in_the_middle_of_its_write() -> None:
    async with pen() as one:
        one.journal.fault = AWAY
        one.announce("first")
        waiting = asyncio.ensure_future(one.writer.write(A_STARTED))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until_lost(one)
        one.journal.fault = None
        await one.writer.record(Logged(message="second"))
        assert await one.told() == ["first", "second"]


async def test_j3_a_start_that_was_lost_and_is_not_news_any_more_takes_no_others_result_with_it() -> None:
    """Its own outcome was written meanwhile: it is refused, alone."""
    async with pen() as one:
        one.journal.fault = AWAY
        one.writer.write_lazily(A_STARTED)
        await until_lost(one)
        one.journal.fault = None
        await one.store.write(Append(one.record.run_id, one.record.claim_epoch, (A_COMPLETED,), {key_of("a"): OUTPUT}))
        b_completed = step_body("b", StepStatus.COMPLETED, duration_ms=3)
        assert await one.writer.write(b_completed, OUTPUT) == 4
        assert await one.told() == ["step:completed", "step:completed"]


async def test_j3_what_was_lost_goes_again_in_small_writes() -> None:
    async with pen() as one:
        one.journal.fault = AWAY
        for number in range(500):
            one.announce(str(number))
        await until_lost(one)
        one.journal.fault = None
        await one.writer.record(Logged(message="500"))
        assert await one.told() == [str(number) for number in range(501)]
        assert max(*one.store.lazily, *one.store.asked) <= 100


async def until_lost(one: Pen) -> None:
    """The store has refused all that was handed over."""
    async with asyncio.timeout(30):
        # Lets the other callbacks run; nothing is waited for by time.
        while one.writer._announced or not one.writer._lost:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.sleep(0)
