"""Requests that are answered while they are read: exactly one answer, in order, under every limit. G7, W15."""

from __future__ import annotations

from tests.unit.rpc.memory_wire import MemoryWire


def quick(request_id: object, **params: object) -> dict[str, object]:
    return {"id": request_id, "method": "test/quick", "params": params}


async def test_it_is_answered_before_the_reading_goes_on() -> None:
    wire = await MemoryWire().ready()
    await wire.fence()
    wire.send(quick(1, a=1))
    assert wire.responses(1) == [{"jsonrpc": "2.0", "id": 1, "result": {"a": 1}}]
    assert wire.session.requests_in_flight == 0


async def test_it_does_not_overtake_a_handler_that_has_not_begun() -> None:
    wire = await MemoryWire().ready()
    await wire.fence()
    wire.started.clear()
    wire.send({"id": 1, "method": "test/echo"}, quick(2), {"id": 3, "method": "test/echo"})
    assert wire.responses(2) == []
    await wire.response(3)
    assert "at once" not in wire.started
    assert [m["id"] for m in wire.sent[-3:]] == [1, 2, 3]


async def test_one_that_was_cancelled_before_it_began_holds_nobody_up() -> None:
    wire = await MemoryWire().ready()
    await wire.fence()
    wire.send({"id": 1, "method": "test/wait"}, {"method": "$/cancelRequest", "params": {"id": 1}})
    await wire.response(1)
    await wire.fence()
    wire.send(quick(2))
    assert len(wire.responses(2)) == 1


async def test_what_has_to_wait_is_served_as_ever() -> None:
    wire = await MemoryWire().ready()
    await wire.fence()
    wire.send(quick(1, wait=True))
    assert wire.responses(1) == []
    assert (await wire.response(1))["result"] == {"wait": True}


async def test_its_failures_are_answered() -> None:
    wire = await MemoryWire().ready()
    await wire.fence()
    wire.send({"id": 1, "method": "test/quick", "params": []}, quick(2, fail=True))
    assert wire.responses(1)[0]["error"]["data"]["reason"] == "invalidParams"
    assert wire.responses(2)[0]["error"]["data"]["reason"] == "internal"


async def test_an_overloaded_session_refuses_it_too() -> None:
    wire = await MemoryWire().ready()
    await wire.fence()
    wire.is_congested = True
    wire.send(quick(1))
    assert wire.responses(1)[0]["error"]["data"]["reason"] == "overloaded"
