"""Permission for commands and agents: the policy, its questions, and their end (P7, T1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.agents import AgentReply, PermissionPolicy
from sidestep.model.events import InteractionChanged, Logged, StepChanged
from sidestep.model.run import RunStatus, StepStatus
from tests.support.agent_scripts import (
    COMMAND,
    TEXT,
    TIMED,
    ask_permission,
    bodies,
    result,
)
from tests.support.scripted_agents import ScriptedAgent, breaks, never, says
from tests.support.service_harness import Harness

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentTask


@pytest.mark.parametrize(
    ("policy", "chosen"), [(PermissionPolicy.ALLOW, "yes-once"), (PermissionPolicy.DENY, "no"), ("ask", "yes-always")]
)
async def test_p7_permissions_follow_the_policy(tmp_path: Path, policy: Any, chosen: str) -> None:
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy(policy)
        h.agents.agents.add(ScriptedAgent("tester", ask_permission))
        task = h.start(TEXT)
        if policy == "ask":
            question = await h.asked("run_a000000000000001")
            assert (question.title, question.kind.value) == ("Edit a.py", "permission")
            await h.service.answer(question.interaction_id, "yes-always", by="person")
        assert result((await task).record)[0] == chosen


@pytest.mark.parametrize("answer", ["allow", "deny"])
async def test_p7_a_command_asks_for_permission_once_an_attempt(tmp_path: Path, answer: str) -> None:
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        task = h.start(COMMAND)
        question = await h.asked("run_a000000000000001")
        assert h.commands.calls == []
        assert (question.title, question.detail) == ("Run rm a", "rm a")
        await h.service.answer(question.interaction_id, answer, by="person")
        record = (await task).record
        assert record.status is (RunStatus.COMPLETED if answer == "allow" else RunStatus.FAILED)
        assert len(h.commands.calls) == (answer == "allow")


@pytest.mark.parametrize("answered", ["while stopped", "after the resume"])
async def test_p7_a_command_that_waits_for_permission_means_the_same_question_on_resume(
    tmp_path: Path, answered: str
) -> None:
    """P7: it has not begun, so its attempt is the same; nothing is asked twice and no answer is lost."""
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        h.commands.place = asyncio.Semaphore(1)
        task = h.start(COMMAND)
        question = await h.asked("run_a000000000000001")
        # Who waits for a person keeps no place that others could have.
        assert not h.commands.place.locked()
        stopped = await h.service.interrupt(question.run_id, by="person")
        assert (stopped.record.steps.running, stopped.record.pending) == (0, 1)
        await task
        if answered == "while stopped":
            await h.service.answer(question.interaction_id, "allow", by="person")
        resumed = h.resume(question.run_id)
        if answered != "while stopped":
            await h.status(question.run_id, RunStatus.RUNNING)
            await h.service.answer(question.interaction_id, "allow", by="person")
        assert (await resumed).status is RunStatus.COMPLETED
        asked = [body.status.value for body in await bodies(h, question.run_id, InteractionChanged)]
        assert asked == ["asked", "answered"]


async def test_p7_a_command_that_was_permitted_and_begun_is_asked_for_again(tmp_path: Path) -> None:
    """P7: a permission is for one execution, also when the run was stopped in the middle of it."""
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        h.commands.held.add("rm")
        task = h.start(COMMAND)
        first = await h.asked("run_a000000000000001")
        await h.service.answer(first.interaction_id, "allow", by="person")
        await h.commands.called("rm")
        await h.service.interrupt(first.run_id, by="person")
        await task
        resumed = h.resume(first.run_id)
        second = await h.asked(first.run_id)
        assert second.interaction_id != first.interaction_id
        await h.service.answer(second.interaction_id, "deny", by="person")
        assert (await resumed).status is RunStatus.FAILED
        assert len(h.commands.calls) == 1


async def test_p7_an_agent_done_again_by_a_retry_asks_again(tmp_path: Path) -> None:
    """P7: what was refused to one attempt can be permitted to the next."""
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        agent = h.agents.agents.add(ScriptedAgent("tester", ask_permission))
        source = TEXT.replace('id="do"', 'id="do", schema={"const": "yes-once"}')
        task = h.start(source)
        for answer in ("no", "no", "no"):
            question = await h.asked("run_a000000000000001")
            await h.service.answer(question.interaction_id, answer, by="person")
            await h.reached(question.run_id, lambda record: record.pending == 0)
        assert (await task).record.status is RunStatus.FAILED
        agent.turns = [ask_permission]
        retried = h.retry("run_a000000000000001")
        again = await h.asked("run_a000000000000001")
        await h.service.interrupt(again.run_id, by="person")
        await retried


@pytest.mark.parametrize("ends", ["the agent breaks", "it asks otherwise after a resume"])
async def test_p7_a_step_that_has_ended_leaves_no_open_question(tmp_path: Path, ends: str) -> None:
    source = """
