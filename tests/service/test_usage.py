"""What agents used, wherever their work ended: cut off by a sibling or an interrupt, failed, or in a nested run."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sidestep.model.agents import AgentFailed, AgentReply
from sidestep.model.events import StepChanged
from sidestep.model.run import RunStatus, StepStatus
from sidestep.model.usage import Usage
from tests.service.test_nested import only_child, script
from tests.support.agent_scripts import BAD, GOOD, SCHEMA, TEXT, beside, bodies, result
from tests.support.scripted_agents import ScriptedAgent, breaks, never, says
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.abort import AbortSignal
    from sidestep.model.agents import AgentTask

USED = Usage(1000, 10, 1_550_000)
CUT = Usage(50, 5, 10_000)

SIBLINGS = """
from sidestep import agent, command, parallel

async def main():
    try:
        await parallel([agent("Review.", id="review"), command(["x"], id="fails")])
    except RuntimeError:
        pass
    await command(["x"], id="after")
    return "on"
"""
PARENT = """
from sidestep import agent, workflow

async def main():
    await agent("own", id="own")
    return await workflow("child", id="nested")
"""
CHILD = """
from sidestep import agent

async def main():
    await agent("a", id="a")
    return await agent("b", id="b")
"""


async def test_what_a_failed_sibling_cut_off_is_counted_and_told(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", CUT))
        h.commands.held |= {"fails", "after"}
        task = h.start(SIBLINGS)
        await agent.called(1)
        h.commands.fail("fails")
        await h.commands.called("after")
        h.commands.finish("after")
        record = (await task).record
        assert (result(record)[0], record.usage) == ("on", CUT)
        review = [body for body in await bodies(h, record.run_id, StepChanged) if body.step_id == "review"]
        assert (review[-1].status, review[-1].usage) == (StepStatus.INTERRUPTED, CUT)


async def test_what_an_interrupt_cut_off_is_counted_and_the_task_stays_the_same(tmp_path: Path) -> None:
    """J4: no event says so, the step is as it was, and the next execution delivers the same task."""
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", CUT))
        task = h.start(TEXT)
        await agent.called(1)
        run_id = agent.tasks[0].run_id
        await h.service.interrupt(run_id, by="test")
        await task
        record = await h.store.read(run_id)
        assert (record.status, record.usage) == (RunStatus.INTERRUPTED, CUT)
        assert (await h.kinds(run_id))[-1] == "status:interrupted"
        agent.turns = [AgentReply("done", usage=USED)]
        record = await h.resume(run_id)
        assert (record.status, record.usage) == (RunStatus.COMPLETED, CUT.plus(USED))
        first, second = agent.tasks
        assert (second.redelivery, second.task_id) == (True, first.task_id)


async def test_what_a_failed_turn_used_is_counted(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        failed = breaks("over its budget")
        failed.usage = USED
        h.agents.agents.add(ScriptedAgent("tester", failed))
        record = (await h.start(TEXT)).record
        assert (record.status, record.usage) == (RunStatus.FAILED, USED)


async def test_a_roots_sums_have_what_its_nested_runs_used_and_kept(tmp_path: Path) -> None:
    """Also what is not spent again after a resume, and what an interrupt cut off below."""
    script(tmp_path, "child", CHILD)
    async with Harness(tmp_path) as h:
        paid = AgentReply("x", usage=USED)
        agent = h.agents.agents.add(ScriptedAgent("tester", paid, paid, CUT))
        task = h.start(PARENT)
        await agent.called(3)
        root = (await h.store.read(agent.tasks[-1].run_id)).root_run_id
        await h.service.interrupt(root, by="test")
        await task
        record = await h.store.read(root)
        assert (record.usage, record.all_usage) == (USED, USED.plus(USED).plus(CUT))
        assert (await only_child(h, root)).usage == USED.plus(CUT)
        agent.turns = [says("end")]
        record = await h.resume(root)
        assert record.status is RunStatus.COMPLETED, record.error
        assert (record.kept.usage, record.all_steps.reused, record.all_steps.known) == (USED.plus(USED), 2, 4)
        assert record.all_usage == USED.plus(USED).plus(CUT)


async def test_what_an_agent_used_that_failed_as_its_run_was_stopped_is_counted(tmp_path: Path) -> None:
    """Its failure comes too late to be journaled; what it used does not."""
    is_working = asyncio.Event()

    async def fails_when_stopped(task: AgentTask, signal: AbortSignal) -> AgentReply:
        is_working.set()
        with contextlib.suppress(asyncio.CancelledError):
            await signal.wait()
        raise AgentFailed(breaks().failure, usage=CUT)

    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", fails_when_stopped))
        task = h.start(TEXT)
        await is_working.wait()
        run_id = agent.tasks[0].run_id
        await h.service.interrupt(run_id, by="test")
        await task
        record = await h.store.read(run_id)
        assert (record.status, record.usage) == (RunStatus.INTERRUPTED, CUT)
        assert (await h.kinds(run_id))[-1] == "status:interrupted"


async def test_what_refused_answers_cost_is_counted_once_and_outlives_a_crash(tmp_path: Path) -> None:
    """V1: the turns before the answer that fits were paid for, also when the process dies before there is one."""
    bad, good = AgentReply(BAD, usage=USED), AgentReply(GOOD, usage=USED)
    async with Harness(tmp_path) as h:
        agent = h.agents.agents.add(ScriptedAgent("tester", bad, never))
        h.start(SCHEMA)
        await agent.called(2)
        crashed = await h.store.read(agent.tasks[0].run_id)
        assert crashed.usage == USED
        store, clock = beside(h), h.clock
        owners = LivingOwners("owner-b", dead={"owner-a"})
        async with Harness(tmp_path, store=store, clock=clock, owners=owners) as later:
            later.agents.agents.add(ScriptedAgent("tester", bad, good))
            record = await later.resume(crashed.run_id)
            assert record.status is RunStatus.COMPLETED, record.error
            assert (record.usage, record.finished.usage) == (USED.plus(USED).plus(USED), USED.plus(USED))
            (step,) = (await later.store.read_steps(record.run_id)).items
            assert step.usage == USED.plus(USED)
