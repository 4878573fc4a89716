"""
`workflow/subscribe` on a real service in memory: what is answered, what is sent afterwards, what ends it.

W24, G2, G5, J10; the same over real processes: `tests/protocol/test_w24_subscriptions.py`.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sidestep.lsp.notifier import Notifier
from sidestep.lsp.subscriptions import Subscribed, Subscriptions
from sidestep.model.abort import AbortController
from sidestep.model.errors import RunNotFound
from sidestep.rpc.errors import RpcError
from sidestep.rpc.router import RequestContext
from sidestep.rpc.transport import Lane
from sidestep.service.watch_pace import Pace
from sidestep.store.memory import InMemoryRunStore
from sidestep.store.memory_journal import MemoryJournal
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = """
from sidestep import command, log

async def main(before: int = 0, after: int = 0):
    for n in range(before):
        log(f"before {n}")
    await command(["true"], id="gate")
    for n in range(after):
        log(f"after {n}")
"""

NESTED = """
from sidestep import workflow

async def main():
    return await workflow("child", id="child")
"""


class Desk:
    """One connection's subscriptions, and everything it was sent."""

    def __init__(self, h: Harness, *, mine: bool = True) -> None:
        self.h = h
        self.sent: list[tuple[str, Any]] = []
        self.refuses = False
        # Called after each page and batch that was taken.
        self.after_events: Callable[[], object] = _do_nothing
        self.has_room = asyncio.Event()
        self.has_room.set()
        # How many pages have asked for room.
        self.asked_for_room = 0
        self._arrived = asyncio.Event()
        self.notifier = Notifier(
            self._send,
            is_mine=lambda _: mine,
            is_mine_folder=lambda _: mine,
            request_of=lambda _: None,
            settings=h.settings,
            loop=asyncio.get_running_loop(),
        )
        h.service.listeners.listen(self.notifier.told)
        h.service.listeners.listen_deleted(self.notifier.deleted)
        self.subscriptions = Subscriptions(self.notifier, self._room)

    async def _room(self) -> None:
        self.asked_for_room += 1
        self._arrived.set()
        await self.has_room.wait()

    def _send(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool:
        if self.refuses and lane is Lane.LAGGABLE:
            return False
        self.sent.append((method.removeprefix("workflow/"), msgspec.to_builtins(params)))
        self._arrived.set()
        if method == "workflow/eventsAppended":
            self.after_events()
        return True

    async def ask(self, run_id: str, after: int = 0) -> tuple[Subscribed, Callable[[], None]]:
        """The answer, and the function that stands for its way out."""
        signal = AbortController().signal
        context = RequestContext(1, "workflow/subscribe", signal, lambda *_: True)
        answer = await self.subscriptions.subscribe(self.h.service, run_id, after, context)

        def answered() -> None:
            for callback in context.answered:
                callback()

        return answer, answered

    def fill(self) -> None:
        """There is no room from now on."""
        self.has_room.clear()
        self.asked_for_room = 0

    async def subscribe(self, run_id: str, after: int = 0, *, fill: bool = False) -> list[int]:
        """
        Subscribe and have it answered; the sequences in the answer.

        Args:
            fill: There is no room any more once it is answered.
        """
        answer, answered = await self.ask(run_id, after)
        if fill:
            self.fill()
        answered()
        found = [event.sequence for event in answer.events]
        assert answer.live_from_sequence == (found[-1] if found else after) + 1
        return found

    def sequences(self, run_id: str | None = None) -> list[int]:
        batches = [p for method, p in self.sent if method == "eventsAppended" and run_id in (None, p["runId"])]
        return [event["sequence"] for batch in batches for event in batch["events"]]

    def methods(self) -> list[str]:
        return [method for method, _ in self.sent]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()


def _do_nothing() -> None:
    """The usual `after_events`."""


async def deliver() -> None:
    """Let everything that needs no time happen."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_w24_a_long_past_comes_in_the_answer_and_in_pages_and_meets_the_commits(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h, mine=False)
        task, run_id = await h.running(LINES, "gate", args={"before": 420, "after": 30})
        answered = await desk.subscribe(run_id, 5)
        assert answered == list(range(6, 206))
        h.commands.finish("gate")
        await task
        await desk.until(lambda: "statusChanged" in desk.methods())
        last = (await h.store.read(run_id)).sequence
        await desk.until(lambda: bool(desk.sequences()) and desk.sequences()[-1] == last)
        assert answered + desk.sequences() == list(range(6, last + 1))


async def test_w24_nothing_of_a_stream_is_sent_before_its_answer(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate", args={"before": 300, "after": 3})
        desk.sent.clear()
        _, answered = await desk.ask(run_id)
        h.commands.finish("gate")
        await task
        await deliver()
        assert "eventsAppended" not in desk.methods()
        answered()
        last = (await h.store.read(run_id)).sequence
        await desk.until(lambda: bool(desk.sequences()) and desk.sequences()[-1] == last)
        assert desk.sequences() == list(range(201, last + 1))


async def test_w24_pages_wait_for_the_hosts_reading_one_at_a_time(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        records = [await h.completed(LINES, args={"before": 300}) for _ in range(3)]
        begins = [(await desk.ask(record.run_id))[1] for record in records]
        desk.fill()
        for begin in begins:
            begin()
        await desk.until(lambda: desk.asked_for_room == 1)
        await deliver()
        # All three would find the same room.
        assert desk.asked_for_room == 1
        assert desk.sequences() == []
        desk.has_room.set()
        for record in records:
            wanted = list(range(201, record.sequence + 1))
            await desk.until(lambda run_id=record.run_id, wanted=wanted: desk.sequences(run_id) == wanted)


async def test_w24_a_cursor_ahead_is_refused_and_leaves_the_stream_that_is_there(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate", args={"after": 2})
        answered = await desk.subscribe(run_id)
        with pytest.raises(RpcError) as refused:
            await desk.ask(run_id, answered[-1] + 1)
        data: Any = refused.value.error.data
        assert (refused.value.error.code, data["path"]) == (-32602, "$.afterSequence")
        assert data["expected"].startswith(f"at most {answered[-1]}")
        h.commands.finish("gate")
        await task
        last = (await h.store.read(run_id)).sequence
        await desk.until(lambda: desk.sequences()[-1:] == [last])
        assert answered + desk.sequences() == list(range(1, last + 1))


async def test_an_unknown_run_is_not_subscribed_and_holds_no_pace(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        with pytest.raises(RunNotFound):
            await desk.ask("run_unknown")
        assert h.service.pace.pace is Pace.IDLE


async def test_a_second_subscription_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate", args={"after": 5})
        await desk.subscribe(run_id)
        answered = await desk.subscribe(run_id, 1)
        h.commands.finish("gate")
        await task
        last = (await h.store.read(run_id)).sequence
        await desk.until(lambda: desk.sequences()[-1:] == [last])
        assert answered + desk.sequences() == list(range(2, last + 1))


async def test_of_requests_in_one_write_the_last_one_counts(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        record = await h.completed(LINES, args={"before": 250})
        first = asyncio.create_task(desk.subscribe(record.run_id))
        second = asyncio.create_task(desk.subscribe(record.run_id, record.sequence))
        await asyncio.gather(first, second)
        await deliver()
        # The first one's further pages are not wanted any more.
        assert desk.sequences() == []
        desk.fill()
        third = asyncio.create_task(desk.subscribe(record.run_id))
        await desk.until(lambda: desk.asked_for_room == 1)
        desk.subscriptions.unsubscribe(record.run_id)
        desk.has_room.set()
        assert len(await third) == 200
        await deliver()
        assert desk.sequences() == []
        assert h.service.pace.pace is Pace.IDLE


async def test_w24_a_refused_request_takes_nothing_from_the_one_before_it(tmp_path: Path) -> None:
    """Both were in flight: the stream of the first goes on."""
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate", args={"after": 3})
        desk.fill()
        first = asyncio.create_task(desk.subscribe(run_id))
        second = asyncio.create_task(desk.subscribe(run_id, 999))
        await desk.until(lambda: desk.asked_for_room == 1)
        desk.has_room.set()
        past = await first
        with pytest.raises(RpcError):
            await second
        h.commands.finish("gate")
        await task
        last = (await h.store.read(run_id)).sequence
        await desk.until(lambda: desk.sequences()[-1:] == [last])
        assert past + desk.sequences() == list(range(1, last + 1))


async def test_w21_after_its_stream_a_run_of_another_folder_is_not_told(tmp_path: Path) -> None:
    """G5: its entry goes with the stream, also when the stream was renewed."""
    async with Harness(tmp_path) as h:
        desk = Desk(h, mine=False)
        task, run_id = await h.running(LINES, "gate", args={"after": 3})
        await desk.subscribe(run_id)
        await desk.subscribe(run_id)
        desk.subscriptions.unsubscribe(run_id)
        desk.sent.clear()
        h.commands.finish("gate")
        await task
        await deliver()
        assert desk.sent == []
        # Nothing is remembered of it either: its deletion is no news.
        await h.service.delete(run_id)
        await deliver()
        assert desk.sent == []


async def test_unsubscribing_ends_the_stream_even_while_it_waits_for_room(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        record = await h.completed(LINES, args={"before": 300})
        await desk.subscribe(record.run_id, fill=True)
        await desk.until(lambda: desk.asked_for_room == 1)
        assert h.service.pace.pace is Pace.BUSY
        desk.sent.clear()
        desk.subscriptions.unsubscribe(record.run_id)
        desk.subscriptions.unsubscribe(record.run_id)
        desk.has_room.set()
        await deliver()
        assert desk.sent == []
        assert h.service.pace.pace is Pace.IDLE
        # Another one is not held up by it.
        assert await desk.subscribe(record.run_id, record.sequence) == []


async def test_w21_answers_wait_for_the_hosts_reading_too(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        record = await h.completed(LINES)
        desk.fill()
        asking = [asyncio.create_task(desk.subscribe(record.run_id, after)) for after in (0, 1)]
        await desk.until(lambda: desk.asked_for_room == 1)
        await deliver()
        assert (desk.asked_for_room, [task.done() for task in asking]) == (1, [False, False])
        desk.has_room.set()
        assert [len(await task) for task in asking] == [record.sequence, record.sequence - 1]


async def test_a_subscription_outlives_the_stop_of_its_run_and_tells_its_resume(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate", args={"after": 1})
        answered = await desk.subscribe(run_id)
        await h.service.interrupt(run_id, by="host", wait_quiescent=True)
        await task
        h.commands.held.discard("gate")
        await h.resume(run_id)
        last = (await h.store.read(run_id)).sequence
        await desk.until(lambda: desk.sequences()[-1:] == [last])
        assert answered + desk.sequences() == list(range(1, last + 1))


async def test_g5_a_subscriber_is_told_once_that_a_stopped_run_is_quiescent(tmp_path: Path) -> None:
    """I2: interrupting it again makes its epoch grow, which is no news."""
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate")
        await desk.subscribe(run_id)
        await h.service.interrupt(run_id, by="host", wait_quiescent=True)
        await task
        await h.service.interrupt(run_id, by="host", wait_quiescent=True)
        late = Desk(h)
        await late.subscribe(run_id)
        await h.service.interrupt(run_id, by="host", wait_quiescent=True)
        await deliver()
        stops = [p.get("quiescent") for method, p in desk.sent if method == "statusChanged"]
        assert stops.count(True) == 1
        assert late.sent == []


async def test_the_progress_of_a_resume_begins_when_the_run_goes_on(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate")
        await desk.subscribe(run_id)
        await h.service.interrupt(run_id, by="host", wait_quiescent=True)
        await task
        undo = desk.notifier.follow(run_id, None, token="refused")
        undo()
        assert desk.notifier.run_of("refused") is None
        h.commands.held.discard("gate")
        await h.resume(run_id, on_run=lambda followed, record: desk.notifier.follow(followed, record, token="t"))
        values = [p["value"] for method, p in desk.sent if method == "$/progress"]
        assert [(value["kind"], value["message"]) for value in values] == [("begin", "running"), ("end", "completed")]


async def test_w21_a_stream_that_lagged_is_subscribed_again_from_its_last_sequence(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        task, run_id = await h.running(LINES, "gate", args={"before": 3, "after": 3})
        answered = await desk.subscribe(run_id, 2)
        desk.refuses = True
        h.commands.finish("gate")
        await task
        await desk.until(lambda: "lagged" in desk.methods())
        (lagged,) = [p for method, p in desk.sent if method == "lagged"]
        assert lagged == {"runId": run_id, "lastSequence": answered[-1]}
        assert h.service.pace.pace is Pace.IDLE
        desk.refuses = False
        again = await desk.subscribe(run_id, lagged["lastSequence"])
        assert again == list(range(answered[-1] + 1, (await h.store.read(run_id)).sequence + 1))


async def test_w21_a_refused_page_lags_too(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        record = await h.completed(LINES, args={"before": 300})
        desk.refuses = True
        await desk.subscribe(record.run_id)
        await desk.until(lambda: "lagged" in desk.methods())
        assert desk.sent[-1] == ("lagged", {"runId": record.run_id, "lastSequence": 200})


async def test_w21_a_page_that_is_refused_behind_others_lags_from_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Several pages are read at once; the host takes some of them."""
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        record = await h.completed(LINES, args={"before": 400})
        desk.after_events = lambda: setattr(desk, "refuses", len(desk.sequences()) >= 100)
        await desk.subscribe(record.run_id)
        await desk.until(lambda: "lagged" in desk.methods())
        await deliver()
        assert desk.sequences() == list(range(201, 301))
        assert desk.sent[-1] == ("lagged", {"runId": record.run_id, "lastSequence": 300})
        # A task that failed says so when it is forgotten.
        gc.collect()
        assert caplog.messages == []


async def test_w21_each_page_waits_for_the_hosts_reading_though_more_is_read(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        record = await h.completed(LINES, args={"before": 300})
        desk.after_events = desk.fill
        await desk.subscribe(record.run_id)
        for last in range(250, record.sequence, 50):
            await desk.until(lambda last=last: desk.sequences()[-1:] == [last] and desk.asked_for_room == 1)
            await deliver()
            assert desk.sequences() == list(range(201, last + 1))
            desk.has_room.set()
        await desk.until(lambda: desk.sequences()[-1] == record.sequence)
        assert desk.sequences() == list(range(201, record.sequence + 1))


async def test_a_deleted_run_ends_its_subscription_without_another_word(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h, mine=False)
        record = await h.completed(LINES, args={"before": 300})
        await desk.subscribe(record.run_id, fill=True)
        await desk.until(lambda: desk.asked_for_room == 1)
        await h.service.delete(record.run_id)
        desk.has_room.set()
        await deliver()
        assert desk.sent == [("deleted", {"runId": record.run_id})]
        assert h.service.pace.pace is Pace.IDLE


async def test_deleted_while_it_catches_up_the_host_hears_deleted_and_not_lagged(tmp_path: Path) -> None:
    """The page after the deletion is read before the deletion is told."""

    class Hasty(InMemoryRunStore):
        gone = False

        async def read_events(self, run_id: str, *, after_sequence: int, limit: int) -> Any:
            if self.gone:
                raise RunNotFound(run_id=run_id)
            return await super().read_events(run_id, after_sequence=after_sequence, limit=limit)

    harness = Harness(tmp_path)
    store = harness._store = Hasty(harness.clock, harness.settings)
    async with harness as h:
        desk = Desk(h)
        record = await h.completed(LINES, args={"before": 300})
        desk.sent.clear()
        await desk.subscribe(record.run_id, fill=True)
        await desk.until(lambda: desk.asked_for_room == 1)
        store.gone = True
        desk.has_room.set()
        await deliver()
        assert desk.sent == []
        await h.service.delete(record.run_id)
        assert desk.methods() == ["deleted"]


async def test_w24_subscribing_in_the_moment_of_deletion_finds_no_run(tmp_path: Path) -> None:
    """The events were read before the deletion, and come after it was told: the answer must not bring the run back."""

    class Slow(InMemoryRunStore):
        reading: asyncio.Event | None = None
        go_on = asyncio.Event()

        async def read_events(self, run_id: str, *, after_sequence: int, limit: int) -> Any:
            found = await super().read_events(run_id, after_sequence=after_sequence, limit=limit)
            if self.reading is not None:
                self.reading.set()
                await self.go_on.wait()
            return found

    harness = Harness(tmp_path)
    store = harness._store = Slow(harness.clock, harness.settings)
    async with harness as h:
        desk = Desk(h)
        record = await h.completed(LINES)
        desk.sent.clear()
        store.reading = asyncio.Event()
        asking = asyncio.create_task(desk.subscribe(record.run_id))
        await store.reading.wait()
        await h.service.delete(record.run_id)
        store.go_on.set()
        with pytest.raises(RunNotFound):
            await asking
        assert desk.methods() == ["deleted"]
        assert h.service.pace.pace is Pace.IDLE


async def test_a_nested_run_is_followed_without_statuses_and_goes_with_its_root(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        scripts = h.folder_path / ".sidestep" / "workflows"
        scripts.mkdir(parents=True)
        (scripts / "child.py").write_text(LINES)
        desk = Desk(h, mine=False)
        h.commands.held.add("gate")
        task = h.start(NESTED)
        await h.commands.called("gate")
        child = h.commands.calls[-1].run_id
        answered = await desk.subscribe(child)
        h.commands.finish("gate")
        root = (await task).record
        last = (await h.store.read(child)).sequence
        await desk.until(lambda: desk.sequences()[-1:] == [last])
        assert answered + desk.sequences() == list(range(1, last + 1))
        assert "statusChanged" not in desk.methods()
        desk.sent.clear()
        await h.service.delete(root.run_id)
        assert desk.sent == [("deleted", {"runId": root.run_id})]
        assert h.service.pace.pace is Pace.IDLE


async def test_w24_j10_a_run_that_another_window_owns_streams_live(tmp_path: Path) -> None:
    journal = MemoryJournal()
    first = Harness(tmp_path)
    first._store = InMemoryRunStore(first.clock, first.settings, journal)
    async with first as owner:
        second = Harness(tmp_path, owners=LivingOwners("owner-b"), clock=first.clock)
        second._store = InMemoryRunStore(first.clock, first.settings, journal)
        async with second as other:
            desk = Desk(other)
            task, run_id = await owner.running(LINES, "gate", args={"before": 250, "after": 20})
            answered = await desk.subscribe(run_id, 3)
            owner.commands.finish("gate")
            await task
            last = (await owner.store.read(run_id)).sequence
            await desk.until(lambda: desk.sequences()[-1:] == [last])
            assert answered + desk.sequences() == list(range(4, last + 1))


async def test_a_closed_connection_holds_nothing(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        desk = Desk(h)
        record = await h.completed(LINES, args={"before": 300})
        await desk.subscribe(record.run_id, fill=True)
        await desk.until(lambda: desk.asked_for_room == 1)
        desk.subscriptions.close()
        desk.has_room.set()
        await deliver()
        assert "eventsAppended" not in desk.methods()
        assert h.service.pace.pace is Pace.IDLE
