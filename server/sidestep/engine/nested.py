"""
Nested runs: the executor of `workflow` steps.

A nested run is a run of its own (its journal, its steps, its result) under its root's claim. Its id is derived from the
step that makes it, so every execution of the step means the same run: a finished one is not run again, a stopped one
goes on where it was.

Invariant: a nested run that this execution began has stopped, durably, when its step has: it ended, or it is suspended,
or its root was stopped and with it the tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason
from sidestep.model.errors import (
    ArgsInvalid,
    DataDamaged,
    LeaseLost,
    Overloaded,
    RunNotFound,
    ScriptInvalid,
    ScriptNotFound,
    WorkspaceUntrusted,
)
from sidestep.model.events import ChildChanged
from sidestep.model.execution import Program, StepFailed, StepSucceeded
from sidestep.model.replay_key import child_run_id
from sidestep.model.run import Failure, FailureCode, RunRecord, RunStatus, loads
from sidestep.model.transitions import RunEvent
from sidestep.model.writes import Reopen, Suspend

if TYPE_CHECKING:
    from sidestep.engine.journal_writer import JournalWriter
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import ChildScript, ChildScripts, StepOutcome, StepRequest
    from sidestep.model.ports import Clock, RunStore
    from sidestep.model.run import RunResult
    from sidestep.settings import Settings

Conduct = Callable[[RunRecord, Program, AbortController], Awaitable[RunRecord]]


class Reopening(enum.Enum):
    """How the stopped nested runs of a tree go on when their steps are done again."""

    RESUME = "resume"  # Interrupted ones go on; what a failed one failed with is its step's failure again.
    RETRY = "retry"  # Failed ones go on, too.
    RETRY_CURRENT = "retryCurrent"  # As RETRY, and all of them with their scripts as they are now.


@dataclass(frozen=True)
class Tree:
    """
    What the runs of one execution of a root share.

    Attributes:
        controller: The root's: it stops the whole tree, and a lease that is lost fires it.
        scripts: Where nested runs' scripts are found.
        admit: Makes room for one more active run, and answers the function that gives it back; raises Overloaded.
        reopening: How stopped nested runs go on.
    """

    controller: AbortController
    scripts: ChildScripts
    admit: Callable[[], Callable[[], None]]
    reopening: Reopening = Reopening.RESUME


class _Refused(Exception):
    """The step fails before its run is conducted."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code, message)


