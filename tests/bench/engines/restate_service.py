"""The services that the Restate server calls: handlers with one durable `ctx.run` for each step, under hypercorn."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import hypercorn
import hypercorn.asyncio
import restate
from program import HeldStep, Teller, now, tick_in_child

bench = restate.Service("Bench")
held_step: HeldStep


@bench.handler()
async def in_turn(ctx: restate.Context, order: dict[str, int]) -> list[Any]:
    first_began = 0.0
    for number in range(order["count"]):
        began = await ctx.run_typed("step", _step, number=number, held=order["held"])
        first_began = first_began or began
    return [order["count"], first_began]


@bench.handler()
async def at_once(ctx: restate.Context, count: int) -> int:
    steps = [ctx.run_typed("step", now) for _ in range(count)]
    return len(await restate.gather(*steps))


@bench.handler()
async def cancelled(ctx: restate.Context, ticks: str) -> None:
    await ctx.run_typed("work", tick_in_child, ticks=ticks)


@bench.handler()
async def waiting(ctx: restate.Context) -> None:
    await ctx.sleep(timedelta(hours=1))


async def _step(number: int, held: int) -> float:
    began = now()
    while held_step.begin(number, held):
        await asyncio.Event().wait()
    return began


async def main() -> None:
    global held_step
    held_step = HeldStep(Teller.of_stdout(), is_recovering=sys.argv[2:] == ["recover"])
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.h2_max_concurrent_streams = 2147483647
    config.keep_alive_max_requests = 2147483647
    config.errorlog = None
    await hypercorn.asyncio.serve(restate.app(services=[bench]), config)


if __name__ == "__main__":
    asyncio.run(main())
