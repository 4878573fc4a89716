"""
The runs this process conducts, each from its lease to quiescence.

Owns the abort controller of every active run: the one map from run to controller in the process. Starting and claiming
are `workflows.py`'s; this module supervises what was created or claimed, and stops it.

Invariant: the controller fires before the durable interrupt is written, so work stops before any I/O (I1).
Invariant: the lease is cleared only when the runner has returned and the stop is durable (I4).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from sidestep.engine.journal_writer import when_available
from sidestep.engine.nested import Reopening, Tree
from sidestep.engine.runner import Runner
from sidestep.engine.timeouts import done_within
from sidestep.model.abort import INTERRUPT_REASONS, AbortController, Aborted, AbortKind, AbortReason
from sidestep.model.errors import (
    Draining,
    InvalidTransition,
    LeaseLost,
    Overloaded,
    RunNotFound,
    SidestepError,
    StoreUnavailable,
)
from sidestep.model.run import Failure, FailureCode
from sidestep.model.writes import Finish, Interrupt, Release

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from sidestep.engine.opening import Opening
    from sidestep.engine.runner import RunnerParts
    from sidestep.model.execution import ChildScripts, Program
    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord
    from sidestep.model.writes import Write
    from sidestep.service.watch_pace import WatchPace

log = logging.getLogger("sidestep.runs")

T = TypeVar("T")


class ActiveRun:
    """
    One run of this process, between admission and quiescence.

    Attributes:
        controller: Aborts the execution; its first reason is why it stopped.
        request_id: The request that started it, for the host's first notification; None for none.
        waiters: Requests that wait for the run now.
        claim_epoch: Epoch of our claim: 1 of a new run; of another None until it is claimed in the store.
        is_durable: Whether it is ours in the store. Before, an interrupt has nothing to write: the controller fires.
        latest: The row as of the last commit told here.
        released: The row after the commit that cleared the lease of a stopped execution, None before.
        decided: Set when it is known whether the run became ours.
        quiescent: Set when the execution has unwound and the lease is cleared.
    """

    def __init__(
        self, run_id: str, folder: str, request_id: int | str | None = None, claim_epoch: int | None = None
    ) -> None:
        self.run_id = run_id
        self.folder = folder
        self.request_id = request_id
        self.controller = AbortController()
        self.waiters = 0
        self.claim_epoch = claim_epoch
        self.is_durable = False
        self.latest: RunRecord | None = None
        self.released: RunRecord | None = None
        self.decided = asyncio.Event()
        self.quiescent = asyncio.Event()
        # The durable write of a stop, shared by everybody who asks for it.
        self.stop_written: asyncio.Task[RunRecord] | None = None

    def as_told(self, record: RunRecord) -> RunRecord:
        """The row after the commit that made the run ours; the later one when it was stopped before that was known."""
        latest = self.latest or record
        return latest if self.is_durable and latest.is_stopped else record


class ActiveRuns:
    """Admission, supervision and stopping of this process's runs."""

    def __init__(self, parts: RunnerParts, owner_id: str, child_scripts: ChildScripts, pace: WatchPace) -> None:
        self._parts = parts
        self._owner_id = owner_id
        self._child_scripts = child_scripts
        self._pace = pace
        self._runs: dict[str, ActiveRun] = {}
        # Nested runs that are conducted; they count, and have no entry of their own.
        self._children = 0
        # Of each nested run that is active, as told here, its root.
        self._roots: dict[str, str] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        # Fires when the drain begins: nothing is admitted any more, and who waits for others' runs lets go.
        self.draining = AbortController()

    def __iter__(self) -> Iterator[ActiveRun]:
        return iter(list(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs) + self._children

    def get(self, run_id: str) -> ActiveRun | None:
        """The run, if this process conducts it, is about to, or is still unwinding it."""
        return self._runs.get(run_id)

    def root_of(self, run_id: str) -> ActiveRun | None:
        """The run whose tree an active nested run belongs to, if this process conducts it; asks no store."""
        root_run_id = self._roots.get(run_id)
        return None if root_run_id is None else self._runs.get(root_run_id)

    def admit(self, active: ActiveRun) -> None:
        """
        Make room for a run, before anything about it is durable: aborting works from here on.

        Raises:
            Draining: the server is shutting down.
            Overloaded: `active_runs_max` runs are active.
        """
        if self.draining.signal.is_aborted:
            raise Draining()
        self._require_room()
        assert active.run_id not in self._runs, "a run is admitted once"
        self._runs[active.run_id] = active
        # Before its first write, so that no interrupt of it is missed.
        self._pace.runs_active(len(self))

    def admit_child(self) -> Callable[[], None]:
        """
        Make room for a nested run; nothing waits for room, so parents cannot starve their children (X4).

        Returns:
            The function that gives the room back.

        Raises:
            Overloaded: as `admit`.
        """
        self._require_room()
        self._children += 1

        def leave() -> None:
            self._children -= 1

        return leave

    def _require_room(self) -> None:
        limit = self._parts.settings.active_runs_max
        if len(self) >= limit:
            raise Overloaded(what=f"{limit} runs are active in this process; wait for one to end")

    def dismiss(self, active: ActiveRun) -> None:
        """Forget a run that did not become ours after all, or that is over."""
        active.decided.set()
        active.quiescent.set()
        if self._runs.get(active.run_id) is active:
            del self._runs[active.run_id]
            self._pace.runs_active(len(self))

    def remember(self, committed: Committed) -> None:
        """Commit -> memory: keep the latest row of a run of ours. Called before anybody else is told."""
        record = committed.record
        if not record.is_root:
            if record.is_active and record.root_run_id in self._runs:
                self._roots[record.run_id] = record.root_run_id
            else:
                self._roots.pop(record.run_id, None)
            return
        active = self._runs.get(record.run_id)
        if active is not None:
            active.latest = record
            self._heed(active)

    def conduct(
        self,
        active: ActiveRun,
        record: RunRecord,
        program: Program,
        *,
        reopening: Reopening = Reopening.RESUME,
        opening: Opening | None = None,
    ) -> None:
        """
        Supervise a run we own: run its script, see it to quiescence.

        Args:
            reopening: How its stopped nested runs go on.
            opening: As of `Runner`.
        """
        active.claim_epoch = record.claim_epoch
        active.is_durable = True
        active.decided.set()
        self._heed(active)
        reason = active.controller.signal.reason
        if reason is not None and reason.kind in INTERRUPT_REASONS:
            # Stopped before there was anything to stop durably.
            self.stop(active, reason)
        tree = Tree(active.controller, self._child_scripts, self.admit_child, reopening)
        runner = Runner(self._parts, record, program, active.controller, tree, opening)
        self._spawn(self._supervise(active, record, runner), f"run {record.run_id}")

    async def undisturbed(self, work: Coroutine[object, object, T]) -> T:
        """Await work that must not be torn apart when the request that asked for it is."""
        return await asyncio.shield(self._spawn(work, "undisturbed"))

    def stop(self, active: ActiveRun, reason: AbortReason) -> asyncio.Task[RunRecord]:
        """
        Abort a run now and write the interrupt.

        Returns:
            The task of the durable write; it answers the row after it. Everybody who stops the run gets the same one,
            and the first reason wins.
        """
        active.controller.abort(reason)
        if active.stop_written is None:
            first = active.controller.signal.reason
            assert first is not None, "the controller has just fired"
            written = first if first.kind in INTERRUPT_REASONS else reason
            active.stop_written = self._spawn(self._write_stop(active, written), f"stop {active.run_id}")
        return active.stop_written

    async def unwound(self, active: ActiveRun) -> bool:
        """Wait until the run is quiescent, at most the interrupt grace; True when it is."""
        return await done_within(self._parts.settings.interrupt_grace_s, active.quiescent.wait(), self._parts.clock)

    async def drain(self, reason: AbortReason) -> None:
        """
        Admit nothing more, stop every run, wait for quiescence, at most `drain_s`. Idempotent.

        Durability does not depend on its finishing.
        """
        self.draining.abort(reason)
        for active in self:
            # What is not durable yet is stopped once it is.
            if active.is_durable:
                self.stop(active, reason)
            else:
                active.controller.abort(reason)
        unwound = asyncio.ensure_future(self._all_quiescent())
        if not await done_within(self._parts.settings.drain_s, unwound, self._parts.clock):
            log.warning("%d runs had not unwound when the drain time was over", len(self._runs))
            unwound.cancel()

    async def _all_quiescent(self) -> None:
        for active in self:
            await active.quiescent.wait()

    async def close(self) -> None:
        """Cancel what the drain left; what is durable stays so."""
        while self._tasks:
            left = list(self._tasks)
            # A task that is cancelled before it has begun would leave everything that it was given as it is.
            await asyncio.sleep(0)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _heed(self, active: ActiveRun) -> None:
        """An interrupt or a claim, whoever's, grew the epoch past ours: this execution is fenced off; stop it (I9)."""
        if active.claim_epoch is None or active.latest is None or active.latest.epoch <= active.claim_epoch:
            return
        active.controller.abort(AbortReason(AbortKind.LEASE_LOST, detail="interrupted, or taken over"))

    async def _supervise(self, active: ActiveRun, record: RunRecord, runner: Runner) -> None:
        try:
            await self._see_to_its_end(active, record, runner)
        except RunNotFound:
            # Whoever took it over while this process stood still has ended it, and it was deleted.
            log.info("%s is gone", record.run_id)
        finally:
            self.dismiss(active)

    async def _see_to_its_end(self, active: ActiveRun, record: RunRecord, runner: Runner) -> None:
        try:
            await self._execute(active, record, runner)
        except (Aborted, LeaseLost):
            await self._settle_stop(active, record)
        except Exception as error:
            log.exception("%s: the runner broke", record.run_id)
            if active.controller.signal.is_aborted:
                await self._settle_stop(active, record)
            else:
                await self._fail(record, error)

    async def _execute(self, active: ActiveRun, record: RunRecord, runner: Runner) -> None:
        deadline = None
        if record.deadline_at_ms is not None:
            deadline = self._spawn(self._expire(active, record.deadline_at_ms), f"deadline {record.run_id}")
        try:
            await runner.run()
        finally:
            if deadline is not None:
                deadline.cancel()

    async def _expire(self, active: ActiveRun, deadline_at_ms: int) -> None:
        await self._parts.clock.sleep_until(deadline_at_ms)
        self.stop(active, AbortReason(AbortKind.DEADLINE, detail="the run's deadline passed"))

    async def _settle_stop(self, active: ActiveRun, record: RunRecord) -> None:
        """The execution has unwound: see that the stop is durable, then clear the lease."""
        reason = active.controller.signal.reason
        release = Release(record.run_id, self._owner_id, record.claim_epoch)
        if active.stop_written is not None and not active.stop_written.done():
            # The store takes writes in order, and refuses to clear the lease of a run that has not stopped: queued
            # behind the stop, it need not wait for it here.
            with contextlib.suppress(InvalidTransition, StoreUnavailable):
                active.released = await self._parts.store.write(release)
                return
        if reason is not None and reason.kind in INTERRUPT_REASONS:
            await self.stop(active, reason)
        active.released = await self._write(release)

    def _write_stop(self, active: ActiveRun, reason: AbortReason) -> Coroutine[object, object, RunRecord]:
        assert reason.kind in INTERRUPT_REASONS, "only these become a durable status"
        # A person stops the run, whoever has it; everything else is about this execution of it (F3).
        claim_epoch = None if reason.kind is AbortKind.USER else active.claim_epoch
        interrupt = Interrupt(active.run_id, reason.kind.value, reason.by, claim_epoch)

        async def attempt() -> RunRecord:
            # Somebody else has stopped it meanwhile, and it was released: whoever goes on with it since is not meant.
            return active.released or await self._parts.store.write(interrupt)

        return when_available(attempt, active.run_id, self._parts.clock)

    async def _write(self, write: Write) -> RunRecord:
        return await when_available(lambda: self._parts.store.write(write), write.run_id, self._parts.clock)

    async def _fail(self, record: RunRecord, error: Exception) -> None:
        cause = _cause(error)
        known = isinstance(cause, SidestepError) and cause.code != SidestepError.code
        text = str(cause) if known else f"Sidestep itself failed ({type(cause).__name__}); its log tells more"
        failure = Failure(FailureCode.INFRASTRUCTURE, text)
        try:
            await self._write(Finish(record.run_id, record.claim_epoch, error=failure))
        except (LeaseLost, InvalidTransition):
            await self._write(Release(record.run_id, self._owner_id, record.claim_epoch))

    def _spawn(self, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        # Not a TaskGroup: one run that breaks must not end the others. `close` ends what is left.
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _cause(error: BaseException) -> BaseException:
    """What broke, inside the groups that task groups make of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return error  # pyright: ignore[reportUnknownVariableType]
