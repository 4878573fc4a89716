"""
Going on with a run that has stopped: quiescence first, then the claim, then conducting.

A claim is a compare-and-set on the epoch that was read when its request was accepted (I8); whoever loses is answered
with what the journal says. The snapshot is read and verified before the claim, so a run that cannot go on stays as it
was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.engine.nested import Reopening
from sidestep.engine.timeouts import done_within
from sidestep.model.abort import AbortController, Aborted
from sidestep.model.errors import ClaimSuperseded, InvalidTransition, RequestCancelled, RunLeased
from sidestep.model.execution import Program
from sidestep.model.replay_key import canonical_json
from sidestep.model.run import Attention, Owner, RunStatus
from sidestep.model.transitions import RunEvent, next_status
from sidestep.model.writes import Claim
from sidestep.scripts.folder import FolderKey
from sidestep.service.active_runs import ActiveRun
from sidestep.service.requests import ResumeRequest

if TYPE_CHECKING:
    from sidestep.engine.runner import RunnerParts
    from sidestep.model.abort import AbortSignal
    from sidestep.model.ports import OwnerRegistry
    from sidestep.model.run import RunRecord
    from sidestep.scripts.resolver import ResolvedScript
    from sidestep.service.active_runs import ActiveRuns
    from sidestep.service.library import Library
    from sidestep.service.recovery import Recovery
    from sidestep.service.requests import WaitRequest
    from sidestep.service.waiting import Waiting


class Claims:
    """Takes stopped runs and makes them running again."""

    def __init__(
        self,
        parts: RunnerParts,
        owners: OwnerRegistry,
        pid: int,
        runs: ActiveRuns,
        waiting: Waiting,
        recovery: Recovery,
        library: Library,
    ) -> None:
        self._library = library
        self._store = parts.store
        self._clock = parts.clock
        self._settings = parts.settings
        self._owners = owners
        self._pid = pid
        self._runs = runs
        self._waiting = waiting
        self._recovery = recovery

    def owner(self) -> Owner:
        """This process, as it stands on the row of a run it takes now."""
        return Owner(self._owners.owner_id, self._pid, self._clock.now_ms())

    def deadline_at_ms(self, request: WaitRequest) -> int | None:
        """The deadline the request names, by the wall clock from now; None for none."""
        return None if request.deadline_s is None else self._clock.now_ms() + round(request.deadline_s * 1000)

    async def go_on(
        self,
        request: WaitRequest,
        record: RunRecord,
        event: RunEvent,
        source: ResolvedScript | None,
        signal: AbortSignal,
    ) -> RunRecord:
        """
        Claim a stopped run and conduct it, or attach to it when it is active here; a completed one is its own answer.

        Args:
            record: The row as read when the request was accepted.
            source: The script to go on with; None keeps the snapshot.

        Raises:
            InvalidTransition: the run's status does not allow `event`.
            ClaimSuperseded: an automatic resume was decided on a row that is not the latest any more.
            RunLeased: another process has it, or its old execution in this one does not unwind.
            WorkspaceUntrusted: its folder is not trusted any more.
            RequestCancelled, Overloaded.
        """
        rival = self._runs.get(record.run_id)
        if rival is not None and (not rival.decided.is_set() or (rival.claim_epoch or 0) > record.epoch):
            # Another request of ours is about to claim it, or has since the row was read.
            await self._decided(rival, record, signal)
            record = await self._store.read(record.run_id)
            return await self.go_on(request, record, event, source, signal)
        decided_on = _automatic_from(request)
        if decided_on not in (None, record.epoch):
            raise ClaimSuperseded(run_id=record.run_id, expected_epoch=decided_on, epoch=record.epoch)
        if record.status is RunStatus.COMPLETED and event is RunEvent.RESUME:
            return record
        if record.is_active and rival is None and record.owner is not None and self._is_mine(record.owner):
            # It ended here since the row was read.
            record = await self._store.read(record.run_id)
            if not record.is_active:
                return await self.go_on(request, record, event, source, signal)
        if record.is_active:
            return await self._follow(record, request, signal)
        next_status(record.run_id, record.status, event)
        take_over = await self._require_quiescence(record, signal)
        if self._runs.get(record.run_id) is not None:
            # Claimed while we waited.
            return await self.go_on(request, await self._store.read(record.run_id), event, source, signal)
        active = ActiveRun(record.run_id, record.folder, request.request_id)
        self._runs.admit(active)
        foreground = request.attention is Attention.BLOCKING
        caller = signal if foreground else AbortController().signal
        async with self._waiting.wired(active, caller):
            if signal.is_aborted:
                self._runs.dismiss(active)
                raise RequestCancelled({"runId": record.run_id, "status": record.status.value})
            claimed = await self._runs.undisturbed(self._claim(active, request, record, event, source, take_over))
            if active.is_durable and foreground:
                return await self._waiting.wait(active, claimed, caller)
        return active.as_told(claimed)

    async def unwound(self, record: RunRecord) -> bool:
        """Wait for quiescence of a stopped run, ours or another's, at most the interrupt grace; True when it is."""
        active = self._runs.get(record.run_id)
        if active is not None and not await self._runs.unwound(active):
            return False
        # Ours and not active any more: it was released while somebody was told of its stop.
        if record.owner is None or self._is_mine(record.owner):
            return True
        if self._recovery.is_dead(record):
            await self._recovery.recover(record)
            return True
        return await done_within(self._settings.interrupt_grace_s, self._released_elsewhere(record), self._clock)

    async def _claim(
        self,
        active: ActiveRun,
        request: WaitRequest,
        record: RunRecord,
        event: RunEvent,
        source: ResolvedScript | None,
        take_over: str | None,
    ) -> RunRecord:
        """The row after the claim, conducted; or, when somebody came between, the row that they left."""
        undo = request.on_run(record.run_id, None)
        try:
            # Admitted: from here on a withdrawal of trust finds the run (D3).
            await asyncio.to_thread(self._library.require_trust, FolderKey(record.folder))
            text = await self._store.read_source(record.source_hash) if source is None else source.source
            claim = Claim(
                run_id=record.run_id,
                expected_epoch=record.epoch,
                owner=self.owner(),
                event=event,
                attention=request.attention,
                deadline_at_ms=self.deadline_at_ms(request),
                source_hash=None if source is None else await self._store.store_source(source.source),
                args_schema_json=None if source is None else canonical_json(source.signature.args_schema),
                take_over=take_over,
                automatic=_automatic_from(request) is not None,
            )
            claimed = await self._store.write(claim)
        except (ClaimSuperseded, InvalidTransition) as refusal:
            self._runs.dismiss(active)
            undo()
            left = await self._store.read(record.run_id)
            if left.is_active:
                raise self._leased(left) from None
            if isinstance(refusal, InvalidTransition):
                raise
            return left
        except BaseException:
            self._runs.dismiss(active)
            undo()
            raise
        self._runs.conduct(active, claimed, program_of(claimed, text), reopening=_reopening(event, source))
        return claimed

    async def _decided(self, rival: ActiveRun, record: RunRecord, signal: AbortSignal) -> None:
        try:
            await signal.race(rival.decided.wait())
        except Aborted:
            raise RequestCancelled({"runId": record.run_id, "status": record.status.value}) from None

    async def _follow(self, record: RunRecord, request: WaitRequest, signal: AbortSignal) -> RunRecord:
        """The run is active already: attach to it if it is ours."""
        active = self._runs.get(record.run_id)
        if active is None:
            raise self._leased(record)
        request.on_run(record.run_id, record)
        if request.attention is not Attention.BLOCKING:
            return record
        return await self._waiting.attach(active, record, signal)

    async def _require_quiescence(self, record: RunRecord, signal: AbortSignal) -> str | None:
        """
        Wait for the old execution to unwind, at most the grace; another process's is then overpowered (F3).

        Returns:
            The owner whose lease may be taken over: it lives and has not let go, and its processes are gone.

        Raises:
            RunLeased: the old execution is ours and has not unwound: what it still does, nobody can end for it.
            RequestCancelled: the caller did not want to wait.
        """
        if record.owner is None and self._runs.get(record.run_id) is None:
            return None
        unwound = asyncio.ensure_future(self.unwound(record))
        cancelled = asyncio.ensure_future(signal.wait())
        try:
            await asyncio.wait({unwound, cancelled}, return_when=asyncio.FIRST_COMPLETED)
            if not unwound.done():
                raise RequestCancelled({"runId": record.run_id, "status": record.status.value})
            is_unwound = unwound.result()
        finally:
            unwound.cancel()
            cancelled.cancel()
        if is_unwound:
            return None
        if record.owner is None or self._is_mine(record.owner) or self._runs.get(record.run_id) is not None:
            raise self._leased(record)
        await self._recovery.stop_processes(record)
        return record.owner.owner_id

    async def _released_elsewhere(self, record: RunRecord) -> None:
        # A cleared lease is no event, so another process's is looked for.
        while (await self._store.read(record.run_id)).owner is not None:
            await self._clock.sleep(self._settings.watch_busy_ms / 1000)

    def _is_mine(self, owner: Owner) -> bool:
        return owner.owner_id == self._owners.owner_id

    def _leased(self, record: RunRecord) -> RunLeased:
        owner = record.owner or self.owner()
        mine = self._is_mine(owner) or self._runs.get(record.run_id) is not None
        return RunLeased(run_id=record.run_id, pid=owner.pid, since_ms=owner.since_ms, mine=mine)


def _automatic_from(request: WaitRequest) -> int | None:
    return request.automatic_from if isinstance(request, ResumeRequest) else None


def _reopening(event: RunEvent, source: ResolvedScript | None) -> Reopening:
    if event is RunEvent.RESUME:
        return Reopening.RESUME
    return Reopening.RETRY if source is None else Reopening.RETRY_CURRENT


def program_of(record: RunRecord, source: str) -> Program:
    """What the sandbox runs for this run."""
    return Program(name=record.name, file=record.file or record.name, source=source, args_json=record.args_json)
