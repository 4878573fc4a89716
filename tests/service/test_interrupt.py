"""
Interrupting, moving to the background, going on.

I1, I2, I3, I4, I7, I8, B1, B2, B3, F1, F2, F4, C2, J4, J5, J6, N1.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import InvalidTransition, LeaseLost, RequestCancelled, RunLeased, RunNotFound
from sidestep.model.events import Logged, StatusChanged
from sidestep.model.run import Attention, FailureCode, RunStatus, StepStatus
from sidestep.model.writes import Append, Interrupt
from sidestep.scripts.resolver import FileScript
from sidestep.settings import Settings
from tests.support.fake_clock import FakeClock
from tests.support.held_store import HeldStore
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners, patient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord

CANCELLED = AbortReason(AbortKind.CANCELLED)
Tasks = list[asyncio.Task[Any]]

THREE_STEPS = """
from sidestep import command, log, phase

async def main():
    phase("one")
    log("begin")
    await command(["a"], id="a")
    phase("two")
    await command(["b"], id="b")
    await command(["c"], id="c")
    return "done"
"""

FLAKY = """
from sidestep import command

async def main():
    await command(["a"], id="a")
    try:
        await command(["b"], id="b")
    except RuntimeError as error:
        await command(["handled"], id="handled")
        raise
    return "done"
