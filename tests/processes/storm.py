"""
Four sidecars on one store, asked for everything at once while they are killed, stopped and woken.

    with Storm(folder, SHORT, seed=1) as storm:
        storm.rage()
        settle(storm)
        report = audit(storm)

The seed decides what is asked of whom and when harm is done; the machine decides the rest. Nothing here waits for a
time to pass but the storm's own pace, which is its load and no condition.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from tests.processes import journal_rules, storm_workflow
from tests.processes.storm_plan import Run, Weather
from tests.processes.storm_questions import Questions
from tests.processes.window import Outlook, Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes.storm_plan import Plan

    Message = dict[str, Any]

CALM = "calm-run"
# What a request may be refused with in a storm; anything else is a fault.
REFUSALS = frozenset(
    {"invalidTransition", "runLeased", "runNotFound", "workspaceUntrusted", "requestCancelled", "storeUnavailable"}
)
# Beyond the interrupt grace of 5 s, so that whoever goes on has to take over; and well within it.
LONG_STOP_S = (6.0, 8.0)
SHORT_STOP_S = (0.2, 1.2)
# Of all requests about a run, so many go to a window that has not opened its folder.
ASTRAY = 0.06
# Of all runs, so many ask; of all that is asked of windows while a question is open, so much is an answer.
ASKING = 0.4
ANSWERING = 0.3


class Storm:
    """The windows, the runs, and what is done to them."""

    def __init__(self, folder: Path, plan: Plan, seed: int) -> None:
        self.store = folder / "store" / "store.sqlite"
        self.folders = (folder / "one", folder / "two")
        for workspace in self.folders:
            storm_workflow.lay_out(workspace)
        self.plan = plan
        self.faults: list[str] = []
        self.weather = Weather()
        self.calm: Any = None
        one, two = self.folders
        # The first is the one that lives through it all.
        outlooks = (
            Outlook("witness", (one, two), auto_resume=False, is_mortal=False),
            Outlook("one", (one,), auto_resume=True),
            Outlook("both", (one, two), auto_resume=True),
            Outlook("two", (two,), auto_resume=False),
        )
        self.mark = {"SIDESTEP_TEST_STORM": secrets.token_hex(8)}
        self.choice = random.Random(seed)
        self.runs = [
            Run(
                f"run-{number:03}",
                self.choice.choice(self.folders),
                flaky=self.choice.random() < 0.25,
                asks=self.choice.random() < ASKING,
            )
            for number in range(plan.runs)
        ]
        self.known = {run.name: run for run in self.runs}
        self.questions = Questions(self.choice)
        self._started = 0
        self.all: list[Window] = []
        self.windows: list[Window] = []
        for outlook in outlooks:
            self.windows.append(self._open(outlook))
        self._then: dict[tuple[int, int], Callable[[], None]] = {}
        self._pace = threading.Event()

    @property
    def witness(self) -> Window:
        return self.windows[0]

    def __enter__(self) -> Self:
        try:
            self._be_calm()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for window in self.all:
            window.close()

    def _open(self, outlook: Outlook) -> Window:
        window = Window(outlook, self.store, self.mark)
        self.all.append(window)
        window.initialize()
        return window

    def _be_calm(self) -> None:
        """The undisturbed run, which says what the others have to come to."""
        run = Run(CALM, self.folders[0], flaky=False)
        outcome = self.witness.client.result("workflow/start", run.start)
        assert outcome["status"] == "completed", outcome
        self.calm = outcome["result"]

    # -- The storm

    def rage(self) -> None:
        """Start every run and ask for everything else meanwhile, while windows are killed, stopped and woken."""
        began_at = time.monotonic()
        harm = self._planned_harm()
        while harm or self._started < len(self.runs) or time.monotonic() - began_at < self.plan.seconds:
            self.absorb()
            if harm and time.monotonic() - began_at >= harm[0][0]:
                self._harm(harm.pop(0)[1])
                self.faults += journal_rules.loose_children(self.store)
            else:
                self._ask_something()
            # The load, not a wait: what is asked next does not depend on what was answered.
            self._pace.wait(self.choice.expovariate(self.plan.pace))
        self.absorb()

    def _planned_harm(self) -> list[tuple[float, str]]:
        """(seconds from now, kind), in order; the long stops lie in the first part, so that others can take over."""
        plan, span = self.plan, self.plan.seconds
        kinds = ["kill"] * plan.kills + ["stop"] * plan.short_stops
        planned = [(self.choice.uniform(0.1, 0.95) * span, kind) for kind in kinds]
        planned += [(self.choice.uniform(0.1, 0.6) * span, "long stop") for _ in range(plan.long_stops)]
        return sorted(planned)

    def _harm(self, kind: str) -> None:
        if kind == "kill":
            self._kill(self._victim([window for window in self.windows if window.outlook.is_mortal]))
            return
        awake = [window for window in self.windows if not window.is_stopped]
        if len(awake) == 1:
            # Somebody has to be there who sees it.
            return
        window = self._victim(awake)
        self.weather.stops += 1
        window.stop(self.choice.uniform(*(LONG_STOP_S if kind == "long stop" else SHORT_STOP_S)))
        if kind == "long stop":
            self.weather.long_stops += 1
            for run in self.runs[: self._started]:
                if run.conductor is window and run.status in journal_rules.ACTIVE and run.run_id is not None:
                    self._overpower(run, window)

    def _victim(self, windows: list[Window]) -> Window:
        """Mostly the one that was asked to conduct the most of what is active."""
        if self.choice.random() < 0.2:
            return self.choice.choice(windows)
        active = Counter(id(run.conductor) for run in self.runs if run.status in journal_rules.ACTIVE)
        return max(windows, key=lambda window: active[id(window)])

    def _kill(self, window: Window) -> None:
        window.kill()
        self.weather.kills += 1
        self.absorb()
        window.asked.clear()
        self.windows[self.windows.index(window)] = self._open(window.outlook)

    def _overpower(self, run: Run, stopped: Window) -> None:
        """Another window interrupts the run of a stopped one, and goes on with it when that is answered (F3)."""
        others = [each for each in self.near(run) if each is not stopped and not each.is_stopped]
        if not others:
            return
        window = self.choice.choice(others)
        number = self.ask(window, "workflow/interrupt", {"runId": run.run_id, "wait": "durable"}, run)
        self._then[id(window), number] = lambda: self._resume(window, run, "background")

    # -- Asking

    def _ask_something(self) -> None:
        if self.questions.are_open and self.choice.random() < ANSWERING:
            self.weather.asked["answers"] += 1
            self.questions.answer_one(self.windows)
            return
        active = sum(run.status in journal_rules.ACTIVE for run in self.runs[: self._started])
        behind = self._started < len(self.runs) and active < self.plan.active_max
        if behind and self.choice.random() < 0.5:
            run = self.runs[self._started]
            self._started += 1
            self._start(run)
        elif self._started:
            # Most of it happens to young runs, and some to any.
            first = 0 if self.choice.random() < 0.2 else max(0, self._started - 12)
            self._disturb(self.choice.choice(self.runs[first : self._started]))

    def _disturb(self, run: Run) -> None:
        window = self.choice.choice(self.windows if self.choice.random() < ASTRAY else self.near(run))
        if run.run_id is None:
            # Its start may have been lost with a window.
            if not run.is_deletion_asked:
                self._start(run)
            return
        about = {"runId": run.run_id}
        mode = self.choice.choice(["foreground", "background"])
        chance = self.choice.random()
        if chance < 0.05:
            self._delete(window, run)
        elif chance < 0.1 and not run.is_deletion_asked:
            self._start(run)
        elif chance < 0.2:
            self.ask(window, "workflow/background", about, run)
        elif chance < 0.3:
            self._cancel_one()
        elif run.status in journal_rules.ACTIVE and chance < 0.6:
            wait = self.choice.choice(["durable", "quiescent"])
            number = self.ask(window, "workflow/interrupt", {**about, "wait": wait}, run)
            if self.choice.random() < 0.5:
                other = self.choice.choice(self.near(run))
                self._then[id(window), number] = lambda: self._resume(other, run, mode)
        elif run.status == "failed":
            if self.choice.random() < 0.7:
                storm_workflow.mend(run.folder, run.name)
            self.ask(window, "workflow/retry", {**about, "mode": mode, "events": True}, run)
            run.conductor = window
        else:
            self._resume(window, run, mode)

    def _start(self, run: Run) -> None:
        window = self.choice.choice(self.near(run))
        run.conductor = run.conductor or window
        mode = self.choice.choice(["foreground", "background"])
        self.ask(window, "workflow/start", {**run.start, "mode": mode}, run)

    def _resume(self, window: Window, run: Run, mode: str) -> None:
        if window.is_alive:
            run.conductor = window
            self.ask(window, "workflow/resume", {"runId": run.run_id, "mode": mode, "events": True}, run)

    def _delete(self, window: Window, run: Run) -> None:
        """Only when no start is under way: one that came after would make the run anew, with the same key."""
        starting = any(
            asked.is_start and asked.run == run.name for each in self.windows for asked in each.asked.values()
        )
        if not starting:
            run.is_deletion_asked = True
            self.ask(window, "workflow/delete", {"runId": run.run_id}, run)

    def _cancel_one(self) -> None:
        waiting = [(window, number) for window in self.windows for number, it in window.asked.items() if it.waits]
        if waiting:
            self.weather.asked["$/cancelRequest"] += 1
            window, number = self.choice.choice(waiting)
            window.cancel(number)

    def ask(self, window: Window, method: str, params: Message, run: Run) -> int:
        self.weather.asked[method] += 1
        return window.ask(method, params, run.name)

    def near(self, run: Run) -> list[Window]:
        """The windows that have the run's folder open."""
        return [window for window in self.windows if run.folder in window.outlook.folders]

    # -- Hearing

    def absorb(self) -> None:
        for window in self.all:
            for message in window.news():
                if self.questions.hear(window, message):
                    continue
                if "method" not in message:
                    self._hear_answer(window, message)
                elif message["method"] == "workflow/statusChanged":
                    self._hear_status(message["params"])

    def _hear_status(self, told: Message) -> None:
        run = self.known.get(told.get("startKey", ""))
        if run is not None and told["sequence"] >= run.sequence:
            run.run_id, run.status, run.sequence = told["runId"], told["status"], told["sequence"]

    def _hear_answer(self, window: Window, answer: Message) -> None:
        asked = window.asked.pop(answer["id"], None)
        then = self._then.pop((id(window), answer["id"]), None)
        if asked is None:
            return
        if "error" in answer:
            reason = answer["error"].get("data", {}).get("reason")
            self.weather.refused[f"{asked.method.removeprefix('workflow/')}: {reason}"] += 1
            is_bug = "as a bug" in answer["error"].get("data", {}).get("todo", "")
            if reason == "storeUnavailable" and not is_bug:
                self.weather.away.append(f"{asked.method} of {asked.run} in {window.outlook.name}: {answer['error']}")
            if reason not in REFUSALS or is_bug:
                self.faults.append(f"{asked.method} of {asked.run} in {window.outlook.name}: {answer['error']}")
        elif then is not None:
            then()
