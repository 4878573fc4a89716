"""
Requests that meet in the middle of each other's work, each order forced at a named point.

S1, S7, I1, I4, B2, D3, N1, P10.
"""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.app import Application
from sidestep.engine.timeouts import done_within
from sidestep.lsp.notifier import Notifier
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import Draining, RequestCancelled, StoreUnavailable
from sidestep.model.ports import RunFilter
from sidestep.model.run import RunStatus
from sidestep.rpc.transport import Lane
from sidestep.scripts.resolver import FileScript
from sidestep.settings import Settings
from sidestep.store.memory_journal import MemoryJournal
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord

CANCELLED = AbortReason(AbortKind.CANCELLED)
SHUTDOWN = AbortReason(AbortKind.SHUTDOWN)

TWO_STEPS = """
from sidestep import command

async def main():
    await command(["a"], id="a")
    await command(["b"], id="b")
"""

LEFT_RUNNING = """
from sidestep import command
import asyncio

async def quick():
    await command(["quick"], id="quick")
    raise ValueError("enough")

async def main():
    await asyncio.gather(command(["slow"], id="slow"), quick())
"""


class Held(Harness):
    """A service over a store that holds."""

    def __init__(self, tmp_path: Path) -> None:
        clock, self.journal = FakeClock(), MemoryJournal()
        self.held = HeldStore(clock, Settings(), self.journal)
        super().__init__(tmp_path, store=self.held, clock=clock)

    async def runs(self) -> list[RunRecord]:
        return list((await self.store.list_runs(RunFilter(), cursor=None, limit=100)).items)


