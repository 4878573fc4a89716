"""Order, atomicity and cost of commits."""

from __future__ import annotations

import asyncio
import random

import pytest
from msgspec.structs import replace

from sidestep.model.errors import LeaseLost, StepConflict
from sidestep.model.run import RunStatus, StepStatus
from sidestep.model.writes import Append, Finish, Interrupt
from tests.contract.stores import (
    Backend,
    Told,
    completed,
    interrupt,
    kinds,
    logged,
    running,
    sequences,
    started,
    step_body,
)


async def test_j1_sequences_have_no_gap_with_two_stores_writing_at_once(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        record = await running(store)
        order = random.Random(7)
        writes = [order.choice((store, other)).write(logged(record, str(n))) for n in range(60)]
        answers = await asyncio.gather(*writes)
        assert await sequences(store, record.run_id) == list(range(1, 63))
        assert sorted(answer.sequence for answer in answers) == list(range(3, 63))
        assert (await other.read(record.run_id)).sequence == 62


async def test_writes_of_one_process_are_committed_in_the_order_they_were_made(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        told = Told(store)
        await asyncio.gather(*(store.write(logged(record, str(n))) for n in range(50)))
        events = await store.read_events(record.run_id, after_sequence=2, limit=100)
        assert [event.body.message for event in events] == [str(n) for n in range(50)]
        assert [sequence for _, sequence, _ in told.events] == list(range(3, 53))


async def test_g1_listeners_hear_a_commit_before_any_of_its_callers_goes_on(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        trace: list[str] = []
        store.listen(lambda committed: trace.append(f"told {committed.record.sequence}"))

        async def write(message: str) -> None:
            after = await store.write(logged(record, message))
            trace.append(f"went on {after.sequence}")

        await asyncio.gather(write("a"), write("b"), write("c"))
        for sequence in (3, 4, 5):
            assert trace.index(f"told {sequence}") < trace.index(f"went on {sequence}")
        assert [line for line in trace if line.startswith("told")] == ["told 3", "told 4", "told 5"]


async def test_s8_a_listener_that_raises_keeps_nothing_from_the_others(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    async with backend.store() as store:
        record = await running(store)

        def fail(_: object) -> None:
            raise RuntimeError("a bad listener")

        store.listen(fail)
        told = Told(store)
        after = await store.write(logged(record, "x"))
        assert told.commits[-1].record == after
        told.unlisten()
        told.unlisten()
        await store.write(logged(record, "y"))
        assert told.commits[-1].record == after
    assert "a listener failed" in caplog.text


async def test_a_refused_write_leaves_nothing_behind_and_the_others_stand(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        await store.write(completed(record, "done"))
        mixed = Append(record.run_id, 1, (step_body("new", StepStatus.STARTED), step_body("done", StepStatus.STARTED)))
        answers = await asyncio.gather(
            store.write(logged(record, "before")),
            store.write(mixed),
            store.write(Finish(record.run_id, claim_epoch=9)),
            store.write(logged(record, "after")),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers[1:3]] == [StepConflict, LeaseLost]
        assert (await kinds(store, record.run_id))[2:] == ["step:completed", "log", "log"]
        assert [step.step_id for step in (await store.read_steps(record.run_id)).items] == ["done"]
        assert (await store.read(record.run_id)).steps.running == 0


async def test_a_text_that_cannot_be_journaled_fails_its_own_write_only(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        answers = await asyncio.gather(
            store.write(logged(record, "a")),
            store.write(logged(record, "\ud800")),
            store.write(logged(record, "b")),
            return_exceptions=True,
        )
        assert isinstance(answers[1], UnicodeEncodeError)
        assert await sequences(store, record.run_id) == [1, 2, 3, 4]
        assert (await store.read(record.run_id)).sequence == 4


async def test_a_cancelled_caller_does_not_undo_its_write(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        told = Told(store)
        task = asyncio.ensure_future(store.write(logged(record, "x")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.write(logged(record, "y"))
        assert [sequence for _, sequence, _ in told.events] == [3, 4]


async def test_a_lazy_write_keeps_its_place_before_the_next_durable_one(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        for n in range(5):
            store.write_lazily(started(record, f"s{n}"))
            await store.write(completed(record, f"s{n}"))
        assert (await kinds(store, record.run_id))[2:] == ["step:started", "step:completed"] * 5


async def test_steps_stand_in_the_order_of_their_starts_also_when_one_write_has_them(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        both, outcome = started(record, "a", "b"), completed(record, "a")
        await store.write(replace(both, bodies=both.bodies + outcome.bodies, outputs=outcome.outputs))
        first = await store.read_steps(record.run_id, limit=1)
        rest = await store.read_steps(record.run_id, after=first.next_cursor)
        found = [(step.step_id, step.status) for step in (*first.items, *rest.items)]
        assert found == [("a", StepStatus.COMPLETED), ("b", StepStatus.STARTED)]


async def test_a_lazy_write_goes_by_itself(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        heard = asyncio.get_running_loop().create_future()
        store.listen(heard.set_result)
        store.write_lazily(started(record, "a"))
        committed = await heard
        assert (committed.record.steps.running, committed.record.sequence) == (1, 3)


async def test_a_lazy_write_is_durable_after_a_close(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        store.write_lazily(started(record, "a"))
    async with backend.store() as store:
        assert (await kinds(store, record.run_id))[-1] == "step:started"


async def test_a_lazy_write_of_a_lost_claim_is_dropped(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async with backend.store() as store:
        record = await running(store)
        await store.write(interrupt(record))
        store.write_lazily(started(record, "a"))
        with pytest.raises(LeaseLost):
            await store.write(logged(record, "x"))
        assert (await kinds(store, record.run_id))[-1] == "status:interrupted"
    assert caplog.text == ""


async def test_i7_an_interrupt_racing_completion_stops_the_run_once(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        for number in range(1, 11):
            record = await running(store, number)
            first, second = (
                (other.write(Interrupt(record.run_id, "user")), store.write(Finish(record.run_id, 1)))
                if number % 2
                else (store.write(Finish(record.run_id, 1)), other.write(Interrupt(record.run_id, "user")))
            )
            await asyncio.gather(first, second, return_exceptions=True)
            stops = [k for k in await kinds(store, record.run_id) if k in ("status:completed", "status:interrupted")]
            after = await store.read(record.run_id)
            assert stops == [f"status:{after.status.value}"]
            assert after.status in (RunStatus.COMPLETED, RunStatus.INTERRUPTED)
