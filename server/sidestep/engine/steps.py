"""
The steps of one execution: from a call of the script to a durable outcome and back.

Owns what is in flight. How an outcome gets into the journal and to the script is the business of `outcomes.py`; a
commit that the fence refuses ends the execution.

Invariant: a key is asked at most once within one execution (P2), and its executor is called at most once.
Invariant: every task started here has ended when `stop` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from sidestep.engine.outcomes import Outcomes
from sidestep.engine.output import encode_output
from sidestep.engine.step_work import StepWork
from sidestep.engine.timeouts import done_within, out_of_time, time_limit
from sidestep.engine.work_time import WorkTime
from sidestep.model.abort import Aborted, AbortKind, AbortReason
from sidestep.model.events import Logged
from sidestep.model.execution import Settled, StepFailed, StepRequest
from sidestep.model.replay_key import step_key
from sidestep.model.run import Failure, FailureCode, StepStatus
from sidestep.model.usage import AbortedWork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidestep.engine.journal_writer import JournalWriter
    from sidestep.engine.nested import NestedRuns
    from sidestep.engine.permissions import Permissions
    from sidestep.engine.questions import Questions
    from sidestep.engine.replay import Deliveries, History
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import Call, OutputSink, StepExecutor, StepOutcome, Turn
    from sidestep.model.ports import Clock
    from sidestep.model.run import StepRecord
    from sidestep.model.usage import Usage
    from sidestep.settings import Settings

log = logging.getLogger("sidestep.steps")

# Kinds whose start matters by itself: their `started` record is durable before any work begins.
_STARTED_DURABLY = frozenset({"sleep", "ask", "apply_patch", "workflow"})

_MAY_BE_UNDER_WAY = frozenset({StepStatus.QUEUED, StepStatus.STARTED})

# Reasons that stop one step while its run goes on.
_LOCAL = frozenset({AbortKind.SIBLING, AbortKind.SCRIPT_ENDED})


class Steps:
    """What the script has asked for in this execution, and what is being done about it."""

    def __init__(
        self,
        *,
        writer: JournalWriter,
        folder: str,
        history: History,
        deliveries: Deliveries,
        executors: Mapping[str, StepExecutor],
        permissions: Permissions,
        questions: Questions,
        nested: NestedRuns,
        outputs: OutputSink,
        clock: Clock,
        settings: Settings,
        signal: AbortSignal,
        group: asyncio.TaskGroup,
    ) -> None:
        self._writer = writer
        self._folder = folder
        self._history = history
        self._deliveries = deliveries
        self._outcomes = Outcomes(writer, deliveries)
        self._executors = executors
        self._permissions = permissions
        self._questions = questions
        self._nested = nested
        self._outputs = outputs
        self._clock = clock
        self._settings = settings
        self._signal = signal
        self._group = group
        # key -> line of the call, for P2.
        self._asked: dict[str, int | None] = {}
        # Asked for while journaled answers were waiting; begun when none is.
        self._held: list[StepWork] = []
        self._running: dict[asyncio.Task[None], StepWork] = {}

    def known(self, turn: Turn) -> Settled | None:
        """
        Answer a turn that brought one call and nothing else, when its outcome stands in a row and no other call waits.

        May be called in the thread of the turn: who asks otherwise waits for that turn.
        """
        if self._history.is_empty or turn.ended is not None or len(turn.calls) != 1 or self._deliveries.is_waiting:
            return None
        (call,) = turn.calls
        if call.call_id is None:
            return None
        key = _key(call)
        done = self._history.outcome(key)
        if done is None or key in self._asked or done.output_file is not None:
            return None
        self._asked[key] = call.line
        return _answered(call.call_id, done, done.output_json)

    async def ask(self, call: Call, default_phase: str | None) -> None:
        """Take one step call: answer it from the journal, refuse it, or get ready to do it."""
        assert call.call_id is not None, "a step call awaits an answer"
        payload = call.payload
        step_id, step_input = str(payload["id"]), payload["input"]
        key = _key(call)
        self._deliveries.open(call.call_id, call.scopes)
        if key in self._asked:
            self._refuse(call.call_id, step_id, _asked_twice(step_id, call.line, self._asked[key]))
            return
        self._asked[key] = call.line
        done = self._history.outcome(key)
        if done is not None:
            await self._replay(call.call_id, done)
            return
        why = self._why_impossible(call.name, step_input)
        if why is not None:
            self._refuse(call.call_id, step_id, why)
            return
        earlier = self._history.earlier(key)
        if earlier is None and self._history.knows(step_id):
            where = f" (line {call.line})" if call.line else ""
            self._note(f"step {json.dumps(step_id)}{where} is asked with other input than before; it is done again")
        # An agent's task that may be under way somewhere is the same task (J4), also one that an execution since was
        # stopped waiting for a place with; other work is done from its beginning.
        redelivery = call.name == "agent" and earlier is not None and earlier.status in _MAY_BE_UNDER_WAY
        again = earlier is not None and not redelivery and earlier.status is not StepStatus.QUEUED
        self._held.append(
            StepWork(
                call=call,
                call_id=call.call_id,
                step_id=step_id,
                key=key,
                input=step_input,
                attempt=earlier.attempt + again if earlier else 1,
                phase=payload.get("phase") or default_phase,
                title=payload.get("title"),
                timeout_s=payload.get("timeout_s"),
                grace_s=payload.get("grace_s") or 0.0,
                final_instructions=payload.get("final_instructions"),
                earlier=earlier,
                redelivery=redelivery,
            )
        )

    def begin(self) -> None:
        """Begin everything asked for, unless journaled answers are still to be delivered."""
        if self._deliveries.is_replaying:
            return
        held, self._held = self._held, []
        for work in held:
            unfollow = work.controller.follow(self._signal)
            task = self._group.create_task(self._perform(work), name=f"step {work.step_id}")
            self._running[task] = work
            task.add_done_callback(partial(self._ended, unfollow))

    def _ended(self, unfollow: Callable[[], None], task: asyncio.Task[None]) -> None:
        unfollow()
        del self._running[task]

    def abort_scope(self, scope: int) -> None:
        """A `parallel` failed: the calls of its scope are answered at once, their work is aborted or not begun."""
        self._deliveries.answer_scope(scope, Failure(FailureCode.STEP, "stopped, because a sibling failed"))
        for work in self._held:
            # What an earlier execution asked, and this one never will.
            if scope in work.call.scopes and work.earlier is not None:
                is_run = work.call.name == "workflow"
                withdraw = self._nested.give_up(work.key) if is_run else self._questions.withdraw_left(work.step_id)
                self._group.create_task(withdraw, name=f"withdraw {work.step_id}")
        self._held = [work for work in self._held if scope not in work.call.scopes]
        reason = AbortReason(AbortKind.SIBLING, detail="a sibling failed")
        for work in list(self._running.values()):
            if scope in work.call.scopes:
                work.controller.abort(reason)

    async def stop(self, grace_s: float | None) -> bool:
        """
        Abort everything in flight and wait until it has ended and what arrived is journaled (P10).

        Args:
            grace_s: After this long, cancel what ignores its signal; None waits as long as it takes.

        Returns:
            False when something had to be cancelled.
        """
        self._held.clear()
        reason = AbortReason(AbortKind.SCRIPT_ENDED, detail="the script ended")
        for work in list(self._running.values()):
            work.controller.abort(reason)
        if not self._running:
            return True
        ended = asyncio.ensure_future(asyncio.wait(list(self._running)))
        if grace_s is None:
            await ended
            return True
        if await done_within(grace_s, ended, self._clock):
            return True
        for task in list(self._running):
            task.cancel()
        await ended
        return False

    async def _replay(self, call_id: int, done: StepRecord) -> None:
        output = await self._writer.read_output(done) if done.status is StepStatus.COMPLETED else None
        self._deliveries.put(_answered(call_id, done, output), done.sequence)

    def _refuse(self, call_id: int, step_id: str, message: str) -> None:
        error = Failure(FailureCode.SCRIPT, message, step_id=step_id)
        self._deliveries.put(Settled(call_id, error=error), sequence=0)

    def _why_impossible(self, kind: str, step_input: dict[str, Any]) -> str | None:
        executor = self._executors.get(kind)
        if executor is None:
            return f"{kind}() is not available here"
        return executor.check(step_input, self._folder)

    def _note(self, message: str) -> None:
        self._writer.write_lazily(Logged(message=message, origin="sidestep"))

    async def _perform(self, work: StepWork) -> None:
        executor = self._executors[work.call.name]
        places = executor.places(work.input, self._folder)
        is_restricted = work.call.name == "command" and self._permissions.restrict_commands
        used: Usage | None = None
        try:
            if is_restricted or any(place.locked() for place in places):
                self._writer.write_lazily(work.event(StepStatus.QUEUED))
            # Before it takes a place and begins: who goes on after a stop means the same attempt, and its question.
            if is_restricted and (denied := await self._why_not_permitted(work)) is not None:
                await self._settle(work, StepFailed(denied), 0)
                return
            async with WorkTime(places, work.controller.signal, self._clock) as time:
                wake_at_ms = work.wake_at(self._clock.now_ms())
                started = work.event(StepStatus.STARTED, wake_at_ms=wake_at_ms)
                # What was permitted is permitted once, so that it began must not be forgotten.
                if is_restricted or work.call.name in _STARTED_DURABLY:
                    await self._writer.write(started)
                else:
                    self._writer.write_lazily(started)
                outcome = await self._execute(work, executor, self._request(work, wake_at_ms, time), time)
                duration_ms = time.elapsed_ms
            # An outcome may come too late to be journaled.
            used = outcome.usage
            await self._settle(work, outcome, duration_ms)
        except Aborted as aborted:
            await self._cut_off(work, aborted, aborted.usage if isinstance(aborted, AbortedWork) else used)

    async def _cut_off(self, work: StepWork, aborted: Aborted, usage: Usage | None) -> None:
        """Journal that a step was stopped while its run goes on; what it used is counted whatever was stopped."""
        if aborted.reason.kind in _LOCAL and not self._signal.is_aborted:
            body = work.event(StepStatus.INTERRUPTED, reason=aborted.reason.kind.value, usage=usage)
            await self._questions.withdraw_left(work.step_id)
            # The claim may end while this is written: then there is nobody left to tell.
            with contextlib.suppress(Aborted):
                await self._writer.write(body)
                return
        if usage is not None:
            await self._writer.charge(work.key, usage)

    async def _why_not_permitted(self, work: StepWork) -> Failure | None:
        return await self._permissions.why_not_command(self._request(work), work.controller.signal)

    def _request(self, work: StepWork, wake_at_ms: int | None = None, time: WorkTime | None = None) -> StepRequest:
        return StepRequest(
            run_id=self._writer.run_id,
            step_id=work.step_id,
            key=work.key,
            kind=work.call.name,
            input=work.input if wake_at_ms is None else {**work.input, "wakeAtMs": wake_at_ms},
            folder=self._folder,
            attempt=work.attempt,
            require_claim=self._writer.require_claim,
            emit=partial(self._outputs.emit, self._writer.run_id, work.step_id),
            time=time,
            title=work.title,
            timeout_s=work.timeout_s,
            grace_s=work.grace_s,
            final_instructions=work.final_instructions,
            redelivery=work.redelivery,
            session=work.earlier.session if work.earlier is not None else None,
        )

    async def _execute(
        self, work: StepWork, executor: StepExecutor, request: StepRequest, time: WorkTime
    ) -> StepOutcome:
        limit_s = request.limit_s
        async with time_limit(work.controller, limit_s, time):
            try:
                return await executor.execute(request, work.controller.signal)
            except Aborted as aborted:
                if aborted.reason.kind is not AbortKind.TIMEOUT:
                    raise
                assert limit_s is not None, "only a limit has an end"
                return StepFailed(out_of_time(limit_s, request.kind))
            except Exception:
                log.exception("%s: the executor of step %r broke", self._writer.run_id, work.step_id)
                return StepFailed(Failure(FailureCode.INFRASTRUCTURE, f"the {work.call.name} executor broke; see log"))

    async def _settle(self, work: StepWork, outcome: StepOutcome, duration_ms: int) -> None:
        """Journal the outcome and answer the script."""
        await self._questions.withdraw_left(work.step_id)
        failure: Failure | None = None
        text: str | None = None
        usage = outcome.usage
        if isinstance(outcome, StepFailed):
            failure = outcome.failure
        else:
            encoded = encode_output(outcome.output, work.step_id, self._settings)
            text, failure = (None, encoded) if isinstance(encoded, Failure) else (encoded, None)
        if text is not None:
            body = work.event(StepStatus.COMPLETED, duration_ms=duration_ms, usage=usage)
            output = await self._writer.keep_output(text)
            await self._outcomes.journal(body, Settled(work.call_id, value_json=text), output)
            return
        assert failure is not None, "an outcome is a success or a failure"
        failure = Failure(
            failure.code,
            failure.message[: self._settings.failure_message_chars_max],
            step_id=work.step_id,
            line=work.call.line,
        )
        body = work.event(StepStatus.FAILED, duration_ms=duration_ms, error=failure, usage=usage)
        await self._outcomes.journal(body, Settled(work.call_id, error=failure))


def _key(call: Call) -> str:
    """What makes a step the same work; of environment variables it is the names, never the values (P5)."""
    step_input: dict[str, Any] = call.payload["input"]
    env = step_input.get("env")
    identity = step_input if env is None else {**step_input, "env": sorted(env)}
    return step_key(str(call.payload["id"]), call.name, identity)


def _answered(call_id: int, done: StepRecord, output_json: str | None) -> Settled:
    if done.status is StepStatus.COMPLETED:
        assert output_json is not None, "a completed step has its output"
        return Settled(call_id, value_json=output_json)
    assert done.failure is not None, "a failed step has its failure"
    return Settled(call_id, error=done.failure)


def _asked_twice(step_id: str, line: int | None, first_line: int | None) -> str:
    name = json.dumps(step_id, ensure_ascii=False)
    here = f" at line {line}" if line else ""
    there = f" at line {first_line}" if first_line else ""
    return f'step {name}{here} already ran{there}; in a loop use an id that changes, e.g. id=f"{step_id}:{{n}}"'
