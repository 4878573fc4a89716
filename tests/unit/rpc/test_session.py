"""W9-W14, W25, G7: the session's rules, on an in-memory wire."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from sidestep.rpc.errors import PeerError, PeerGone, PeerInvalid
from sidestep.rpc.lifecycle import EndCause
from sidestep.rpc.transport import Lane
from tests.unit.rpc.memory_wire import PATIENCE_S, MemoryWire


def check_error(answer: dict[str, Any], code: int, reason: str) -> dict[str, Any]:
    assert "result" not in answer
    assert (answer["error"]["code"], answer["error"]["data"]["reason"]) == (code, reason), answer
    return answer["error"]["data"]


# -- Lifecycle


async def test_w13_before_initialize_requests_are_refused_and_notifications_dropped() -> None:
    wire = MemoryWire()
    wire.send({"method": "test/tell", "params": {"early": 1}})
    check_error(await wire.ask("test/echo"), -32002, "notInitialized")
    check_error(await wire.ask("shutdown"), -32002, "notInitialized")
    check_error(await wire.ask("no/such"), -32002, "notInitialized")
    await wire.ready()
    assert await wire.ask("test/echo", {"a": 1}) == {"jsonrpc": "2.0", "id": "ask-4", "result": {"a": 1}}
    assert {"early": 1} not in wire.told


async def test_w13_a_second_initialize_is_refused() -> None:
    wire = await MemoryWire().ready()
    check_error(await wire.ask("initialize", {"capabilities": {}}), -32600, "reinitialize")


async def test_w13_a_failed_initialize_may_be_tried_again() -> None:
    wire = MemoryWire()
    check_error(await wire.ask("initialize", {"refuse": True}), -31002, "runNotFound")
    check_error(await wire.ask("test/echo"), -32002, "notInitialized")
    await wire.ready()


async def test_g8_nothing_but_the_answer_is_sent_before_the_initialize_result() -> None:
    wire = await MemoryWire().ready()
    assert wire.sent[0]["result"] == {"capabilities": {}}
    assert not [m for m in wire.sent if m.get("method") == "test/early"]
    assert wire.session.notify("test/late", {})


async def test_w13_a_client_that_does_not_wait_for_initialize_is_served_in_order() -> None:
    wire = MemoryWire(initialize_gate=asyncio.Event())
    wire.send(
        {"id": 1, "method": "initialize", "params": {}},
        {"method": "initialized"},
        {"id": 2, "method": "test/echo"},
        {"id": 3, "method": "initialize"},
        {"id": 4, "method": "shutdown"},
        {"method": "exit"},
    )
    assert wire.sent == []
    assert wire.initialize_gate is not None
    wire.initialize_gate.set()
    assert (await wire.session.wait_ended()).exit_code == 0
    await wire.session.aclose(1)
    assert wire.sent[0] == {"jsonrpc": "2.0", "id": 1, "result": {"capabilities": {}}}
    assert wire.responses(2)[0]["result"] == {}
    check_error(wire.responses(3)[0], -32600, "reinitialize")
    assert wire.responses(4) == [{"jsonrpc": "2.0", "id": 4, "result": None}]
    assert "initialized" in wire.told


async def test_w18_the_end_of_stdin_waits_for_a_slow_initialize() -> None:
    wire = MemoryWire(initialize_gate=asyncio.Event())
    wire.send({"id": 1, "method": "initialize"}, {"id": 2, "method": "shutdown"})
    wire.session.receive_end()
    assert wire.initialize_gate is not None
    wire.initialize_gate.set()
    end = await wire.session.wait_ended()
    assert (end.cause, end.exit_code) == (EndCause.EOF, 0)


@pytest.mark.parametrize("end", ["stdin", "exit"])
async def test_w18_a_host_that_has_gone_is_not_kept_by_an_initialize_that_hangs(end: str) -> None:
    """The store may be locked, or stand on a disk that does not answer."""
    wire = MemoryWire(initialize_gate=asyncio.Event(), hung_up_wait_s=0.01)
    wire.send({"id": 1, "method": "initialize"}, {"id": 2, "method": "test/echo"})
    if end == "stdin":
        wire.session.receive_end()
    else:
        wire.send({"method": "exit"})
    ended = await asyncio.wait_for(wire.session.wait_ended(), 5)
    assert (ended.cause, ended.exit_code) == (EndCause.EOF if end == "stdin" else EndCause.EXIT, 1)
    await wire.session.aclose(0.01)
    assert [(m["id"], "error" in m) for m in wire.sent if "id" in m] == [(1, True), (2, True)]


@pytest.mark.parametrize("end", ["stdin", "exit"])
@pytest.mark.parametrize("is_answered", [False, True])
async def test_w18_the_time_of_the_drain_runs_from_the_moment_the_host_left(end: str, is_answered: bool) -> None:
    """However long its initialize was waited for: a process ends within the drain's time of its host's leaving."""
    wire = MemoryWire(initialize_gate=asyncio.Event(), hung_up_wait_s=PATIENCE_S if is_answered else 0.01)
    loop = asyncio.get_running_loop()
    wire.send({"id": 1, "method": "initialize"})
    before_s = loop.time()
    if end == "stdin":
        wire.session.receive_end()
    else:
        wire.send({"method": "exit"})
        wire.session.receive_end()
    after_s = loop.time()
    if is_answered:
        assert wire.initialize_gate is not None
        wire.initialize_gate.set()
    ended = await asyncio.wait_for(wire.session.wait_ended(), PATIENCE_S)
    assert before_s <= ended.heard_s <= after_s < loop.time()
    await wire.session.aclose(0.01)


async def test_w13_notifications_before_the_initialize_result_wait_for_it_however_many_they_are() -> None:
    """A `didChange` that is lost makes the document another one."""
    wire = MemoryWire(initialize_gate=asyncio.Event())
    told = [{"n": n} for n in range(1000)]
    wire.send({"id": 1, "method": "initialize"}, *({"method": "test/tell", "params": each} for each in told))
    assert wire.initialize_gate is not None
    wire.initialize_gate.set()
    await wire.response(1)
    await wire.fence()
    assert wire.told == told


async def test_w13_a_client_that_says_more_than_can_be_held_is_read_on_after_the_initialize_result() -> None:
    wire = MemoryWire(initialize_gate=asyncio.Event(), held_bytes_max=4096)
    wire.send({"id": 1, "method": "initialize"}, {"method": "test/tell", "params": {"n": 1}})
    assert wire.paces == []
    wire.send({"method": "test/tell", "params": {"n": 2, "text": "x" * 4096}}, {"method": "test/tell"})
    assert wire.paces == ["pause"]
    # What was read already is held all the same.
    wire.send({"id": 2, "method": "test/echo"})
    assert wire.initialize_gate is not None
    wire.initialize_gate.set()
    await wire.response(2)
    assert wire.paces == ["pause", "resume"]
    assert [each["n"] for each in wire.told if isinstance(each, dict) and each] == [1, 2]


async def test_w13_a_second_initialize_that_was_held_holds_the_rest() -> None:
    wire = MemoryWire(initialize_gate=asyncio.Event(), held_bytes_max=10)
    wire.send(
        {"id": 1, "method": "initialize", "params": {"refuse": True}},
        {"id": 2, "method": "initialize"},
        {"id": 3, "method": "test/echo"},
    )
    # Its handler waits before the next one gets a gate of its own.
    await asyncio.sleep(0)
    first, wire.initialize_gate = wire.initialize_gate, asyncio.Event()
    assert first is not None
    first.set()
    check_error(await wire.response(1), -31002, "runNotFound")
    for _ in range(5):
        await asyncio.sleep(0)
    assert (wire.started, wire.paces) == ([], ["pause"])
    wire.initialize_gate.set()
    await wire.response(3)
    assert [m["id"] for m in wire.sent if "id" in m] == [1, 2, 3]
    assert wire.paces == ["pause", "resume"]


async def test_what_waited_for_initialize_when_the_session_ended_is_refused_not_started() -> None:
    wire = MemoryWire(initialize_gate=asyncio.Event())
    wire.send({"id": 1, "method": "initialize"}, {"id": 2, "method": "test/echo"})
    wire.session.end(EndCause.OUTPUT_BROKEN)
    assert wire.initialize_gate is not None
    wire.initialize_gate.set()
    check_error(await wire.response(2), -32802, "serverDraining")
    assert wire.started == []


async def test_initialized_is_told_once() -> None:
    wire = await MemoryWire().ready()
    wire.send({"method": "initialized"})
    await wire.fence()
    assert wire.told == ["initialized"]


async def test_w13_after_shutdown_requests_are_refused_and_exit_is_orderly() -> None:
    wire = await MemoryWire(shutdown_gate=asyncio.Event()).ready()
    wire.send({"id": "s", "method": "shutdown"})
    # Already while it drains.
    check_error(await wire.ask("test/echo"), -32600, "afterShutdown")
    wire.send({"method": "test/tell", "params": {"late": 1}})
    assert wire.shutdown_gate is not None
    wire.shutdown_gate.set()
    assert (await wire.response("s"))["result"] is None
    check_error(await wire.ask("shutdown"), -32600, "afterShutdown")
    wire.send({"method": "exit"}, {"id": 9, "method": "test/echo"})
    end = await wire.session.wait_ended()
    assert (end.cause, end.exit_code) == (EndCause.EXIT, 0)
    await wire.session.aclose(1)
    assert wire.responses(9) == []
    assert {"late": 1} not in wire.told


@pytest.mark.parametrize("is_ready", [False, True])
async def test_w13_exit_without_shutdown_is_1(is_ready: bool) -> None:
    wire = MemoryWire()
    if is_ready:
        await wire.ready()
    wire.send({"method": "exit"})
    end = await wire.session.wait_ended()
    assert (end.cause, end.exit_code) == (EndCause.EXIT, 1)


async def test_w18_the_end_of_stdin_without_shutdown_is_1() -> None:
    wire = await MemoryWire().ready()
    wire.session.receive(b"Content-Length: 10\r\n\r\n{")
    wire.session.receive_end()
    end = await wire.session.wait_ended()
    assert (end.cause, end.exit_code) == (EndCause.EOF, 1)


async def test_w22_a_broken_stdout_is_4_whatever_else() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "shutdown"})
    wire.session.end(EndCause.OUTPUT_BROKEN)
    wire.send({"method": "exit"})
    assert (await wire.session.wait_ended()).exit_code == 4


# -- Framing


async def test_w3_three_bad_frames_in_a_row_end_the_session() -> None:
    wire = await MemoryWire().ready()
    bad = b"Content-Length: nonsense\r\n\r\n"
    wire.session.receive(bad + bad)
    assert [m["error"]["data"]["reason"] for m in wire.responses(None)] == ["badFraming"] * 2
    await wire.fence()  # A good frame starts the count again.
    wire.session.receive(bad + bad)
    await wire.fence()
    wire.session.receive(bad + bad + bad)
    end = await wire.session.wait_ended()
    assert (end.cause, end.exit_code) == (EndCause.BAD_FRAMING, 1)


async def test_w7_a_message_that_is_too_large_is_answered_once_and_skipped() -> None:
    wire = await MemoryWire().ready()
    wire.session.receive(b"Content-Length: 2000000\r\n\r\n" + b"x" * 1_000_000)
    wire.session.receive(b"x" * 1_000_000)
    await wire.fence()
    assert [m["error"]["data"]["reason"] for m in wire.responses(None)] == ["payloadTooLarge"]
    check_error(wire.responses(None)[0], -32600, "payloadTooLarge")


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [(b"{", -32700, "parseError"), (b"[]", -32600, "batch"), (b"42", -32600, "invalidRequest")],
)
async def test_w1_w8_bad_bodies_are_answered_once_and_the_session_goes_on(body: bytes, code: int, reason: str) -> None:
    wire = await MemoryWire().ready()
    wire.send(body)
    await wire.fence()
    (answer,) = wire.responses(None)
    check_error(answer, code, reason)


# -- Ids


async def test_w9_an_integer_and_a_string_id_are_two_ids() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/hold"}, {"id": "1", "method": "test/echo", "params": {"s": 1}})
    assert (await wire.response("1"))["result"] == {"s": 1}
    assert wire.responses(1) == []
    wire.gate.set()
    assert (await wire.response(1))["result"] == "held"


async def test_w10_a_duplicate_id_leaves_the_first_request_its_one_answer() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/hold"}, {"id": 1, "method": "test/echo"}, b'{"jsonrpc":"1.0","id":1}')
    await wire.fence()
    duplicate, malformed = wire.responses(None)
    assert check_error(duplicate, -32600, "duplicateId")["id"] == 1
    check_error(malformed, -32600, "invalidRequest")
    assert wire.responses(1) == []
    wire.gate.set()
    assert (await wire.response(1))["result"] == "held"
    # Answered, the id is free.
    wire.send({"id": 1, "method": "test/echo", "params": {"again": 1}})
    await wire.message(lambda m: m.get("result") == {"again": 1})
    assert len(wire.responses(1)) == 2


# -- Methods and params


async def test_w14_unknown_requests_are_answered_and_unknown_notifications_are_not() -> None:
    wire = await MemoryWire().ready()
    before = len(wire.sent)
    check_error(await wire.ask("no/such"), -32601, "methodNotFound")
    check_error(await wire.ask("$/such"), -32601, "methodNotFound")
    check_error(await wire.ask("$/cancelRequest", {"id": 1}), -32601, "methodNotFound")
    wire.send({"method": "no/such"}, {"method": "$/setTrace"}, {"method": "$/progress", "params": {}})
    await wire.fence()
    assert len(wire.sent) == before + 4


@pytest.mark.parametrize("params", [b"", b',"params":null', b',"params":{}', b',"params":{"x":1},"extra":[]'])
async def test_w11_params_may_be_absent_or_null_and_fields_extra(params: bytes) -> None:
    wire = await MemoryWire().ready()
    wire.send(b'{"jsonrpc":"2.0","id":"p","method":"test/echo"' + params + b"}")
    assert "result" in await wire.response("p")


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ("[]", "$"),
        ('"x"', "$"),
        ("{}", "$.runId"),
        ('{"runId":1}', "$.runId"),
        ('{"runId":"r","limits":[1,"x"]}', "$.limits[1]"),
        ('{"runId":"\\ud800"}', "$.runId"),
    ],
)
async def test_w11_bad_params_are_answered_with_path_and_expectation(params: str, path: str) -> None:
    wire = await MemoryWire().ready()
    wire.send(b'{"jsonrpc":"2.0","id":"p","method":"test/typed","params":' + params.encode() + b"}")
    data = check_error(await wire.response("p"), -32602, "invalidParams")
    assert data["path"] == path
    assert data["expected"]


async def test_w12_payload_keys_come_back_untouched() -> None:
    wire = await MemoryWire().ready()
    payload = {"jsonrpc": "1.0", "method": 1, "id": None, "type_name": "T", "my-key": 1, "class": 2, "": [{"": {}}]}
    assert (await wire.ask("test/echo", payload))["result"] == payload


# -- Failures


async def test_a_known_error_is_mapped() -> None:
    wire = await MemoryWire().ready()
    assert check_error(await wire.ask("test/fail", {"how": "known"}), -31002, "runNotFound")["runId"] == "run_1"


@pytest.mark.parametrize("how", ["unknown", "map"])
async def test_an_unexpected_error_is_an_incident_that_only_the_log_tells(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire = await MemoryWire().ready()
    answer = await wire.ask("test/fail", {"how": how})
    incident = check_error(answer, -32603, "internal")["incidentId"]
    assert "secret" not in str(answer)
    assert "Traceback" not in str(answer)
    logged = [record for record in caplog.records if incident in record.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info


async def test_an_unserialisable_result_is_answered() -> None:
    wire = await MemoryWire().ready()
    check_error(await wire.ask("test/unserialisable"), -32603, "internal")


async def test_a_failing_notification_handler_is_logged_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    wire = await MemoryWire().ready()
    wire.send({"method": "test/tell", "params": {"fail": True}}, {"method": "test/tell", "params": [1]})
    await wire.fence()
    assert any(record.exc_info for record in caplog.records)
    assert any("test/tell ignored" in record.getMessage() for record in caplog.records)


async def test_a_notification_that_is_refused_for_a_known_reason_is_no_incident(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A host that shuts down while what serves it is still being loaded has done nothing wrong."""
    caplog.set_level(logging.INFO)
    wire = await MemoryWire().ready()
    wire.send({"method": "test/tell", "params": {"refuse": True}}, {"method": "test/tell", "params": {"fail": True}})
    await wire.fence()
    (refused, failed) = [record for record in caplog.records if "test/tell" in record.getMessage()]
    assert (refused.levelname, refused.exc_info) == ("INFO", None)
    assert (failed.levelname, bool(failed.exc_info)) == ("ERROR", True)


