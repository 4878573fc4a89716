"""
Going on after something stopped a run: dead owners, retries, and replays of runs whose siblings failed.

C2, C5, D3, F3, N1, J3, J5, J6.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from sidestep.model.errors import InvalidTransition, WorkspaceUntrusted
from sidestep.model.execution import StepFailed, StepSucceeded
from sidestep.model.run import Failure, FailureCode, RunStatus, StepStatus
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.contract.stores import OTHER_OWNER, new_run, running
from tests.support.fake_clock import FakeClock
from tests.support.scripted_executor import OUTPUT, ScriptedExecutor
from tests.support.service_harness import ONE_STEP, Harness, LivingOwners

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest
    from sidestep.model.run import RunRecord
    from sidestep.scripts.folder import FolderKey
    from sidestep.scripts.resolver import ResolvedScript, ScriptReference

# Seconds between two looks for dead owners.
PATROL_S = 0.5

SEEDS = range(6)

FAMILY = """
from sidestep import command, log, parallel

async def step(name):
    try:
        await command([name], id=name)
    except RuntimeError:
        log("err " + name)
        raise
    log("ok " + name)

async def leaf(name, goes_on):
    try:
        await step(name)
    except RuntimeError:
        if goes_on:
            await step("fix " + name)
        raise
    if goes_on:
        await step("more " + name)

async def group(name, count, limit=None):
    try:
        await parallel([leaf(f"{name}{i}", i % 2 == 0) for i in range(count)], limit=limit)
    except RuntimeError:
        await step("after " + name)
        raise

async def main():
    try:
        await parallel([group("a", 4), group("b", 3, 2), leaf("solo", True)])
    except RuntimeError:
        log("the families failed")
    done = await parallel([group("c", 3), group("d", 2)], on_error="return")
    log(f"{len(done)} came back")
    await command(["end"], id="end")
"""


class OddOwners(LivingOwners):
    """Breaks when it is asked, while it is odd."""

    is_odd = False

    def is_alive(self, owner_id: str) -> bool:
        if self.is_odd:
            raise OSError("odd")
        return super().is_alive(owner_id)


class LateStore(InMemoryRunStore):
    """Lists a run that was deleted after the list was read."""

    async def owned_runs(self, owner_ids: Collection[str] | None = None) -> Sequence[RunRecord]:
        return [new_run(7, owner=OTHER_OWNER), *await super().owned_runs(owner_ids)]


async def test_c5_recovery_goes_on_although_a_run_was_deleted_meanwhile(tmp_path: Path) -> None:
    """C2."""
    clock = FakeClock()
    store = LateStore(clock, Settings())
    left = await running(store, owner=OTHER_OWNER)
    owners = LivingOwners("owner-a", {OTHER_OWNER.owner_id})
    async with Harness(tmp_path, store=store, clock=clock, owners=owners) as h:
        assert [(record.run_id, record.reason) for record in h.service.recovered] == [(left.run_id, "crash")]
        assert (await store.read(left.run_id)).is_quiescent


async def test_f3_the_patrol_survives_an_unexpected_error(tmp_path: Path) -> None:
    owners = OddOwners("owner-a")
    async with Harness(tmp_path, owners=owners) as h:
        left = await running(h.store, owner=OTHER_OWNER)
        await h.clock.sleeper(PATROL_S)
        owners.is_odd = True
        h.clock.advance(PATROL_S)
        await h.clock.sleeper(PATROL_S)
        owners.is_odd = False
        owners.dead.add(OTHER_OWNER.owner_id)
        h.clock.advance(PATROL_S)
        assert (await h.status(left.run_id, RunStatus.INTERRUPTED)).reason == "crash"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("return {1, 2}", FailureCode.VALIDATION),
        ("return 'x' * 10**9", FailureCode.LIMIT),
        ("raise ValueError('no')", FailureCode.SCRIPT),
    ],
)
async def test_n1_a_retry_with_nothing_to_redo_is_refused(tmp_path: Path, line: str, code: FailureCode) -> None:
    async with Harness(tmp_path) as h:
        record = (await h.start(f"async def main():\n    {line}\n")).record
        assert record.error is not None
        assert record.error.code is code
        with pytest.raises(InvalidTransition):
            await h.retry(record.run_id)
        assert await h.store.read(record.run_id) == record


class Improvised(ScriptedExecutor):
    """Every step waits for `settle_some`; every third does not heed its abort, every fifth fails."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self._open: dict[str, asyncio.Future[StepOutcome]] = {}

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        result: asyncio.Future[StepOutcome] = asyncio.get_running_loop().create_future()
        self._open[request.step_id] = result
        self.calls.append(request)
        async with self._changed:
            self._changed.notify_all()
        is_deaf = self.random.random() < 0.3
        try:
            return await (asyncio.shield(result) if is_deaf else signal.race(asyncio.shield(result)))
        finally:
            self._open.pop(request.step_id, None)

    async def settle_some(self) -> list[str]:
        """Settle one to three of the steps in flight, `end` never; their names, none when only `end` is left."""
        async with self._changed:
            await self._changed.wait_for(self._unsettled)
        names = sorted(set(self._unsettled()) - {"end"})
        chosen = self.random.sample(names, min(len(names), self.random.choice([1, 1, 2, 3])))
        for name in chosen:
            failed = StepFailed(Failure(FailureCode.STEP, "no"))
            self._open[name].set_result(failed if self.random.random() < 0.2 else StepSucceeded(OUTPUT))
        return chosen

    def settle_all(self) -> None:
        for name in self._unsettled():
            self._open[name].set_result(StepSucceeded(OUTPUT))

    def _unsettled(self) -> list[str]:
        return [name for name, result in self._open.items() if not result.done()]


