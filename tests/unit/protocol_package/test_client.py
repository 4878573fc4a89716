"""The client against a scripted server in a real process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidestep_protocol.capabilities import InitializationOptions
from sidestep_protocol.client import AnswerTooLarge, Client, Notification, ResponseFailed, ServerGone
from sidestep_protocol.errors import ArgsInvalidData, ErrorData
from sidestep_protocol.events import PhaseEvent, UnknownEvent
from sidestep_protocol.framing import MESSAGE_BYTES_MAX
from sidestep_protocol.runs import Problem
from sidestep_protocol.tasks import InteractResult
from sidestep_protocol.workflow import EventsResult, RunOutcome, ScriptRef, StartParams

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sidestep_protocol.tasks import InteractParams

COMMAND = [sys.executable, "-S", "-E", str(Path(__file__).with_name("fake_server.py"))]
AT = "2026-01-31T09:30:00.125Z"
PHASE = {"type": "phase", "sequence": 1, "at": AT, "name": "verify"}
QUESTION = {"interactionId": "i", "runId": "r", "kind": "question", "title": "t", "redelivery": False}


def spawn(**options: Any) -> AbstractAsyncContextManager[Client]:
    return Client.spawn(COMMAND, **options)


class Problems:
    """What the event loop was told to complain about."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.messages.append(context["message"]))


async def test_a_request_is_answered_in_the_type_asked_for() -> None:
    async with spawn() as client:
        params = StartParams(script=ScriptRef(name="n"), args={"my-key": {"class": 1, "": 2}})
        assert await client.request("echo", params, StartParams) == params
        assert await client.request("echo", {"jsonrpc": "1", "id": 7, "method": "m"}) == {
            "jsonrpc": "1",
            "id": 7,
            "method": "m",
        }
        assert await client.request("echo") == {}


async def test_answers_find_their_requests_whatever_their_order() -> None:
    async with spawn() as client:
        slow = client.send("slow")
        quick = client.send("echo", {"a": 1})
        assert await quick == {"a": 1}
        assert not slow.is_answered
        await client.cancel(slow)
        with pytest.raises(ResponseFailed) as caught:
            await slow
        assert (caught.value.code, caught.value.reason) == (-32800, "requestCancelled")


async def test_an_error_carries_code_reason_message_and_data() -> None:
    data = {"reason": "runLeased", "pid": 7}
    async with spawn() as client:
        with pytest.raises(ResponseFailed) as caught:
            await client.request("fail", {"code": -31004, "message": "owned", "data": data})
        error = caught.value
        assert (error.code, error.reason, error.message, error.data) == (-31004, "runLeased", "owned", data)
        # Its data lacks what belongs to the reason.
        assert error.details is None
        with pytest.raises(ResponseFailed) as caught:
            await client.request("fail", {"code": 1, "message": "bare"})
        assert (caught.value.reason, caught.value.data) == ("", None)


async def test_an_errors_data_comes_in_the_struct_of_its_reason() -> None:
    problems = [{"path": "/a", "message": "required"}]
    async with spawn() as client:
        failed = {"code": -31013, "message": "m", "data": {"reason": "argsInvalid", "problems": problems}}
        with pytest.raises(ResponseFailed) as caught:
            await client.request("fail", failed)
        assert caught.value.details == ArgsInvalidData(
            reason="argsInvalid", problems=[Problem(path="/a", message="required")]
        )
        with pytest.raises(ResponseFailed) as caught:
            await client.request("fail", {"code": 1, "message": "m", "data": {"reason": "tooNew", "more": 1}})
        assert caught.value.details == ErrorData(reason="tooNew")


async def test_a_result_of_the_wrong_shape_is_an_error_of_its_request_alone() -> None:
    async with spawn() as client:
        with pytest.raises(ResponseFailed, match="badResult"):
            await client.request("wrong", {"result": {"runId": 7}}, RunOutcome)
        assert await client.request("echo", {"a": 1}) == {"a": 1}


