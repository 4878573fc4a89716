"""`agent` steps: answers that fit (V1, V2), time (T1), one task (J4), places, permissions, worktrees, usage."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.agents import AgentReply, PermissionOption, PermissionPolicy, PermissionRequest
from sidestep.model.events import InteractionChanged, Logged, StepChanged, TimeLimitReached, ValidationFailed
from sidestep.model.run import FailureCode, RunStatus, StepStatus
from sidestep.model.usage import Usage
from sidestep.model.writes import Finish, Interrupt, Release, Suspend
from sidestep.settings import Settings
from sidestep.store.memory import InMemoryRunStore
from tests.contract.stores import SOURCE, new_child, running
from tests.support.fake_clock import FakeClock
from tests.support.scripted_agents import ScriptedAgent, breaks, never, says
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentTask

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


async def test_an_agent_gives_its_text_and_is_closed(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", says("All done.")))
        record = await h.completed(TEXT)
        assert result(record) == ("All done.", None)
        assert (agent.prompts, agent.open_sessions) == (["Do it."], 0)
        (task,) = agent.tasks
        assert (task.step_id, task.cwd, task.redelivery, task.attempt) == ("do", str(h.folder_path), False, 1)


@pytest.mark.parametrize("keeps", [True, False])
async def test_v1_problems_are_told_back_until_the_answer_fits(tmp_path: Path, keeps: bool) -> None:
    """V1: with every problem and its path; an agent that keeps no conversation is told everything again."""
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", fenced(BAD), says("hm"), fenced(GOOD), keeps=keeps))
        record = await h.completed(SCHEMA)
        assert result(record) == ("", {"blockers": []})
        first, second, third = agent.prompts
        assert '"blockers"' in first
        assert "```json" in first
        assert "/blockers/0: 1 is not of type" in second
        assert "no JSON value" in third
        assert [prompt.startswith("Review.") for prompt in (second, third)] == [not keeps, not keeps]
        told = await bodies(h, record.run_id, ValidationFailed)
        assert [(body.attempt, body.problems[0][0]) for body in told] == [(1, "/blockers/0"), (2, "")]


async def test_v1_three_attempts_in_all(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", fenced(BAD)))
        record = await h.completed(SCHEMA)
        code, message = result(record)
        assert code == "validation"
        assert "after 3 attempts" in message
        assert "/blockers/0" in message
        assert len(agent.prompts) == 3


async def test_v1_what_was_said_instead_of_an_answer_is_told_and_logged(tmp_path: Path) -> None:
    """V1: whose it was, what was wrong and how it began, in the failure and in one line for each; long ones are cut."""
    log_in = "Please log in first." + "x" * 100_000
    async with Harness(tmp_path) as h:
        h.agents.agents.add(ScriptedAgent("tester", says("No."), says("Not now."), says(log_in)))
        record = await h.completed(SCHEMA)
        message = result(record)[1]
        assert message.startswith(
            "no answer of agent 'tester' fits the schema after 3 attempts; the last: the answer: "
        )
        assert "it said: Please log in first.xxx" in message
        assert message.count("x") < 510
        lines = [line for line in await bodies(h, record.run_id, Logged) if line.origin == "sidestep"]
        assert [(line.level, line.message.partition("it said: ")[2][:9]) for line in lines] == [
            ("warning", "No."),
            ("warning", "Not now."),
            ("warning", "Please lo"),
        ]
        assert "step 'review': an answer of agent 'tester' does not fit (attempt 1 of 3)" in lines[0].message
        assert len(lines[2].message) < 1000


async def test_v1_a_refused_answer_is_logged_also_when_a_later_one_fits(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        h.agents.agents.add(ScriptedAgent("tester", fenced(BAD), fenced(GOOD)))
        record = await h.completed(SCHEMA)
        (line,) = await bodies(h, record.run_id, Logged)
        assert "/blockers/0" in line.message


@pytest.mark.parametrize("spent", [1, 2, 3])
async def test_v1_attempts_are_counted_across_resumes(tmp_path: Path, spent: int) -> None:
    """V1: a crash between two attempts gives no attempt back; after the last one nobody is asked again."""
    dead: set[str] = set()
    # The first process would allow one more: it dies with all attempts spent and no failure stored.
    settings = Settings(agent_attempts_max=spent + 1)
    async with Harness(tmp_path, owners=LivingOwners("owner-a", dead), settings=settings) as h:
        first = h.agents.agents.add(ScriptedAgent("tester", *[fenced(BAD)] * spent, never))
        h.start(SCHEMA)
        await first.called(spent + 1)
        dead.add("owner-a")
        async with Harness(tmp_path, store=beside(h), owners=LivingOwners("owner-b", dead)) as other:
            agent = other.agents.agents.add(ScriptedAgent("tester", fenced(BAD)))
            record = await other.resume("run_a000000000000001")
            assert result(record)[0] == "validation"
            assert len(agent.prompts) == 3 - spent


async def test_v1_a_retry_gives_all_attempts_again(tmp_path: Path) -> None:
    source = SCHEMA.replace('return {"report": failure', 'raise\n        return {"report": failure')
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(
            ScriptedAgent("tester", fenced(BAD), fenced(BAD), fenced(BAD), fenced(BAD), fenced(GOOD))
        )
        failed = (await h.start(source)).record
        assert failed.status is RunStatus.FAILED
        record = await h.retry(failed.run_id)
        assert result(record) == ("", {"blockers": []})
        assert len(agent.prompts) == 5


async def test_v1_parallel_and_pipeline_count_as_one_step_does(tmp_path: Path) -> None:
    source = """
