"""I6 for agents of kind `acp`: an abort is told and waited for a moment; nothing is left of an agent that stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.agent_command import AgentCommand
from sidestep.executors.process_group import group_alive
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason
from sidestep.model.agents import AgentFailed, PermissionOption
from sidestep.model.run import FailureCode
from tests.support.agents.harness import AgentBench, agent_command, open_descriptors

from .conftest import Lifeline, RecordingLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sidestep.model.agents import AgentReply, AgentSession

pytestmark = pytest.mark.slow

USER = AbortReason(AbortKind.USER, by="a test")
SOFT = AbortReason(AbortKind.TIMEOUT, detail="the soft limit")


@pytest.fixture
def bench(tmp_path: Path) -> AgentBench:
    folder = tmp_path / "work"
    folder.mkdir()
    return AgentBench(folder, RecordingLedger())


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The SDK logs with tracebacks what it is surprised by; nothing of this surprises it."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def prompted(session: AgentSession, controller: AbortController) -> asyncio.Future[AgentReply]:
    return asyncio.ensure_future(session.prompt("hello", controller.signal))


async def test_t1_an_agent_that_stops_when_asked_can_be_prompted_again(bench: AgentBench) -> None:
    async with bench.opened("slow") as session:
        controller = AbortController()
        turn = prompted(session, controller)
        await bench.has_said("working")
        controller.abort(SOFT)
        with pytest.raises(Aborted) as aborted:
            await turn
        assert aborted.value.reason == SOFT
        assert session.can_go_on
        reply = await session.prompt("report what you have", AbortController().signal)
        assert reply.text == "You said: report what you have"
    assert len({call["pid"] for call in bench.calls()}) == 1


async def test_i6_an_agent_that_ignores_cancel_is_gone_with_its_children(bench: AgentBench, life: Lifeline) -> None:
    """It ignores SIGTERM and the end of its input, and so does its child."""
    await bench.reply("well_behaved")
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    env = {"SIDESTEP_AGENT_LIFE": str(bench.folder.parent / "life")}
    session = await bench.open(agent_command("ignoring_cancel", "--child", **env))
    controller = AbortController()
    turn = prompted(session, controller)
    await bench.has_said("working")
    assert life.is_held
    controller.abort(USER)
    with pytest.raises(Aborted):
        await turn
    assert not session.can_go_on
    assert not life.is_held
    assert bench.ledger.standing == {}
    assert asyncio.all_tasks() - tasks == set()
    await session.close()
    assert open_descriptors() == descriptors


async def test_a_child_of_a_well_behaved_agent_does_not_outlive_it(bench: AgentBench, life: Lifeline) -> None:
    env = {"SIDESTEP_AGENT_LIFE": str(bench.folder.parent / "life")}
    async with bench.opened("well_behaved", "--child", **env) as session:
        await session.prompt("hello", AbortController().signal)
        assert life.is_held
    assert not life.is_held
    assert bench.ledger.standing == {}


async def test_an_agent_that_dies_in_its_turn_is_told_and_its_children_are_gone(
    bench: AgentBench, life: Lifeline
) -> None:
    env = {"SIDESTEP_AGENT_LIFE": str(bench.folder.parent / "life")}
    async with bench.opened("crashing", "--child", **env) as session:
        with pytest.raises(AgentFailed) as failed:
            await session.prompt("hello", AbortController().signal)
        assert not session.can_go_on
    assert failed.value.failure.code is FailureCode.INFRASTRUCTURE
    assert "ended with exit code 3 in its turn" in failed.value.failure.message
    assert failed.value.failure.message.endswith("the agent's last words")
    assert not life.is_held
    assert bench.ledger.standing == {}


async def test_an_agent_that_dies_when_asked_to_stop_is_an_abort(bench: AgentBench) -> None:
    async with bench.opened("crashing", "--at", "cancel") as session:
        controller = AbortController()
        turn = prompted(session, controller)
        await bench.has_said("working")
        controller.abort(USER)
        with pytest.raises(Aborted):
            await turn
        assert not session.can_go_on
        assert bench.ledger.standing == {}


async def test_silence_in_a_turn_is_ended_by_an_abort(bench: AgentBench) -> None:
    async with bench.opened("silent", "--at", "prompt") as session:
        controller = AbortController()
        turn = prompted(session, controller)
        await bench.has_said("prompted", stream="stderr")
        controller.abort(USER)
        with pytest.raises(Aborted):
            await turn
        assert not session.can_go_on
    assert bench.ledger.standing == {}


async def test_an_abort_at_the_start_leaves_nothing(bench: AgentBench) -> None:
    await bench.reply("well_behaved")
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    controller = AbortController()
    opening = asyncio.ensure_future(
        bench.open(AgentCommand("sh", ("-c", "echo up >&2; exec sleep 1000")), controller.signal)
    )
    await bench.has_said("up", stream="stderr")
    assert len(bench.ledger.standing) == 1
    controller.abort(USER)
    with pytest.raises(Aborted):
        await opening
    assert bench.ledger.standing == {}
    assert (asyncio.all_tasks(), open_descriptors()) == (tasks, descriptors)
    with pytest.raises(Aborted):
        await bench.open(agent_command("well_behaved"), controller.signal)


async def test_a_cancelled_task_can_close(bench: AgentBench, life: Lifeline) -> None:
    env = {"SIDESTEP_AGENT_LIFE": str(bench.folder.parent / "life")}

    async def step() -> None:
        async with bench.opened("slow", "--child", **env) as session:
            await session.prompt("hello", AbortController().signal)

    running = asyncio.ensure_future(step())
    await bench.has_said("working")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not life.is_held
    assert bench.ledger.standing == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_task_cancelled_again_while_it_closes_kills_and_stays_in_the_ledger(
    bench: AgentBench, life: Lifeline
) -> None:
    """What was not seen to be gone is not forgotten; asked again, `close` sees it."""
    env = {"SIDESTEP_AGENT_LIFE": str(bench.folder.parent / "life")}
    session = await bench.open(agent_command("ignoring_cancel", "--child", **env))
    (group_id,) = bench.ledger.standing
    closing = asyncio.ensure_future(session.close())
    await asyncio.wait([closing], timeout=0.05)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert list(bench.ledger.standing) == [group_id]
    await life.end()
    await session.close()
    assert bench.ledger.standing == {}
    assert not group_alive(group_id)


OPTIONS = (
    PermissionOption("7-yes", "Yes", "allow_once"),
    PermissionOption("7-always", "Always", "allow_always"),
    PermissionOption("7-no", "No", "reject_once"),
)


async def test_a_permission_is_asked_for_and_its_option_answered(bench: AgentBench) -> None:
    bench.permission = "7-yes"
    reply = await bench.reply("asking_permission")
    assert reply.text == "You said: hello"
    (asked,) = bench.asked
    assert (asked.title, asked.detail, asked.options) == ("execute: rm -rf build", '{"command": "rm"}', OPTIONS)


@pytest.mark.parametrize(("chosen", "told"), [("7-no", "7-no"), (None, "nothing")])
async def test_a_refusal_is_no_failure_of_itself(bench: AgentBench, chosen: str | None, told: str) -> None:
    bench.permission = chosen
    assert (await bench.reply("asking_permission")).text == f"not permitted: {told}"


async def test_an_agent_that_gives_up_when_refused_fails_with_what_it_was(bench: AgentBench) -> None:
    bench.permission = "7-no"
    failure = await bench.failure("asking_permission", "--gives-up")
    assert failure.code is FailureCode.STEP
    assert failure.message == "agent tester gave up when it was not permitted: execute: rm -rf build"


async def test_a_question_that_cannot_be_asked_fails_the_turn(bench: AgentBench) -> None:
    """What goes wrong on our side is not for the agent to explain."""
    bench.permission = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        await bench.reply("asking_permission")
    assert bench.ledger.standing == {}


async def test_an_abort_answers_the_open_question(bench: AgentBench) -> None:
    """The agent gets its answer, ends its turn as cancelled, and can go on."""
    bench.permission = asyncio.get_running_loop().create_future()
    async with bench.opened("asking_permission") as session:
        controller = AbortController()
        turn = prompted(session, controller)
        await bench.has_asked()
        controller.abort(SOFT)
        with pytest.raises(Aborted):
            await turn
        assert bench.permission.cancelled()
        assert session.can_go_on
    assert bench.ledger.standing == {}


async def test_an_agent_that_withdraws_its_question_goes_on(bench: AgentBench) -> None:
    bench.permission = asyncio.get_running_loop().create_future()
    reply = await bench.reply("asking_permission", "--withdraws")
    assert reply.text == "not permitted: nothing"
    assert bench.permission.cancelled()


async def test_a_session_closed_with_a_question_open_leaves_nothing(bench: AgentBench) -> None:
    bench.permission = asyncio.get_running_loop().create_future()
    session = await bench.open(agent_command("asking_permission"))
    turn = prompted(session, AbortController())
    await bench.has_asked()
    turn.cancel()
    await asyncio.wait([turn])
    await session.close()
    assert bench.permission.cancelled()
    assert bench.ledger.standing == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}
