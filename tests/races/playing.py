"""Playing one schedule of a race with two windows in this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sidestep.settings import Settings
from sidestep.store.memory_journal import MemoryJournal
from tests.races.cast import Cast
from tests.races.points import PointedStore
from tests.races.scenarios import SCRIPTS
from tests.races.window import MemoryView, Place, Window
from tests.races.world import World
from tests.support.fake_clock import FakeClock
from tests.support.schedule import Schedule, Stage
from tests.support.scripted_sandbox import ScriptedSandbox

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sidestep.model.execution import Sandbox
    from sidestep.runtime.sandbox import MontySandbox
    from tests.races.cast import Race

# Plays this one schedule only: the number that a failure printed.
SEED_VARIABLE = "SIDESTEP_RACE_SEED"


class Lost(AssertionError):
    """A schedule of a race went wrong; the message has its seed."""


def seeds(count: int) -> range:
    """The seeds to play: the first `count`, or the one that the environment names."""
    named = os.environ.get(SEED_VARIABLE)
    return range(count) if named is None else range(int(named), int(named) + 1)


def make_place(tmp_path: Path) -> Place:
    return Place(tmp_path, Settings(), SCRIPTS)


def play_all(race: Race, place: Place, chosen: Iterable[int], sandbox: MontySandbox | None = None) -> int:
    """
    Play the schedules of these seeds, one after another; a `sandbox` is shared by all of them, and closed.

    Returns:
        How many were played.

    Raises:
        Lost: the first that went wrong.
    """
    played = 0
    with Stage() as stage:
        try:
            for seed in chosen:
                play(stage, race, place, seed, sandbox or ScriptedSandbox())
                played += 1
        finally:
            if sandbox is not None:
                stage.finish(sandbox.close())
    return played


def play(stage: Stage, race: Race, place: Place, seed: int, sandbox: Sandbox) -> list[str]:
    """
    Play one schedule.

    Returns:
        The points in the order they were crossed.

    Raises:
        Lost: something was seen that must never be, or somebody waits for ever.
    """
    clock, journal = FakeClock(), MemoryJournal()
    schedule = Schedule(seed, clock, time_flows=race.time_flows)
    world = World(MemoryView(journal))
    schedule.inspect = world.require_sound
    for point in race.slow:
        # Most of the time longer than a grace.
        schedule.weigh(point, schedule.random.choice((0.002, 0.02, 1)))

    def window(name: str) -> Window:
        store = PointedStore(name, clock, place.settings, journal, schedule, world)
        opened = Window(name, place, store, sandbox, clock, schedule, world)
        opened.commands.deaf |= race.deaf
        opened.commands.failing |= race.failing
        return opened

    async def whole() -> None:
        windows = [window("a"), window("b")]
        for each in windows:
            await each.open()
        cast = Cast(windows[0], windows[1], schedule, world)
        await race.play(cast)
        await cast.calm()
        for each in windows:
            await each.close()
        world.finished()

    try:
        stage.run(schedule, whole())
    except Exception as wrong:
        how = (
            f"{race.name}, seed {seed} (play it alone with {SEED_VARIABLE}={seed})\n"
            f"replies: {world.replies}\npoints crossed last:\n  " + "\n  ".join(schedule.crossed[-60:])
        )
        if isinstance(wrong, AssertionError):
            raise Lost(f"{type(wrong).__name__}: {wrong}\n{how}") from wrong
        # Not what a schedule is about: the product or the test is broken everywhere.
        wrong.add_note(how)
        raise
    return schedule.crossed
