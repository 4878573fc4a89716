"""`agent` steps: answers that fit (V1, V2), time (T1), one task (J4), places, usage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep.model.agents import AgentReply
from sidestep.model.events import Logged, StepChanged, TimeLimitReached, ValidationFailed
from sidestep.model.run import FailureCode, RunStatus, StepStatus
from sidestep.model.usage import Usage
from sidestep.settings import Settings
from tests.support.agent_scripts import (
    BAD,
    GOOD,
    SCHEMA,
    TEXT,
    TIMED,
    beside,
    bodies,
    fenced,
    keep_session_and_wait,
    result,
)
from tests.support.scripted_agents import ScriptedAgent, breaks, never, says
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path


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
