"""
What a tree came to, counted beside the stores: random histories of a root and the runs nested in it.

For every history, a root's sums are those of the rows of its members, what an execution of a step used is counted once
however often it is said, and both stores answer and hold the same.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from sidestep.model.errors import SidestepError
from sidestep.model.run import Failure, FailureCode, RunRecord, StepStatus
from sidestep.model.transitions import RunEvent
from sidestep.model.usage import Spent, Usage
from sidestep.model.writes import Append, Charge, Finish, Interrupt, Recover, Release, Reopen, StepOutput, Suspend
from tests.contract.stores import OWNER, SOURCE, Backend, claim, key_of, new_child, running, step_body

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.run import StepRecord
    from sidestep.model.writes import Write
    from tests.contract.stores import Store

ROOT = 1
STEPS = "abcdefghijkl"
FAILED = Failure(FailureCode.STEP, "no")


@dataclass
class History:
    """One tree in several stores, written to in the same way."""

    random: random.Random
    stores: list[Store]
    runs: list[RunRecord] = field(default_factory=list["RunRecord"])
    # What the execution of a step has told so far, by (run, key, claim), and what each run has in all.
    told: Counter[tuple[str, str, int]] = field(default_factory=Counter[tuple[str, str, int]])
    used: Counter[str] = field(default_factory=Counter[str])

    async def begin(self) -> None:
        (root, *others) = [await running(store, ROOT) for store in self.stores]
        assert others == [root] * len(others)
        self.runs.append(root)

    async def write(self, write: Write) -> RunRecord | None:
        """The row after it in every store; None where it was refused."""
        answers = [await self._answer(store, write) for store in self.stores]
        assert all(answer == answers[0] for answer in answers), write
        return answers[0] if isinstance(answers[0], RunRecord) else None

    async def _answer(self, store: Store, write: Write) -> Any:
        try:
            return await store.write(write)
        except SidestepError as refused:
            return type(refused)

    async def step(self) -> None:
        """One random write, by somebody whose claim may be over."""
        store, pick = self.stores[0], self.random
        root = await store.read(self.runs[0].run_id)
        record = await store.read(pick.choice(self.runs).run_id)
        epoch = pick.choice([root.claim_epoch] * 5 + [root.claim_epoch - 1])
        await self._write_about(root, record, epoch, pick.choice(["append"] * 5 + ["charge"] * 4 + ["tree", "child"]))
        if not record.is_active and pick.random() < 0.3:
            # Its owner goes, and the run goes on: most of a history is work.
            await self.write(Release(root.run_id, OWNER.owner_id, root.claim_epoch))
            event = pick.choice([RunEvent.RESUME, RunEvent.RETRY])
            claimed = await self.write(claim(await store.read(root.run_id), event))
            epoch = root.claim_epoch if claimed is None else claimed.claim_epoch
            if record.claim_epoch != epoch:
                # Within one claim a nested run is conducted once (P2).
                await self.write(Reopen(record.run_id, epoch, event))

    async def _write_about(self, root: RunRecord, record: RunRecord, epoch: int, what: str) -> None:
        match what:
            case "append":
                await self._append(record, epoch)
            case "charge":
                await self._charge(record, epoch)
            case "child":
                await self._child(record)
            case _:
                others: list[Write] = [
                    Interrupt(root.run_id, "user"),
                    Recover(root.run_id, OWNER.owner_id),
                    Suspend(record.run_id, epoch),
                    # A root that completed would be the end of the history.
                    Finish(
                        record.run_id, epoch, error=FAILED if record.is_root else self.random.choice([None, FAILED])
                    ),
                ]
                await self.write(self.random.choice(others))

    async def _append(self, record: RunRecord, epoch: int) -> None:
        step_id, before = await self._chosen(record)
        is_under_way = before is not None and before.status is StepStatus.STARTED and before.claim_epoch == epoch
        ends = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.INTERRUPTED)
        # Only what began has an outcome.
        status = self.random.choice((*ends, StepStatus.STARTED) if is_under_way else (StepStatus.STARTED,))
        place = (record.run_id, key_of(step_id), epoch)
        told = self.told[place] + self.random.randrange(50)
        has_usage = status in ends and self.random.random() < 0.8
        usage = Usage(input_tokens=told) if has_usage else None
        is_completed = status is StepStatus.COMPLETED
        body = step_body(step_id, status, usage=usage, duration_ms=self.random.randrange(9) if is_completed else None)
        outputs = {body.key: StepOutput(json="1")} if is_completed else {}
        if await self.write(Append(record.run_id, epoch, (body,), outputs)) is None:
            return
        if has_usage:
            self._count(place, told)
        if status in ends:
            del self.told[place]

    async def _charge(self, record: RunRecord, epoch: int) -> None:
        step_id, before = await self._chosen(record)
        place = (record.run_id, key_of(step_id), epoch)
        told = self.told[place] + self.random.randrange(50)
        charge = Charge(record.run_id, epoch, place[1], Usage(input_tokens=told))
        for _ in range(2):
            # Said again, because its commit may have been and its answer was lost.
            if await self.write(charge) is None:
                return
        if before is not None and before.status is StepStatus.STARTED and before.claim_epoch == epoch:
            self._count(place, told)

    def _count(self, place: tuple[str, str, int], told: int) -> None:
        self.used[place[0]] += told - self.told[place]
        self.told[place] = told

    async def _child(self, parent: RunRecord) -> None:
        root = await self.stores[0].read(self.runs[0].run_id)
        if not root.is_active or len(self.runs) > 6:
            return
        child = new_child(ROOT + len(self.runs), replace(parent, claim_epoch=root.epoch))
        made = [await store.create(child, SOURCE) for store in self.stores]
        assert all(answer == made[0] for answer in made)
        self.runs.append(made[0][0])

    async def _chosen(self, record: RunRecord) -> tuple[str, StepRecord | None]:
        """A step and its row; one that has begun, more often than not."""
        steps = {step.step_id: step for step in (await self.stores[0].read_steps(record.run_id)).items}
        begun = [step_id for step_id, step in steps.items() if step.status is StepStatus.STARTED]
        step_id = self.random.choice(begun if begun and self.random.random() < 0.7 else STEPS)
        return step_id, steps.get(step_id)

    async def check(self) -> None:
        rows = [[await store.read(run.run_id) for run in self.runs] for store in self.stores]
        assert all(each == rows[0] for each in rows)
        steps = [[(await store.read_steps(run.run_id)).items for run in self.runs] for store in self.stores]
        assert all(each == steps[0] for each in steps)
        root, *members = rows[0]
        nested = root.nested
        assert nested.usage.input_tokens == sum(member.usage.input_tokens for member in members)
        assert nested.steps.completed == sum(member.steps.completed for member in members)
        assert nested.steps.known == sum(member.steps.known for member in members)
        assert nested.finished == _sum(member.finished for member in members)
        for record in rows[0]:
            assert record.usage.input_tokens == self.used[record.run_id], record.run_id
            assert min(record.steps.running, record.steps.failed, record.steps.completed) >= 0


def _sum(spent: Any) -> Spent:
    total = Spent()
    for each in spent:
        total = total.plus(each.duration_ms, each.usage)
    return total


@pytest.mark.parametrize("seed", range(6))
async def test_a_trees_sums_are_those_of_its_members_after_every_history(tmp_path: Path, seed: int) -> None:
    memory, sqlite = Backend("memory", tmp_path), Backend("sqlite", tmp_path)
    async with memory.store() as first, sqlite.store() as second:
        history = History(random.Random(seed), [first, second])
        await history.begin()
        for _ in range(100):
            await history.step()
            await history.check()
        assert history.used.total() > history.used[history.runs[0].run_id] > 0, "nested runs used something, too"


async def test_c6_a_claim_counts_anew_what_a_window_of_an_older_version_did_not_keep(tmp_path: Path) -> None:
    """Code from before the sums stood on a root's row drops them when it writes the row."""
    sqlite, used = Backend("sqlite", tmp_path), Usage(100, 10, 5)
    async with sqlite.store() as store:
        root = await running(store, ROOT)
        child, _ = await store.create(new_child(ROOT + 1, root), SOURCE)
        body = step_body("a", StepStatus.COMPLETED, duration_ms=40, usage=used)
        await store.write(Append(child.run_id, 1, (body,), {body.key: StepOutput(json="1")}))
        stopped = await store.write(Interrupt(root.run_id, "user"))
        await store.write(Release(root.run_id, OWNER.owner_id, 1))
    connection = sqlite3.connect(sqlite.location.database)
    with connection:
        drop = "UPDATE runs SET record = json_remove(record, '$.nested') WHERE run_id = ?"
        assert connection.execute(drop, (root.run_id,)).rowcount == 1
    connection.close()
    async with sqlite.store() as store:
        claimed = await store.write(claim(stopped))
        assert (claimed.all_usage, claimed.kept) == (used, Spent(40, used))
        assert (claimed.all_steps.reused, claimed.all_steps.known) == (1, 1)
