"""
A simulated machine with one store: its windows, the requests people make in them, and what happens to all of it.

Every verb is a coroutine that does one thing and comes back at once; `SimulatedLoop.settle` lets it take its course.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import SidestepError, StoreUnavailable
from sidestep.model.run import Attention, RunRecord, RunStatus, StepStatus, loads
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import NamedScript
from sidestep.service.requests import Interrupted, ResumeRequest, RetryRequest, Started, StartRequest
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.memory_journal import MemoryJournal
from tests.sim.answer_rules import Given, ask_faults, given_faults
from tests.sim.archive import Archive
from tests.sim.compared_store import ComparedStore
from tests.sim.outside import KILLED, Outside
from tests.sim.simulated_store import SimulatedStore
from tests.sim.simulated_time import SimulatedClock
from tests.sim.window import Window, make_task
from tests.sim.workflows import WORKFLOWS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from pathlib import Path

    from sidestep.model.events import StepChanged
    from tests.sim.question_model import ModelQuestion
    from tests.sim.simulated_time import SimulatedLoop

AWAY = StoreUnavailable(what="The store is away.", todo="Wait.")


@dataclass(eq=False)
class Request:
    """
    Something that was asked of a window.

    Attributes:
        run_id: The run it is about, once that is known.
        met_fault: The store was away, or the window stopped, at some time before the answer.
    """

    kind: str
    window: Window
    asked_ms: int
    run_id: str | None = None
    signal: AbortController = field(default_factory=AbortController)
    # Sequence of its run when it was asked.
    asked_sequence: int = 0
    met_fault: bool = False
    answer: Any = None
    error: SidestepError | None = None
    task: asyncio.Task[None] | None = None
    given: Given | None = None

    @property
    def is_open(self) -> bool:
        return self.task is not None and not self.task.done()


class _Complaints(logging.Handler):
    """Whatever the product logs as an error of its own."""

    def __init__(self, broken: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._broken = broken

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None or "ignores its abort" not in record.getMessage():
            self._broken.append(self.format(record))


class World:
    """One machine, one user, one store."""

    def __init__(self, path: Path, loop: SimulatedLoop, *, with_sqlite: bool = False) -> None:
        self.loop = loop
        self.path = path
        self.settings = Settings()
        self._with_sqlite = with_sqlite
        self.clock = SimulatedClock()
        self.journal = MemoryJournal()
        self.archive = Archive(self.clock, self.settings, self.journal, self._check_step)
        self.outside = Outside(self._is_finished)
        self.dead: set[str] = set()
        self.windows: list[Window] = []
        self.requests: list[Request] = []
        self._answers = 0
        workspace = path / "workspace"
        self._scripts = workspace / ".sidestep" / "workflows"
        self._scripts.mkdir(parents=True, exist_ok=True)
        self.folder = FolderKey.existing(str(workspace))
        self._complaints = _Complaints(self.outside.broken)
        logging.getLogger("sidestep").addHandler(self._complaints)
        loop.set_task_factory(make_task)
        loop.set_exception_handler(self._complain)
        for name in WORKFLOWS:
            self.edit(name, 0)

    def _new_store(self) -> SimulatedStore:
        if not self._with_sqlite:
            return SimulatedStore(self.clock, self.settings, self.journal)
        location = StoreLocation(self.path / "store.sqlite")
        return ComparedStore(self.clock, self.settings, self.journal, location, self.outside.broken)

    def close(self) -> None:
        logging.getLogger("sidestep").removeHandler(self._complaints)

    @property
    def usable_windows(self) -> list[Window]:
        return [window for window in self.windows if window.is_usable]

    @property
    def rows(self) -> list[RunRecord]:
        """Every run's row as it is now, oldest first."""
        return [run.record for run in self.journal.runs.values()]

    @property
    def roots(self) -> list[RunRecord]:
        return [row for row in self.rows if row.is_root]

    # What happens to the machine.

    async def open_window(self) -> Window:
        window = Window(
            "abcdefghijklmnopqrstuvwxyz"[len(self.windows) % 26] + "0123"[len(self.windows) // 26],
            store=self._new_store(),
            clock=self.clock,
            dead=self.dead,
            outside=self.outside,
            settings=self.settings,
        )
        self.windows.append(window)
        await window.open(self.folder, self.path / "trust.json")
        return window

    async def kill(self, window: Window, *, loses_queue: bool) -> None:
        """SIGKILL; `loses_queue`: in the middle of a commit, which is lost."""
        self._forget_requests(window)
        if loses_queue:
            window.inner_store.die(loses_queue=True)
            await window.kill()
        else:
            await window.kill()
            window.inner_store.die(loses_queue=False)

    async def shut_down(self, window: Window) -> None:
        for request in self.requests:
            request.met_fault |= request.window is window
        closing = window.spawn(window.close(AbortReason(AbortKind.SHUTDOWN)))
        await self.loop.settle()
        if not closing.done():
            await self.clock.pass_time(self.settings.drain_s, self.loop)
        assert closing.done(), "a drain has an end"
        closing.result()
        # Its process ends, and with it the groups it could not end in time are nobody's.
        await self.kill(window, loses_queue=False)

    def _forget_requests(self, window: Window) -> None:
        self.requests = [request for request in self.requests if request.window is not window]

    def stop(self, window: Window) -> None:
        window.gate.shut()
        for request in self.requests:
            request.met_fault |= request.window is window

    def wake(self, window: Window, parked_max: int | None = None) -> None:
        window.enter(lambda: window.gate.open(parked_max))

    def take_store_away(self) -> None:
        self.journal.fault = AWAY
        for request in self.requests:
            request.met_fault |= request.is_open

    def bring_store_back(self) -> None:
        self.journal.fault = None

    def edit(self, name: str, version: int) -> None:
        (self._scripts / f"{name}.py").write_text(WORKFLOWS[name].source(version))

    # What people ask for.

    def start(self, window: Window, name: str, **wanted: Any) -> Request:
        request = self._request("start", window)
        asked = StartRequest(
            script=NamedScript(name), args={}, folder=self.folder, on_run=self._noting(request), **wanted
        )
        return self._ask(request, window.service.start(asked, request.signal.signal))

    def resume(self, window: Window, run_id: str, attention: Attention = Attention.BLOCKING) -> Request:
        request = self._request("resume", window, run_id)
        asked = ResumeRequest(run_id=run_id, attention=attention)
        return self._ask(request, window.service.resume(asked, request.signal.signal))

    def retry(self, window: Window, run_id: str, *, current_source: bool = False) -> Request:
        request = self._request("retry", window, run_id)
        asked = RetryRequest(run_id=run_id, current_source=current_source)
        return self._ask(request, window.service.retry(asked, request.signal.signal))

    def interrupt(self, window: Window, run_id: str, *, wait_quiescent: bool = True) -> Request:
        request = self._request("interrupt", window, run_id)
        work = window.service.interrupt(run_id, by=window.name, wait_quiescent=wait_quiescent)
        return self._ask(request, work)

    def background(self, window: Window, run_id: str) -> Request:
        return self._ask(self._request("background", window, run_id), window.service.background(run_id))

    def delete(self, window: Window, run_id: str) -> Request:
        return self._ask(self._request("delete", window, run_id), window.service.delete(run_id))

    def answer(self, window: Window, question: ModelQuestion) -> Request:
        """Answer a question, with an answer that nobody has given before if it takes any text."""
        self._answers += 1
        text = ("yes", "no")[self._answers % 2] if question.step_id == "a:quick" else f"answer {self._answers}"
        request = self._request("answer", window)
        request.given = Given(question, text, question.is_open, question.withdrawals)
        return self._ask(request, window.service.answer(question.interaction_id, text, by=window.name))

    def trust(self, window: Window, *, trusted: bool) -> Request:
        work = window.service.trust([self.folder], trusted=trusted, remember=False)
        return self._ask(self._request("trust", window), work)

    def cancel(self, request: Request) -> None:
        reason = AbortReason(AbortKind.CANCELLED, by="host")
        request.window.enter(lambda: request.signal.abort(reason))

    def _request(self, kind: str, window: Window, run_id: str | None = None) -> Request:
        run = self.journal.runs.get(run_id or "")
        return Request(
            kind,
            window,
            self.clock.now_ms(),
            run_id,
            asked_sequence=run.record.sequence if run else 0,
            met_fault=self.journal.fault is not None,
        )

    def _noting(self, request: Request) -> Any:
        def on_run(run_id: str, _: object) -> Any:
            request.run_id = run_id
            return lambda: None

        return on_run

    def _ask(self, request: Request, work: Any) -> Request:
        request.task = request.window.spawn(self._answered(request, work))
        self.requests.append(request)
        return request

    async def _answered(self, request: Request, work: Any) -> None:
        try:
            request.answer = await work
        except SidestepError as error:
            request.error = error
        self._check_answer(request)

    def _check_answer(self, request: Request) -> None:
        """A reply never contradicts the durable status at its time (promise 1)."""
        self.archive.catch_up()
        answer = request.answer
        if request.given is not None:
            self._told(given_faults(request.given, request.answer, request.error, self.archive.questions))
        if isinstance(answer, Started):
            answer = answer.record
        quiescent = False
        if isinstance(answer, Interrupted):
            quiescent, answer = answer.quiescent, answer.record
        told: dict[str, Any] = {}
        if isinstance(answer, RunRecord):
            told = {"runId": answer.run_id, "status": answer.status.value, "sequence": answer.sequence}
        elif request.error is not None:
            told = getattr(request.error, "outcome", None) or {}
        if isinstance(request.error, StoreUnavailable) and not request.met_fault:
            self._break(f"{request.kind} met {request.error}, and the store was there")
        if told.get("sequence") is None:
            return
        run_id, sequence = told["runId"], told["sequence"]
        durable = self.archive.status_at(run_id, sequence)
        row = self.archive.rows.get(run_id)
        if row is None or row.sequence < sequence or durable is None or durable.value != told["status"]:
            self._break(f"{request.kind} answers {told}, the journal says {durable} of {row}")
        elif sequence < request.asked_sequence:
            self._break(f"{request.kind} answers {told}, older than what was known when it was asked")
        elif quiescent and row.sequence == sequence and row.owner is not None:
            self._break(f"{request.kind} answers that {run_id} is quiescent, and it is owned")
        elif request.kind == "interrupt" and told["status"] in ("pending", "running", "backgrounded"):
            events = self.archive.events[run_id][request.asked_sequence :]
            was = self.archive.status_at(run_id, request.asked_sequence)
            interrupted = any(getattr(body, "status", None) is RunStatus.INTERRUPTED for body in events)
            # Of a run that was interrupted already an interrupt tells nothing, and somebody may resume it after.
            if was is not RunStatus.INTERRUPTED and not interrupted:
                self._break(f"interrupt answers {told}, and nothing was interrupted since it was asked")

    def _check_step(self, root: RunRecord, run_id: str, body: StepChanged) -> None:
        """What is journaled is the work of the run's owner, never of one that lost it (the fence)."""
        if body.error is not None and body.error.message == KILLED:
            self._break(f"{body.step_id} of {run_id} was killed for its next owner, and that is journaled")
        if body.kind == "ask":
            self._told(ask_faults(run_id, body, self.journal, self.archive.questions))
        run = self.journal.runs.get(run_id)
        if body.kind != "command" or body.status is not StepStatus.COMPLETED or run is None:
            return
        output = run.steps[body.key][1].output_json
        assert output is not None, "a completed step has an output"
        done_by, owner = self.outside.done_by[loads(output)["stdout"]], root.owner and root.owner.owner_id
        if done_by != owner:
            self._break(f"{body.step_id} of {run_id} is the work of {done_by}, and {owner} owns the run")

    def _told(self, faults: Iterable[str]) -> None:
        self.outside.broken += faults

    def _break(self, what: str) -> None:
        self.outside.broken.append(what)

    def _is_finished(self, run_id: str, key: str) -> bool:
        run = self.journal.runs.get(run_id)
        found = run.steps.get(key) if run is not None else None
        return found is not None and found[1].status is StepStatus.COMPLETED

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task = context.get("future") or context.get("task")
        window = getattr(task, "window", None)
        if window is None or not window.gate.is_dead:
            error = context.get("exception")
            told = "".join(traceback.format_exception(error)) if error is not None else ""
            self._break(f"{context.get('message')}: {task}\n{told}")
