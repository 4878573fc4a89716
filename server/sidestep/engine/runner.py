"""
One execution of one run: turns of the sandbox, calls of the script, the end.

The runner owns the sandbox session and the steps in flight; it does not own the run. It is told its claim epoch, writes
under it, and stops when the run's signal fires. Who interrupts, who waits and who is told is the service's business.

Invariant: when `run` returns, the session is closed and no step is in flight.
Invariant: the stopping commit is the last thing a runner writes.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.engine.agent_steps import AgentSteps
from sidestep.engine.ended import has_ended
from sidestep.engine.journal_writer import JournalWriter
from sidestep.engine.nested import NestedRuns
from sidestep.engine.opening import Opening
from sidestep.engine.output import read_result
from sidestep.engine.permissions import Permissions
from sidestep.engine.questions import Questions
from sidestep.engine.replay import Deliveries
from sidestep.engine.steps import Steps
from sidestep.model.abort import Aborted
from sidestep.model.events import Logged, PhaseEntered
from sidestep.model.execution import ScriptRaised
from sidestep.model.run import Failure, FailureCode
from sidestep.model.writes import Finish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidestep.engine.agent_turns import AgentParts
    from sidestep.engine.nested import Tree
    from sidestep.engine.questions import Answered
    from sidestep.engine.replay import Announcement, History
    from sidestep.model.abort import AbortController
    from sidestep.model.execution import (
        Call,
        OutputSink,
        Program,
        Sandbox,
        SandboxSession,
        ScriptReturned,
        StepExecutor,
        Turn,
    )
    from sidestep.model.ports import Clock, JsonSchemas, RunStore
    from sidestep.model.run import RunRecord
    from sidestep.settings import Settings

log = logging.getLogger("sidestep.runner")


@dataclass(frozen=True)
class RunnerParts:
    """What every runner of a process shares."""

    store: RunStore
    sandbox: Sandbox
    executors: Mapping[str, StepExecutor]
    outputs: OutputSink
    answered: Answered
    schemas: JsonSchemas
    agents: AgentParts
    clock: Clock
    settings: Settings


class Runner:
    """
    Conducts a script once.

    Args:
        record: The row after the run was created, claimed or reopened.
        controller: The run's own: the root's, or one that follows the step that made this nested run.
        tree: What the runs of one execution of a root share.
        opening: Of a new run, begun while it was created; the runner closes it.
    """

    def __init__(
        self,
        parts: RunnerParts,
        record: RunRecord,
        program: Program,
        controller: AbortController,
        tree: Tree,
        opening: Opening | None = None,
    ) -> None:
        self._parts = parts
        self._record = record
        self._program = program
        self._signal = controller.signal
        self._tree = tree
        self._opening = opening
        self._writer = JournalWriter(parts.store, record, tree.controller, parts.clock)
        self._phase: str | None = None

    async def run(self) -> RunRecord:
        """
        Conduct the script to its end and commit that.

        Returns:
            The row after the stopping commit: completed or failed, durable.

        Raises:
            Aborted: the signal fired or the claim is over; nothing was decided about the run's status here.
        """
        try:
            return await self._run()
        finally:
            # Closed already, unless the script never had its turn.
            if self._opening is not None:
                await self._opening.close()

    async def _run(self) -> RunRecord:
        self._signal.throw_if_aborted()
        history = await self._writer.read_history(self._record)
        deliveries = Deliveries(history.horizon)
        ended: ScriptReturned | ScriptRaised | Aborted
        async with asyncio.TaskGroup() as group:
            steps = self._steps(history, deliveries, group)
            try:
                ended = await self._conduct(history, deliveries, steps)
                if not await steps.stop(self._parts.settings.interrupt_grace_s):
                    log.error("%s: main ended, and a step ignores its abort signal", self._record.run_id)
            except Aborted as aborted:
                ended = aborted
                await steps.stop(None)
        if isinstance(ended, Aborted):
            raise ended
        self._signal.throw_if_aborted()
        stopped = await self._writer.commit(await self._stopping(ended))
        run_id, store = self._record.run_id, self._parts.store
        # The run is nobody's by now: another process may have claimed it again.
        await self._parts.agents.worktrees.remove_run(run_id, lambda: has_ended(store, run_id))
        return stopped

    async def _conduct_child(self, record: RunRecord, program: Program, controller: AbortController) -> RunRecord:
        return await Runner(self._parts, record, program, controller, self._tree).run()

    def _steps(self, history: History, deliveries: Deliveries, group: asyncio.TaskGroup) -> Steps:
        nested = NestedRuns(
            store=self._parts.store,
            writer=self._writer,
            parent=self._record,
            tree=self._tree,
            conduct=self._conduct_child,
            clock=self._parts.clock,
            settings=self._parts.settings,
        )
        questions = Questions(
            store=self._parts.store,
            writer=self._writer,
            run=self._record,
            answered=self._parts.answered,
            schemas=self._parts.schemas,
            clock=self._parts.clock,
            settings=self._parts.settings,
            signal=self._signal,
        )
        permissions = Permissions(self._parts.agents.policy, questions, self._record.folder)
        agents = AgentSteps(
            self._parts.agents,
            writer=self._writer,
            permissions=permissions,
            rejected=history.rejected,
            schemas=self._parts.schemas,
            settings=self._parts.settings,
        )
        return Steps(
            writer=self._writer,
            folder=self._record.folder,
            history=history,
            deliveries=deliveries,
            executors={**self._parts.executors, "workflow": nested, "ask": questions, "agent": agents},
            permissions=permissions,
            questions=questions,
            nested=nested,
            outputs=self._parts.outputs,
            clock=self._parts.clock,
            settings=self._parts.settings,
            signal=self._signal,
            group=group,
        )

    async def _conduct(self, history: History, deliveries: Deliveries, steps: Steps) -> ScriptReturned | ScriptRaised:
        opening = self._opening or Opening(self._parts.sandbox, self._program, self._signal, steps.known)
        try:
            # Kept in no name here: it may be large, and this waits as long as the run lives.
            return await self._take_turns(*await opening.first_turn(), history, deliveries, steps)
        finally:
            await opening.close()

    async def _take_turns(
        self, session: SandboxSession, turn: Turn, history: History, deliveries: Deliveries, steps: Steps
    ) -> ScriptReturned | ScriptRaised:
        # An abort ends a turn in the middle, and here the wait for an answer. A race would do, at two tasks a step.
        unlisten = self._signal.listen(deliveries.stop)
        try:
            while True:
                self._signal.throw_if_aborted()
                for call in turn.calls:
                    await self._take(call, history, steps)
                if turn.ended is not None:
                    return turn.ended
                steps.begin()
                turn = await session.settle(await deliveries.next())
                await deliveries.confirmed()
        finally:
            unlisten()

    async def _take(self, call: Call, history: History, steps: Steps) -> None:
        match call.name:
            case "phase":
                self._phase = call.payload["name"]
                self._announce(PhaseEntered(name=call.payload["name"], details=call.payload["details"]), history)
            case "log":
                body = Logged(message=call.payload["message"], data=call.payload["data"], line=call.line)
                self._announce(body, history)
            case "print":
                level = "error" if call.payload["stream"] == "stderr" else "info"
                self._announce(Logged(message=call.payload["text"], origin="print", level=level), history)
            case "abort":
                steps.abort_scope(call.payload["scope"])
            case _:
                await steps.ask(call, self._phase)

    def _announce(self, progress: Announcement, history: History) -> None:
        if not history.was_announced(progress):
            self._writer.write_lazily(progress)

    async def _stopping(self, ended: ScriptReturned | ScriptRaised) -> Finish:
        if isinstance(ended, ScriptRaised):
            return Finish(self._record.run_id, self._record.claim_epoch, error=self._bounded(ended.failure))
        result = await self._writer.keep_result(read_result(ended.value_json))
        return Finish(self._record.run_id, self._record.claim_epoch, result=result)

    def _bounded(self, failure: Failure) -> Failure:
        limit = self._parts.settings.failure_message_chars_max
        assert failure.code in FailureCode, "a failure has a code of the closed set"
        return Failure(failure.code, failure.message[:limit], failure.step_id, failure.file, failure.line)