class Attached:
    """Counts the requests that were told their run; `on_run` of each."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.all = asyncio.Event()

    def __call__(self, _: str, __: RunRecord | None) -> Callable[[], None]:
        self._wanted -= 1
        if self._wanted == 0:
            self.all.set()
        return lambda: None


async def interrupted(h: Harness, source: str = ONE_STEP, step_id: str = "only") -> str:
    task, run_id = await h.running(source, step_id)
    assert (await h.service.interrupt(run_id, by="person")).quiescent
    await task
    return run_id


# Cancelling and interrupting.


async def test_i1_all_waiters_cancelled_in_one_read_interrupt_the_run(tmp_path: Path) -> None:
    """S7 leaves the others waiting only while there are others."""
    async with Harness(tmp_path) as h:
        callers = [AbortController(), AbortController()]
        attached = Attached(2)
        first, run_id = await h.running(ONE_STEP, "only", start_key="k", signal=callers[0], on_run=attached)
        second = h.start(start_key="k", signal=callers[1], on_run=attached)
        await attached.all.wait()
        for caller in callers:
            caller.abort(CANCELLED)
        for task in (first, second):
            with pytest.raises(RequestCancelled) as cancelled:
                await task
            assert cancelled.value.outcome["status"] == "interrupted"
        record = await h.store.read(run_id)
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "cancelled")


async def test_i1_an_interrupt_that_meets_a_claim_in_flight_stops_the_execution(tmp_path: Path) -> None:
    async with Held(tmp_path) as h:
        run_id = await interrupted(h)
        h.held.hold("Claim")
        resuming = h.resume(run_id)
        await h.held.reached.wait()
        active = h.service.runs.get(run_id)
        assert active is not None
        done = await h.service.interrupt(run_id, by="person", wait_quiescent=False)
        h.held.release.set()
        resumed = await resuming
        await active.quiescent.wait()
        assert (done.record.status, resumed.status) == (RunStatus.INTERRUPTED,) * 2
        assert h.commands.count("only") == 1, "work was begun after a durable interrupt"
        assert (await h.store.read(run_id)).is_quiescent


async def test_b2_a_cancel_in_the_moment_of_going_to_the_background_interrupts(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()
        task, run_id = await h.running(ONE_STEP, "only", signal=caller)

        def cancel(committed: Committed) -> None:
            if committed.record.status is RunStatus.BACKGROUNDED:
                caller.abort(CANCELLED)

        h.service.listeners.listen(cancel)
        await h.service.background(run_id)
        with pytest.raises(RequestCancelled) as cancelled:
            await task
        assert cancelled.value.outcome["status"] == "interrupted"
        assert (await h.store.read(run_id)).status is RunStatus.INTERRUPTED


# Two at once.


async def test_i4_of_two_resumes_at_once_the_second_attaches(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        run_id = await interrupted(h, TWO_STEPS, "a")
        h.commands.held = {"b"}
        attached = Attached(2)
        one, two = h.resume(run_id, on_run=attached), h.resume(run_id, on_run=attached)
        await attached.all.wait()
        await h.commands.called("b")
        h.commands.finish("b")
        assert [(await task).status for task in (one, two)] == [RunStatus.COMPLETED] * 2
        assert (h.commands.count("a"), h.commands.count("b")) == (2, 1)


async def test_i4_a_resume_accepted_before_anothers_claim_attaches_after_it(tmp_path: Path) -> None:
    async with Held(tmp_path) as h:
        run_id = await interrupted(h, TWO_STEPS, "a")
        h.commands.held = {"b"}
        attached = Attached(1)
        h.held.hold("read")
        late = h.resume(run_id, on_run=attached)
        await h.held.reached.wait()
        first = h.resume(run_id)
        await h.commands.called("b")
        h.held.release.set()
        await attached.all.wait()
        h.commands.finish("b")
        assert [(await task).status for task in (first, late)] == [RunStatus.COMPLETED] * 2


async def test_of_two_resumes_at_once_the_second_is_answered_by_a_run_that_ended_meanwhile(tmp_path: Path) -> None:
    """I4."""
    async with Harness(tmp_path) as h:
        run_id = await interrupted(h)
        h.commands.held.clear()
        one, two = h.resume(run_id), h.resume(run_id)
        assert [(await task).status for task in (one, two)] == [RunStatus.COMPLETED] * 2


async def test_s7_a_known_start_key_joins_although_the_file_was_edited_or_deleted(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        file = h.folder_path / "flow.py"
        file.write_text("async def main():\n    return 1\n")
        wanted: dict[str, Any] = {"script": FileScript(file.as_uri()), "start_key": "k"}
        first = await h.start(**wanted)
        file.write_text("async def main(:\n")
        edited = await h.start(**wanted)
        file.unlink()
        deleted = await h.start(**wanted)
        assert first.created
        assert [(again.record.run_id, again.created) for again in (edited, deleted)] == [
            (first.record.run_id, False)
        ] * 2


# The drain, and trust.


async def test_s1_a_start_that_was_being_resolved_while_the_server_drained_stores_nothing(tmp_path: Path) -> None:
    async with Held(tmp_path) as h:
        h.held.hold("find_start_key")
        task = h.start(start_key="k")
        await h.held.reached.wait()
        await h.service.drain(SHUTDOWN)
        h.held.release.set()
        with pytest.raises(Draining):
            await task
        assert await h.runs() == []
        assert h.commands.calls == []


async def test_s1_a_resume_that_was_being_accepted_while_the_server_drained_claims_nothing(tmp_path: Path) -> None:
    async with Held(tmp_path) as h:
        run_id = await interrupted(h)
        (before,) = await h.runs()
        h.held.hold("read")
        task = h.resume(run_id)
        await h.held.reached.wait()
        await h.service.drain(SHUTDOWN)
        h.held.release.set()
        with pytest.raises(Draining):
            await task
        assert await h.runs() == [before]


async def test_a_run_that_is_being_created_while_the_server_drains_is_stopped_before_its_work(tmp_path: Path) -> None:
    """S4, S10."""
    async with Held(tmp_path) as h:
        h.held.hold("create")
        task = h.start()
        await h.held.reached.wait()
        draining = asyncio.create_task(h.service.drain(SHUTDOWN))
        await h.clock.sleeper(h.settings.drain_s)
        h.held.release.set()
        await draining
        with pytest.raises(Draining):
            await task
        (record,) = await h.runs()
        assert (record.status, record.reason, record.is_quiescent) == (RunStatus.INTERRUPTED, "shutdown", True)
        assert h.commands.calls == []


async def test_d3_trust_withdrawn_while_the_run_is_created_stops_it_before_its_work(tmp_path: Path) -> None:
    async with Held(tmp_path) as h:
        h.held.hold("create")
        task = h.start()
        await h.held.reached.wait()
        await h.service.trust([h.folder], trusted=False, remember=False)
        h.held.release.set()
        record = (await task).record
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "user")
        assert h.commands.calls == []


async def test_a_close_during_the_first_use_leaves_nothing_open(tmp_path: Path) -> None:
    """S1, C4: the store's next user finds no owner."""
    settings = Settings()
    application = Application(settings, tmp_path / "sidestep.db", dict(os.environ))
    opening = asyncio.create_task(application.service())
    closing = asyncio.create_task(application.close(SHUTDOWN))
    await asyncio.gather(opening, closing, return_exceptions=True)
    assert application.opened is None
    assert list(application.location.owners.iterdir()) == []
    with pytest.raises(Draining):
        await application.service()


