"""
The workflow service: every verb on runs, for whoever asks (a host over JSON-RPC, the command line, a test).

Order of every change: commit -> memory -> notify -> respond. This module decides which verb applies; the rules of what
may follow what stand in `model/`, the conducting in `engine/`, the supervision in `active_runs.py`.

Invariant: a refusal stores nothing (S1). A reply never contradicts the durable status.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from sidestep.engine.opening import Opening
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import (
    Draining,
    InvalidTransition,
    RequestCancelled,
    StartKeyConflict,
    WorkspaceUntrusted,
)
from sidestep.model.replay_key import canonical_json
from sidestep.model.run import Attention, FailureCode, RunRecord, RunStatus, StepStatus
from sidestep.model.transitions import RunEvent
from sidestep.model.value import Value
from sidestep.model.writes import Background
from sidestep.scripts.folder import FolderKey
from sidestep.service.active_runs import ActiveRun, ActiveRuns
from sidestep.service.answering import give_answer
from sidestep.service.claims import Claims, program_of
from sidestep.service.interrupting import Interrupting
from sidestep.service.library import LibraryChildScripts, text_of_reference
from sidestep.service.listeners import Listeners
from sidestep.service.recovery import Recovery
from sidestep.service.requests import AnswerGiven, Interrupted, ResumeRequest, RetryRequest, Started, StartRequest
from sidestep.service.waiting import Waiting
from sidestep.service.watch_pace import WatchPace
from sidestep.service.worktree_sweep import WorktreeSweep, remove_deleted, tree_of

if TYPE_CHECKING:
    from sidestep.engine.runner import RunnerParts
    from sidestep.model.abort import AbortSignal
    from sidestep.model.ports import IdSource, OwnerRegistry
    from sidestep.scripts.resolver import ResolvedScript
    from sidestep.service.library import Library
    from sidestep.service.live_outputs import LiveOutputs

log = logging.getLogger("sidestep.service")


class ServiceParts(Value, frozen=True):
    """What the service is built from; see `app.py`."""

    runner: RunnerParts
    owners: OwnerRegistry
    library: Library
    ids: IdSource
    # The runner's `outputs`, for those who listen.
    outputs: LiveOutputs
    pid: int
    # Version words stored with each run, for replay across versions.
    versions: dict[str, str]


class WorkflowService:
    """Start, wait for, interrupt and continue runs. Open it before use and close it after (`async with`)."""

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts
        self.store = parts.runner.store
        self.clock = self._clock = parts.runner.clock
        self.library = parts.library
        self.outputs = parts.outputs
        # How often other processes' work is looked for: rests until a folder is open, or something is under way here.
        self.pace = WatchPace(self.store.watch)
        self.runs = ActiveRuns(parts.runner, parts.owners.owner_id, LibraryChildScripts(parts.library), self.pace)
        # Memory first, then everybody else: commit -> memory -> notify.
        self.listeners = Listeners(self.store)
        self.listeners.listen(self.runs.remember)
        self._waiting = Waiting(parts.runner, self.runs, self.listeners, self.pace)
        self._recovery = Recovery(self.store, parts.owners, self._clock, self.pace)
        self._claims = Claims(
            parts.runner, parts.owners, parts.pid, self.runs, self._waiting, self._recovery, parts.library
        )
        self._interrupting = Interrupting(parts.runner, self.runs, self._claims)
        self._patrol: asyncio.Task[None] | None = None
        self._sweep = WorktreeSweep(parts.runner.agents.worktrees, self.store, self._clock)
        # Runs that were found interrupted (crash) when the service opened.
        self.recovered: list[RunRecord] = []

    @property
    def owner_id(self) -> str:
        """This process, as it stands on the rows of the runs it owns."""
        return self._parts.owners.owner_id

    async def open(self) -> None:
        """Recover what dead owners left (`recovered` says which runs were marked), then keep watching."""
        self.recovered = await self._recovery.recover_dead()
        self._patrol = asyncio.get_running_loop().create_task(self._recovery.patrol(), name="patrol")
        self._sweep.begin()

    async def drain(self, reason: AbortReason) -> None:
        """Refuse starts, interrupt every run durably, wait for quiescence at most `drain_s`. Idempotent."""
        if self._patrol is not None:
            self._patrol.cancel()
        self._sweep.cancel()
        await self.runs.drain(self.runs.draining.signal.reason or reason)

    async def close(self, reason: AbortReason) -> None:
        """Drain, then let go of everything."""
        await self.drain(reason)
        await self.runs.close()
        self.listeners.close()
        self.pace.close()

    async def start(self, request: StartRequest, signal: AbortSignal) -> Started:
        """
        Create a run and conduct it.

        Returns:
            Blocking: the row when the run stopped or was moved to the background. Otherwise the row after the durable
            create, and the run goes on; or the row of a run that was stopped meanwhile.

        Raises:
            WorkspaceUntrusted, WorkspaceInvalid, ScriptNotFound, ScriptInvalid, ArgsInvalid, StartKeyConflict,
            Overloaded, Draining: refused, nothing is stored.
            RequestCancelled: the signal fired; says what became of the run.
        """
        self._refuse_when_draining()
        known = await self._known_by_start_key(request)
        if known is not None:
            return Started(await self._join(request, known, signal), created=False)
        active = ActiveRun(self._parts.ids.run_id(), request.folder.path, request.request_id, claim_epoch=1)
        self.runs.admit(active)
        script = await self._resolved(active, request)
        foreground = request.attention is Attention.BLOCKING
        caller = signal if foreground else AbortController().signal
        async with self._waiting.wired(active, caller):
            if signal.is_aborted:
                self.runs.dismiss(active)
                raise RequestCancelled({"runId": None})
            record, created = await self.runs.undisturbed(self._create(active, request, script))
            if created and foreground:
                return Started(await self._waiting.wait(active, record, caller), created)
        if not created:
            return Started(await self._join(request, record, signal), created)
        return Started(active.as_told(record), created)

    async def resume(self, request: ResumeRequest, signal: AbortSignal) -> RunRecord:
        """
        Go on with an interrupted run; finished steps are kept.

        Returns:
            As `start`. A completed run answers at once, an active one of ours is attached to.

        Raises:
            RunNotFound, InvalidTransition, RunLeased, WorkspaceUntrusted, Overloaded, Draining, RequestCancelled.
        """
        record = await self._continuable(request.run_id)
        return await self._claims.go_on(request, record, RunEvent.RESUME, None, signal)

    async def retry(self, request: RetryRequest, signal: AbortSignal) -> RunRecord:
        """
        Do the failed steps of a failed run again; with the current source also go on with an edited script.

        Raises:
            As `resume`, and ScriptNotFound, ScriptInvalid, ArgsInvalid for the current source.
        """
        # What the run left when it ended goes before it begins anew, not afterwards.
        await self._sweep.finished()
        record = await self._continuable(request.run_id)
        if request.current_source:
            if record.is_active:
                why = "it is running with its snapshot; interrupt it before the current source can go on"
                raise InvalidTransition(run_id=record.run_id, status=record.status.value, why=why)
            script = await self.library.resolve_again(record)
            return await self._claims.go_on(request, record, RunEvent.RETRY, script, signal)
        if record.status is RunStatus.FAILED:
            await self._require_something_to_redo(record)
        elif record.status is RunStatus.INTERRUPTED:
            why = "retry with the snapshot is for failed runs; resume this one, or retry with the current source"
            raise InvalidTransition(run_id=record.run_id, status=record.status.value, why=why)
        return await self._claims.go_on(request, record, RunEvent.RETRY, None, signal)

    async def interrupt(self, run_id: str, by: str, *, wait_quiescent: bool = True) -> Interrupted:
        """As `Interrupting.interrupt`."""
        return await self._interrupting.interrupt(run_id, by, wait_quiescent=wait_quiescent)

    async def background(self, run_id: str) -> RunRecord:
        """
        Release the request that waits for the run; the run goes on (B1). Idempotent.

        Raises:
            RunNotFound.
            InvalidTransition: it has stopped, or is a child.
        """
        return await self.store.write(Background(run_id))

    async def delete(self, run_id: str) -> RunRecord:
        """Remove a stopped, quiescent run with its tree, worktrees and patches; returns the row it had."""
        record = await self.store.read(run_id)
        _require_root(record)
        if self._recovery.is_dead(record):
            record = await self._recovery.recover(record)
        tree = await tree_of(self.store, run_id)
        await self.store.delete(run_id)
        # Two that remove the same would be in each other's way.
        await self._sweep.finished()
        await remove_deleted(self._parts.runner.agents.worktrees, tree)
        return record

    async def answer(self, interaction_id: str, answer: Any, by: str) -> AnswerGiven:
        """As `answering.give_answer`."""
        return await give_answer(self._parts.runner, interaction_id, answer, by)

    async def trust(self, folders: list[FolderKey], *, trusted: bool, remember: bool) -> None:
        """Trust folders or withdraw it; withdrawing interrupts what runs there, or is about to."""
        await asyncio.to_thread(self.library.set_trust, folders, trusted=trusted, remember=remember)
        reason = AbortReason(AbortKind.USER, by="trust", detail="trust in its folder was withdrawn")
        for active in () if trusted else self.runs:
            if await asyncio.to_thread(self.library.is_trusted, FolderKey(active.folder)):
                continue
            if active.is_durable:
                await self._interrupting.stopped(active, reason)
            else:
                active.controller.abort(reason)

    async def health(self) -> dict[str, Any]:
        """`{"activeRuns", "storePath", "storeBytes", "storeId"}`."""
        return {"activeRuns": len(self.runs), **await self.store.health()}

    # How a start or a continuation goes on once the run is ours.

    async def _resolved(self, active: ActiveRun, request: StartRequest) -> ResolvedScript:
        """The script of a run, admitted first: whoever withdraws trust after it was read here finds the run (D3)."""
        try:
            script = await self.library.resolve(request.script, request.folder)
            self.library.check_args(script, request.args)
            self._refuse_when_draining()
            # Nobody else knows the run so far.
            if active.controller.signal.is_aborted:
                raise WorkspaceUntrusted(folder=request.folder.path)
        except BaseException:
            self.runs.dismiss(active)
            raise
        return script

    async def _create(self, active: ActiveRun, request: StartRequest, script: ResolvedScript) -> tuple[RunRecord, bool]:
        """Make the run durable and conduct it, or give way to the run that has its start key."""
        undo = request.on_run(active.run_id, None)
        created, opening = False, None
        try:
            record = self._new_record(active.run_id, request, script)
            program = program_of(record, script.source)
            opening = Opening(self._parts.runner.sandbox, program, active.controller.signal)
            record, created = await self.store.create(record, script.source)
            if created:
                self.runs.conduct(active, record, program, opening=opening)
            return record, created
        finally:
            if not created:
                try:
                    if opening is not None:
                        await opening.close()
                finally:
                    self.runs.dismiss(active)
                    undo()

    async def _known_by_start_key(self, request: StartRequest) -> RunRecord | None:
        """The run that has the request's start key: its snapshot wins, whatever became of the script (S7)."""
        if request.start_key is None:
            return None
        await asyncio.to_thread(self.library.require_trust, request.folder)
        return await self.store.find_start_key(request.folder.path, request.start_key)

    async def _join(self, request: StartRequest, record: RunRecord, signal: AbortSignal) -> RunRecord:
        """The start key is known: the same run, or a conflict (S7)."""
        wanted = (text_of_reference(request.script), canonical_json(request.args))
        if wanted != (record.script_ref, record.args_json):
            assert request.start_key is not None, "only a start key leads to an existing run"
            raise StartKeyConflict(start_key=request.start_key, run_id=record.run_id)
        if record.is_stopped:
            return record
        request.on_run(record.run_id, record)
        if request.attention is not Attention.BLOCKING:
            return record
        active = self.runs.get(record.run_id)
        if active is None:
            return await self._waiting.wait_elsewhere(record, signal)
        return await self._waiting.attach(active, record, signal)

    async def _continuable(self, run_id: str) -> RunRecord:
        """The row of a run that may be gone on with; a dead owner's is recovered first."""
        self._refuse_when_draining()
        record = await self.store.read(run_id)
        _require_root(record)
        if self._recovery.is_dead(record):
            record = await self._recovery.recover(record)
        return record

    async def _require_something_to_redo(self, record: RunRecord) -> None:
        steps = await self.store.read_steps(record.run_id)
        unfinished = (StepStatus.FAILED, StepStatus.STARTED, StepStatus.INTERRUPTED)
        error = record.error
        scripts_own = error is not None and error.step_id is None and error.code is not FailureCode.INFRASTRUCTURE
        if scripts_own and not any(step.status in unfinished for step in steps.items):
            where = f"{error.file}:{error.line}" if error is not None and error.line else record.name
            why = f"the script itself failed at {where}; fix it and retry with the current source"
            raise InvalidTransition(run_id=record.run_id, status=record.status.value, why=why)

    def _refuse_when_draining(self) -> None:
        if self.runs.draining.signal.is_aborted:
            raise Draining()

    def _new_record(self, run_id: str, request: StartRequest, script: ResolvedScript) -> RunRecord:
        now_ms = self._clock.now_ms()
        return RunRecord(
            run_id=run_id,
            root_run_id=run_id,
            name=script.name,
            folder=request.folder.path,
            folder_uri=request.folder_uri or request.folder.uri,
            status=RunStatus.PENDING,
            epoch=1,
            claim_epoch=1,
            owner=self._claims.owner(),
            attention=request.attention,
            sequence=0,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            source_hash=script.source_hash,
            file=script.file,
            args_json=canonical_json(request.args),
            args_schema_json=canonical_json(script.signature.args_schema),
            script_ref=text_of_reference(request.script),
            label=request.label,
            start_key=request.start_key,
            deadline_at_ms=self._claims.deadline_at_ms(request),
            auto_resume=request.auto_resume,
            versions=self._parts.versions,
        )


def _require_root(record: RunRecord) -> None:
    if record.root_run_id != record.run_id:
        why = "it is a child; ask its root"
        raise InvalidTransition(
            run_id=record.run_id, status=record.status.value, why=why, root_run_id=record.root_run_id
        )