async def test_a_cancelled_wait_withdraws_its_request() -> None:
    async with spawn() as client:
        began, asked = client.notifications("slow/began"), client.notifications("slow/began")
        ended = client.notifications("slow/ended")
        waiting = asyncio.ensure_future(client.request("slow"))
        await anext(began)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await anext(ended)).params == (await anext(asked)).params
        assert await client.request("echo", {"a": 1}) == {"a": 1}


async def test_one_cancelled_waiter_leaves_the_answer_to_the_others() -> None:
    async with spawn() as client:
        request = client.send("slow")

        async def wait() -> None:
            await request

        first, second = asyncio.ensure_future(wait()), asyncio.ensure_future(wait())
        await anext(client.notifications("slow/began"))
        first.cancel()
        await client.cancel(request.id)
        with pytest.raises(ResponseFailed):
            await second
        assert first.cancelled()


async def test_notifications_come_in_order_and_in_types_before_the_answer() -> None:
    told = [
        {"method": "workflow/lagged", "params": {"runId": "r", "lastSequence": 4}},
        {"method": "workflow/deleted", "params": {"runId": "r"}},
        {"method": "other/thing", "params": {"my-key": 1}},
    ]
    async with spawn() as client:
        everything, deleted = client.notifications(), client.notifications("workflow/deleted")
        seen: list[Any] = []
        off = client.on("workflow/lagged", seen.append)
        await client.request("tell", {"told": told})
        assert [params.last_sequence for params in seen] == [4]
        off()
        off()
        await client.request("tell", {"told": told[:1]})
        assert len(seen) == 1
        got = [await anext(everything) for _ in range(4)]
        assert [item.method for item in got] == [item["method"] for item in [*told, told[0]]]
        assert got[2] == Notification("other/thing", {"my-key": 1})
        assert (await anext(deleted)).params.run_id == "r"


async def test_a_stream_nobody_reads_drops_the_oldest_and_counts() -> None:
    told = [{"method": "n", "params": {"n": number}} for number in range(5)]
    async with spawn() as client:
        with client.notifications(limit=2) as stream:
            await client.request("tell", {"told": told})
            assert stream.dropped == 3
        await client.request("tell", {"told": told})
        assert [item.params["n"] async for item in stream] == [3, 4]


async def test_events_of_a_newer_server_arrive() -> None:
    newer = {"type": "teleport", "sequence": 2, "at": AT}
    page = {"events": [PHASE, newer], "lastSequence": 2, "hasMore": False}
    told = {"method": "workflow/eventsAppended", "params": {"runId": "r", "events": [newer]}}
    async with spawn() as client:
        stream = client.notifications()
        await client.request("tell", {"told": [told]})
        assert (await anext(stream)).params.events == [UnknownEvent(sequence=2, at=AT, event=newer)]
        events = (await client.request("wrong", {"result": page}, EventsResult)).events
        assert [type(event) for event in events] == [PhaseEvent, UnknownEvent]


async def test_a_callback_that_raises_stops_nobody() -> None:
    async with spawn() as client:
        problems = Problems()
        seen: list[Any] = []
        client.on("n", lambda params: params["absent"])
        client.on("n", seen.append)
        await client.request("tell", {"told": [{"method": "n", "params": {}}] * 2})
        assert seen == [{}, {}]
        assert len(problems.messages) == 2


async def test_garbage_from_the_server_is_complained_about_and_passed_over() -> None:
    async with spawn() as client:
        problems = Problems()
        await client.request("garbage")
        await client.request("tell", {"told": [{"method": "workflow/deleted", "params": {"runId": 7}}]})
        assert len(problems.messages) == 4
        assert any("no JSON" in message for message in problems.messages)


async def test_the_servers_requests_are_answered_by_handlers() -> None:
    async def interact(params: InteractParams) -> InteractResult:
        return InteractResult(answer={"title": params.title})

    async with spawn() as client:
        client.handle("workflow/interact", interact)
        reply = await client.request("ask", {"method": "workflow/interact", "params": QUESTION})
        assert reply == {"id": "s1", "result": {"answer": {"title": "t"}}}


async def test_a_request_without_handler_is_refused() -> None:
    async with spawn() as client:
        reply = await client.request("ask", {"method": "workflow/interact", "params": QUESTION})
        assert reply["error"]["code"] == -32601
        assert reply["error"]["data"] == {"reason": "methodNotFound"}


