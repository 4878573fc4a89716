"""
The named points: a store, an executor and a sandbox that park where a real one takes its time.

The in-memory store commits, tells and answers in one turn of the event loop; here those are three, as with the durable
store, whose transactions happen in a thread: what is committed can be read by others before its writer hears of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sidestep.model.abort import Aborted
from sidestep.model.events import StepChanged
from sidestep.model.execution import Settled, StepFailed, StepOutcome, StepRequest, StepSucceeded, Turn
from sidestep.model.ports import Committed, Deleted
from sidestep.model.run import TERMINAL, Failure, FailureCode, StepStatus
from sidestep.model.writes import Append, Ask, Claim, Finish, Interrupt, Release, Reopen, Suspend, Withdraw
from sidestep.store.memory import InMemoryRunStore

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from sidestep.model.abort import AbortSignal
    from sidestep.model.events import JournalEvent
    from sidestep.model.execution import KnownAnswer, Program, Sandbox, SandboxSession
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Write
    from sidestep.settings import Settings
    from sidestep.store.memory_journal import MemoryJournal
    from sidestep.store.transaction import Applied
    from tests.races.world import World
    from tests.support.fake_clock import FakeClock
    from tests.support.schedule import Schedule

OUTPUT = {"exit_code": 0, "stdout": "", "stderr": ""}


class PointedStore(InMemoryRunStore):
    """
    Commits, tells and answers when the schedule says so, each in the order of the writes.

    Others' commits are noticed whatever pace the service asks for: the schedule says when.
    """

    def __init__(
        self, name: str, clock: FakeClock, settings: Settings, journal: MemoryJournal, schedule: Schedule, world: World
    ) -> None:
        super().__init__(clock, settings, journal)
        self._name = name
        self._schedule = schedule
        self._world = world
        self._deliveries: list[Callable[[], None]] = []
        self._will_commit = False

    async def create(self, record: RunRecord, source: str) -> tuple[RunRecord, bool]:
        created = await super().create(record, source)
        await self._schedule.point(f"{self._name}: create answered")
        return created

    async def write(self, write: Write) -> RunRecord:
        record = await super().write(write)
        if not isinstance(write, Append):
            # Answers of appends reach their steps in order, and nothing of ours stands in between.
            await self._schedule.point(f"{self._name}: {type(write).__name__} answered")
        return record

    async def read(self, run_id: str) -> RunRecord:
        await self._schedule.point(f"{self._name}: read")
        record = await super().read(run_id)
        await self._schedule.point(f"{self._name}: read answered")
        return record

    async def read_source(self, source_hash: str) -> str:
        text = await super().read_source(source_hash)
        await self._schedule.point(f"{self._name}: source read")
        return text

    async def read_question(self, interaction_id: str) -> Question | None:
        question = await super().read_question(interaction_id)
        await self._schedule.point(f"{self._name}: question read")
        return question

    async def close(self) -> None:
        if self._is_open:
            self._transact()
            while self._deliveries:
                self._deliver()
            self._is_open = False
            self.journal.stores.remove(self)

    def _commit(self) -> None:
        """Called by the base in the next turn: the transaction is a point instead."""
        if not self._will_commit:
            self._will_commit = True
            self._schedule.park(f"{self._name}: commit", self._transact)

    def _transact(self) -> None:
        self._will_commit = False
        told: list[Committed | Deleted] = list(self._inbox)
        self._inbox.clear()
        jobs, self._queue = self._queue, []
        now_ms = self._clock.now_ms()
        settled: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        for apply, answer in jobs:
            try:
                applied = apply(now_ms)
            except Exception as error:  # As the base does.
                settled.append((answer, None, error))
                continue
            settled.append((answer, applied.answer, None))
            told += applied.told
            self._show_others(applied.told)
        self._queue_delivery(told, settled)

    def _show_others(self, told: Sequence[Committed | Deleted]) -> None:
        for other in self.journal.stores:
            if other is not self and isinstance(other, PointedStore):
                if not other._inbox:
                    self._schedule.park(f"{other._name}: look", other._look)
                other._inbox += [replace(each, mine=False) for each in told]

    def _look(self) -> None:
        """What others committed is noticed, if no transaction of ours has noticed it before."""
        told = list(self._inbox)
        self._inbox.clear()
        if told:
            self._queue_delivery(told, [])

    def _queue_delivery(
        self, told: list[Committed | Deleted], settled: list[tuple[asyncio.Future[Any], Any, Exception | None]]
    ) -> None:
        def deliver() -> None:
            for each in told:
                self._listeners.tell(each)
            for answer, value, error in settled:
                if answer.done():
                    continue
                if error is not None:
                    answer.set_exception(error)
                else:
                    answer.set_result(value)

        self._deliveries.append(deliver)
        if len(self._deliveries) == 1:
            self._schedule.park(f"{self._name}: deliver", self._deliver)

    def _deliver(self) -> None:
        if not self._deliveries:
            return
        self._deliveries.pop(0)()
        if self._deliveries:
            self._schedule.park(f"{self._name}: deliver", self._deliver)

    def _write(self, write: Write, now_ms: int) -> Applied:
        before = self._run(write.run_id).record
        root = self._run(before.root_run_id).record
        applied = super()._write(write, now_ms)
        if isinstance(write, Interrupt) and before.status not in TERMINAL:
            after = self._run(write.run_id).record
            if after.epoch <= before.epoch:
                self._world.violated(f"an interrupt left the epoch at {after.epoch} (I2)")
        for committed in applied.told:
            assert isinstance(committed, Committed)
            self._judge(write, before, root, committed)
        return applied

    def _judge(self, write: Write, before: RunRecord, root: RunRecord, committed: Committed) -> None:
        """Right after the transaction: what no later look could tell."""
        world, after = self._world, committed.record
        if after.run_id == write.run_id and after.epoch < before.epoch:
            world.violated(f"the epoch of {after.run_id} shrinks")
        for event in committed.events:
            world.written_by[(after.run_id, event.sequence)] = self._name
            self._judge_step(write, before, event)
        if isinstance(write, Release | Finish) and before.is_root and after.run_id == write.run_id:
            left = [work for work in world.going_on(before.run_id) if work.window == self._name]
            if left:
                world.violated(f"{type(write).__name__} lets go of {before.run_id}, and this goes on: {left}")
        if isinstance(write, Finish | Reopen | Suspend | Ask | Withdraw) and write.claim_epoch != root.epoch:
            world.violated(f"{type(write).__name__} is written under the claim {write.claim_epoch}, not {root.epoch}")
        if isinstance(write, Claim) and root.epoch != write.expected_epoch:
            world.violated(f"a claim of {before.run_id} expected the epoch {write.expected_epoch}, not {root.epoch}")
        root_row = self._run(before.root_run_id).record
        for run in self.journal.runs.values():
            row = run.record
            if row.root_run_id == root_row.run_id and row.is_active and not root_row.is_active:
                world.violated(f"{row.run_id} is {row.status.value} while its root is {root_row.status.value}")
        self._judge_questions(root_row.run_id)

    def _judge_questions(self, root_run_id: str) -> None:
        """Rows count the open questions of their run, a root's those of its tree; what has ended has none (P7)."""
        tree = [run for run in self.journal.runs.values() if run.record.root_run_id == root_run_id]
        left = {run.record.run_id: sum(one.is_open for one in run.questions.values()) for run in tree}
        for run in tree:
            row = run.record
            count = sum(left.values()) if row.is_root else left[row.run_id]
            if row.pending != count or (row.status in TERMINAL and count):
                self._world.violated(
                    f"{row.run_id}, {row.status.value}, counts {row.pending} open questions of {count}"
                )

    def _judge_step(self, write: Write, before: RunRecord, event: JournalEvent) -> None:
        body = event.body
        if not isinstance(body, StepChanged):
            return
        assert isinstance(write, Append)
        root = self._run(before.root_run_id).record
        expected = root.claim_epoch if body.late else root.epoch
        if write.claim_epoch != expected:
            self._world.violated(f"{body.step_id} is written under the claim {write.claim_epoch}, not {expected}")
        if body.kind == "workflow" and body.status is not StepStatus.STARTED:
            why = self._world.outlived(before.run_id, body.key)
            if why is not None:
                self._world.violated(f"the step {body.step_id} is {body.status.value}, and {why}")


