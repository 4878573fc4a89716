"""
What a scenario has at hand: two windows on one store, and its view of what they are told.

A scenario asks windows by their verbs only, so it is played with windows in this process and in others alike.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sidestep.model.events import InteractionChanged, StepChanged
from sidestep.model.run import RunStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sidestep.model.run import RunRecord, StepStatus
    from tests.races.window import Verbs
    from tests.races.world import Reply, World
    from tests.support.schedule import Schedule

T = TypeVar("T")

_TRIES_MAX = 8


class Cast:
    """Two windows on one store, and a scenario's view of them."""

    def __init__(self, a: Verbs, b: Verbs, schedule: Schedule, world: World) -> None:
        self.a = a
        self.b = b
        self.world = world
        self.random = schedule.random
        self._schedule = schedule
        self._rows: dict[str, RunRecord] = {}
        self._is_asked = False
        world.told_listeners.append(self._hear)

    def either(self) -> Verbs:
        return self.random.choice((self.a, self.b))

    def act(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something at a moment of the schedule's choice."""

        async def when_chosen() -> T:
            await self._schedule.point(name)
            return await work

        task = asyncio.create_task(when_chosen(), name=name)
        # A schedule that is lost may end before it was chosen.
        task.add_done_callback(lambda _: work.close())
        return task

    def require(self, claim: bool, what: str) -> None:
        if not claim:
            self.world.violated(what)
            self.world.require_sound()

    async def known(self) -> str:
        """Wait until somebody was told of a run; its id."""
        await self._schedule.until(lambda: bool(self._rows))
        return next(row.root_run_id for row in self._rows.values())

    async def asked(self) -> str:
        """Wait until somebody was told that a question is open; its id."""
        await self._schedule.until(lambda: self._is_asked)
        return next(
            event.body.interaction_id
            for run_id in self.world.journal.run_ids()
            for event in self.world.journal.events(run_id)
            if isinstance(event.body, InteractionChanged)
        )

    def step_statuses(self, run_id: str, step_id: str) -> set[StepStatus]:
        """What the journal says of a step."""
        bodies = [event.body for event in self.world.journal.events(run_id)]
        return {body.status for body in bodies if isinstance(body, StepChanged) and body.step_id == step_id}

    async def reached(self, run_id: str, step_id: str, status: StepStatus) -> None:
        """Wait until the journal says so of a step."""
        await self._schedule.until(lambda: status in self.step_statuses(run_id, step_id))

    async def called(self, step_id: str) -> None:
        """Wait until the work of a step whose id begins so has begun."""
        await self._schedule.until(lambda: any(called.startswith(step_id) for _, called in self.world.calls))

    async def stopped(self, run_id: str) -> None:
        await self._schedule.until(lambda: run_id in self._rows and self._rows[run_id].is_stopped)

    async def to_the_end(self, run_id: str) -> None:
        """Go on with a run until it has completed: nothing that happened to it may prevent that."""
        replies: list[Reply] = []
        for _ in range(_TRIES_MAX):
            replies.append(await self.either().resume(run_id))
            if replies[-1].status == RunStatus.COMPLETED.value:
                return
            if replies[-1].mine:
                # Its own old execution has not unwound yet, and there nobody can be overpowered: it has to end.
                await self.calm()
        self.require(False, f"{run_id} cannot be brought to its end: {replies[-3:]}")

    async def calm(self) -> None:
        """Wait until nothing goes on anywhere."""
        windows = (self.a, self.b)
        await self._schedule.until(lambda: not self.world.is_busy and not any(each.is_conducting for each in windows))

    def _hear(self, _: str, row: RunRecord) -> None:
        self._rows[row.run_id] = row
        self._is_asked |= row.pending > 0


@dataclass(frozen=True)
class Race:
    """
    Attributes:
        deaf, failing: Steps whose executor ignores its signal, or fails.
        time_flows: Graces may be spent while others go on.
        slow: Points that take longer than a grace in most schedules.
        schedules: How many the short form plays.
    """

    name: str
    play: Callable[[Cast], Awaitable[None]]
    deaf: frozenset[str] = field(default_factory=frozenset[str])
    failing: frozenset[str] = field(default_factory=frozenset[str])
    time_flows: bool = False
    slow: tuple[str, ...] = ()
    schedules: int = 200


async def goes_on(cast: Cast, stopped: Reply, window: Verbs | None = None) -> None:
    """Promise 5: a resume right after an interrupt's answer works, in any window."""
    assert stopped.run_id is not None
    if stopped.quiescent is not None and stopped.verb != "durable":
        cast.require(stopped.quiescent, f"{stopped} is not quiescent, and nothing was deaf")
    resumed = await (window or cast.either()).resume(stopped.run_id)
    cast.require(resumed.status == "completed", f"a resume right after {stopped} was answered {resumed}")


async def interrupt(cast: Cast, window: Verbs, run_id: str) -> Reply:
    waits = cast.random.random() < 0.6
    reply = await window.interrupt(run_id, wait_quiescent=waits)
    cast.require(reply.code is None, f"an interrupt always answers, not {reply}")
    if not waits:
        # It says what was so at that moment, which need not be quiescence.
        reply.verb = "durable"
    return reply
