"""The wire to an agent: what is a message, what is garbage, and what the SDK never sees."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sidestep.executors.acp_wire import MESSAGE_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX, UNREAD_BYTES_MAX, AcpWire

ANSWER = b'{"jsonrpc":"2.0","id":0,"result":{}}\n'


class Wire:
    """A wire whose other sides are lists."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.withdrawn: list[object] = []
        self.noise: list[bytes] = []
        self.unread_bytes = 0
        self.wire = AcpWire(self._write, self.updates.append, self.withdrawn.append, self.noise.append)

    def _write(self, data: bytes) -> int:
        self.written.append(json.loads(data))
        return self.unread_bytes

    async def received(self, data: bytes) -> list[dict[str, Any]]:
        """Every message the SDK gets of these bytes."""
        self.wire.feed(data)
        self.wire.end()
        messages: list[dict[str, Any]] = []
        while (message := await self.wire.receive()) is not None:
            messages.append(message)
        return messages


def request(method: str, identity: object = 5, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": identity, "method": method, "params": params}).encode() + b"\n"


async def test_messages_are_the_same_however_they_are_cut() -> None:
    data = b'\n\r\n {"jsonrpc":"2.0","id":0,"result":"\xc3\xbc"}\r\n' + ANSWER
    whole = await Wire().received(data)
    cut = Wire()
    for byte in data[:-1]:
        cut.wire.feed(bytes([byte]))
    assert await cut.received(data[-1:]) == whole
    assert [message["result"] for message in whole] == ["ü", {}]


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc": "2.0", "id"',
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"id": {}, "result": 1}',
        b'{"id": 1.5, "result": 1}',
        b'{"method": 1}',
        b"\x00\x01",
        b"\xff\xfe",
        "grüß".encode(),
        b"[INFO] started",
    ],
)
async def test_what_is_no_message_ends_the_wire(line: bytes) -> None:
    wire = Wire()
    assert await wire.received(line + b"\n" + ANSWER) == []
    assert wire.wire.problem is not None
    assert "is no message" in wire.wire.problem
    assert len(wire.wire.problem) < 1000
    with pytest.raises(ConnectionError):
        await wire.wire.send({"method": "session/cancel"})


async def test_lines_before_the_first_message_are_noise_and_later_ones_garbage() -> None:
    wire = Wire()
    wire.wire.feed(b"> agent@1.0 start\n" + ANSWER)
    assert wire.noise == [b"> agent@1.0 start\n"]
    assert wire.wire.problem is None
    wire.wire.feed(b"> done\n")
    assert wire.wire.problem is not None


async def test_noise_has_a_limit() -> None:
    wire = Wire()
    for _ in range(1000):
        wire.wire.feed(b"x" * 100 + b"\n")
    assert wire.wire.problem is not None


async def test_a_message_without_an_end_has_a_limit() -> None:
    wire = Wire()
    piece = b" " * (MESSAGE_BYTES_MAX // 4)
    for _ in range(4):
        wire.wire.feed(piece)
    assert wire.wire.problem is None
    wire.wire.feed(b"x")
    assert wire.wire.problem == f"sent a message of more than {MESSAGE_BYTES_MAX} bytes"


async def test_updates_pass_the_sdk_by_and_unknown_notifications_are_dropped() -> None:
    wire = Wire()
    update = b'{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s"}}\n'
    withdrawal = b'{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":7}}\n'
    odd = b'{"jsonrpc":"2.0","method":"session/update","params":[]}\n{"jsonrpc":"2.0","method":"of/tomorrow"}\n'
    assert await wire.received(update + withdrawal + odd) == []
    assert (wire.updates, wire.withdrawn) == ([{"sessionId": "s"}], [7])


async def test_requests_for_what_is_not_offered_are_refused() -> None:
    wire = Wire()
    assert await wire.received(request("terminal/create") + request("elicitation/create", "x")) == []
    assert [(answer["id"], answer["error"]["code"]) for answer in wire.written] == [(5, -32601), ("x", -32601)]


async def test_the_agents_meta_does_not_reach_the_arguments_of_callbacks() -> None:
    (message,) = await Wire().received(request("fs/read_text_file", path="a", _meta={"path": "b", "self": 1}))
    assert message["params"] == {"path": "a", "_meta": {"request_id": 5}}


async def test_requests_in_flight_have_a_limit() -> None:
    wire = Wire()
    for number in range(REQUESTS_IN_FLIGHT_MAX + 1):
        wire.wire.feed(request("fs/read_text_file", number, path="a"))
    assert [answer["id"] for answer in wire.written] == [REQUESTS_IN_FLIGHT_MAX]
    await wire.wire.send({"jsonrpc": "2.0", "id": 0, "result": {}})
    wire.wire.feed(request("fs/read_text_file", "more", path="a"))
    assert [answer["id"] for answer in wire.written] == [REQUESTS_IN_FLIGHT_MAX, 0]


async def test_an_error_that_is_no_object_is_made_one() -> None:
    (message,) = await Wire().received(b'{"id":0,"error":"overloaded"}\n')
    assert message["error"]["message"] == "overloaded"


async def test_an_agent_that_does_not_read_has_a_limit() -> None:
    wire = Wire()
    wire.unread_bytes = UNREAD_BYTES_MAX + 1
    await wire.wire.send({"jsonrpc": "2.0", "id": 0, "method": "session/prompt"})
    assert wire.wire.problem is not None
    assert "unread" in wire.wire.problem


async def test_the_end_wakes_who_receives() -> None:
    wire = Wire()
    receiving = asyncio.ensure_future(wire.wire.receive())
    await asyncio.wait([receiving], timeout=0)
    await wire.wire.close()
    assert await receiving is None
    # Answers of callbacks that were under way have nowhere to go, and that is no error.
    await wire.wire.send({"jsonrpc": "2.0", "id": 0, "result": {}})
    assert wire.written == []