class PointedExecutor:
    """
    Steps that end when the schedule says so, and unwind when it says so.

    Attributes:
        deaf: Ids of steps that ignore their abort signal.
        failing: Ids of steps that fail.
    """

    def __init__(self, name: str, schedule: Schedule, world: World) -> None:
        self._name = name
        self._schedule = schedule
        self._world = world
        self.deaf: set[str] = set()
        self.failing: set[str] = set()

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        return None

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        # As every executor does before its work may begin (F3): whoever takes the run over kills what is listed.
        entry = self._world.enter(self._name, request.run_id, request.step_id)
        await signal.race(request.require_claim())
        signal.throw_if_aborted()
        work = self._world.begin(self._name, request.run_id, request.key, request.step_id, entry)
        try:
            done = self._schedule.gate(f"{self._name}: {request.step_id} done")
            if request.step_id in self.deaf:
                await done
            else:
                try:
                    await signal.race(done)
                except Aborted:
                    await self._schedule.point(f"{self._name}: {request.step_id} unwound")
                    raise
        finally:
            self._world.end(work)
        if request.step_id in self.failing:
            return StepFailed(Failure(FailureCode.STEP, "no"))
        return StepSucceeded({**OUTPUT, "stdout": request.step_id})


class PointedSandbox:
    """Another sandbox's sessions, with points, and with what the script was given noted."""

    def __init__(self, inner: Sandbox, name: str, schedule: Schedule, world: World) -> None:
        self._inner = inner
        self._name = name
        self._schedule = schedule
        self._world = world

    async def open(self, program: Program, known: KnownAnswer | None = None) -> SandboxSession:
        await self._schedule.point(f"{self._name}: sandbox opens")
        run_id = self._world.run_named(program.name)
        delivered = self._world.delivering(run_id)

        def noted(turn: Turn) -> Settled | None:
            answer = None if known is None else known(turn)
            if answer is not None and answer.error is None:
                delivered.append(turn.calls[0].payload["id"])
            return answer

        session = await self._schedule.outside(self._inner.open(program, noted))
        return _PointedSession(session, run_id, delivered, self._name, self._schedule, self._world)


