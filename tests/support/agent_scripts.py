"""Scripts with `agent` steps, and what tests of them ask again and again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidestep.model.agents import AgentReply, PermissionOption, PermissionRequest
from sidestep.store.memory import InMemoryRunStore
from tests.support.scripted_agents import never, says

if TYPE_CHECKING:
    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentTask
    from tests.support.service_harness import Harness

TEXT = """
from sidestep import agent

async def main():
    return await agent("Do it.", id="do")
"""
SCHEMA = """
from sidestep import agent, failure

SCHEMA = {"type": "object", "required": ["blockers"],
          "properties": {"blockers": {"type": "array", "items": {"type": "string"}}}}

async def main():
    try:
        return {"report": "", "data": await agent("Review.", id="review", schema=SCHEMA)}
    except RuntimeError as error:
        return {"report": failure(error)["code"], "data": failure(error)["message"]}
"""
TIMED = """
from sidestep import agent, failure

async def main():
    try:
        return await agent("Do it.", id="do", timeout_s=10, grace_s=5, final_instructions="Wrap up.")
    except TimeoutError as error:
        return failure(error)["code"]
"""
COMMAND = "from sidestep import command\n\nasync def main():\n    await command(['rm', 'a'], id='rm')\n"
GOOD = '{"blockers": []}'
BAD = '{"blockers": [1]}'


def fenced(text: str) -> AgentReply:
    return says(f"Here it is.\n\n```json\n{text}\n```\n")


def result(record: Any) -> Any:
    assert record.result is not None, record.error
    return record.result.report, record.result.data_json and json.loads(record.result.data_json)


async def bodies(h: Harness, run_id: str, kind: type) -> list[Any]:
    return [event.body for event in await h.events(run_id) if isinstance(event.body, kind)]


def beside(h: Harness) -> InMemoryRunStore:
    """Another process's store on the same journal."""
    assert isinstance(h.store, InMemoryRunStore)
    return InMemoryRunStore(h.clock, h.settings, h.store.journal)


async def keep_session_and_wait(task: AgentTask, signal: AbortSignal) -> AgentReply:
    task.keep_session("session-7")
    return await never(task, signal)


async def ask_permission(task: AgentTask, signal: AbortSignal) -> AgentReply:
    options = (
        PermissionOption("yes-always", "Always", "allow_always"),
        PermissionOption("yes-once", "Once", "allow_once"),
        PermissionOption("no", "No", "reject_once"),
    )
    return says(str(await task.permit(PermissionRequest("Edit a.py", None, options))))