from sidestep import agent, command

async def main():
    try:
        await agent("Do it.", id="do")
    except RuntimeError:
        pass
    await command(["true"], id="then")
"""
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        breaking = asyncio.Event()

        async def ask_until_it_breaks(task: AgentTask, signal: AbortSignal) -> AgentReply:
            asking = asyncio.ensure_future(ask_permission(task, signal))
            broken = asyncio.ensure_future(breaking.wait())
            try:
                await asyncio.wait({asking, broken}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                broken.cancel()
                asking.cancel()
            await asyncio.wait({asking})
            raise breaks("it crashed")

        h.agents.agents.add(ScriptedAgent("tester", ask_until_it_breaks))
        task = h.start(source)
        question = await h.asked("run_a000000000000001")
        if ends == "the agent breaks":
            breaking.set()
        else:
            await h.service.interrupt(question.run_id, by="person")
            await task
            h.agents.agents.add(ScriptedAgent("tester", says("done")))
            task = h.resume(question.run_id)
        await h.reached(question.run_id, lambda record: record.steps.known == 2 and record.pending > 0)
        assert [each.step_id for each in await h.store.open_questions(question.run_id)] == ["then"]
        await h.service.interrupt(question.run_id, by="person")
        await task


async def test_t1_the_time_a_person_takes_is_not_the_agents(tmp_path: Path) -> None:
    """T1: neither limit ends the waiting, and what was left of both is left when the answer comes."""
    asking = asyncio.Event()

    async def work_and_ask(task: AgentTask, signal: AbortSignal) -> AgentReply:
        await asking.wait()
        await ask_permission(task, signal)
        return await never(task, signal)

    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        agent = h.agents.agents.add(ScriptedAgent("tester", work_and_ask, never))
        task = h.start(TIMED)
        await h.clock.sleeper(10)
        h.clock.advance(4)
        asking.set()
        question = await h.asked("run_a000000000000001")
        h.clock.advance(100_000)
        await h.service.answer(question.interaction_id, "yes-once", by="person")
        await h.clock.sleeper(6)
        h.clock.advance(5)
        assert agent.prompts == ["Do it."]
        h.clock.advance(1)
        await agent.called(2)
        assert agent.prompts[1].startswith("Wrap up.")
        await h.clock.sleeper(5)
        h.clock.advance(5)
        record = (await task).record
        assert result(record)[0] == "timeout"
        (step,) = (await h.store.read_steps(record.run_id)).items
        assert step.ended_at_ms == h.clock.now_ms()
        (ended,) = [body for body in await bodies(h, record.run_id, StepChanged) if body.status is StepStatus.FAILED]
        assert ended.duration_ms == 15_000, "what it took is what it worked"


@pytest.mark.parametrize("then", ["a place is free", "interrupted"])
async def test_p7_an_agent_that_waits_for_a_person_leaves_its_place_to_others(tmp_path: Path, then: str) -> None:
    """It goes on when it has a place again; until then more than the limit would work."""
    answers: list[str] = []

    async def work(task: AgentTask, signal: AbortSignal) -> AgentReply:
        answers.append((await ask_permission(task, signal)).text or "")
        return says(answers[0])

    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        agent = h.agents.agents.add(ScriptedAgent("tester", work))
        places = agent.places = asyncio.Semaphore(1)
        task = h.start(TIMED)
        question = await h.asked("run_a000000000000001")
        assert not places.locked()
        # Others work now, and one waits before it.
        await places.acquire()
        earlier = asyncio.ensure_future(places.acquire())
        await h.service.answer(question.interaction_id, "yes-once", by="person")
        await h.reached(question.run_id, lambda record: record.pending == 0)
        h.clock.advance(1000)
        places.release()
        await earlier
        assert (answers, task.done()) == ([], False), "the place went to who was first, and no time of its own passed"
        if then == "interrupted":
            await h.service.interrupt(question.run_id, by="person")
            assert (await h.store.read(question.run_id)).status is RunStatus.INTERRUPTED
            places.release()
        else:
            places.release()
            assert result((await task).record)[0] == "yes-once"
        assert not places.locked(), "each place was given back once"
        assert places._value == 1


async def test_p7_the_policy_that_denies_runs_no_command(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.DENY
        record = (await h.start()).record
        assert (record.status, h.commands.calls) == (RunStatus.FAILED, [])
        assert record.error is not None
        assert record.error.message.endswith(
            'the permission policy denies commands: true. The policy is deny, set by config.toml:2; write "ask" or '
            '"allow" there to permit it'
        )


async def test_p7_where_nobody_can_be_asked_a_command_is_denied_with_the_reason(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.agents.policy, h.agents.can_ask = PermissionPolicy.ASK, False
        record = (await h.start(COMMAND)).record
        assert (record.status, record.pending, h.commands.calls) == (RunStatus.FAILED, 0, [])
        assert record.error is not None
        assert "The policy is ask, set by config.toml:2, and nobody can be asked here" in record.error.message


@pytest.mark.parametrize("answer", ["allow", "deny", None])
async def test_p7_what_was_permitted_while_stopped_is_permitted_where_nobody_can_be_asked(
    tmp_path: Path, answer: str | None
) -> None:
    """P7: a recorded answer counts wherever the run goes on; without one nothing waits."""
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        task = h.start(COMMAND)
        question = await h.asked("run_a000000000000001")
        await h.service.interrupt(question.run_id, by="person")
        await task
        if answer is not None:
            await h.service.answer(question.interaction_id, answer, by="person")
        h.agents.can_ask = False
        record = await h.resume(question.run_id)
        assert record.status is (RunStatus.COMPLETED if answer == "allow" else RunStatus.FAILED)
        assert (len(h.commands.calls), record.pending) == (answer == "allow", 0)


@pytest.mark.parametrize(("answer", "chosen"), [("yes-always", "yes-always"), (None, "no")])
async def test_p7_what_an_agent_was_permitted_is_permitted_where_nobody_can_be_asked(
    tmp_path: Path, answer: str | None, chosen: str
) -> None:
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        agent = h.agents.agents.add(ScriptedAgent("tester", ask_permission))
        task = h.start(TEXT)
        question = await h.asked("run_a000000000000001")
        await h.service.interrupt(question.run_id, by="person")
        await task
        if answer is not None:
            await h.service.answer(question.interaction_id, answer, by="person")
        h.agents.can_ask = False
        agent.turns = [ask_permission]
        record = await h.resume(question.run_id)
        assert (result(record)[0], record.pending) == (chosen, 0)
        told = [body.message for body in await bodies(h, record.run_id, Logged)]
        denied = "the permission policy denies what agents ask for: Edit a.py. The policy is ask, set by config.toml:2"
        assert [message.startswith(denied) for message in told] == ([] if answer else [True])