class _PointedSession:
    def __init__(
        self, inner: SandboxSession, run_id: str, delivered: list[str], name: str, schedule: Schedule, world: World
    ) -> None:
        self._inner = inner
        self._name = name
        self._schedule = schedule
        self._work = world.begin(name, run_id, "session", "the script")
        self._end = lambda: world.end(self._work)
        self._delivered = delivered
        self._step_ids: dict[int, str] = {}
        self._is_killed = False

    async def start(self) -> Turn:
        return await self._turn(self._inner.start())

    async def settle(self, settled: Settled) -> Turn:
        if settled.error is None:
            self._delivered.append(self._step_ids[settled.call_id])
        return await self._turn(self._inner.settle(settled))

    async def _turn(self, running: Any) -> Turn:
        turn = await self._schedule.outside(running)
        await self._schedule.point(f"{self._name}: turn")
        if self._is_killed:
            return Turn()
        for call in turn.calls:
            if call.call_id is not None:
                self._step_ids[call.call_id] = call.payload["id"]
        return turn

    def kill(self) -> None:
        self._is_killed = True
        self._inner.kill()

    async def close(self) -> None:
        self._is_killed = True
        await self._schedule.outside(self._inner.close())
        await self._schedule.point(f"{self._name}: sandbox closed")
        self._end()