from sidestep import agent, parallel, pipeline

async def main():
    schema = {"type": "integer"}
    a = await parallel([agent("a", id="a", schema=schema)], on_error="return")
    b = await pipeline(["b"], lambda item: agent(item, id=item, schema=schema), on_error="return")
    return {"report": "", "data": [a[0]["error"]["code"], b[0]["error"]["code"]]}
"""
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", says("no")))
        assert result(await h.completed(source))[1] == ["validation", "validation"]
        assert len(agent.prompts) == 6


async def test_v2_an_infrastructure_failure_is_no_attempt(tmp_path: Path) -> None:
    """V2: it fails the step with its own code, at once, and nothing is counted."""
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", fenced(BAD), breaks("the agent died")))
        record = await h.completed(SCHEMA)
        assert result(record) == ("infrastructure", "the agent died")
        assert len(agent.prompts) == 2
        assert len(await bodies(h, record.run_id, ValidationFailed)) == 1


async def test_an_agent_that_takes_the_schema_itself_is_not_told_how_to_write_json(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        reply = AgentReply(None, {"blockers": []}, has_data=True)
        agent = h.agents.agents.add(ScriptedAgent("host", reply, gives_data=True))
        assert result(await h.completed(SCHEMA)) == ("", {"blockers": []})
        assert agent.prompts == ["Review."]
        assert agent.tasks[0].schema is not None


async def test_t1_at_the_soft_limit_the_agent_reports_what_it_has(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", never, says("half done")))
        task = h.start(TIMED)
        await agent.called(1)
        h.clock.advance(10)
        record = (await task).record
        assert result(record)[0] == "half done"
        assert agent.prompts[1] == "Wrap up."
        (limit,) = await bodies(h, record.run_id, TimeLimitReached)
        assert (limit.stage, limit.limit_ms) == ("soft", 10_000)


@pytest.mark.parametrize("keeps", [True, False])
async def test_t1_at_the_hard_limit_it_is_stopped(tmp_path: Path, keeps: bool) -> None:
    """T1: code timeout; an agent that cannot be asked for a report has the grace for its work."""
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", never, keeps=keeps))
        task = h.start(TIMED)
        await agent.called(1)
        h.clock.advance(10)
        if keeps:
            await agent.called(2)
        h.clock.advance(5)
        record = (await task).record
        assert result(record)[0] == "timeout"
        stages = [limit.stage for limit in await bodies(h, record.run_id, TimeLimitReached)]
        assert stages == (["soft", "hard"] if keeps else ["hard"])
        assert agent.open_sessions == 0


async def test_t1_waiting_for_a_place_takes_none_of_its_time_and_shows_as_queued(tmp_path: Path) -> None:
    source = """
