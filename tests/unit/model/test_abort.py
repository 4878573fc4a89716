"""The abort signal: first reason wins, listeners once, and waiting that loses nothing."""

from __future__ import annotations

import asyncio

import pytest

from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason

USER = AbortReason(AbortKind.USER, by="person", detail="enough")
SHUTDOWN = AbortReason(AbortKind.SHUTDOWN)


def test_the_first_reason_wins() -> None:
    controller = AbortController()
    assert controller.abort(USER)
    assert not controller.abort(SHUTDOWN)
    assert controller.signal.reason is USER


def test_a_listener_runs_once_and_one_that_raises_stops_no_other() -> None:
    controller = AbortController()
    heard: list[AbortReason] = []

    def broken(_: AbortReason) -> None:
        raise ValueError("listener")

    controller.signal.listen(broken)
    controller.signal.listen(heard.append)
    controller.abort(USER)
    controller.abort(SHUTDOWN)
    assert heard == [USER]


def test_the_youngest_listener_is_called_first() -> None:
    """Work deep inside, a child process say, hears of an abort before what holds it; a follower's listeners too."""
    controller, inner = AbortController(), AbortController()
    heard: list[str] = []
    controller.signal.listen(lambda _: heard.append("run"))
    inner.follow(controller.signal)
    inner.signal.listen(lambda _: heard.append("step"))
    inner.signal.listen(lambda _: heard.append("process"))
    controller.abort(USER)
    assert heard == ["process", "step", "run"]


def test_a_listener_that_comes_late_is_called_at_once() -> None:
    controller = AbortController()
    controller.abort(USER)
    heard: list[AbortReason] = []
    controller.signal.listen(heard.append)
    assert heard == [USER]


def test_a_listener_that_left_is_not_called() -> None:
    controller = AbortController()
    heard: list[AbortReason] = []
    unlisten = controller.signal.listen(heard.append)
    unlisten()
    unlisten()
    controller.abort(USER)
    assert heard == []


def test_a_follower_aborts_with_the_same_reason_until_it_lets_go() -> None:
    leader, follower, other = AbortController(), AbortController(), AbortController()
    follower.follow(leader.signal)
    other.follow(leader.signal)()
    leader.abort(USER)
    assert follower.signal.reason is USER
    assert not other.signal.is_aborted


async def test_race_gives_the_result_of_work_that_finishes() -> None:
    async def work() -> int:
        return 7

    assert await AbortController().signal.race(work()) == 7


async def test_race_cancels_the_work_and_awaits_its_clean_up_before_it_raises() -> None:
    controller = AbortController()
    began, cleaned = asyncio.Event(), []

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    async def abort() -> None:
        await began.wait()
        controller.abort(USER)

    aborting = asyncio.create_task(abort())
    with pytest.raises(Aborted) as aborted:
        await controller.signal.race(work())
    await aborting
    assert aborted.value.reason is USER
    assert cleaned == [True]


async def test_race_with_a_signal_that_has_fired_begins_nothing() -> None:
    controller = AbortController()
    controller.abort(USER)
    begun: list[bool] = []

    async def work() -> None:
        begun.append(True)
        await asyncio.Event().wait()

    with pytest.raises(Aborted):
        await controller.signal.race(work())
    assert begun == []


async def test_a_result_that_arrives_with_the_abort_is_not_lost() -> None:
    controller = AbortController()

    async def work() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 9
        return 0

    asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(controller.abort, USER))
    assert await controller.signal.race(work()) == 9


async def test_cancelling_the_caller_of_race_is_a_cancellation_not_an_abort() -> None:
    controller = AbortController()
    cleaned: list[bool] = []
    began = asyncio.Event()

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    task = asyncio.create_task(controller.signal.race(work()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def test_wait_answers_the_reason() -> None:
    controller = AbortController()
    waiting = asyncio.create_task(controller.signal.wait())
    asyncio.get_running_loop().call_soon(controller.abort, USER)
    assert await waiting is USER
    assert await controller.signal.wait() is USER
