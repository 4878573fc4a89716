"""
The executor of `agent` steps of one run: which agent, how many at once, and what its end becomes.

The conversation itself is `agent_turns.py`'s. Knows no ACP, no JSON-RPC and no process: those are agents'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.engine.agent_turns import AgentTurns
from sidestep.engine.timeouts import out_of_time
from sidestep.model.abort import Aborted, AbortKind
from sidestep.model.agents import AgentFailed
from sidestep.model.execution import StepFailed
from sidestep.model.run import Failure, FailureCode
from sidestep.model.usage import AbortedWork

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Callable, Sequence

    from sidestep.engine.agent_turns import AgentParts
    from sidestep.engine.journal_writer import JournalWriter
    from sidestep.engine.permissions import Permissions
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest
    from sidestep.model.ports import JsonSchemas
    from sidestep.settings import Settings


class AgentSteps:
    """Carries out the `agent` steps of one run."""

    def __init__(
        self,
        parts: AgentParts,
        *,
        writer: JournalWriter,
        permissions: Permissions,
        rejected: Callable[[str], int],
        schemas: JsonSchemas,
        settings: Settings,
    ) -> None:
        """
        Args:
            rejected: How many answers earlier executions of a step, by key, did not take.
        """
        self._parts = parts
        self._writer = writer
        self._permissions = permissions
        self._rejected = rejected
        self._schemas = schemas
        self._settings = settings

    def places(self, step_input: dict[str, Any], folder: str) -> Sequence[Semaphore]:
        agent = self._parts.agents.find(step_input.get("agent"), folder)
        if isinstance(agent, str):
            return ()
        own = agent.places
        # One's own first: who waits for it must not keep a place that others could have.
        return (self._parts.places,) if own is None else (own, self._parts.places)

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        schema = step_input.get("schema")
        return None if schema is None else self._schemas.why_invalid(schema)

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        """
        Have the agent do it.

        Returns:
            Its text, or the value that fits the schema; in a worktree `{"result", "patch"}`.

        Raises:
            Aborted: the signal fired and the agent is gone; AbortedWork when it had said what it used.
        """
        agent = self._parts.agents.find(request.input.get("agent"), request.folder)
        if isinstance(agent, str):
            # A failure of the step, not a refusal of the call: once the agent is configured, a retry does it again.
            return StepFailed(Failure(FailureCode.SCRIPT, agent))
        turns = AgentTurns(
            self._parts,
            agent,
            request,
            signal,
            writer=self._writer,
            permit=self._permissions.asker(request, signal),
            rejected=self._rejected(request.key),
            schemas=self._schemas,
            settings=self._settings,
        )
        try:
            return await turns.run()
        except AgentFailed as failed:
            return StepFailed(failed.failure, usage=turns.usage)
        except Aborted as aborted:
            if aborted.reason.kind is not AbortKind.TIMEOUT:
                if turns.usage is None:
                    raise
                raise AbortedWork(aborted.reason, turns.usage) from aborted
            assert request.limit_s is not None, "only a limit has an end"
            turns.note_limit("hard", request.limit_s)
            return StepFailed(out_of_time(request.limit_s, request.kind), usage=turns.usage)