"""


async def test_i1_the_controller_fires_before_the_durable_write(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        await h.reached(run_id, lambda record: record.steps.running == 1)
        order: list[str] = []
        active = h.service.runs.get(run_id)
        assert active is not None
        active.controller.signal.listen(lambda reason: order.append(f"abort {reason.kind.value}"))
        h.service.listeners.listen(lambda committed: order.append(committed.record.status.value))
        done = await h.service.interrupt(run_id, by="person")
        assert order[:2] == ["abort user", "interrupted"]
        assert (done.record.reason, done.quiescent, done.already_terminal) == ("user", True, False)
        assert (await task).record.status is RunStatus.INTERRUPTED


async def test_an_unknown_run_cannot_be_interrupted(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        with pytest.raises(RunNotFound):
            await h.service.interrupt("run_none", by="person")


async def test_i2_a_second_interrupt_appends_nothing_and_grows_the_epoch(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        first = await h.service.interrupt(run_id, by="person")
        second = await h.service.interrupt(run_id, by="person")
        assert second.record.sequence == first.record.sequence
        assert second.record.epoch == first.record.epoch + 1
        assert not second.already_terminal


async def test_i2_a_completed_run_is_already_terminal_and_its_epoch_stays(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed()
        done = await h.service.interrupt(record.run_id, by="person")
        assert done.already_terminal
        assert done.record == record


async def test_i3_f2_nothing_of_the_old_execution_is_written_after_the_interrupt(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        record = (await h.service.interrupt(run_id, by="person")).record
        with pytest.raises(LeaseLost):
            await h.store.write(Append(run_id, record.claim_epoch, (Logged(message="late"),)))
        assert (await h.store.read(run_id)).sequence == record.sequence


async def test_i3_a_late_result_is_kept_and_not_asked_for_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.deaf.add("only")
        _, run_id = await h.running(ONE_STEP, "only")
        done = await h.service.interrupt(run_id, by="person", wait_quiescent=False)
        assert not done.quiescent
        h.commands.finish("only")
        active = h.service.runs.get(run_id)
        assert active is not None
        await active.quiescent.wait()
        assert (await h.kinds(run_id))[-2:] == ["status:interrupted", "step:completed:only:late"]
        assert (await h.resume(run_id)).status is RunStatus.COMPLETED
        assert h.commands.count("only") == 1


async def test_i4_an_executor_that_ignores_its_signal_is_waited_for_only_so_long(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.deaf.add("only")
        _, run_id = await h.running(ONE_STEP, "only")
        interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
        await h.clock.sleeper(h.settings.interrupt_grace_s)
        h.clock.advance(h.settings.interrupt_grace_s)
        done = await interrupting
        assert (done.record.status, done.quiescent) == (RunStatus.INTERRUPTED, False)
        assert (await h.store.read(run_id)).owner is not None
        resuming = h.resume(run_id)
        await h.clock.sleeper(h.settings.interrupt_grace_s)
        h.clock.advance(h.settings.interrupt_grace_s)
        with pytest.raises(RunLeased) as leased:
            await resuming
        assert leased.value.mine
        h.commands.finish("only")


async def test_i4_a_resume_sent_right_after_the_interrupt_works_and_meets_no_second_copy(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        done = await h.service.interrupt(run_id, by="person", wait_quiescent=False)
        h.commands.held.clear()
        resumed = await h.resume(run_id)
        assert done.record.status is RunStatus.INTERRUPTED
        assert resumed.status is RunStatus.COMPLETED
        assert [reason.kind for _, reason in h.commands.aborts] == [AbortKind.USER]


def interrupt_at(h: Harness, tasks: Tasks, sequence: int, committed: Committed) -> None:
    """Interrupt the run once, when it has come that far."""
    if committed.events and committed.events[-1].sequence == sequence and not tasks:
        tasks.append(asyncio.create_task(h.service.interrupt(committed.record.run_id, by="person")))


async def test_i7_an_interrupt_racing_completion_leaves_exactly_one_stop(tmp_path: Path) -> None:
    """At every commit of the run; the journal, the answer and the notification agree."""
    for offset in range(1, 8):
        async with Harness(tmp_path) as h:
            interrupting: Tasks = []

            def interrupt_at(
                committed: Committed, h: Harness = h, tasks: Tasks = interrupting, at: int = offset
            ) -> None:
                if committed.events and committed.events[-1].sequence == at and not tasks:
                    tasks.append(asyncio.create_task(h.service.interrupt(committed.record.run_id, by="person")))

            h.service.listeners.listen(interrupt_at)
            answer = (await h.start()).record
            for task in interrupting:
                await task
            journaled = [
                event.body.status
                for event in await h.events(answer.run_id)
                if isinstance(event.body, StatusChanged)
                and event.body.status in (RunStatus.COMPLETED, RunStatus.INTERRUPTED)
            ]
            assert journaled == [answer.status], f"interrupt after event {offset}"
            assert (await h.store.read(answer.run_id)).status is answer.status


async def test_i8_a_claim_whose_epoch_grew_answers_with_the_interrupted_run(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        await h.service.interrupt(run_id, by="person")

        racing: Tasks = []

        def interrupt_meanwhile(run_id: str, _: RunRecord | None) -> Callable[[], None]:
            racing.append(asyncio.create_task(h.store.write(Interrupt(run_id, "user"))))
            return lambda: None

        resumed = await h.resume(run_id, on_run=interrupt_meanwhile)
        await asyncio.gather(*racing)
        # Either the interrupt came first and the claim failed, or the claim came first and was interrupted.
        assert resumed.status is RunStatus.INTERRUPTED


async def test_resume_keeps_finished_steps_and_tells_progress_once(tmp_path: Path) -> None:
    """J4, J6: completed steps short-circuit; phases and logs are not appended again."""
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(THREE_STEPS, "b")
        await h.service.interrupt(run_id, by="person")
        h.commands.held.clear()
        resumed = await h.resume(run_id)
        assert resumed.status is RunStatus.COMPLETED
        assert [h.commands.count(step) for step in ("a", "b", "c")] == [1, 2, 1]
        kinds = await h.kinds(run_id)
        assert [kind for kind in kinds if kind.startswith(("phase", "log"))] == ["phase:one", "log:begin", "phase:two"]
        assert (resumed.steps.completed, resumed.steps.reused) == (3, 1)
        steps = (await h.store.read_steps(run_id)).items
        assert {step.step_id: step.attempt for step in steps} == {"a": 1, "b": 2, "c": 1}


async def test_resume_of_a_completed_run_answers_with_its_outcome(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        record = await h.completed()
        assert await h.resume(record.run_id) == record


async def test_resume_of_an_active_run_of_ours_attaches(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        attached = h.resume(run_id)
        h.commands.finish("only")
        assert (await attached).status is RunStatus.COMPLETED
        assert (await task).record.status is RunStatus.COMPLETED
        assert h.commands.count("only") == 1


async def test_a_cancelled_resume_interrupts_what_it_resumed(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        await h.service.interrupt(run_id, by="person")
        caller = AbortController()
        resuming = h.resume(run_id, signal=caller)
        await h.commands.called("only", times=2)
        caller.abort(CANCELLED)
        with pytest.raises(RequestCancelled) as cancelled:
            await resuming
        assert cancelled.value.outcome["status"] == "interrupted"
        assert (await h.store.read(run_id)).reason == "cancelled"


async def test_a_resume_cancelled_before_its_claim_changes_nothing(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        before = (await h.service.interrupt(run_id, by="person")).record
        caller = AbortController()
        caller.abort(CANCELLED)
        with pytest.raises(RequestCancelled) as cancelled:
            await h.resume(run_id, signal=caller)
        assert cancelled.value.outcome == {"runId": run_id, "status": "interrupted"}
        assert (await h.store.read(run_id)).epoch == before.epoch


async def test_cancel_of_a_run_that_somebody_else_interrupted_gives_the_normal_outcome(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        caller = AbortController()
        h.commands.held.add("only")
        task = h.start(signal=caller)
        await h.commands.called("only")
        run_id = h.commands.calls[-1].run_id
        interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
        record = (await task).record
        caller.abort(CANCELLED)
        await interrupting
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "user")


async def test_b1_background_releases_the_waiter_and_restarts_nothing(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        record = await h.service.background(run_id)
        assert (record.status, record.attention) == (RunStatus.BACKGROUNDED, Attention.NOTIFY_ON_TERMINAL)
        assert (await task).record.status is RunStatus.BACKGROUNDED
        h.commands.finish("only")
        ended = await h.status(run_id, RunStatus.COMPLETED)
        assert h.commands.count("only") == 1
        assert ended.steps.completed == 1


async def test_b2_an_interrupt_at_the_same_moment_wins(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        task, run_id = await h.running(ONE_STEP, "only")
        interrupting = asyncio.create_task(h.service.interrupt(run_id, by="person"))
        backgrounding = asyncio.create_task(h.service.background(run_id))
        await asyncio.gather(interrupting, backgrounding, return_exceptions=True)
        await task
        assert (await h.store.read(run_id)).status is RunStatus.INTERRUPTED


async def test_b3_background_of_a_backgrounded_run_is_no_change_and_of_a_stopped_one_an_error(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        first = await h.service.background(run_id)
        assert (await h.service.background(run_id)).sequence == first.sequence
        h.commands.held.clear()
        record = await h.completed(start_key="other")
        with pytest.raises(InvalidTransition):
            await h.service.background(record.run_id)


async def test_b3_a_run_can_go_to_the_background_as_soon_as_it_is_told(tmp_path: Path) -> None:
    """Nobody meets a run that is pending: before the start is answered, it runs already."""
    clock = FakeClock()
    store = HeldStore(clock, Settings())
    async with Harness(tmp_path, store=store, clock=clock) as h:
        store.hold("create")
        h.commands.held.add("only")
        task = h.start()
        await store.reached.wait()
        (created,) = await store.owned_runs()
        assert (await h.service.background(created.run_id)).status is RunStatus.BACKGROUNDED
        store.release.set()
        assert (await task).record.status is RunStatus.BACKGROUNDED
        assert (await h.kinds(created.run_id))[:3] == ["status:pending", "status:running", "status:backgrounded"]


async def test_s3_a_resume_in_the_background_that_was_stopped_before_its_answer_says_so(tmp_path: Path) -> None:
    """S3: a reply never contradicts what the host was told: the drain came between the claim and the answer."""
    clock = FakeClock()
    store = HeldStore(clock, Settings())
    async with Harness(tmp_path, store=store, clock=clock) as h:
        _, run_id = await h.running(ONE_STEP, "only", **patient())
        await h.service.interrupt(run_id, by="person")
        store.hold("Claim")
        resuming = h.resume(run_id, **patient())
        await store.reached.wait()
        draining = asyncio.create_task(h.service.drain(AbortReason(AbortKind.SHUTDOWN)))
        await h.service.runs.draining.signal.wait()
        store.release.set()
        record = await resuming
        assert (record.status, record.reason) == (RunStatus.INTERRUPTED, "shutdown")
        await draining


async def test_b3_background_of_a_run_that_was_stopped_before_its_start_is_answered_says_so(tmp_path: Path) -> None:
    clock = FakeClock()
    store = HeldStore(clock, Settings())
    async with Harness(tmp_path, store=store, clock=clock) as h:
        store.hold("create")
        task = h.start()
        await store.reached.wait()
        (created,) = await store.owned_runs()
        await h.store.write(Interrupt(created.run_id, "user"))
        with pytest.raises(InvalidTransition, match="interrupted"):
            await h.service.background(created.run_id)
        store.release.set()
        assert (await task).record.status is RunStatus.INTERRUPTED


async def test_f1_a_run_another_process_owns_is_leased(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        async with Harness(tmp_path, store=h.store, clock=h.clock, owners=LivingOwners("owner-b")) as other:
            with pytest.raises(RunLeased) as leased:
                await other.resume(run_id)
            assert (leased.value.pid, leased.value.mine) == (4711, False)


async def test_f4_c2_a_dead_owners_runs_are_recovered_its_groups_first(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        dead = {"owner-a"}
        async with Harness(tmp_path, store=h.store, clock=h.clock, owners=LivingOwners("owner-b", dead)) as other:
            assert [record.run_id for record in other.service.recovered] == [run_id]
            assert other.owners.stopped_groups == [("owner-a", run_id)]
            record = await other.store.read(run_id)
            assert (record.status, record.reason, record.owner) == (RunStatus.INTERRUPTED, "crash", None)
            assert (await other.resume(run_id)).status is RunStatus.COMPLETED


async def test_n1_retry_does_failed_steps_again_and_keeps_finished_ones(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.held.add("b")
        task = h.start(FLAKY)
        await h.commands.called("b")
        h.commands.fail("b")
        failed = (await task).record
        assert failed.status is RunStatus.FAILED
        assert failed.error is not None
        assert (failed.error.code, failed.error.step_id) == (FailureCode.STEP, "b")
        h.commands.held.clear()
        retried = await h.retry(failed.run_id)
        assert retried.status is RunStatus.COMPLETED
        assert [h.commands.count(step) for step in ("a", "b", "handled")] == [1, 2, 1]
        assert retried.error is None


async def test_n1_retry_with_nothing_to_redo_says_so_and_the_current_source_goes_on(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        script = h.folder_path / "flow.py"
        broken = (
            "from sidestep import command\n\nasync def main():\n    await command(['a'], id='a')\n    return {}['x']\n"
        )
        script.write_text(broken)
        failed = (await h.start(script=FileScript(script.as_uri()))).record
        assert failed.status is RunStatus.FAILED
        with pytest.raises(InvalidTransition) as refused:
            await h.retry(failed.run_id)
        assert "flow.py:5" in str(refused.value)
        script.write_text(broken.replace("return {}['x']", "return 'fixed'"))
        retried = await h.retry(failed.run_id, current_source=True)
        assert retried.status is RunStatus.COMPLETED
        assert h.commands.count("a") == 1
        assert "source" in await h.kinds(failed.run_id)


async def test_j5_a_handled_failure_replays_as_the_same_error_on_resume(tmp_path: Path) -> None:
    source = FLAKY.replace("        raise\n", "        await command(['c'], id='c')\n")
    async with Harness(tmp_path) as h:
        h.commands.held |= {"b", "c"}
        task = h.start(source)
        await h.commands.called("b")
        h.commands.fail("b")
        await h.commands.called("c")
        await h.service.interrupt(h.commands.calls[-1].run_id, by="person")
        h.commands.held.clear()
        record = await h.resume((await task).record.run_id)
        assert record.status is RunStatus.COMPLETED
        assert h.commands.count("b") == 1
        steps = {step.step_id: step.status for step in (await h.store.read_steps(record.run_id)).items}
        assert steps["b"] is StepStatus.FAILED


async def test_a_background_resume_is_answered_after_the_claim(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        _, run_id = await h.running(ONE_STEP, "only")
        await h.service.interrupt(run_id, by="person")
        claimed = await h.resume(run_id, **patient())
        assert claimed.status is RunStatus.RUNNING
        await h.commands.called("only", times=2)
        h.commands.finish("only")
        await h.status(run_id, RunStatus.COMPLETED)