class Family(Harness):
    """A run of `FAMILY` under an improvised executor."""

    def __init__(self, tmp_path: Path, seed: int) -> None:
        super().__init__(tmp_path)
        self.commands = self.improvised = Improvised(seed)

    async def drive(self, settlings_max: int | None = None) -> bool:
        """Settle steps until only `end` is in flight (True), or that often (False)."""
        settlings = 0
        while settlings != settlings_max:
            settled = await self.improvised.settle_some()
            if not settled:
                return True
            for name in settled:
                await self.heard(name)
            settlings += 1
        return False

    async def heard(self, step_id: str) -> None:
        """Wait until the script has gone on after a step."""
        lines = {f"told log:ok {step_id}", f"told log:err {step_id}"}
        async with self._traced:
            await self._traced.wait_for(lambda: lines & set(self.trace))

    async def stop(self, run_id: str) -> None:
        """Interrupt the run; what ignores that brings its result late."""
        interrupting = asyncio.create_task(self.service.interrupt(run_id, by="person"))
        await self.status(run_id, RunStatus.INTERRUPTED)
        self.improvised.settle_all()
        await interrupting

    async def logs(self, run_id: str) -> list[str]:
        return [kind for kind in await self.kinds(run_id) if kind.startswith("log")]

    async def has_ended(self, run_id: str) -> bool:
        steps = (await self.store.read_steps(run_id, step_id="end")).items
        return [step.status for step in steps] == [StepStatus.COMPLETED]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_j3_a_replay_of_failed_siblings_asks_for_nothing_new(tmp_path: Path, seed: int) -> None:
    """
    J3, J5, J6: whatever the order in which siblings failed, were aborted and came late.

    Once a run has come to its last step, going on with it calls no other step and logs no other line.
    """
    async with Family(tmp_path, seed) as h:
        task = h.start(FAMILY)
        is_settled = await h.drive(h.improvised.random.choice([None, 1, 2, 3, 5]))
        run_id = h.commands.calls[-1].run_id
        await h.stop(run_id)
        await task
        for _ in range(3):
            before, logs = len(h.commands.calls), await h.logs(run_id)
            resuming = h.resume(run_id)
            if await h.has_ended(run_id):
                assert (await resuming).status is RunStatus.COMPLETED
                assert h.commands.calls[before:] == []
            else:
                was_settled, is_settled = is_settled, await h.drive()
                if was_settled:
                    assert [call.step_id for call in h.commands.calls[before:]] == ["end"]
            if await h.has_ended(run_id) or was_settled:
                assert await h.logs(run_id) == logs
            if resuming.done():
                return
            await h.stop(run_id)
            await resuming


async def test_d3_trust_withdrawn_while_a_resume_waits_for_quiescence_is_heeded(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.commands.deaf.add("only")
        task, run_id = await h.running(ONE_STEP, "only")
        await h.service.interrupt(run_id, by="person", wait_quiescent=False)
        resuming = h.resume(run_id)
        await h.clock.sleeper(h.settings.interrupt_grace_s)
        await h.service.trust([h.folder], trusted=False, remember=False)
        h.commands.fail("only")
        with pytest.raises(WorkspaceUntrusted):
            await resuming
        assert (await task).record.status is RunStatus.INTERRUPTED
        assert h.commands.count("only") == 1


async def test_d3_trust_withdrawn_between_the_check_and_the_admission_is_heeded(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        resolve, reached, go = h.library.resolve, asyncio.Event(), asyncio.Event()

        async def slowly(reference: ScriptReference, folder: FolderKey) -> ResolvedScript:
            found = await resolve(reference, folder)
            reached.set()
            await go.wait()
            return found

        h.library.resolve = slowly
        task = h.start()
        await reached.wait()
        await h.service.trust([h.folder], trusted=False, remember=False)
        go.set()
        with pytest.raises(WorkspaceUntrusted):
            await task
        assert h.commands.calls == []
