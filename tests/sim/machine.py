"""
The simulation as a Hypothesis state machine: what may happen, in any order, and what must hold meanwhile.

Each rule does one thing and then lets the world go on for some turns of the event loop, or until it is at rest: so
things happen in the middle of others. When the rules are over, everything is let go, every run must come to its end,
and each that was stopped is gone on with until it completes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sidestep.model.ports import RunFilter
from sidestep.model.run import Attention, FailureCode, RunStatus
from tests.sim.invariants import check_after_patrol, check_always, check_at_rest, check_end
from tests.sim.question_machine import SELDOM, TURNS, WHICH, QuestionRules
from tests.sim.simulated_time import SimulatedLoop
from tests.sim.workflows import WORKFLOWS
from tests.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.run import RunRecord
    from tests.sim.outside import Execution
    from tests.sim.window import Window
    from tests.sim.world import Request

PATROL_S = 0.5
WINDOWS_MAX = 3
# Rounds of the end: each lets a second pass, and goes on with what has stopped.
_END_ROUNDS = 60


class Simulation(QuestionRules, RuleBasedStateMachine):
    """Windows on one store in memory."""

    with_sqlite = False

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="sidestep-sim-"))
        self.runner = asyncio.Runner(loop_factory=SimulatedLoop, debug=False)
        self.loop: Any = self.runner.get_loop()
        self.world = World(self.path, self.loop, with_sqlite=self.with_sqlite)
        self.versions = dict.fromkeys(WORKFLOWS, 0)
        # A broken world is not brought to its end.
        self.is_broken = False
        self.away_for = 0

    def go(self, work: Any, turns: int | None = None) -> Any:
        """Do it, let the world go on, look at everything."""

        async def then_settle() -> Any:
            done = await work
            await self.loop.settle(turns)
            return done

        if self.away_for > 0:
            self.away_for -= 1
            if self.away_for == 0:
                self.world.bring_store_back()
        try:
            done = self.loop.run_until_complete(then_settle())
            (check_always if turns is not None else check_at_rest)(self.world)
        except BaseException:
            self.is_broken = True
            raise
        return done

    def act(self, work: Callable[[], Any], turns: int | None) -> Any:
        async def act() -> Any:
            return work()

        return self.go(act(), turns)

    # Choices; each is a number, so that examples shrink.

    def window(self, which: int) -> Window:
        windows = self.world.usable_windows
        return windows[which % len(windows)]

    def root(self, which: int) -> RunRecord:
        """A root run, the newest first."""
        roots = self.world.roots[::-1]
        return roots[which % len(roots)]

    def execution(self, which: int) -> Execution:
        going_on = self.world.outside.going_on
        return going_on[which % len(going_on)]

    def open_requests(self) -> list[Request]:
        waiting = ("start", "resume", "retry")
        return [each for each in self.world.requests if each.is_open and each.kind in waiting and each.window.is_usable]

    def has_window(self) -> bool:
        return bool(self.world.usable_windows)

    def has_run(self) -> bool:
        return self.has_window() and bool(self.world.roots)

    def has_work(self) -> bool:
        return bool(self.world.outside.going_on)

    def has_store(self) -> bool:
        return self.world.journal.fault is None

    # People.

    @initialize(windows=st.integers(1, 2))
    def begin(self, windows: int) -> None:
        for _ in range(windows):
            self.go(self.world.open_window())

    @precondition(lambda self: self.has_window() and len(self.world.roots) < 5)
    @rule(
        window=WHICH,
        name=st.sampled_from(sorted(WORKFLOWS)),
        attention=st.sampled_from(Attention),
        start_key=st.sampled_from((None, None, "k")),
        deadline_s=st.sampled_from((None, None, None, 3.0)),
        turns=TURNS,
    )
    def start(self, window: int, turns: int | None, **wanted: Any) -> None:
        where = self.window(window)
        self.act(lambda: self.world.start(where, **wanted), turns)

    @precondition(lambda self: self.has_window() and len(self.world.roots) < 5)
    @rule(window=WHICH, name=st.sampled_from(sorted(WORKFLOWS)))
    def start_plainly(self, window: int, name: str) -> None:
        where = self.window(window)
        self.act(lambda: self.world.start(where, name), None)

    @precondition(lambda self: bool(self.open_requests()))
    @rule(which=WHICH, turns=TURNS)
    def cancel(self, which: int, turns: int | None) -> None:
        requests = self.open_requests()
        request = requests[which % len(requests)]
        self.act(lambda: self.world.cancel(request), turns)

    @precondition(has_run)
    @rule(window=WHICH, run=WHICH, nested=st.booleans(), wait_quiescent=st.booleans(), turns=TURNS)
    def interrupt(self, window: int, run: int, nested: bool, wait_quiescent: bool, turns: int | None) -> None:
        run_id = self.root(run).run_id
        if nested:
            run_id = next((row.run_id for row in self.world.rows if row.parent_run_id == run_id), run_id)
        where = self.window(window)
        self.act(lambda: self.world.interrupt(where, run_id, wait_quiescent=wait_quiescent), turns)

    @precondition(has_run)
    @rule(window=WHICH, run=WHICH, turns=TURNS)
    def background(self, window: int, run: int, turns: int | None) -> None:
        where, run_id = self.window(window), self.root(run).run_id
        self.act(lambda: self.world.background(where, run_id), turns)

    @precondition(has_run)
    @rule(window=WHICH, run=WHICH, attention=st.sampled_from(Attention), turns=TURNS)
    def resume(self, window: int, run: int, attention: Attention, turns: int | None) -> None:
        where, run_id = self.window(window), self.root(run).run_id
        self.act(lambda: self.world.resume(where, run_id, attention), turns)

    @precondition(has_run)
    @rule(window=WHICH, run=WHICH, current_source=st.booleans(), turns=TURNS)
    def retry(self, window: int, run: int, current_source: bool, turns: int | None) -> None:
        where, run_id = self.window(window), self.root(run).run_id
        self.act(lambda: self.world.retry(where, run_id, current_source=current_source), turns)

    @precondition(has_run)
    @rule(window=WHICH, run=WHICH, turns=TURNS)
    def delete(self, window: int, run: int, turns: int | None) -> None:
        where, run_id = self.window(window), self.root(run).run_id
        self.act(lambda: self.world.delete(where, run_id), turns)

    @precondition(lambda self: self.has_window() and not self.untrusting())
    @rule(window=WHICH, turns=TURNS)
    def withdraw_trust(self, window: int, turns: int | None) -> None:
        where = self.window(window)
        self.act(lambda: self.world.trust(where, trusted=False), turns)

    @precondition(lambda self: bool(self.untrusting()))
    @rule(turns=TURNS)
    def trust_again(self, turns: int | None) -> None:
        where = self.untrusting()[0]
        self.act(lambda: self.world.trust(where, trusted=True), turns)

    def untrusting(self) -> list[Window]:
        return [window for window in self.world.usable_windows if not window.trusts(self.world.folder)]

    @rule(name=st.sampled_from(sorted(WORKFLOWS)))
    def edit(self, name: str) -> None:
        self.versions[name] += 1
        self.world.edit(name, self.versions[name])

    @precondition(lambda self: self.has_run() and self.has_store())
    @rule(window=WHICH, run=WHICH)
    def look(self, window: int, run: int) -> None:
        """list, get, steps and events agree with the journal, whoever asks."""
        store, row = self.window(window).store, self.root(run)

        async def look() -> None:
            self.world.archive.catch_up()
            if row.run_id in self.world.archive.deleted:
                return
            events = await store.read_events(row.run_id, after_sequence=0, limit=10_000)
            seen = await store.read(row.run_id)
            assert [event.body for event in events] == self.world.archive.events[row.run_id][: len(events)]
            assert seen.sequence == len(events)
            listed = await store.list_runs(RunFilter(), cursor=None, limit=100)
            assert seen in listed.items
            steps = await store.read_steps(row.run_id)
            assert len(steps.items) == seen.steps.known
            asked = {each.interaction_id for each in await store.open_questions(row.run_id)}
            known = self.world.archive.questions.open
            assert asked == {each.interaction_id for each in known if each.root_run_id == row.run_id}

        self.go(look(), 0)

    # Work.

    @precondition(has_work)
    @rule(which=WHICH, turns=TURNS)
    def finish(self, which: int, turns: int | None) -> None:
        execution = self.execution(which)
        self.act(lambda: self.world.outside.finish(execution), turns)

    @precondition(has_work)
    @rule()
    def finish_all(self) -> None:
        def finish_all() -> None:
            for execution in self.world.outside.going_on:
                self.world.outside.finish(execution)

        self.act(finish_all, None)

    @precondition(has_work)
    @rule(which=WHICH, code=st.sampled_from((FailureCode.STEP, FailureCode.INFRASTRUCTURE)), turns=TURNS)
    def fail(self, which: int, code: FailureCode, turns: int | None) -> None:
        execution = self.execution(which)
        self.act(lambda: self.world.outside.fail(execution, code), turns)

    @precondition(has_work)
    @rule(which=WHICH)
    def grow_deaf(self, which: int) -> None:
        self.execution(which).is_deaf = True

    # The machine.

    @rule(seconds=st.sampled_from((0.1, 0.5, 1.0, 2.0, 5.0, 6.0)))
    def pass_time(self, seconds: float) -> None:
        self.go(self.world.clock.pass_time(seconds, self.loop))

    @precondition(lambda self: self.has_store() and len(self.world.usable_windows) < WINDOWS_MAX)
    @rule(turns=TURNS)
    def open_another(self, turns: int | None) -> None:
        self.open_window(turns)

    def open_window(self, turns: int | None) -> None:
        self.go(self.world.open_window(), turns)

    @precondition(lambda self: len(self.living_windows()) > 1)
    @rule(which=WHICH, loses_queue=st.booleans(), seldom=SELDOM)
    def kill(self, which: int, loses_queue: bool, seldom: bool) -> None:
        living = self.living_windows()
        if seldom:
            self.go(self.world.kill(living[which % len(living)], loses_queue=loses_queue))

    @precondition(lambda self: self.has_store())
    @rule(loses_queue=st.booleans(), seldom=SELDOM, turns=TURNS)
    def crash_everything(self, loses_queue: bool, seldom: bool, turns: int | None) -> None:
        if seldom:
            for window in self.living_windows():
                self.go(self.world.kill(window, loses_queue=loses_queue), 0)
            self.open_window(turns)

    def living_windows(self) -> list[Window]:
        return [window for window in self.world.windows if not window.gate.is_dead]

    @precondition(lambda self: len(self.world.usable_windows) > 1 and self.has_store())
    @rule(which=WHICH, seldom=SELDOM)
    def shut_down(self, which: int, seldom: bool) -> None:
        if seldom:
            self.go(self.world.shut_down(self.window(which)))

    @precondition(lambda self: len(self.world.usable_windows) > 1)
    @rule(which=WHICH)
    def stop(self, which: int) -> None:
        """Somebody who has work, if anybody has."""
        working = {each.owner_id for each in self.world.outside.going_on}
        windows = self.world.usable_windows
        windows = [window for window in windows if window.owners.owner_id in working] or windows
        where = windows[which % len(windows)]
        self.act(lambda: self.world.stop(where), 0)

    @precondition(lambda self: bool(self.stopped_windows()))
    @rule(which=WHICH, parked_max=st.sampled_from((None, None, 1, 2, 3)), turns=TURNS)
    def wake(self, which: int, parked_max: int | None, turns: int | None) -> None:
        """Wakes up, or hears a little of what happened meanwhile and is stopped again."""
        stopped = self.stopped_windows()
        where = stopped[which % len(stopped)]
        self.act(lambda: self.world.wake(where, parked_max), turns)

    @precondition(lambda self: bool(self.overpowerable()) and self.has_store())
    @rule(which=WHICH, by=WHICH, finishes=st.booleans(), wakes=st.booleans(), turns=TURNS)
    def overpower(self, which: int, by: int, finishes: bool, wakes: bool, turns: int | None) -> None:
        """
        A working window is stopped; another interrupts and resumes one of its runs, when the grace is spent.

        `finishes`: the work is done while its owner sleeps.
        """
        rows = self.overpowerable()
        row, world = rows[which % len(rows)], self.world
        assert row.owner is not None, "only an owned run is overpowered"
        sleeper = next(each for each in world.windows if each.owners.owner_id == row.owner.owner_id)
        self.act(lambda: world.stop(sleeper), 0)
        where, grace_s = self.window(by), world.settings.interrupt_grace_s
        if finishes:
            self.finish_all()
        self.act(lambda: world.interrupt(where, row.run_id), None)
        self.go(world.clock.pass_time(grace_s, self.loop))
        self.act(lambda: world.resume(where, row.run_id, Attention.NOTIFY_ON_TERMINAL), None)
        self.go(world.clock.pass_time(grace_s, self.loop))
        if wakes:
            self.act(lambda: world.wake(sleeper), turns)

    def overpowerable(self) -> list[RunRecord]:
        """Active runs of usable windows, while there is another window."""
        owners = {window.owners.owner_id for window in self.world.usable_windows}
        owned = [row for row in self.world.roots if row.is_active and row.owner and row.owner.owner_id in owners]
        return owned if len(owners) > 1 else []

    @precondition(has_store)
    @rule(things=st.integers(1, 4), turns=TURNS)
    def store_goes_away(self, things: int, turns: int | None) -> None:
        """It comes back when so many more things have happened."""
        self.away_for = things
        self.act(self.world.take_store_away, turns)

    def stopped_windows(self) -> list[Window]:
        return [each for each in self.world.windows if not each.gate.is_open and not each.gate.is_dead]

    # The end.

    def teardown(self) -> None:
        try:
            if not self.is_broken:
                self._end()
        finally:
            self.world.close()
            self._dispose()

    def _end(self) -> None:
        world = self.world
        world.bring_store_back()
        for window in self.stopped_windows():
            self.act(lambda window=window: world.wake(window), None)
        if not world.usable_windows:
            self.go(world.open_window())
        window = world.usable_windows[-1]
        self.act(lambda: world.trust(window, trusted=True), None)
        self.act(world.outside.hurry, None)
        self.go(world.clock.pass_time(2 * PATROL_S, self.loop))
        check_after_patrol(world)
        for _ in range(_END_ROUNDS):
            if all(row.status is RunStatus.COMPLETED for row in world.roots):
                break
            for row in world.roots:
                if row.status is RunStatus.FAILED:
                    # With the snapshot, unless it says that there is nothing to redo.
                    request = self.act(lambda row=row: world.retry(window, row.run_id), None)
                    if request.error is not None:
                        note(f"{row.run_id}: {request.error}")
                elif row.status is RunStatus.INTERRUPTED:
                    self.act(lambda row=row: world.resume(window, row.run_id), None)
            for question in world.archive.questions.open:
                self.act(lambda question=question: world.answer(window, question), None)
            self.go(world.clock.pass_time(1, self.loop))
        left = [row for row in world.roots if row.status is not RunStatus.COMPLETED]
        assert not left, f"does not complete: {left[0]}"
        self.go(world.clock.pass_time(10, self.loop))
        check_end(world)

    def _dispose(self) -> None:
        async def dispose() -> None:
            for window in self.world.windows:
                if not window.gate.is_dead:
                    await self.world.kill(window, loses_queue=True)

        self.loop.set_exception_handler(lambda *_: None)
        self.loop.run_until_complete(dispose())
        self.runner.close()
        shutil.rmtree(self.path)


class SimulationOnSqlite(Simulation):
    """The same with SQLite's tables beside it; both must agree about everything."""

    with_sqlite = True