# -- Order and limits


async def test_handlers_start_in_arrival_order_and_a_slow_one_delays_no_other() -> None:
    wire = await MemoryWire().ready()
    messages = [{"id": n, "method": "test/wait" if n % 2 else "test/echo"} for n in range(8)]
    wire.send(*messages)
    await wire.fence()
    assert wire.started[:8] == [f"{'wait' if n % 2 else 'echo'} {n}" for n in range(8)]
    assert all(wire.responses(n) for n in range(0, 8, 2))
    wire.gate.set()
    for n in range(8):
        await wire.response(n)
    assert all(len(wire.responses(n)) == 1 for n in range(8))


async def test_notifications_of_a_handler_stand_before_its_answer_and_what_follows_after_it() -> None:
    wire = await MemoryWire().ready()
    await wire.ask("test/notify")
    assert [m.get("method", "answer") for m in wire.sent[1:]] == ["test/before", "answer", "test/after"]


async def test_the_request_after_the_last_is_overloaded_but_waiting_and_vital_ones_are_let_in() -> None:
    wire = await MemoryWire(requests_in_flight_max=2).ready()
    wire.send({"id": "w", "method": "test/wait"}, {"id": 1, "method": "test/hold"}, {"id": 2, "method": "test/hold"})
    data = check_error(await wire.ask("test/hold"), -31001, "overloaded")
    assert data["retryAfterMs"] == 1000
    assert wire.session.requests_in_flight == 2
    wire.send({"id": "w2", "method": "test/wait"}, {"id": "a", "method": "test/always"})
    await wire.fence()
    assert not wire.responses("w2")
    wire.gate.set()
    for request_id in (1, 2, "w", "w2", "a"):
        assert "result" in await wire.response(request_id)
    assert wire.session.requests_in_flight == 0
    assert (await wire.ask("test/hold"))["result"] == "held"


