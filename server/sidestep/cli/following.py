"""
Waiting for a run on behalf of a person: showing it, stopping it when they say so, answering how it ended.

Used by `run` and by `runs continue`, `resume` and `retry`; which verb is asked of the service is theirs to say. The run
is conducted by this process's own service, so it stops when the command does, durably.

Invariant: the first signal tears nothing: it asks the service to interrupt. Further ones are `stop_signals.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from sidestep.cli.asking import RunQuestions
from sidestep.cli.display import display_of
from sidestep.cli.event_lines import EventLines
from sidestep.cli.run_view import RunView
from sidestep.lsp import convert
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.errors import RequestCancelled, SidestepError
from sidestep.model.run import RunStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep.cli.invocation import Invocation
    from sidestep.model.abort import AbortSignal
    from sidestep.model.ports import Committed
    from sidestep.model.run import RunRecord
    from sidestep.service.requests import OnRun
    from sidestep.service.workflows import WorkflowService

    # Called with a run's id; answers what undoes that.
    # Asks the service for a run and waits for it; gets what to call with the run's id, and the signal that cancels.
    Ask = Callable[[OnRun, AbortSignal], Awaitable[RunRecord]]

_BY = "terminal"


class Follower:
    """Follows one run of one command."""

    def __init__(
        self, service: WorkflowService, name: str, invocation: Invocation, *, events_after: int | None
    ) -> None:
        """
        Args:
            name: The script's, for the card.
            invocation: The command, with what stops it.
            events_after: Print the events after this sequence on stdout; None prints none.
        """
        self._service = service
        self._signals = invocation.signals
        self._view = RunView(name)
        self._display = display_of(self._view, sys.stderr)
        self._lines = None if events_after is None else EventLines(events_after)
        self._run_id: str | None = None
        self._is_ours = False
        self._controller = AbortController()
        self._interrupting: asyncio.Task[object] | None = None
        self._questions = RunQuestions(service, invocation, self._display, self)

    @property
    def run_id(self) -> str | None:
        """The run, as soon as there is one."""
        return self._run_id

    @property
    def is_ours(self) -> bool:
        """Whether this process conducts the run, as far as it has heard."""
        return self._is_ours

    async def seed(self, run_id: str) -> None:
        """Show the steps that the run has already; it is about to go on."""
        record = await self._service.store.read(run_id)
        steps = await self._service.store.read_steps(run_id)
        self._view.seed(convert.step_summary(step, record, None) for step in steps.items)
        self._view.phase = record.phase

    async def follow(self, ask: Ask) -> RunRecord:
        """
        Ask for the run and wait until it has stopped.

        Returns:
            Its row; not stopped only when this command let go of a run of another process.

        Raises:
            RequestCancelled: stopped before there was a run.
            SidestepError: refused.
        """
        unlisten = self._service.listeners.listen(self._told)
        loop = asyncio.get_running_loop()
        self._display.open()
        try:
            with self._signals.politely(lambda: loop.call_soon_threadsafe(self._stop)):
                record = await self._wait(ask)
                if self._interrupting is not None:
                    await self._interrupting
                if self._lines is not None:
                    await self._lines.catch_up(self._service.store, record.run_id)
                # As it is when the run has unwound: what was cut off is counted by then.
                with contextlib.suppress(SidestepError):
                    self._view.spent(await self._service.store.read(record.run_id))
                return record
        finally:
            unlisten()
            await self._questions.close()
            with contextlib.suppress(OSError):
                self._display.close()

    async def _wait(self, ask: Ask) -> RunRecord:
        try:
            record = await ask(self._on_run, self._controller.signal)
            if record.status is RunStatus.BACKGROUNDED and self._is_ours:
                return await self._stopped(record.run_id)
        except RequestCancelled as cancelled:
            run_id = cancelled.outcome.get("runId")
            if run_id is None:
                raise
            return await self._service.store.read(run_id)
        return record

    async def _stopped(self, run_id: str) -> RunRecord:
        """
        Another window released whoever waits; this process goes on conducting the run and stays as long as it does.

        Not a request to go on with the run: an interrupt that came since then has to win.
        """
        with contextlib.suppress(OSError):
            self._display.say("Moved to the background; this process goes on with it. Ctrl-C interrupts.")
        stopped = self._service.listeners.expect(run_id, lambda record: record.is_stopped)
        try:
            record = await self._service.store.read(run_id)
            return record if record.is_stopped else await stopped
        finally:
            stopped.cancel()

    def _on_run(self, run_id: str, attached: RunRecord | None) -> Callable[[], None]:
        self._run_id = self._view.run_id = run_id
        if attached is not None:
            self._questions.attached()
        # Nothing to undo: another run is announced before it is followed.
        return lambda: None

    def _told(self, committed: Committed) -> None:
        if committed.record.root_run_id != self._run_id:
            return
        self._questions.told(committed)
        if not committed.record.is_root:
            return
        self._is_ours = self._is_ours or committed.mine
        self._view.spent(committed.record)
        for event in committed.events:
            shown = convert.event(event, committed.record)
            self._display.take(shown)
            if self._lines is not None:
                # The journal holds what stdout did not take; catching up meets the error again, and tells.
                with contextlib.suppress(OSError):
                    self._lines.take(shown)

    def interrupt_for_answer(self) -> None:
        """Interrupt the run, which waits for an answer that nobody gives here; `outcome.py` tells how to go on."""
        if self._run_id is not None and self._interrupting is None:
            self._interrupting = asyncio.get_running_loop().create_task(self._interrupt(self._run_id), name="interrupt")

    def _stop(self) -> None:
        """Interrupt the run if we conduct it; otherwise only stop waiting for it."""
        said = "Interrupting the run. Once more to hurry."
        if self._run_id is not None and self._is_ours:
            self._interrupting = asyncio.get_running_loop().create_task(self._interrupt(self._run_id), name="interrupt")
        else:
            if self._run_id is not None:
                said = "Letting go of the run."
            self._controller.abort(AbortReason(AbortKind.USER, by=_BY))
        # Last, and it may fail: a terminal that was closed is one way of being asked to stop.
        with contextlib.suppress(OSError):
            self._display.say(said)

    async def _interrupt(self, run_id: str) -> None:
        # Whatever cannot be written now is written by whoever finds this process dead.
        with contextlib.suppress(SidestepError):
            await self._service.interrupt(run_id, by=_BY)
