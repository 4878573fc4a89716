"""A step's clock and its places while it waits for a person: nothing leaks, and nothing that ends waits for a place."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from sidestep.engine.work_time import WorkTime
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason
from tests.support.fake_clock import FakeClock

STOP = AbortReason(AbortKind.USER)
# Turns of the event loop: more than any of these steps has awaits.
TURNS = 30


class Step:
    """A step that asks a person two things at once, on two places that another one may hold."""

    def __init__(self, places: list[asyncio.Semaphore]) -> None:
        self.clock = FakeClock()
        self.controller = AbortController()
        self.time = WorkTime(places, self.controller.signal, self.clock)
        self.answers = [asyncio.Event(), asyncio.Event()]
        self.questions: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        async with self.time:
            self.questions = [asyncio.ensure_future(self._ask(answer)) for answer in self.answers]
            try:
                await asyncio.wait(self.questions)
            finally:
                for question in self.questions:
                    question.cancel()
                await asyncio.wait(self.questions)

    async def _ask(self, answer: asyncio.Event) -> None:
        async with self.time.for_person():
            await self.controller.signal.race(answer.wait())


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def two_places() -> list[asyncio.Semaphore]:
    return [asyncio.Semaphore(1), asyncio.Semaphore(1)]


def free(places: list[asyncio.Semaphore]) -> list[bool]:
    return [not place.locked() for place in places]


@pytest.mark.parametrize("how", ["aborted", "cancelled", "aborted and cancelled", "a question is cancelled"])
@pytest.mark.parametrize("contended", [False, True])
async def test_whenever_it_ends_its_places_are_given_back(how: str, *, contended: bool) -> None:
    """At each turn of the loop from the first answer on, also in the one in which it gets a place."""
    for moment in range(TURNS):
        for released in range(TURNS if contended else 1):
            places = two_places()
            step = Step(places)
            task = asyncio.ensure_future(step.run())
            await turns(TURNS)
            assert free(places) == [True, True], "a person is asked"
            if contended:
                await places[1].acquire()
            step.answers[0].set()
            step.answers[1].set()
            for turn in range(TURNS):
                if contended and turn == released:
                    places[1].release()
                if turn == moment:
                    if "aborted" in how:
                        step.controller.abort(STOP)
                    if how == "a question is cancelled":
                        step.questions[0].cancel()
                    elif "cancelled" in how:
                        task.cancel()
                await turns(1)
            with contextlib.suppress(asyncio.CancelledError, Aborted):
                await asyncio.wait_for(task, 1)
            await turns(TURNS)
            assert free(places) == [True, True], (moment, released)


async def test_a_question_that_nobody_wants_answered_any_more_waits_for_no_place() -> None:
    """Its agent is gone: the step fails now, and not when another one is done."""
    places = two_places()
    step = Step(places)
    task = asyncio.ensure_future(step.run())
    await turns(TURNS)
    await places[0].acquire()
    for question in step.questions:
        question.cancel()
    await asyncio.wait_for(task, 1)
    assert free(places) == [False, True]


async def test_an_agent_that_withdrew_its_question_works_on_in_a_free_place() -> None:
    places = two_places()
    async with WorkTime(places, AbortController().signal, FakeClock()) as time:
        with pytest.raises(asyncio.CancelledError):
            async with time.for_person():
                raise asyncio.CancelledError
        assert free(places) == [False, False]
        await asyncio.wait_for(time.until(0), 1)
    assert free(places) == [True, True]


async def test_a_wall_clock_that_was_set_back_takes_no_time_away() -> None:
    """What a step took is added to what its run did."""
    clock = FakeClock()
    async with WorkTime([], AbortController().signal, clock) as time:
        clock.advance(-3600)
        assert time.elapsed_ms == 0