async def test_handlers_fail_in_the_error_they_choose_or_as_internal() -> None:
    async def refuse(_: Any) -> None:
        raise ResponseFailed(-32803, "requestFailed", "busy", {"later": 1})

    async def crash(_: Any) -> None:
        raise KeyError("secret")

    async with spawn() as client:
        problems = Problems()
        client.handle("a", refuse)
        client.handle("b", crash)
        client.handle("workflow/interact", refuse)
        reply = await client.request("ask", {"method": "a"})
        assert reply["error"] == {"code": -32803, "message": "busy", "data": {"later": 1, "reason": "requestFailed"}}
        reply = await client.request("ask", {"method": "b"})
        assert reply["error"]["code"] == -32603
        assert "secret" not in str(reply)
        assert len(problems.messages) == 1
        reply = await client.request("ask", {"method": "workflow/interact", "params": {}})
        assert reply["error"]["data"]["path"] == "$.interactionId"


async def test_a_withdrawn_request_of_the_servers_cancels_its_handler() -> None:
    """Also when the withdrawal comes in the same read, before the handler took its first step."""

    async def wait_for_ever(_: Any) -> None:
        await asyncio.get_running_loop().create_future()

    async with spawn() as client:
        client.handle("a", wait_for_ever)
        reply = await client.request("ask", {"method": "a", "withdraw": True})
        assert reply["error"]["code"] == -32800


async def test_death_of_the_server_fails_what_waits_after_its_last_words() -> None:
    async with spawn() as client:
        stream, last = client.notifications(), client.notifications("last/words")
        waiting = client.send("slow")
        with pytest.raises(ServerGone) as caught:
            await client.request("die")
        assert caught.value.returncode == 3
        with pytest.raises(ServerGone):
            await waiting
        assert [item.method async for item in stream] == ["slow/began", "last/words"]
        assert len([item async for item in last]) == 1
        with pytest.raises(ServerGone):
            await client.request("echo")
        await client.cancel(waiting)
        assert [item async for item in client.notifications()] == []
        assert client.returncode == await client.wait() == await client.shutdown() == 3


async def test_killed_on_a_notification() -> None:
    """What the demo does: SIGKILL from the callback, no timing."""
    async with spawn() as client:
        client.on("n", lambda _: client.kill())
        waiting = client.send("slow")
        # Not awaited: whether its answer was written before the kill is open.
        client.send("tell", {"told": [{"method": "n", "params": {}}]})
        with pytest.raises(ServerGone) as caught:
            await waiting
        assert caught.value.returncode == -signal.SIGKILL
        assert str(caught.value) == "the server is gone (killed by SIGKILL)"
        client.kill()


@pytest.mark.slow
async def test_a_grandchild_that_holds_the_pipe_does_not_hide_the_death() -> None:
    """W19, from the host's side."""
    async with spawn() as client:
        with pytest.raises(ServerGone) as caught:
            await client.request("orphan")
        assert caught.value.returncode == 4


@pytest.mark.slow
async def test_a_server_that_only_closes_its_output_is_gone() -> None:
    """W22, from the host's side."""
    async with spawn() as client:
        with pytest.raises(ServerGone) as caught:
            await client.request("close")
        assert caught.value.returncode is None
    assert client.returncode == 5


async def test_shutdown_and_exit() -> None:
    async with spawn() as client:
        assert client.returncode is None
        assert client.pid > 0
        assert await client.shutdown() == 0
        assert client.returncode == 0


async def test_leaving_the_block_ends_the_server() -> None:
    async with spawn() as client:
        await client.request("echo")
    assert client.returncode == 1

    with pytest.raises(KeyError, match="mine"):
        async with spawn() as client:
            raise KeyError("mine")
    assert client.returncode is not None


async def test_a_server_that_ignores_the_end_of_its_input_is_killed() -> None:
    script = (
        'import signal; print(\'Content-Length: 27\\r\\n\\r\\n{"method":"n","params":{}}\', flush=True); signal.pause()'
    )
    async with Client.spawn([sys.executable, "-S", "-c", script], close_grace_s=0) as client:
        await anext(client.notifications())
    assert client.returncode == -signal.SIGKILL