# What is left behind.


async def test_p10_a_step_that_ignores_its_abort_when_main_has_ended_is_given_up_after_the_grace(
    tmp_path: Path,
) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("slow")
        h.commands.deaf.add("slow")
        task = h.start(LEFT_RUNNING)
        await h.clock.sleeper(h.settings.interrupt_grace_s)
        assert not task.done()
        h.clock.advance(h.settings.interrupt_grace_s)
        record = (await task).record
        assert (record.status, record.is_stopped) == (RunStatus.FAILED, True)
        assert record.error is not None
        assert "enough" in record.error.message


@pytest.mark.parametrize("in_time", [True, False])
async def test_a_bounded_wait_leaves_no_task_behind(in_time: bool) -> None:
    """I4."""
    clock, event = FakeClock(), asyncio.Event()
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(done_within(1, event.wait(), clock))
    await clock.sleeper(1)
    if in_time:
        event.set()
    else:
        clock.advance(1)
    assert await waiting is in_time
    left = asyncio.all_tasks() - before
    assert all(task.cancelling() for task in left), left


@pytest.mark.parametrize("is_met", [True, False])
async def test_an_expectation_of_a_commit_leaves_nothing_behind(tmp_path: Path, is_met: bool) -> None:
    """S8, S10."""

    class Wanted:
        def __call__(self, record: RunRecord) -> bool:
            return record.status is RunStatus.COMPLETED

    async with Harness(tmp_path) as h:
        wanted = Wanted()
        remembered, forgotten = weakref.ref(wanted), asyncio.Event()
        task, run_id = await h.running(ONE_STEP, "only")
        found = h.service.listeners.expect(run_id, wanted)
        found.add_done_callback(lambda _: forgotten.set())
        del wanted
        if not is_met:
            found.cancel()
        h.commands.finish("only")
        await task
        await forgotten.wait()
        gc.collect()
        assert remembered() is None


# A connection's followed runs.


class Connection:
    """A notifier, the messages it sent, and an `on_run` that follows as a start does."""

    def __init__(self, h: Harness) -> None:
        self.sent: list[str] = []
        self.notifier = Notifier(
            self._send,
            is_mine=lambda record: False,
            is_mine_folder=lambda folder: False,
            request_of=lambda run_id: None,
            settings=h.settings,
            loop=asyncio.get_running_loop(),
        )
        h.service.listeners.listen(self.notifier.told)

    def _send(self, method: str, params: object, lane: Lane = Lane.MUST) -> bool:
        self.sent.append(method)
        return True

    def follow(self, run_id: str, record: RunRecord | None) -> Callable[[], None]:
        return self.notifier.follow(run_id, record, events=True, token="token")


async def test_s1_a_start_the_store_refuses_leaves_nothing_followed(tmp_path: Path) -> None:
    async with Held(tmp_path) as h:
        connection = Connection(h)
        h.journal.fault = StoreUnavailable("The disk is full.", "Free some space.")
        with pytest.raises(StoreUnavailable):
            await h.start(on_run=connection.follow)
        h.journal.fault = None
        assert connection.notifier.run_of("token") is None
        assert connection.sent == []


async def test_s7_a_start_that_gives_way_follows_the_run_that_has_its_key_until_its_end(tmp_path: Path) -> None:
    async with Held(tmp_path) as h:
        connection = Connection(h)
        h.held.hold("find_start_key")
        attached = Attached(2)

        def follow(run_id: str, record: RunRecord | None) -> Callable[[], None]:
            attached(run_id, record)
            return connection.follow(run_id, record)

        # It has seen that the key is free, and is told two runs: its own, and the one it gives way to.
        second = h.start(start_key="k", on_run=follow)
        await h.held.reached.wait()
        first, run_id = await h.running(ONE_STEP, "only", start_key="k")
        h.held.release.set()
        await attached.all.wait()
        assert connection.notifier.run_of("token") == run_id
        h.commands.finish("only")
        assert ((await first).created, (await second).created) == (True, False)
        assert connection.notifier.run_of("token") is None
