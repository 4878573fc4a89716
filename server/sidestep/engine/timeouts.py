"""Time limits: the abort that a step's limit turns into (T1's hard limit), and bounded waiting."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from sidestep.model.abort import AbortKind, AbortReason
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from contextlib import AbstractAsyncContextManager

    from sidestep.engine.work_time import WorkTime
    from sidestep.model.abort import AbortController
    from sidestep.model.ports import Clock


def out_of_time(limit_s: float, kind: str) -> Failure:
    """What a step of that kind fails with that was stopped at its hard limit."""
    message = f"nobody answered within {limit_s:g} s" if kind == "ask" else _no_result(limit_s)
    return Failure(FailureCode.TIMEOUT, message)


def time_limit(
    controller: AbortController, timeout_s: float | None, time: WorkTime
) -> AbstractAsyncContextManager[None]:
    """Abort `controller` with reason timeout when the step has worked `timeout_s` seconds; None is no limit."""
    return nullcontext() if timeout_s is None else _limited(controller, timeout_s, time)


@asynccontextmanager
async def _limited(controller: AbortController, timeout_s: float, time: WorkTime) -> AsyncGenerator[None]:
    async def expire() -> None:
        await time.until(timeout_s)
        controller.abort(AbortReason(AbortKind.TIMEOUT, detail=_no_result(timeout_s)))

    timer = asyncio.create_task(expire(), name="time limit")
    try:
        yield
    finally:
        timer.cancel()


async def done_within(seconds: float, work: Awaitable[object], clock: Clock) -> bool:
    """
    Wait for `work`, at most `seconds`.

    Returns:
        True when it is done, False when the time was up first; a future given as `work` then goes on, a coroutine is
        cancelled.

    Raises:
        What `work` raised.
    """
    awaited = asyncio.ensure_future(work)
    timer = asyncio.create_task(clock.sleep(seconds), name="bounded wait")
    try:
        await asyncio.wait({awaited, timer}, return_when=asyncio.FIRST_COMPLETED)
        if not awaited.done():
            return False
        awaited.result()
        return True
    finally:
        timer.cancel()
        if awaited is not work:
            awaited.cancel()


def _no_result(limit_s: float) -> str:
    return f"no result within {limit_s:g} s"