async def test_a_cancelled_way_out_leaves_no_process_behind() -> None:
    """Whoever loses patience while the server is given time to end."""
    script = "import signal, sys; print('Content-Length: 2\\r\\n\\r\\n{}', flush=True); signal.pause()"
    leaving = asyncio.Event()
    clients: list[Client] = []

    async def use() -> None:
        async with Client.spawn([sys.executable, "-S", "-c", script], close_grace_s=3600) as client:
            clients.append(client)
            leaving.set()

    task = asyncio.ensure_future(use())
    await leaving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clients[0].returncode == -signal.SIGKILL


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(OSError, match="No such file"):
        async with Client.spawn(["/nowhere/sidestep"]):
            pass


async def test_environment_folder_and_log_are_the_callers(tmp_path: Path) -> None:
    script = "import os, sys; print(os.environ['A'], os.getcwd(), file=sys.stderr)"
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-S", "-c", script]
        async with Client.spawn(command, env={"A": "given"}, cwd=tmp_path, stderr=log) as client:
            assert await client.wait() == 0
    assert (tmp_path / "log").read_text() == f"given {tmp_path}\n"


async def test_a_full_stderr_never_blocks() -> None:
    """W22: it is never a pipe of ours."""
    async with spawn(stderr=subprocess.DEVNULL) as client:
        assert await client.request("flood stderr") == {}
    with pytest.raises(ValueError, match="pipe"):
        async with spawn(stderr=subprocess.PIPE):
            pass


@pytest.mark.slow
async def test_large_messages_go_both_ways() -> None:
    text = "ü" * 2_000_000
    async with spawn() as client:
        first, second = client.send("echo", {"text": text}), client.send("echo", {"text": text})
        assert (await first)["text"] == (await second)["text"] == text


@pytest.mark.slow
@pytest.mark.parametrize("order", ["id first", "id last"])
async def test_an_answer_longer_than_a_message_may_be_is_an_error_of_its_request_alone(order: str) -> None:
    """W7, at the host's end of the wire: nobody waits for what was passed over."""
    async with spawn() as client:
        problems = Problems()
        length = MESSAGE_BYTES_MAX + 1
        request, after = client.send("long", {"length": length, "order": order}), client.send("echo", {"a": 1})
        with pytest.raises(AnswerTooLarge, match="the answer to long is") as caught:
            await request
        assert (caught.value.method, caught.value.bytes_max) == ("long", MESSAGE_BYTES_MAX)
        assert caught.value.length_bytes > length
        assert await after == {"a": 1}
        assert len(problems.messages) == 1


async def test_initialize_says_what_the_host_can_do(tmp_path: Path) -> None:
    async with spawn() as client:
        result = await client.initialize(
            folders=[tmp_path], trust=True, run_task=True, options=InitializationOptions(auto_resume=False)
        )
        sent = result.capabilities["experimental"]["sent"]
        assert sent["capabilities"]["experimental"]["workflow"] == {
            "protocolVersions": [1],
            "events": True,
            "runTask": True,
        }
        assert sent["workspaceFolders"] == [{"uri": tmp_path.as_uri(), "name": tmp_path.name}]
        assert sent["rootUri"] == tmp_path.as_uri()
        assert sent["initializationOptions"] == {"autoResume": False, "trust": {"folders": [tmp_path.as_uri()]}}
        assert client.server is not None
        assert client.server.server_epoch == "e"


async def test_initialize_without_trust_names_no_folder_as_trusted(tmp_path: Path) -> None:
    async with spawn() as client:
        result = await client.initialize(folders=[tmp_path])
        assert "initializationOptions" in result.capabilities["experimental"]["sent"]
        assert result.capabilities["experimental"]["sent"]["initializationOptions"] == {}


async def test_a_capability_of_the_wrong_shape_is_an_error_of_initialize() -> None:
    async with spawn() as client:
        with pytest.raises(ResponseFailed, match="badResult"):
            await client.initialize(options=InitializationOptions(default_agent="no capability"))