class NestedRuns:
    """Carries out the `workflow` steps of one run."""

    def __init__(
        self,
        *,
        store: RunStore,
        writer: JournalWriter,
        parent: RunRecord,
        tree: Tree,
        conduct: Conduct,
        clock: Clock,
        settings: Settings,
    ) -> None:
        """
        Args:
            writer: The parent's.
            conduct: Runs a script to its end and answers the row it left; raises Aborted.
        """
        self._store = store
        self._writer = writer
        self._parent = parent
        self._tree = tree
        self._conduct = conduct
        self._clock = clock
        self._settings = settings

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        # A parent that waited for a place could keep its own children from getting one.
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        return None

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        """
        Run the child, or take what it already came to.

        Raises:
            Aborted: the signal fired and the child has unwound.
        """
        child_id = child_run_id(request.run_id, request.key)
        try:
            child = await self._find(child_id)
            if child is not None and self._has_outcome(child):
                return _outcome(child)
            release = self._admit()
            try:
                signal.throw_if_aborted()
                is_new = child is None
                child, source = await self._opened(child, child_id, request)
                # As it was told first: whoever follows the parent can tell that it begins, or goes on.
                status = RunStatus.PENDING if is_new else child.status
                self._writer.write_lazily(
                    ChildChanged(step_id=request.step_id, child_run_id=child_id, name=child.name, status=status)
                )
                return _outcome(await self._conducted(child, source, signal))
            finally:
                release()
        except _Refused as refused:
            return StepFailed(refused.failure)

    async def give_up(self, key: str) -> None:
        """
        Withdraw what the run of a step asks that this execution will not do, and what the runs nested in it ask.

        Until the script is known not to come to the step, they stay open: it may, and needs the answers then.
        """
        child_id = child_run_id(self._parent.run_id, key)
        with contextlib.suppress(Aborted, RunNotFound):
            questions = await self._writer.ask(lambda: self._store.open_questions(self._parent.root_run_id))
            for run_id in {question.run_id for question in questions}:
                if await self._is_below(run_id, child_id):
                    await self._writer.commit(Suspend(run_id, self._writer.claim_epoch))

    async def _is_below(self, run_id: str | None, child_id: str) -> bool:
        while run_id not in (None, child_id):
            run_id = (await self._writer.ask(partial(self._store.read, run_id))).parent_run_id
        return run_id == child_id

    def _has_outcome(self, child: RunRecord) -> bool:
        """Whether an earlier execution came to an end that still counts, and was cut off before it said so."""
        if child.status is RunStatus.FAILED:
            return self._tree.reopening is Reopening.RESUME
        return child.status is RunStatus.COMPLETED

    def _admit(self) -> Callable[[], None]:
        limit = self._settings.nested_depth_max
        if self._parent.depth >= limit:
            raise _Refused(FailureCode.LIMIT, f"workflows are nested deeper than {limit} levels")
        try:
            return self._tree.admit()
        except Overloaded as overloaded:
            raise _Refused(FailureCode.LIMIT, str(overloaded)) from None

    async def _find(self, child_id: str) -> RunRecord | None:
        try:
            return await self._writer.ask(lambda: self._store.read(child_id))
        except RunNotFound:
            return None

    async def _opened(self, child: RunRecord | None, child_id: str, request: StepRequest) -> tuple[RunRecord, str]:
        """The child's row, made or reopened, and the source it runs."""
        if child is None:
            script = await self._resolved(lambda: self._resolve(request))
            return await self._made(child_id, request, script), script.source
        event = RunEvent.RESUME if self._tree.reopening is Reopening.RESUME else RunEvent.RETRY
        if self._tree.reopening is not Reopening.RETRY_CURRENT:
            try:
                source = await self._writer.ask(lambda: self._store.read_source(child.source_hash))
            except DataDamaged as damaged:
                raise _Refused(FailureCode.INFRASTRUCTURE, str(damaged)) from None
            return await self._writer.commit(Reopen(child_id, self._writer.claim_epoch, event)), source
        script = await self._resolved(lambda: self._tree.scripts.resolve_again(child))
        await self._writer.ask(lambda: self._store.store_source(script.source))
        reopen = Reopen(child_id, self._writer.claim_epoch, event, script.source_hash, script.args_schema_json)
        return await self._writer.commit(reopen), script.source

    def _resolve(self, request: StepRequest) -> Awaitable[ChildScript]:
        step_input = request.input
        return self._tree.scripts.resolve(step_input["workflow"], step_input.get("args", {}), request.folder)

    async def _resolved(self, resolve: Callable[[], Awaitable[ChildScript]]) -> ChildScript:
        try:
            return await resolve()
        except ArgsInvalid as invalid:
            raise _Refused(FailureCode.VALIDATION, str(invalid)) from None
        except (ScriptNotFound, ScriptInvalid) as wrong:
            raise _Refused(FailureCode.SCRIPT, str(wrong)) from None
        except WorkspaceUntrusted as untrusted:
            raise _Refused(FailureCode.INFRASTRUCTURE, str(untrusted)) from None

    async def _made(self, child_id: str, request: StepRequest, script: ChildScript) -> RunRecord:
        now_ms = self._clock.now_ms()
        parent, claim_epoch = self._parent, self._writer.claim_epoch
        record = RunRecord(
            run_id=child_id,
            name=script.name,
            folder=parent.folder,
            folder_uri=parent.folder_uri,
            status=RunStatus.PENDING,
            epoch=claim_epoch,
            claim_epoch=claim_epoch,
            owner=None,
            attention=parent.attention,
            sequence=0,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            source_hash=script.source_hash,
            file=script.file,
            args_json=script.args_json,
            args_schema_json=script.args_schema_json,
            script_ref=script.script_ref,
            root_run_id=parent.root_run_id,
            parent_run_id=parent.run_id,
            depth=parent.depth + 1,
            label=request.title,
            auto_resume=parent.auto_resume,
            versions=parent.versions,
        )
        try:
            made, _ = await self._writer.ask(lambda: self._store.create(record, script.source))
        except (LeaseLost, RunNotFound) as lost:
            raise self._writer.lost(lost) from lost
        return made

    async def _conducted(self, child: RunRecord, source: str, signal: AbortSignal) -> RunRecord:
        controller = AbortController()
        unlisten = signal.listen(lambda reason: controller.abort(AbortReason(AbortKind.PARENT, detail=reason.detail)))
        program = Program(name=child.name, file=child.file or child.name, source=source, args_json=child.args_json)
        try:
            return await self._conduct(child, program, controller)
        except asyncio.CancelledError:
            # A step of its ignored its signal until the grace was spent.
            await self._suspend(child)
            raise
        except Exception:
            # Whatever ended it, an abort or a fault of ours: it is over, and does not show as running.
            await self._suspend(child)
            signal.throw_if_aborted()
            raise
        finally:
            unlisten()

    async def _suspend(self, child: RunRecord) -> None:
        """Unless the whole tree was stopped, and the child in the same commit, say here that it has stopped."""
        if not self._tree.controller.signal.is_aborted:
            await self._writer.commit(Suspend(child.run_id, self._writer.claim_epoch))


def _outcome(child: RunRecord) -> StepOutcome:
    if child.status is RunStatus.FAILED:
        error = child.error
        where = f"{error.file}:{error.line}: " if error is not None and error.file and error.line else ""
        what = "it failed" if error is None else f"{error.code.value}: {where}{error.message}"
        return StepFailed(Failure(FailureCode.STEP, f"the workflow {child.name} ({child.run_id}) failed: {what}"))
    assert child.status is RunStatus.COMPLETED, "a run that was conducted to its end has one"
    result = child.result
    if result is not None and result.file is not None:
        message = f"the result of {child.name} ({child.run_id}) is too large for its parent; it is in {result.file}"
        return StepFailed(Failure(FailureCode.LIMIT, message))
    return StepSucceeded(None if result is None else _value(result))


def _value(result: RunResult) -> Any:
    """What `main` returned, as its caller gets it (R1 backwards)."""
    if result.data_json is None:
        return result.report
    data = loads(result.data_json)
    return data if result.report is None else {"report": result.report, "data": data}
