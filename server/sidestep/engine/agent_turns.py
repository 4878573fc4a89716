"""
One `agent` step: turns with an agent until it gives what was asked for (V1, V2, T1).

Owns the order of a step: a worktree if it is to work alone, the first prompt, answers that do not fit told back, the
report that is asked for when its time is up, the patch.

Invariant: at most `agent_attempts_max` answers of a step are looked at until one fits, over all its executions; each
that did not is journaled, durably, before the agent is asked again.
Invariant: when `run` returns or raises, the agent is closed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidestep.engine.agent_text import FINAL_INSTRUCTIONS, json_in, repair, repair_from_start, with_schema
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason
from sidestep.model.agents import AgentFailed, AgentTask
from sidestep.model.events import Logged, StepChanged, TimeLimitReached, ValidationFailed
from sidestep.model.execution import StepFailed, StepSucceeded
from sidestep.model.problems import ArgsProblem
from sidestep.model.replay_key import canonical_json, task_id
from sidestep.model.run import Failure, FailureCode, StepStatus
from sidestep.model.usage import AbortedWork

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Awaitable, Callable

    from sidestep.engine.journal_writer import JournalWriter
    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import (
        Agent,
        AgentReply,
        Agents,
        AgentSession,
        PermissionRequest,
        PermissionRule,
        Worktrees,
    )
    from sidestep.model.execution import StepOutcome, StepRequest
    from sidestep.model.ports import JsonSchemas
    from sidestep.model.usage import Usage
    from sidestep.settings import Settings

# A longer answer is looked at beside the event loop; so is data, whose size nobody knows.
_JUDGED_AT_ONCE_CHARS_MAX = 64 * 1024
# Of an answer that did not fit, for an agent that has to be told everything again.
_ANSWER_REPEATED_CHARS_MAX = 20_000
# Of an answer that did not fit, and of what is wrong with it, for people.
_ANSWER_SHOWN_CHARS_MAX = 500
_PROBLEMS_SHOWN_CHARS_MAX = 1000


@dataclass(frozen=True)
class AgentParts:
    """
    What the agent steps of a process share.

    Attributes:
        policy: What is permitted in a folder, now.
        places: How many agents work at once, whichever they are.
    """

    agents: Agents
    worktrees: Worktrees
    policy: Callable[[str], PermissionRule]
    places: Semaphore


class AgentTurns:
    """
    One execution of one step.

    Args:
        permit: Decides what the agent may do.
        rejected: How many answers earlier executions of the step did not take.

    Attributes:
        usage: What all turns so far used; None when the agent says nothing about it.
    """

    def __init__(
        self,
        parts: AgentParts,
        agent: Agent,
        request: StepRequest,
        signal: AbortSignal,
        *,
        writer: JournalWriter,
        permit: Callable[[PermissionRequest], Awaitable[str | None]],
        rejected: int,
        schemas: JsonSchemas,
        settings: Settings,
    ) -> None:
        self._parts = parts
        self._agent = agent
        self._request = request
        self._signal = signal
        self._writer = writer
        self._permit = permit
        self._rejected = rejected
        self._schemas = schemas
        self._settings = settings
        self._schema: dict[str, Any] | None = request.input.get("schema")
        # How long it may work until it is asked for its report, in seconds; None: for ever, or it was asked.
        self._soft_limit_s = request.timeout_s if request.grace_s > 0 else None
        self.usage: Usage | None = None

    async def run(self) -> StepOutcome:
        """
        Returns:
            Success with the agent's text, or the value that fits the schema; in a worktree `{"result", "patch"}`.

        Raises:
            AgentFailed, Aborted.
        """
        request = self._request
        agent = self._agent
        if self._rejected >= self._settings.agent_attempts_max:
            # Cut off between the last answer and the failure.
            return self._given_up(agent, None)
        worktree = None
        if request.input.get("isolation") == "worktree":
            worktree = await self._parts.worktrees.open(request.run_id, request.key, request.folder, self._signal)
        session = await agent.open(self._task(request.folder if worktree is None else worktree.cwd), self._signal)
        try:
            outcome = await self._converse(agent, session)
        finally:
            await session.close()
        if worktree is None or isinstance(outcome, StepFailed):
            return outcome
        patch = await worktree.collect(self._signal)
        described = {
            "id": patch.patch_id,
            "files": list(patch.files),
            "additions": patch.additions,
            "deletions": patch.deletions,
        }
        return StepSucceeded({"result": outcome.output, "patch": described}, usage=self.usage)

    def note_limit(self, stage: str, limit_s: float) -> None:
        """Journal that a limit was reached, with the next durable write."""
        request = self._request
        body = TimeLimitReached(step_id=request.step_id, key=request.key, stage=stage, limit_ms=round(limit_s * 1000))
        self._writer.write_lazily(body)

    def _task(self, cwd: str) -> AgentTask:
        request = self._request
        return AgentTask(
            run_id=request.run_id,
            step_id=request.step_id,
            key=request.key,
            task_id=task_id(request.run_id, request.key, request.attempt),
            attempt=request.attempt,
            redelivery=request.redelivery,
            prompt=request.input["prompt"],
            schema=self._schema,
            cwd=cwd,
            title=request.title,
            timeout_s=request.timeout_s,
            session=request.session,
            require_claim=request.require_claim,
            emit=request.emit,
            told=lambda line: request.emit("progress", f"{line}\n".encode()),
            permit=self._permit,
            keep_session=self._keep_session,
        )

    def _keep_session(self, session: str) -> None:
        request = self._request
        if session != request.session:
            self._writer.write_lazily(
                StepChanged(
                    step_id=request.step_id,
                    kind=request.kind,
                    key=request.key,
                    status=StepStatus.STARTED,
                    attempt=request.attempt,
                    session=session,
                )
            )

    async def _converse(self, agent: Agent, session: AgentSession) -> StepOutcome:
        prompt = self._request.input["prompt"]
        whole = prompt if agent.gives_data else with_schema(prompt, self._schema)
        text = whole
        while True:
            reply = await self._turn(session, text)
            if self._schema is None or (reply.text is not None and len(reply.text) <= _JUDGED_AT_ONCE_CHARS_MAX):
                value, problems = self._judged(reply)
            else:
                # Seconds, for the megabytes an answer may have.
                value, problems = await asyncio.to_thread(self._judged, reply)
            if not problems:
                return StepSucceeded(value, usage=self.usage)
            self._rejected += 1
            answer = reply.text if reply.text is not None else canonical_json(reply.data)
            refused = _told(answer, problems)
            self._log_refusal(agent, refused)
            if self.usage is not None:
                # It is paid, whatever becomes of the step, or of this process.
                await self._writer.charge(self._request.key, self.usage)
            await self._writer.record(
                ValidationFailed(
                    step_id=self._request.step_id,
                    key=self._request.key,
                    attempt=self._rejected,
                    problems=tuple((problem.path, problem.message) for problem in problems),
                )
            )
            if self._rejected >= self._settings.agent_attempts_max:
                return self._given_up(agent, refused)
            if session.can_go_on:
                text = repair(problems)
            else:
                text = repair_from_start(whole, answer, problems, _ANSWER_REPEATED_CHARS_MAX)

    def _judged(self, reply: AgentReply) -> tuple[Any, tuple[ArgsProblem, ...]]:
        """What the agent gave, and what is wrong with it."""
        if self._schema is None:
            return (reply.text if reply.text is not None or not reply.has_data else reply.data), ()
        if reply.has_data:
            return reply.data, self._schemas.problems(self._schema, reply.data)
        value, problem = json_in(reply.text or "")
        if problem is not None:
            return None, (ArgsProblem("", problem),)
        return value, self._schemas.problems(self._schema, value)

    def _log_refusal(self, agent: Agent, refused: str) -> None:
        """Have people see what the agent said, with the next durable write: the step may still succeed."""
        attempt = f"attempt {self._rejected} of {self._settings.agent_attempts_max}"
        message = (
            f"step {self._request.step_id!r}: an answer of agent {agent.name!r} does not fit ({attempt}); {refused}"
        )
        self._writer.write_lazily(Logged(message=message, origin="sidestep", level="warning"))

    def _given_up(self, agent: Agent, refused: str | None) -> StepFailed:
        message = f"no answer of agent {agent.name!r} fits the schema after {self._rejected} attempts"
        if refused is not None:
            message += f"; the last: {refused}"
        return StepFailed(Failure(FailureCode.VALIDATION, message), usage=self.usage)

    async def _turn(self, session: AgentSession, text: str) -> AgentReply:
        """One turn, or the report that is asked for when the soft limit cuts it short (T1)."""
        if self._soft_limit_s is None or not session.can_go_on:
            return await self._prompt(session, text, self._signal)
        turn = AbortController()
        unfollow = turn.follow(self._signal)
        timer = asyncio.create_task(self._expire(turn, self._soft_limit_s), name="soft limit")
        try:
            return await self._prompt(session, text, turn.signal)
        except Aborted:
            self._signal.throw_if_aborted()
            if not session.can_go_on:
                raise
        finally:
            timer.cancel()
            unfollow()
        self.note_limit("soft", self._soft_limit_s)
        self._soft_limit_s = None
        final = self._request.final_instructions or FINAL_INSTRUCTIONS
        return await self._prompt(session, with_schema(final, self._schema), self._signal)

    async def _expire(self, turn: AbortController, limit_s: float) -> None:
        assert self._request.time is not None, "a step that is done has its time"
        await self._request.time.until(limit_s)
        turn.abort(AbortReason(AbortKind.TIMEOUT, detail="the step's time is up"))

    async def _prompt(self, session: AgentSession, text: str, signal: AbortSignal) -> AgentReply:
        try:
            reply = await session.prompt(text, signal)
        except (AgentFailed, AbortedWork) as ended:
            self._add(ended.usage)
            raise
        self._add(reply.usage)
        return reply

    def _add(self, usage: Usage | None) -> None:
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage.plus(usage)


def _told(answer: str, problems: tuple[ArgsProblem, ...]) -> str:
    """What is wrong with an answer, and its beginning."""
    wrong = "; ".join(f"{problem.path or 'the answer'}: {problem.message}" for problem in problems)
    return f"{_beginning(wrong, _PROBLEMS_SHOWN_CHARS_MAX)}; it said: {_beginning(answer, _ANSWER_SHOWN_CHARS_MAX)}"


def _beginning(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[:chars_max]}... ({len(text) - chars_max} characters more)"
