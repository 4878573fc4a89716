"""A scripted agent that answers by step, for workflows that ask many things in an order of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidestep.model.run import RunStatus
from sidestep.store.memory import InMemoryRunStore
from tests.support.scripted_agents import ScriptedAgent, says
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentReply, AgentTask
    from sidestep.model.run import RunRecord


class AnsweringAgent(ScriptedAgent):
    """
    Answers each step with its entry: a text, data as JSON, an `AgentFailed` that is raised, a turn that is awaited, or
    a list of these for one call after the other; the longest id that the step's begins with counts.

    Attributes:
        asked: The ids of the steps it was asked for, in order; more than once where it was asked again.
        prompt_of: What each step was asked last.
    """

    def __init__(self, answers: Mapping[str, Any], name: str = "tester") -> None:
        super().__init__(name, self._answer)
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.prompt_of: dict[str, str] = {}

    async def _answer(self, task: AgentTask, signal: AbortSignal) -> AgentReply:
        self.asked.append(task.step_id)
        self.prompt_of[task.step_id] = next(each for each in reversed(self.prompts) if task.prompt in each)
        async with self.prompted:
            self.prompted.notify_all()
        fitting = [prefix for prefix in self.answers if task.step_id.startswith(prefix)]
        assert fitting, f"nobody told what to answer to {task.step_id!r}"
        prefix = max(fitting, key=len)
        answer = self.answers[prefix]
        if isinstance(answer, Turns):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return await answer(task, signal)
        return says(answer if isinstance(answer, str) else f"Here.\n\n```json\n{json.dumps(answer)}\n```\n")

    async def called(self, times: int) -> None:
        """Wait until it began to answer that often."""
        async with self.prompted:
            await self.prompted.wait_for(lambda: len(self.asked) >= times)

    async def called_for(self, step_id: str) -> None:
        """Wait until it began to answer a step."""
        async with self.prompted:
            await self.prompted.wait_for(lambda: step_id in self.asked)


class Turns(list[Any]):
    """Answers for one call after the other; the last one again and again."""


def data_of(record: RunRecord) -> Any:
    """The data of a run that completed."""
    assert record.status is RunStatus.COMPLETED, record.error
    assert record.result is not None
    assert record.result.data_json is not None
    return json.loads(record.result.data_json)


def report_of(record: RunRecord) -> str:
    assert record.result is not None, record.error
    assert record.result.report is not None
    return record.result.report


def restarted(h: Harness, tmp_path: Path, dead: set[str]) -> Harness:
    """A second process on the same journal, after the first one (whose owner stands beside `dead`) died."""
    assert isinstance(h.store, InMemoryRunStore)
    dead.add("owner-a")
    store = InMemoryRunStore(h.clock, h.settings, h.store.journal)
    return Harness(tmp_path, store=store, owners=LivingOwners("owner-b", dead), clock=h.clock)
