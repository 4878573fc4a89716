"""X3, J3: the same answers in the same order give the same calls, in every worker."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.runtime.scripted_host import ScriptedHost, conduct, program, sandbox

HASHES = """
import random
def f(): pass
class A: pass
def main():
    random.seed(7)
    words = {"quick", "brown", "fox", "jumps", 1, 2.5, None, (1, "a"), b"x"}
    return [hash("abc"), hash((1, "x")), hash(2.5), hash(None), hash(b"x"), [str(w) for w in words],
            [str(w) for w in frozenset(words)], id([]), repr(A()), repr(f), repr(main), str(f),
            random.random(), random.Random(3).random()]
"""

# The set of steps depends on the order of completions.
RACE = """
from sidestep import command, parallel
async def race(name, state):
    await command(["x"], id=f"start:{name}")
    state.append(name)
    found = await parallel([command(["x"], id=f"{name}:{'+'.join(state)}:{n}") for n in range(len(state))])
    if len(state) > 2:
        state.clear()
    return found
async def main():
    state = []
    return await parallel([race(name, state) for name in "abcd"], limit=3)
"""

ORDERS = {
    "first": lambda waiting: waiting[0],
    "newest": lambda waiting: waiting[-1],
    "largest": max,
}


def test_x3_hashes_sets_and_addresses_are_equal_across_workers():
    async def scenario() -> list[object]:
        values: list[object] = []
        async with sandbox() as made:
            for _ in range(6):
                session = await made.open(program(HASHES))
                host = ScriptedHost(session)
                await host.start()
                values.append(host.trace.value)
                await session.close()
        return values

    values = asyncio.run(scenario())
    assert values == [values[0]] * 6
    assert conduct(HASHES).value == values[0]


@pytest.mark.parametrize("order", list(ORDERS))
def test_j3_one_order_of_completions_gives_one_trace_in_five_workers(order: str):
    traces = [conduct(RACE, pick=ORDERS[order]) for _ in range(5)]
    assert all(trace == traces[0] for trace in traces)
    assert len(traces[0].calls) > 6


def test_j3_other_orders_give_other_traces():
    """Otherwise the test above would show nothing."""
    assert len({str(conduct(RACE, pick=pick).step_ids) for pick in ORDERS.values()}) == 3