from sidestep import agent, parallel

async def main():
    await parallel([agent(name, id=name, timeout_s=10) for name in ["a", "b"]])
"""
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", never, says("b")))
        agent.places = asyncio.Semaphore(1)
        gate = asyncio.get_running_loop().create_future()
        agent.turns[0] = lambda task, signal: gate
        task = h.start(source)
        await agent.called(1)
        record = await h.reached("run_a000000000000001", lambda record: record.steps.known == 2)
        steps = {step.step_id: step.status for step in (await h.store.read_steps(record.run_id)).items}
        assert steps == {"a": StepStatus.STARTED, "b": StepStatus.QUEUED}
        assert record.steps.running == 1
        h.clock.advance(9)
        gate.set_result(says("a"))
        assert (await task).record.status is RunStatus.COMPLETED
        statuses = [(b.step_id, b.status.value) for b in await bodies(h, record.run_id, StepChanged)]
        assert statuses.count(("b", "queued")) == statuses.count(("b", "started")) == 1


async def test_j4_a_task_that_may_be_under_way_is_delivered_again_as_the_same_task(tmp_path: Path) -> None:
    dead: set[str] = set()
    async with Harness(tmp_path, owners=LivingOwners("owner-a", dead)) as h:
        first = h.agents.agents.add(ScriptedAgent("tester", keep_session_and_wait))
        h.start(TEXT)
        await first.called(1)
        # Created, begun, the step started, and its session.
        await h.reached("run_a000000000000001", lambda record: record.sequence == 4)
        await h.service.interrupt("run_a000000000000001", by="person")
        second = h.agents.agents.add(ScriptedAgent("tester", says("done")))
        record = await h.resume("run_a000000000000001")
        assert record.status is RunStatus.COMPLETED
        before, after = first.tasks[0], second.tasks[0]
        assert (before.task_id, before.attempt) == (after.task_id, after.attempt)
        assert (before.redelivery, after.redelivery) == (False, True)
        assert (before.session, after.session) == (None, "session-7")


async def test_j4_a_task_that_may_be_under_way_stays_so_while_it_waits_for_a_place(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", never))
        agent.places = asyncio.Semaphore(1)
        h.start(TEXT)
        await agent.called(1)
        run_id = "run_a000000000000001"
        await h.reached(run_id, lambda record: record.steps.running == 1)
        await h.service.interrupt(run_id, by="person")
        await agent.places.acquire()
        h.resume(run_id)
        await h.reached(run_id, lambda record: record.sequence == 6)
        assert [step.status for step in (await h.store.read_steps(run_id)).items] == [StepStatus.QUEUED]
        await h.service.interrupt(run_id, by="person")
        agent.places.release()
        agent.turns = [says("done")]
        assert (await h.resume(run_id)).status is RunStatus.COMPLETED
        assert [(task.attempt, task.redelivery) for task in agent.tasks] == [(1, False), (1, True)]


async def test_p9_a_script_catches_a_failure_and_not_an_interrupt(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", never))
        task = h.start(SCHEMA)
        await agent.called(1)
        await h.service.interrupt("run_a000000000000001", by="person")
        assert (await task).record.status is RunStatus.INTERRUPTED
        assert agent.open_sessions == 0


async def test_p1_a_schema_that_is_none_is_refused_at_its_line_before_any_work(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester"))
        source = SCHEMA.replace('"object"', '"obj" + "ekt"').replace("except RuntimeError", "except OSError")
        record = (await h.start(source)).record
        assert record.error is not None
        assert (record.error.code, "no JSON Schema" in record.error.message) == (FailureCode.SCRIPT, True)
        assert agent.tasks == []


async def test_p1_an_unknown_agent_fails_its_step_once_and_is_asked_when_it_is_there(tmp_path: Path) -> None:
    """P1, N1: an error at its line, journaled; a retry with the same script goes on once it is configured."""
    async with Harness(tmp_path) as h:
        first = h.agents.agents.add(ScriptedAgent("tester"))
        record = (await h.start(TEXT.replace('id="do"', 'id="do", agent="other"'))).record
        assert record.error is not None
        assert (record.error.code, record.error.line, record.steps.failed) == (FailureCode.SCRIPT, 5, 1)
        assert "there is no agent 'other'" in record.error.message
        h.agents.agents.add(ScriptedAgent("other", says("here now")))
        assert result(await h.retry(record.run_id))[0] == "here now"
        assert first.tasks == []


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


async def test_t1_a_turn_that_is_cut_short_takes_its_question_back(tmp_path: Path) -> None:
    """T1, P7: nobody is asked what the agent, which is to report, does not want to know any more."""
    async with Harness(tmp_path) as h:
        h.agents.policy = PermissionPolicy.ASK
        agent = h.agents.agents.add(ScriptedAgent("tester", ask_permission, never))
        task = h.start(TIMED)
        question = await h.asked("run_a000000000000001")
        h.clock.advance(10)
        await agent.called(2)
        assert await h.store.open_questions(question.run_id) == []
        h.clock.advance(5)
        assert result((await task).record)[0] == "timeout"


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


async def test_a_worktree_gives_the_result_and_the_patch_and_is_removed_at_the_end(tmp_path: Path) -> None:
    source = TEXT.replace(
        'return await agent("Do it.", id="do")', 'return await agent("Do it.", id="do", isolation="worktree")'
    )
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", says("done")))
        record = await h.completed(source)
        patch = {"id": "patch_1", "files": ["a.py"], "additions": 2, "deletions": 1}
        assert result(record)[1] == {"result": "done", "patch": patch}
        assert agent.tasks[0].cwd == f"/worktrees/{record.run_id}/{agent.tasks[0].key}"
        assert h.agents.worktrees.removed == [record.run_id]


async def test_what_ended_runs_left_of_worktrees_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """Also what a nested run left that was stopped in a tree that has ended: nothing goes on with it."""
    clock = FakeClock()
    store = InMemoryRunStore(clock, Settings())
    over, going = await running(store, 1), await running(store, 2)
    children = [
        (await store.create(new_child(number, root), SOURCE))[0] for number, root in enumerate((over, going), start=3)
    ]
    for child in children:
        await store.write(Suspend(child.run_id, 1))
    await store.write(Finish(over.run_id, 1))
    await store.write(Interrupt(going.run_id, "user"))
    h = Harness(tmp_path, store=store, clock=clock)
    h.agents.worktrees.left = [over.run_id, going.run_id, *(child.run_id for child in children), "run_gone"]
    async with h:
        await h.agents.worktrees.swept(3)
        assert h.agents.worktrees.removed == [over.run_id, children[0].run_id, "run_gone"]


async def test_a_retry_waits_for_the_removal_of_what_its_run_left(tmp_path: Path) -> None:
    """Else the worktree it has just made goes, too."""
    clock = FakeClock()
    async with Harness(tmp_path, clock=clock) as h:
        h.agents.agents.add(ScriptedAgent("tester", breaks()))
        failed = (await h.start(TEXT)).record
        store = beside(h)
    other = Harness(tmp_path, store=store, clock=clock, owners=LivingOwners("owner-b"))
    other.agents.worktrees.left = [failed.run_id]
    other.agents.worktrees.gate = asyncio.Event()
    async with other as h:
        h.agents.agents.add(ScriptedAgent("tester", says("done")))
        retried = h.retry(failed.run_id)
        begun = asyncio.ensure_future(h.status(failed.run_id, RunStatus.RUNNING))
        is_early, _ = await asyncio.wait({begun}, timeout=0.1)
        h.agents.worktrees.gate.set()
        assert not is_early
        await begun
        assert (await retried).status is RunStatus.COMPLETED


async def test_a_deleted_run_takes_its_worktrees_along(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", never))
        task = h.start(TEXT)
        await agent.called(1)
        await h.service.interrupt("run_a000000000000001", by="person")
        await task
        h.agents.worktrees.left = ["run_a000000000000001"]
        await h.service.delete("run_a000000000000001")
        assert h.agents.worktrees.removed == ["run_a000000000000001"]


async def test_a_deleted_tree_takes_its_worktrees_and_patches_along(tmp_path: Path) -> None:
    """Those of the runs nested in it, however deep, and nobody else's."""
    clock = FakeClock()
    store = InMemoryRunStore(clock, Settings())
    root, other = await running(store, 1), await running(store, 2)
    child = (await store.create(new_child(3, root), SOURCE))[0]
    grandchild = (await store.create(new_child(4, child), SOURCE))[0]
    for nested in (grandchild, child):
        await store.write(Suspend(nested.run_id, 1))
    for run in (root, other):
        await store.write(Interrupt(run.run_id, "user"))
        await store.write(Release(run.run_id, run.owner.owner_id if run.owner else "", 1))
    async with Harness(tmp_path, store=store, clock=clock) as h:
        await h.service.delete(root.run_id)
        tree = [root.run_id, child.run_id, grandchild.run_id]
        assert h.agents.worktrees.removed == tree
        assert h.agents.worktrees.forgotten == tree


