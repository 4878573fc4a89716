"""
A run's events as an async iterator, against a server that plays a plan: no gap, no duplicate, whatever it does.

W24, J10, G2 from the host's side. What each subscription asked for is read from the file the server leaves.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidestep_protocol.client import Client, ResponseFailed, ServerGone, ServerKeepsDying
from sidestep_protocol.events import LogEvent, StatusEvent
from sidestep_protocol.run_events import RunEvents
from sidestep_protocol.runs import STOPPED_STATUSES
from sidestep_protocol.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from contextlib import AbstractAsyncContextManager

    from sidestep_protocol.events import Event

COMMAND = [sys.executable, "-S", "-E", str(Path(__file__).with_name("fake_server.py"))]
ENDS = {"statuses": {"1": "pending", "9": "completed"}}
REST = {"to": 9, "status": "completed", **ENDS}
GREETING = {"code": -32603, "message": "later", "data": {"reason": "storeUnavailable", "what": "w", "todo": "t"}}


class Plan:
    """What the server does at each subscription, and what it was asked for."""

    def __init__(self, folder: Path, *acts: dict[str, Any]) -> None:
        self._asked = folder / "asked"
        self._asked.touch()
        self.environment = {"FAKE_PLAN": json.dumps([{**ENDS, **act} for act in acts]), "FAKE_ASKED": str(self._asked)}

    @property
    def asked(self) -> list[int]:
        return [int(line) for line in self._asked.read_text().split()]

    def spawn(self) -> AbstractAsyncContextManager[Client]:
        return Client.spawn(COMMAND, env=self.environment)

    def keep(self, **options: Any) -> AbstractAsyncContextManager[Sidecar]:
        return Sidecar.keep(COMMAND, greet, env=self.environment, **options)


async def greet(client: Client) -> None:
    await client.initialize()


async def sequences(events: AsyncIterable[Event]) -> list[int]:
    return [event.sequence async for event in events]


WHOLE = list(range(1, 10))


@pytest.mark.parametrize(
    ("acts", "asked"),
    [
        pytest.param([REST], [0], id="all of it is history"),
        pytest.param([{"to": 4, "then": [[5, 6], [7, 8, 9]]}], [0], id="past and live in one write"),
        pytest.param([{"to": 4, "then": [[3, 4, 5, 6], [6, 7, 8, 9]]}], [0], id="told twice"),
        pytest.param([{"to": 4, "then": [[5], "lagged"]}, REST], [0, 5], id="lagged"),
        pytest.param([{"to": 4, "then": ["lagged"]}, {"to": 4, "then": ["lagged"]}, REST], [0, 4, 4], id="no progress"),
        pytest.param([{"to": 4, "then": [[5], [7, 8]]}, REST], [0, 5], id="a gap"),
        pytest.param([{"to": 2, "then": [[3, 4], [5, 6, 7, 8, 9]]}], [0], id="more past in pages"),
    ],
)
async def test_every_event_comes_once_and_in_order(
    acts: list[dict[str, Any]], asked: list[int], tmp_path: Path
) -> None:
    plan = Plan(tmp_path, *acts)
    async with plan.spawn() as client:
        events = client.follow("r")
        assert plan.asked == []
        assert await sequences(events) == WHOLE
        assert (events.cursor, plan.asked) == (9, asked)
        assert await sequences(events) == []


async def test_a_cursor_begins_behind_what_is_known(tmp_path: Path) -> None:
    plan = Plan(tmp_path, {"to": 6, "then": [[7, 8, 9]]}, {"to": 9, "status": "completed"})
    async with plan.spawn() as client:
        assert await sequences(client.follow("r", after_sequence=5)) == [6, 7, 8, 9]
        # A run that has ended and is known whole has nothing more to say.
        assert await sequences(client.follow("r", after_sequence=9)) == []
        assert plan.asked == [5, 9]


async def test_it_ends_at_the_statuses_asked_for_and_not_at_those_of_the_past(tmp_path: Path) -> None:
    """A run that failed and was retried is followed through its first failure."""
    statuses = {"3": "failed", "4": "running", "6": "interrupted", "7": "running", "9": "completed"}
    act = {"to": 5, "statuses": statuses, "then": [[6, 7], [8, 9]]}
    plan = Plan(tmp_path, act, act)
    async with plan.spawn() as client:
        assert await sequences(client.follow("r")) == WHOLE
        with client.follow("r", until=STOPPED_STATUSES) as events:
            # The interrupt is told in one batch with the resume: the run goes on.
            got = [event async for event in events]
        assert [event.sequence for event in got] == WHOLE
    # Its past comes in pages, of which the first ends at the failure.
    plan = Plan(tmp_path, {"to": 3, "sequence": 5, "statuses": statuses})
    (tmp_path / "asked").write_text("")
    async with plan.spawn() as client:
        events = client.follow("r")
        assert [(await anext(events)).sequence for _ in range(3)] == [1, 2, 3]
        waiting = asyncio.ensure_future(anext(events))
        await client.request("echo")
        assert not waiting.done()
        waiting.cancel()
    statuses = {"6": "interrupted"}
    plan = Plan(
        tmp_path, {"to": 5, "statuses": statuses, "then": [[6]]}, {"to": 5, "statuses": statuses, "then": [[6]]}
    )
    (tmp_path / "asked").write_text("")
    async with plan.spawn() as client:
        assert await sequences(client.follow("r", until=STOPPED_STATUSES)) == [1, 2, 3, 4, 5, 6]


async def test_a_deleted_run_ends_it_after_what_was_told(tmp_path: Path) -> None:
    async with Plan(tmp_path, {"to": 4, "then": [[5], "deleted"]}).spawn() as client:
        assert await sequences(client.follow("r")) == [1, 2, 3, 4, 5]


async def test_one_who_does_not_read_holds_a_bounded_number_of_events_and_misses_none(tmp_path: Path) -> None:
    plan = Plan(tmp_path, {"to": 2, "then": [[3, 4], [5, 6]]}, {"to": 7}, REST)
    async with plan.spawn() as client:

        async def connect() -> Any:
            return client.connection

        events = RunEvents("r", connect, events_max=3)
        assert await sequences(events) == WHOLE
        assert plan.asked == [0, 3, 6]


async def test_several_follow_one_run_and_none_loses_what_another_subscribed_for(tmp_path: Path) -> None:
    """There is one subscription for each run and connection: the second one replaces the first."""
    plan = Plan(tmp_path, {"to": 4, "then": [[5]]}, {"to": 6, "then": [[7, 8, 9]]})
    async with plan.spawn() as client:
        first, second = client.follow("r"), client.follow("r", after_sequence=6)
        begun = [(await anext(first)).sequence for _ in range(5)]
        rest = await sequences(second)
        assert (begun, rest) == ([1, 2, 3, 4, 5], [7, 8, 9])
        assert await sequences(first) == [6, 7, 8, 9]
        assert plan.asked == [0, 5]


async def test_closing_ends_the_subscription_with_the_last_who_follows(tmp_path: Path) -> None:
    plan = Plan(tmp_path, {"to": 4}, {"to": 4})
    async with plan.spawn() as client:
        ended: list[Any] = []
        client.on("unsubscribed", ended.append)
        first, second = client.follow("r"), client.follow("r")
        await anext(first)
        await anext(second)
        first.close()
        await client.request("echo")
        assert ended == []
        with second:
            pass
        second.close()
        await client.request("echo")
        assert ended == [{"runId": "r"}]
        assert await sequences(second) == [2, 3, 4]


async def test_a_refused_subscription_raises_and_can_be_tried_again(tmp_path: Path) -> None:
    plan = Plan(tmp_path, {"to": 2, "then": ["lagged"]}, {"refuse": GREETING}, REST)
    async with plan.spawn() as client:
        events = client.follow("r")
        got = [(await anext(events)).sequence for _ in range(2)]
        with pytest.raises(ResponseFailed) as caught:
            await anext(events)
        assert caught.value.reason == "storeUnavailable"
        assert got + await sequences(events) == WHOLE


async def test_a_server_that_answers_with_another_sequence_is_wrong(tmp_path: Path) -> None:
    async with Plan(tmp_path, {"to": 4, "reply": [3, 4]}).spawn() as client:
        with pytest.raises(ResponseFailed, match="badResult"):
            await anext(client.follow("r"))


async def test_without_another_server_the_death_is_told_after_the_last_event(tmp_path: Path) -> None:
    plan = Plan(tmp_path, {"to": 4, "then": [[5, 6], "die"]}, REST)
    async with plan.spawn() as client:
        events = client.follow("r")
        got: list[Event] = []

        async def read() -> None:
            async for event in events:
                got.append(event)

        with pytest.raises(ServerGone) as caught:
            await read()
        assert caught.value.returncode == 3
        assert [event.sequence for event in got] == [1, 2, 3, 4, 5, 6]
        assert isinstance(got[0], StatusEvent)
        assert isinstance(got[1], LogEvent)
    async with plan.spawn() as client:
        assert await sequences(client.follow("r", after_sequence=events.cursor)) == [7, 8, 9]


async def test_w24_a_sidecar_goes_on_with_the_next_server(tmp_path: Path) -> None:
    """Killed twice in the middle, once before it told anything: no gap, no duplicate."""
    dies = {"to": 4, "then": [[5, 6], "die"]}
    plan = Plan(tmp_path, dies, {"to": 6, "then": ["die"]}, {"to": 8, "then": [[9]]})
    async with plan.keep() as sidecar:
        first = (await sidecar.connected()).pid
        assert await sequences(sidecar.follow("r")) == WHOLE
        assert plan.asked == [0, 6, 6]
        assert (await sidecar.connected()).pid != first


async def test_a_waiting_reader_can_be_cancelled_and_go_on(tmp_path: Path) -> None:
    plan = Plan(tmp_path, {"to": 1}, REST)
    async with plan.spawn() as client:
        events = client.follow("r")
        await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        await client.request("echo")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        client.send("tell", {"told": [{"method": "workflow/lagged", "params": {"runId": "r", "lastSequence": 1}}]})
        assert await sequences(events) == WHOLE[1:]


async def test_five_deaths_end_the_patience(tmp_path: Path) -> None:
    plan = Plan(tmp_path, *[{"to": 1, "then": ["die"]}] * 5)
    async with plan.keep() as sidecar:
        with pytest.raises(ServerKeepsDying, match=r"exit code 3\); 5 servers died") as caught:
            await sequences(sidecar.follow("r"))
        assert caught.value.deaths == 5
        assert len(plan.asked) == 5
        with pytest.raises(ServerKeepsDying):
            await sidecar.health()


async def test_a_greeting_that_fails_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    clients: list[Client] = []

    async def refuse(client: Client) -> None:
        clients.append(client)
        await client.request("fail", {"code": 1, "message": "no", "data": {"reason": "r"}})

    with pytest.raises(ResponseFailed, match="no"):
        async with Sidecar.keep(COMMAND, refuse):
            pytest.fail("there is no server")
    assert [client.returncode for client in clients] == [1]
    with pytest.raises(OSError, match="No such file"):
        async with Sidecar.keep(["/nowhere/sidestep"], refuse):
            pytest.fail("there is no server")


async def test_a_request_goes_to_the_server_there_is_and_fails_when_that_dies(tmp_path: Path) -> None:
    async with Plan(tmp_path).keep() as sidecar:
        with pytest.raises(ServerGone):
            await sidecar.request("die", {}, dict)
        assert await sidecar.request("echo", {"a": 1}, dict) == {"a": 1}


async def test_leaving_the_block_and_shutdown_leave_no_server(tmp_path: Path) -> None:
    async with Plan(tmp_path).keep() as sidecar:
        client = await sidecar.connected()
    assert client.returncode == 1
    async with Plan(tmp_path).keep() as sidecar:
        client = await sidecar.connected()
        assert await sidecar.shutdown() == 0
        assert sidecar.client is None
        with pytest.raises(ServerGone):
            await sidecar.health()

    async def fail_inside() -> None:
        async with Plan(tmp_path).keep() as sidecar:
            clients.append(await sidecar.connected())
            raise KeyError

    clients: list[Client] = []
    with pytest.raises(KeyError):
        await fail_inside()
    assert clients[0].returncode == 1
