"""A host's agent steps and questions, asked for by a server of one page. J4 and W25 from the host's side."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidestep_protocol.client import Client, ResponseFailed, ServerGone
from sidestep_protocol.host_tasks import HostTask, HostTasks
from sidestep_protocol.tasks import RunTaskResult

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sidestep_protocol.tasks import InteractParams

COMMAND = [sys.executable, "-S", "-E", str(Path(__file__).with_name("fake_server.py"))]
TASK: dict[str, Any] = {
    "taskId": "t",
    "runId": "r",
    "stepId": "s",
    "inputHash": "h",
    "attempt": 1,
    "redelivery": False,
    "prompt": "do it",
    "cwd": "/w",
}


def spawn() -> AbstractAsyncContextManager[Client]:
    return Client.spawn(COMMAND)


async def ask(client: Client, task_id: str = "t", **more: Any) -> Any:
    """What the host answers to one `workflow/runTask`."""
    return await client.request("ask", {"method": "workflow/runTask", "params": {**TASK, "taskId": task_id}, **more})


class Agent:
    """Does tasks: counts them, and waits when told to."""

    def __init__(self, *, waits: bool = False) -> None:
        self.done: list[str] = []
        self.cancelled: list[str] = []
        self.may_go = asyncio.Event()
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        if not waits:
            self.may_go.set()

    async def do(self, task: HostTask) -> RunTaskResult:
        self.done.append(task.params.task_id)
        self.began.set()
        try:
            await self.may_go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(task.params.task_id)
            self.ended.set()
            raise
        return RunTaskResult(report=f"did {task.params.prompt}")


RESULT = {"report": "did do it"}


async def test_j4_a_task_asked_for_again_is_answered_from_memory() -> None:
    agent = Agent()
    async with HostTasks(agent.do) as tasks:
        for _ in range(2):
            async with spawn() as client:
                tasks.serve(client)
                assert (await ask(client))["result"] == RESULT
                assert (await ask(client))["result"] == RESULT
    assert agent.done == ["t"]


async def test_a_task_whose_server_died_works_on_and_is_joined_by_the_next() -> None:
    agent = Agent(waits=True)
    async with HostTasks(agent.do) as tasks:
        async with spawn() as client:
            tasks.serve(client)
            asking = client.send("ask", {"method": "workflow/runTask", "params": TASK})
            await agent.began.wait()
            client.kill()
            with pytest.raises(ServerGone):
                await asking
        assert agent.cancelled == []
        async with spawn() as client:
            tasks.serve(client)
            agent.may_go.set()
            assert (await ask(client))["result"] == RESULT
    assert agent.done == ["t"]


async def test_a_withdrawn_task_is_cancelled_and_done_again_when_asked_for_again() -> None:
    async def do(task: HostTask) -> RunTaskResult:
        if not agent.done:
            await task.progress()
        return await agent.do(task)

    agent = Agent(waits=True)
    async with HostTasks(do) as tasks, spawn() as client:
        tasks.serve(client)
        # The server is content with the progress; the request is still open when it is withdrawn.
        await client.request("ask", {"method": "workflow/runTask", "params": TASK, "raw": True})
        await agent.began.wait()
        await client.request("withdraw")
        await agent.ended.wait()
        assert agent.cancelled == ["t"]
        agent.may_go.set()
        assert (await ask(client))["result"] == RESULT
    assert agent.done == ["t", "t"]


async def test_a_task_that_failed_is_done_again() -> None:
    calls: list[str] = []

    async def do(task: HostTask) -> RunTaskResult:
        calls.append(task.params.task_id)
        if len(calls) == 1:
            raise ResponseFailed(-32803, "requestFailed", "busy")
        return RunTaskResult(data={"n": len(calls)})

    async with HostTasks(do) as tasks, spawn() as client:
        tasks.serve(client)
        assert (await ask(client))["error"]["data"] == {"reason": "requestFailed"}
        assert (await ask(client))["result"] == {"data": {"n": 2}}


async def test_only_so_many_results_are_remembered() -> None:
    agent = Agent()
    async with HostTasks(agent.do, remembered_max=2) as tasks, spawn() as client:
        tasks.serve(client)
        for task_id in ("a", "b", "c", "c", "b", "a"):
            await ask(client, task_id)
    assert agent.done == ["a", "b", "c", "a"]


async def test_progress_goes_to_whoever_asked_last() -> None:
    async def do(task: HostTask) -> RunTaskResult:
        await task.progress("half-way")
        return RunTaskResult(report="done")

    async with HostTasks(do) as tasks, spawn() as client:
        tasks.serve(client)
        # The server reads the next message as the answer: it is the progress.
        reply = await client.request("ask", {"method": "workflow/runTask", "params": TASK, "raw": True})
        assert reply == {
            "jsonrpc": "2.0",
            "method": "workflow/taskProgress",
            "params": {"taskId": "t", "message": "half-way"},
        }


async def test_leaving_the_block_cancels_what_is_at_work() -> None:
    agent = Agent(waits=True)
    async with spawn() as client:
        async with HostTasks(agent.do) as tasks:
            tasks.serve(client)
            asking = client.send("ask", {"method": "workflow/runTask", "params": TASK})
            await agent.began.wait()
        assert agent.cancelled == ["t"]
        assert (await asking)["error"]["code"] == -32800


async def test_the_handshake_offers_what_there_are_handlers_for() -> None:
    async def answer(_: InteractParams) -> str:
        return "yes"

    async with HostTasks(Agent().do) as tasks, spawn() as client:
        result = await client.initialize()
        sent = result.capabilities["experimental"]["sent"]["capabilities"]["experimental"]["workflow"]
        assert "runTask" not in sent
        assert "interaction" not in sent
        tasks.serve(client)
        client.handle_questions(answer)
        result = await client.initialize()
        sent = result.capabilities["experimental"]["sent"]["capabilities"]["experimental"]["workflow"]
        assert (sent["runTask"], sent["interaction"]) == (True, True)
        question = {"interactionId": "i", "runId": "r", "kind": "question", "title": "t", "redelivery": False}
        reply = await client.request("ask", {"method": "workflow/interact", "params": question})
        assert reply["result"] == {"answer": "yes"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ValueError("the model is overloaded"), "the model is overloaded"),
        (KeyError(), "the host failed to answer workflow/runTask: KeyError"),
    ],
)
async def test_a_host_that_breaks_says_why(raised: Exception, told: str) -> None:
    complained: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complained.append(context["exception"]))

    async def do(task: HostTask) -> RunTaskResult:
        raise raised

    async with HostTasks(do) as tasks, spawn() as client:
        tasks.serve(client)
        error = (await ask(client))["error"]
    assert (error["message"], error["data"]) == (told, {"reason": "internal"})
    assert complained == [raised]
