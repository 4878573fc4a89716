"""W15, W16: `$/cancelRequest`, and what closing a session does to the requests in flight."""

from __future__ import annotations

import asyncio

import pytest

from sidestep.rpc.lifecycle import EndCause
from tests.unit.rpc.memory_wire import MemoryWire
from tests.unit.rpc.test_session import check_error


def cancel(request_id: object) -> dict[str, object]:
    return {"method": "$/cancelRequest", "params": {"id": request_id}}


async def test_w15_a_cancel_in_the_same_write_is_answered_although_the_handler_never_started() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/hold"}, cancel(1))
    check_error(await wire.response(1), -32800, "requestCancelled")
    await wire.fence()
    assert "hold 1" not in wire.started
    assert len(wire.responses(1)) == 1
    assert wire.session.requests_in_flight == 0


async def test_w15_a_running_handler_cleans_up_before_its_cancel_is_answered() -> None:
    """The second cancel comes in the middle of the clean-up and must not cut it short."""
    wire = await MemoryWire().ready()
    wire.clean_up.clear()
    wire.send({"id": 1, "method": "test/hold"})
    await wire.fence()
    wire.send(cancel(1))
    await wire.fence()
    wire.send(cancel(1))
    await wire.fence()
    assert not wire.responses(1)
    wire.clean_up.set()
    check_error(await wire.response(1), -32800, "requestCancelled")
    assert "cleaned 1" in wire.told
    assert len(wire.responses(1)) == 1


@pytest.mark.parametrize("params", [{"id": 99}, {"id": "1"}, {"id": None}, {"id": 1.0}, {}, [1], {"id": {}}])
async def test_w15_other_ids_and_garbage_cancel_nothing(params: object) -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/hold"}, {"method": "$/cancelRequest", "params": params})
    wire.send({"method": "$/cancelRequest"})
    await wire.fence()
    wire.gate.set()
    assert (await wire.response(1))["result"] == "held"


async def test_w15_a_cancel_before_its_request_or_after_its_answer_is_ignored() -> None:
    wire = await MemoryWire().ready()
    wire.send(cancel(1), {"id": 1, "method": "test/echo", "params": {"a": 1}})
    assert (await wire.response(1))["result"] == {"a": 1}
    before = len(wire.sent)
    wire.send(cancel(1))
    await wire.fence()
    assert len(wire.sent) == before + 1


async def test_a_waiting_request_decides_itself_what_its_cancel_is_answered_with() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/wait"})
    await wire.fence()
    wire.send(cancel(1))
    data = check_error(await wire.response(1), -32800, "requestCancelled")
    assert (data["runId"], data["kind"]) == ("run_1", "cancelled")


async def test_a_waiting_request_cancelled_in_the_same_write_still_runs_its_handler() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/wait"}, cancel(1))
    assert check_error(await wire.response(1), -32800, "requestCancelled")["runId"] is None
    assert "wait 1" in wire.started


async def test_w16_a_result_that_is_ready_when_the_cancel_is_read_is_answered_once() -> None:
    for _ in range(20):
        wire = await MemoryWire().ready()
        wire.send({"id": 1, "method": "test/wait"})
        await wire.fence()
        wire.gate.set()
        wire.send(cancel(1))
        await wire.response(1)
        await wire.fence()
        assert len(wire.responses(1)) == 1


async def test_vital_requests_are_not_torn_by_a_cancel() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/always"})
    await wire.fence()
    wire.send(cancel(1))
    await wire.fence()
    assert not wire.responses(1)
    wire.gate.set()
    assert (await wire.response(1))["result"] is True


async def test_w13_initialize_and_shutdown_cannot_be_cancelled() -> None:
    wire = MemoryWire(initialize_gate=asyncio.Event(), shutdown_gate=asyncio.Event())
    wire.send({"id": 1, "method": "initialize"}, cancel(1))
    assert wire.initialize_gate is not None
    assert wire.shutdown_gate is not None
    wire.initialize_gate.set()
    assert "result" in await wire.response(1)
    wire.send({"id": 2, "method": "shutdown"}, cancel(2))
    wire.shutdown_gate.set()
    assert "result" in await wire.response(2)


async def test_closing_answers_every_request_once() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/hold"}, {"id": 2, "method": "test/hold"}, {"id": 3, "method": "test/stubborn"})
    await wire.fence()
    wire.send(cancel(2))
    wire.session.end(EndCause.EOF)
    await wire.session.aclose(0.01)
    check_error(wire.responses(1)[0], -32802, "serverDraining")
    check_error(wire.responses(2)[0], -32800, "requestCancelled")
    check_error(wire.responses(3)[0], -32802, "serverDraining")
    assert {"cleaned 1", "cleaned 2"} <= set(map(str, wire.told))
    # The handler that ignored its cancel ends after all; its answer is not sent twice.
    wire.gate.set()
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    assert all(len(wire.responses(n)) == 1 for n in (1, 2, 3))


async def test_closing_does_not_cut_the_clean_up_of_a_cancelled_request_short() -> None:
    wire = await MemoryWire().ready()
    wire.clean_up.clear()
    wire.send({"id": 1, "method": "test/hold"}, {"id": 2, "method": "test/hold"})
    await wire.fence()
    wire.send(cancel(2))
    await wire.fence()
    # Request 1 is cancelled by the closing: by then 2 has been cleaning up for a while.
    wire.cleaning = lambda request_id: wire.clean_up.set() if request_id == 1 else None
    await wire.session.aclose(0.01)
    assert {"cleaned 1", "cleaned 2"} <= set(map(str, wire.told))
    check_error(wire.responses(2)[0], -32800, "requestCancelled")


async def test_closing_waits_for_handlers_that_finish_in_time() -> None:
    wire = await MemoryWire().ready()
    wire.send({"id": 1, "method": "test/hold"})
    await wire.fence()
    closing = asyncio.create_task(wire.session.aclose(10))
    await wire.fence()
    check_error(await wire.ask("test/hold"), -32802, "serverDraining")
    wire.gate.set()
    await closing
    assert wire.responses(1)[0]["result"] == "held"