async def test_w21_a_client_that_reads_no_answers_gets_no_more_work_done() -> None:
    wire = await MemoryWire(is_congested=True).ready()
    check_error(await wire.ask("test/hold"), -31001, "overloaded")
    await wire.fence()


async def test_notifications_keep_their_lane() -> None:
    wire = await MemoryWire().ready()
    wire.session.notify("test/output", {}, lane=Lane.DROPPABLE)
    assert wire.lanes[-1] is Lane.DROPPABLE
    with pytest.raises(TypeError):
        wire.session.notify("test/output", object())


# -- Our requests


async def question(wire: MemoryWire) -> tuple[asyncio.Task[Any], str]:
    """Ask the client something; returns the task and the id on the wire."""
    task = asyncio.create_task(wire.session.request("host/ask", {"a": 1}, int))
    asked = await wire.message(lambda m: m.get("method") == "host/ask")
    return task, asked["id"]


async def test_w25_an_answer_reaches_its_question_and_later_ones_are_ignored() -> None:
    wire = await MemoryWire().ready()
    task, number = await question(wire)
    before = len(wire.sent)
    wire.send({"id": number, "result": 5}, {"id": number, "result": 6}, {"id": "unknown", "result": 7})
    assert await task == 5
    wire.send(
        {"id": number, "error": {"code": 1, "message": "late"}}, {"id": None, "error": {}}, {"id": 3, "result": 1}
    )
    await wire.fence()
    assert len(wire.sent) == before + 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"error": {"code": -1, "message": "no", "data": {"x": 1}}}, PeerError),
        ({"error": {"code": -1, "message": "no"}, "result": 5}, PeerError),
        ({"error": "garbage"}, PeerInvalid),
        ({"error": {"code": "x"}}, PeerInvalid),
        ({"result": "garbage"}, PeerInvalid),
        ({"result": "\ud800"}, PeerInvalid),
        ({}, PeerInvalid),
        ({"method": 7}, PeerInvalid),
    ],
)
async def test_w25_error_and_garbage_answers_are_told_apart(answer: dict[str, Any], error: type[PeerError]) -> None:
    wire = await MemoryWire().ready()
    task, number = await question(wire)
    wire.send({"id": number, **answer})
    with pytest.raises(PeerError) as caught:
        await task
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "head",
    [
        '{"jsonrpc":"2.0","id":ID,"result":{"text":"',
        '{ "id" : ID, "jsonrpc": "2.0", "result" : "',
        '{"error":null,"id":ID,"result":[["',
        '{"id":ID,"error":{"code":1,"message":"',
        '{"result":"',
        '{"jsonrpc":"2.0","error":{"code":1,"message":"',
    ],
)
async def test_w25_an_answer_longer_than_a_message_may_be_settles_its_question(head: str) -> None:
    wire = await MemoryWire().ready()
    task, number = await question(wire)
    # Some hosts write the id behind the result.
    tail = "" if "ID" in head else '"},"id":ID}' if "error" in head else '","id":ID}'
    head, tail = (part.replace("ID", f'"{number}"') for part in (head, tail))
    wire.send(head.encode() + b"x" * (1 << 20) + tail.encode())
    with pytest.raises(PeerInvalid, match=r"answer of \d+ bytes"):
        await task
    check_error(wire.responses(None)[0], -32600, "payloadTooLarge")


