"""J4: what the journal knows is answered in the thread of the turn, and reported to nobody."""

from __future__ import annotations

import asyncio

from sidestep.model.execution import Settled, Turn
from tests.unit.runtime.scripted_host import program, sandbox

COUNTING = """
from sidestep import command
async def main(count: int):
    total = 0
    for number in range(count):
        total += await command(["x"], id=f"s:{number}")
    return total
"""


class Journal:
    """Knows the answer 1 to the first `steps` steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.asked: list[Turn] = []

    def __call__(self, turn: Turn) -> Settled | None:
        self.asked.append(turn)
        if turn.ended is not None:
            return None
        (call,) = turn.calls
        assert call.call_id is not None
        return Settled(call.call_id, value_json="1") if call.call_id <= self.steps else None


async def test_j4_known_answers_take_no_turn_of_their_own(turns: list[None]) -> None:
    journal = Journal(30)
    async with sandbox() as made:
        session = await made.open(program(COUNTING, {"count": 32}), journal)
        turn = await session.start()
        assert [call.payload["id"] for call in turn.calls] == ["s:30"]
        assert len(turns) == 1
        assert turn.calls[0].call_id is not None
        turn = await session.settle(Settled(turn.calls[0].call_id, value_json="1"))
        assert [call.payload["id"] for call in turn.calls] == ["s:31"]
        await session.close()
    assert len(journal.asked) == 32


async def test_j4_a_run_that_is_known_to_its_end_ends_in_one_go(turns: list[None]) -> None:
    async with sandbox() as made:
        session = await made.open(program(COUNTING, {"count": 40}), Journal(40))
        turn = await session.start()
        assert turn.ended is not None
        assert turn.calls == ()
        assert len(turns) == 1
        await session.close()


async def test_x4_a_long_replay_lets_others_have_the_thread(turns: list[None]) -> None:
    async with sandbox() as made:
        session = await made.open(program(COUNTING, {"count": 350}), Journal(350))
        turn = await session.start()
        while turn.ended is None:
            assert turn.calls[0].call_id is not None
            turn = await session.settle(Settled(turn.calls[0].call_id, value_json="1"))
        assert len(turns) == 4
        await session.close()


async def test_x2_a_session_that_is_killed_in_a_replay_asks_for_no_more() -> None:
    loop = asyncio.get_running_loop()
    async with sandbox() as made:
        journal = Journal(100)
        killed = asyncio.Event()

        def known(turn: Turn) -> Settled | None:
            answer = journal(turn)
            if len(journal.asked) == 10:
                loop.call_soon_threadsafe(lambda: (session.kill(), killed.set()))
                asyncio.run_coroutine_threadsafe(killed.wait(), loop).result()
            return answer

        session = await made.open(program(COUNTING, {"count": 100}), known)
        assert await session.start() == Turn()
        assert len(journal.asked) == 10
        await session.close()
