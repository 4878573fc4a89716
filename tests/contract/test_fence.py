"""The fence and the claims: who may write what, on both stores."""

from __future__ import annotations

import asyncio

import pytest

from sidestep.model.errors import ClaimSuperseded, InvalidTransition, LeaseLost, RunLeased, StepConflict
from sidestep.model.run import Failure, FailureCode, RunResult, RunStatus, StepStatus
from sidestep.model.transitions import RunEvent
from sidestep.model.writes import Append, Background, Finish, Recover, Release
from tests.contract.stores import (
    OTHER_OWNER,
    OWNER,
    Backend,
    Told,
    claim,
    completed,
    interrupt,
    kinds,
    logged,
    running,
    sequences,
    started,
    step_body,
)


async def test_i3a_under_its_epoch_a_runner_writes_any_event(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        await store.write(started(record, "a"))
        await store.write(completed(record, "a"))
        await store.write(logged(record, "done"))
        ended = await store.write(Finish(record.run_id, 1, result=RunResult(report="r", data_json="[1]")))
        assert (ended.status, ended.owner, ended.result) == (RunStatus.COMPLETED, None, RunResult("r", "[1]"))
        assert ended.steps.completed == 1
        assert await kinds(store, record.run_id) == [
            *("status:pending", "status:running", "step:started", "step:completed", "log", "result"),
            "status:completed",
        ]


async def test_i3b_a_late_result_is_kept_until_the_next_claim(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        await store.write(started(record, "a", "b"))
        after = await store.write(interrupt(record))
        assert (after.status, after.epoch, after.claim_epoch) == (RunStatus.INTERRUPTED, 2, 1)
        late = await store.write(completed(record, "a"))
        assert (late.status, late.sequence) == (RunStatus.INTERRUPTED, after.sequence + 1)
        event = (await store.read_events(record.run_id, after_sequence=after.sequence, limit=9))[0]
        assert event.body.late
        # A late failure is none of the one kind that is kept.
        failed = step_body("b", StepStatus.FAILED, error=Failure(FailureCode.STEP, "no"))
        with pytest.raises(LeaseLost):
            await store.write(Append(record.run_id, 1, (failed,)))
        await store.write(Release(record.run_id, OWNER.owner_id, 1))
        claimed = await store.write(claim(after))
        with pytest.raises(LeaseLost):
            await store.write(completed(record, "b"))
        steps = (await store.read_steps(record.run_id)).items
        assert [(step.step_id, step.status) for step in steps] == [
            ("a", StepStatus.COMPLETED),
            ("b", StepStatus.STARTED),
        ]
        assert claimed.sequence == (await store.read(record.run_id)).sequence


async def test_i3b_a_step_never_started_has_no_late_result(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        after = await store.write(interrupt(record))
        with pytest.raises(LeaseLost):
            await store.write(completed(record, "a"))
        assert await store.read(record.run_id) == after
        assert (await store.read_steps(record.run_id)).items == []


async def test_f2_i3c_under_an_old_epoch_nothing_is_written(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        await store.write(started(record, "a"))
        after = await store.write(interrupt(record))
        await store.write(Release(record.run_id, OWNER.owner_id, 1))
        claimed = await store.write(claim(after, owner=OTHER_OWNER))
        told = Told(store)
        stale = (
            completed(record, "a"),
            logged(record, "x"),
            Finish(record.run_id, 1),
            Finish(record.run_id, 1, error=Failure(FailureCode.SCRIPT, "x")),
        )
        for write in stale:
            with pytest.raises(LeaseLost):
                await store.write(write)
        assert await store.read(record.run_id) == claimed
        assert told.commits == []
        assert await sequences(store, record.run_id) == list(range(1, claimed.sequence + 1))


async def test_f1_a_second_claimer_is_told_who_owns_the_run(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        after = await store.write(interrupt(record))
        with pytest.raises(RunLeased) as leased:
            await store.write(claim(after, owner=OTHER_OWNER))
        assert (leased.value.pid, leased.value.since_ms, leased.value.mine) == (OWNER.pid, OWNER.since_ms, False)
        await store.write(Release(record.run_id, OWNER.owner_id, 1))
        claimed = await store.write(claim(after, owner=OTHER_OWNER))
        assert (claimed.owner, claimed.epoch, claimed.claim_epoch) == (OTHER_OWNER, 3, 3)


async def test_i8_of_two_claims_on_one_epoch_one_wins(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        record = await running(store)
        after = await store.write(interrupt(record))
        await store.write(Release(record.run_id, OWNER.owner_id, 1))
        answers = await asyncio.gather(
            store.write(claim(after)), other.write(claim(after, owner=OTHER_OWNER)), return_exceptions=True
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["RunLeased", "RunRecord"]
        assert (await store.read(record.run_id)).epoch == 3


async def test_i8_an_interrupt_between_request_and_claim_fails_the_claim(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        accepted = await store.write(interrupt(record))
        await store.write(Release(record.run_id, OWNER.owner_id, 1))
        again = await store.write(interrupt(record))
        with pytest.raises(ClaimSuperseded):
            await store.write(claim(accepted))
        assert await store.read(record.run_id) == again


@pytest.mark.parametrize(
    ("first", "second", "appended"),
    [
        ("user", "user", []),
        ("cancelled", "user", []),
        ("deadline", "user", []),
        ("shutdown", "user", ["status:interrupted"]),
        ("clientGone", "user", ["status:interrupted"]),
        ("crash", "user", ["status:interrupted"]),
        ("shutdown", "clientGone", []),
    ],
)
async def test_i2_a_second_interrupt_grows_the_epoch_and_appends_only_a_persons_word(
    backend: Backend, first: str, second: str, appended: list[str]
) -> None:
    async with backend.store() as store:
        record = await running(store)
        once = await store.write(interrupt(record, first))
        twice = await store.write(interrupt(record, second))
        assert twice.epoch == once.epoch + 1
        assert (await kinds(store, record.run_id))[once.sequence :] == appended
        assert twice.reason == ("user" if appended else first)
        assert await store.read(record.run_id) == twice


async def test_i2_an_interrupt_of_an_ended_run_changes_nothing(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        ended = await store.write(Finish(record.run_id, 1))
        told = Told(store)
        assert await store.write(interrupt(record)) == ended
        assert told.commits == []


async def test_a_status_that_does_not_follow_is_refused(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        with pytest.raises(RunLeased):
            await store.write(claim(record))
        assert await store.read(record.run_id) == record
        ended = await store.write(Finish(record.run_id, 1))
        for write in (Background(record.run_id), Finish(record.run_id, 1)):
            with pytest.raises(InvalidTransition):
                await store.write(write)
        assert await store.read(record.run_id) == ended


async def test_a_release_clears_the_lease_of_its_own_claim_only(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        with pytest.raises(InvalidTransition):
            await store.write(Release(record.run_id, OWNER.owner_id, 1))
        after = await store.write(interrupt(record))
        told = Told(store)
        assert (await store.write(Release(record.run_id, OTHER_OWNER.owner_id, 1))).owner == OWNER
        assert (await store.write(Release(record.run_id, OWNER.owner_id, 7))).owner == OWNER
        assert told.commits == []
        freed = await store.write(Release(record.run_id, OWNER.owner_id, 1))
        assert (freed.owner, freed.is_quiescent, freed.sequence) == (None, True, after.sequence)
        assert [(c.record, c.events) for c in told.commits] == [(freed, ())]


async def test_c2_recover_interrupts_a_dead_owners_run_once(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        record = await running(store)
        recovered = await asyncio.gather(
            store.write(Recover(record.run_id, OWNER.owner_id)), other.write(Recover(record.run_id, OWNER.owner_id))
        )
        assert {(r.status, r.reason, r.owner, r.epoch) for r in recovered} == {
            (RunStatus.INTERRUPTED, "crash", None, 2)
        }
        assert (await kinds(store, record.run_id)).count("status:interrupted") == 1
        again = await store.write(claim(recovered[0], owner=OTHER_OWNER))
        assert await store.write(Recover(record.run_id, OWNER.owner_id)) == again


async def test_a_finished_step_is_never_overwritten(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        await store.write(completed(record, "a"))
        for again in (completed(record, "a"), started(record, "a")):
            with pytest.raises(StepConflict):
                await store.write(again)
        (step,) = (await store.read_steps(record.run_id)).items
        assert (step.status, step.output_json) == (StepStatus.COMPLETED, '{"ok":true}')


async def test_j5_a_retry_sets_failures_aside_and_keeps_what_is_finished(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store)
        failure = Failure(FailureCode.STEP, "no", step_id="bad")
        await store.write(completed(record, "good"))
        await store.write(Append(record.run_id, 1, (step_body("bad", StepStatus.FAILED, error=failure),)))
        failed = await store.write(Finish(record.run_id, 1, error=failure))
        retried = await store.write(claim(failed, RunEvent.RETRY))
        by_id = {step.step_id: step for step in (await store.read_steps(record.run_id)).items}
        assert (by_id["good"].status, by_id["bad"].status) == (StepStatus.COMPLETED, StepStatus.SUPERSEDED)
        assert (retried.steps.reused, retried.steps.failed, retried.error) == (1, 0, None)
        again = await store.write(completed(retried, "bad"))
        assert (again.steps.completed, again.steps.failed) == (2, 0)
        assert [step.step_id for step in (await store.read_steps(record.run_id)).items] == ["good", "bad"]
