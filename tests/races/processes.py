"""
The parent of two windows in processes of their own: it plays a race with them, one crossing at a time.

Only one process ever goes on at once, and the parent waits until it has nothing to do, so a seed gives the same order
every time, with the real store, its real locks and its real transactions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.model.errors import RunNotFound
from sidestep.model.events import JournalEvent
from sidestep.model.run import RunRecord
from sidestep.store import queries
from tests.races.cast import Cast
from tests.races.playing import SEED_VARIABLE, Lost
from tests.races.world import Reply, Work, World
from tests.support.schedule import Schedule, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.races.cast import Race

ROOT = Path(__file__).parents[2]
EVENTS_MAX = 1000


class SqliteView:
    """`world.Journal` of a database, read as any other process would."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)

    def close(self) -> None:
        self._connection.close()

    def row(self, run_id: str) -> RunRecord | None:
        try:
            return queries.read_run(self._connection, run_id)
        except RunNotFound:
            return None

    def events(self, run_id: str) -> Sequence[JournalEvent]:
        return queries.read_events(self._connection, run_id, 0, EVENTS_MAX) if self.row(run_id) else ()

    def run_ids(self) -> Sequence[str]:
        return [run_id for (run_id,) in self._connection.execute("SELECT run_id FROM runs ORDER BY rowid")]