@pytest.mark.parametrize(
    "head",
    [
        '{"id":ID,"method":"test/echo","params":{"result":"',
        '{"result":{"id":ID,"result":"',
        '{"result":"\\",\\"id\\":ID,\\"result\\":1',
        '{"id":"nobody","result":"',
        '[{"id":ID,"result":"',
        '{"id":ID,"params":{"result":"',
        "",
    ],
)
async def test_w25_a_long_message_that_is_no_answer_settles_nothing(head: str) -> None:
    wire = await MemoryWire().ready()
    task, number = await question(wire)
    wire.send(head.replace("ID", f'"{number}"').encode() + b"x" * (1 << 20))
    wire.send({"id": number, "result": 5})
    assert await task == 5


async def test_w25_a_result_lost_in_javascript_is_null() -> None:
    wire = await MemoryWire().ready()
    task = asyncio.create_task(wire.session.request("host/ask", {}, type(None)))
    asked = await wire.message(lambda m: m.get("method") == "host/ask")
    wire.send({"id": asked["id"]})
    assert await task is None


async def test_w25_a_withdrawn_question_is_cancelled_at_the_client() -> None:
    wire = await MemoryWire().ready()
    task, number = await question(wire)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.sent[-1] == {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": number}}
    wire.send({"id": number, "result": 5})
    await wire.fence()


async def test_w25_a_client_that_dies_answers_every_question() -> None:
    wire = await MemoryWire().ready()
    task, _ = await question(wire)
    wire.session.receive_end()
    with pytest.raises(PeerGone):
        await task
    with pytest.raises(PeerGone):
        await wire.session.request("host/ask", {}, int)


async def test_w15_inbound_and_outbound_ids_never_meet() -> None:
    wire = await MemoryWire().ready()
    task, number = await question(wire)
    # The client's own request under our id, and a cancel that means this one.
    wire.send({"id": number, "method": "test/hold"}, {"method": "$/cancelRequest", "params": {"id": number}})
    check_error(await wire.message(lambda m: m.get("id") == number and "error" in m), -32800, "requestCancelled")
    wire.send({"id": number, "result": 5})
    assert await task == 5