async def test_patches_of_runs_that_are_gone_and_old_unused_ones_are_removed_at_the_next_start(tmp_path: Path) -> None:
    """A completed run's stay: somebody may still apply them."""
    clock = FakeClock()
    store = InMemoryRunStore(clock, Settings())
    over = await running(store, 1)
    await store.write(Finish(over.run_id, 1))
    h = Harness(tmp_path, store=store, clock=clock)
    h.agents.worktrees.with_patches = [over.run_id, "run_gone"]
    async with h:
        await h.agents.worktrees.patches_swept()
        assert h.agents.worktrees.forgotten == ["run_gone"]
        assert h.agents.worktrees.swept_before_s == clock.now_ms() / 1000 - 24 * 60 * 60


async def test_usage_is_summed_also_of_failed_steps_and_what_was_kept_is_told(tmp_path: Path) -> None:
    source = """
from sidestep import agent

async def main():
    await agent("a", id="a")
    await agent("b", id="b", schema={"type": "integer"})
"""
    async with Harness(tmp_path) as h:
        used = Usage(1000, 10, 1_550_000)
        agent = h.agents.agents.add(ScriptedAgent("tester", AgentReply("1", usage=used), AgentReply("x", usage=used)))
        failed = (await h.start(source)).record
        assert failed.status is RunStatus.FAILED
        assert failed.usage == Usage(4000, 40, 6_200_000)
        assert failed.finished.usage == used
        agent.turns = [AgentReply("1", usage=used)]
        record = await h.retry(failed.run_id)
        assert (record.kept.usage, record.usage.cost_micro_usd) == (used, 7_750_000)


async def test_usage_of_a_step_that_ran_out_of_time_is_summed(tmp_path: Path) -> None:
    """T1: the turns that came to something before the hard limit were paid for."""
    used = Usage(1000, 10, 1_550_000)
    source = TIMED.replace('"Wrap up."', '"Wrap up.", schema={"type": "integer"}')
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", AgentReply("x", usage=used), never, keeps=False))
        task = h.start(source)
        await agent.called(2)
        h.clock.advance(15)
        record = (await task).record
        assert (result(record)[0], record.usage) == ("timeout", used)


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '{"a": 1e999}', '{"\\ud800": 1}', "[" * 5000, "9" * 5000])
async def test_v1_an_answer_that_is_no_json_is_told_back_whatever_it_is(tmp_path: Path, text: str) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", fenced(text), fenced(GOOD)))
        source = SCHEMA.replace('"required": ["blockers"],', "")
        record = await h.completed(source)
        assert result(record) == ("", {"blockers": []}), record
        assert len(agent.prompts) == 2


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