class RemoteWindow:
    """`Verbs` of a window in another process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_conducting = False
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("server", "protocol"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.races.process_window", name],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._calls = 0
        self._report()

    def enter(self, schedule: Schedule, world: World, other: RemoteWindow) -> None:
        """A new schedule begins."""
        self._schedule = schedule
        self._world = world
        self._other = other
        self._answers: dict[int, asyncio.Future[Reply | None]] = {}
        self._works: dict[int, Work] = {}
        self._delivered: dict[int, list[str]] = {}
        # The process's token -> ours.
        self._parked: dict[int, int] = {}
        self._will_look = False

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def kill(self) -> None:
        self._process.kill()
        self.end()

    def order(self, do: str, **more: Any) -> None:
        """Have the process do one thing, and wait until it has nothing to do any more."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        report = self._report()
        self.is_conducting = report["conducting"]
        for note in report["notes"]:
            self._take(*note)
        parked = {token: name for token, name in report["parked"]}
        for token in [token for token in self._parked if token not in parked]:
            self._schedule.unpark(self._parked.pop(token))
        for token, name in parked.items():
            if token not in self._parked:
                self._parked[token] = self._schedule.park(name, lambda token=token: self._go(token))

    def look_soon(self) -> None:
        """The other one has committed something."""
        if not self._will_look:
            self._will_look = True
            self._schedule.park(f"{self.name}: look", self._look)

    async def start(self, script: str, *, background: bool = False, token: str | None = None) -> Reply:
        return await self._ask("start", script=script, background=background, token=token)

    async def resume(self, run_id: str, *, background: bool = False, token: str | None = None) -> Reply:
        return await self._ask("resume", run_id=run_id, background=background, token=token)

    async def interrupt(self, run_id: str, *, wait_quiescent: bool = True) -> Reply:
        return await self._ask("interrupt", run_id=run_id, wait_quiescent=wait_quiescent)

    async def background(self, run_id: str) -> Reply:
        return await self._ask("background", run_id=run_id)

    async def answer(self, interaction_id: str, answer: str) -> Reply:
        return await self._ask("answer", interaction_id=interaction_id, answer=answer)

    async def cancel(self, token: str) -> None:
        await self._asked("cancel", token=token)

    async def _ask(self, verb: str, **arguments: Any) -> Reply:
        reply = await self._asked(verb, **arguments)
        assert reply is not None, "only a cancellation is not answered"
        return reply

    async def _asked(self, verb: str, **arguments: Any) -> Reply | None:
        self._calls += 1
        answer = self._answers[self._calls] = asyncio.get_running_loop().create_future()
        self.order(verb, call=self._calls, arguments=arguments)
        return await answer

    def _go(self, token: int) -> None:
        del self._parked[token]
        self.order("go", token=token)

    def _look(self) -> None:
        self._will_look = False
        self.order("look")

    def _report(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the window {self.name} ended with {self._process.wait()}"
        return json.loads(line)

    def _take(self, what: str, *rest: Any) -> None:
        world = self._world
        match what, rest:
            case "enter", (number, run_id, name):
                self._works[number] = world.enter(self.name, run_id, name)
            case "begin", (number, run_id, key, name, entry):
                entered = None if entry is None else self._works.pop(entry)
                self._works[number] = world.begin(self.name, run_id, key, name, entered)
            case "end", (number,):
                world.end(self._works.pop(number))
            case "told", (record, events):
                row = msgspec.json.decode(record, type=RunRecord)
                world.told(self.name, row, msgspec.json.decode(events, type=list[JournalEvent]))
                self._other.look_soon()
            case "kill", (owner, run_id):
                world.kill(owner, run_id)
            case "delivering", (number, run_id):
                self._delivered[number] = world.delivering(run_id)
            case "delivered", (number, step_id):
                self._delivered[number].append(step_id)
            case "reply", (call, reply):
                answer = self._answers.pop(call)
                answer.set_result(None if reply is None else world.replied(Reply(**reply)))
            case _:
                raise AssertionError(f"the window {self.name} says {what}")


class BothClocks:
    """Time in both processes."""

    def __init__(self, windows: tuple[RemoteWindow, RemoteWindow]) -> None:
        self._windows = windows

    def advance(self, seconds: float) -> None:
        for window in self._windows:
            window.order("advance", seconds=seconds)


class TwoProcesses:
    """Two windows, and an event loop to play with them. Use as `with TwoProcesses() as processes`."""

    def __enter__(self) -> TwoProcesses:
        self._begin()
        return self

    def _begin(self) -> None:
        self._windows = (RemoteWindow("a"), RemoteWindow("b"))

    def __exit__(self, *_: object) -> None:
        for window in self._windows:
            window.end()

    def play_all(self, race: Race, folder: Path, chosen: Sequence[int]) -> None:
        """Play a race's schedules, each on a store of its own. Raises Lost."""
        with Stage() as stage:
            for seed in chosen:
                try:
                    self._play(stage, race, folder / f"store-{seed}", seed)
                except BaseException:
                    # They stand in the middle of it: whoever plays next begins with new ones.
                    for window in self._windows:
                        window.kill()
                    self._begin()
                    raise

    def _play(self, stage: Stage, race: Race, folder: Path, seed: int) -> None:
        folder.mkdir()
        a, b = self._windows
        schedule = Schedule(seed, BothClocks(self._windows), time_flows=race.time_flows)
        for point in race.slow:
            schedule.weigh(point, schedule.random.choice((0.002, 0.02, 1)))
        world = World(_Nothing())
        for one, other in ((a, b), (b, a)):
            one.enter(schedule, world, other)
            one.order("open", folder=str(folder), race=race.name)
        view = world.journal = SqliteView(folder / "store.db")
        schedule.inspect = world.require_sound
        cast = Cast(a, b, schedule, world)

        async def whole() -> None:
            await race.play(cast)
            await cast.calm()
            world.finished()

        try:
            stage.run(schedule, whole())
        except AssertionError as wrong:
            points = "\n  ".join(schedule.crossed[-60:])
            raise Lost(
                f"{type(wrong).__name__}: {wrong}\n{race.name} in two processes, seed {seed} "
                f"(play it alone with {SEED_VARIABLE}={seed})\n"
                f"replies: {world.replies}\npoints crossed last:\n  {points}"
            ) from wrong
        finally:
            view.close()
        for window in (a, b):
            window.order("close")


class _Nothing:
    """No store yet."""

    def row(self, run_id: str) -> RunRecord | None:
        return None

    def events(self, run_id: str) -> Sequence[JournalEvent]:
        return ()

    def run_ids(self) -> Sequence[str]:
        return ()
