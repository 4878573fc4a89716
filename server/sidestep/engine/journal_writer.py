"""
A runner's pen: every write of one execution, under its claim epoch.

Turns a refusal by the fence into the abort of the execution (reason leaseLost), and outlasts a store that is away for
a while: a paid result waits in memory until it can be made durable, or until its run is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from sidestep.engine.replay import History
from sidestep.model.abort import Aborted, AbortKind, AbortReason
from sidestep.model.errors import LeaseLost, RunNotFound, StoreUnavailable
from sidestep.model.events import StepChanged
from sidestep.model.writes import Append, Charge

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable

    from sidestep.model.abort import AbortController
    from sidestep.model.events import RunnerEvent
    from sidestep.model.ports import Clock, RunStore
    from sidestep.model.run import RunRecord, RunResult, StepRecord
    from sidestep.model.usage import Usage
    from sidestep.model.writes import StepOutput, Write

log = logging.getLogger("sidestep.journal")

T = TypeVar("T")

STORE_RETRY_S = 1.0

# Events of one lazy write, so that other writes have their turn between them.
_BODIES_MAX = 100


class JournalWriter:
    """
    Writes for one run under one claim. `controller` is its root's: a claim that is lost is lost for the whole tree.

    Invariant: what was announced is in the journal before what came after it, also when the store was away meanwhile.
    """

    def __init__(self, store: RunStore, record: RunRecord, controller: AbortController, clock: Clock) -> None:
        self._store = store
        self.run_id = record.run_id
        self.claim_epoch = record.claim_epoch
        self._root_run_id = record.root_run_id
        self._controller = controller
        self._clock = clock
        # Announced since the event loop last came by. The outcome of a step takes its start along, if nothing else is
        # here; the store gets all other in one piece.
        self._announced: list[RunnerEvent] = []
        # Announced and not written, because the store was away; goes again before whatever is announced later.
        self._lost: list[RunnerEvent] = []

    async def write(self, body: StepChanged, output: StepOutput | None = None) -> int:
        """
        Append one step event, durably.

        Returns:
            Its sequence.

        Raises:
            Aborted: the claim is over.
        """
        outputs = {} if output is None else {body.key: output}
        record = await self.commit(Append(self.run_id, self.claim_epoch, (body,), outputs))
        return record.sequence

    async def record(self, body: RunnerEvent) -> None:
        """Append an event without an output, durably. Raises as `write`."""
        await self.commit(Append(self.run_id, self.claim_epoch, (body,)))

    async def charge(self, key: str, usage: Usage) -> None:
        """Count what an execution of a step has used so far, durably; nothing when the claim is over."""
        with contextlib.suppress(Aborted):
            await self.commit(Charge(self.run_id, self.claim_epoch, key, usage))

    def write_lazily(self, body: RunnerEvent) -> None:
        """
        Append an event that rides with the next durable write.

        It has its place before whatever this writer writes later. A crash that loses it loses that, too; a replay says
        or begins it again.
        """
        if not self._announced:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._announced.append(body)
        if len(self._announced) >= _BODIES_MAX:
            self._hand_over()

    async def commit(self, write: Write) -> RunRecord:
        """
        Apply a write; waits for a store that is away, also when the run is stopped: a paid result is not dropped.

        Raises:
            Aborted: as for `write`.
        """

        while True:
            whole, along = write, ()
            if isinstance(write, Append) and self._is_all_of(write):
                along = self._take_announced()
                whole = replace(write, bodies=along + write.bodies) if along else write
            else:
                self._hand_over()
            try:
                return await self._store.write(whole)
            except StoreUnavailable as away:
                self._lost += along
                await _wait_for_store(away, self.run_id, self._clock)
            except (LeaseLost, RunNotFound) as over:
                raise self.lost(over) from over

    def lost(self, why: LeaseLost | RunNotFound) -> Aborted:
        """The claim is over, or even the run is gone: stop the whole tree, and answer what the caller is to raise."""
        reason = AbortReason(AbortKind.LEASE_LOST, detail=str(why))
        self._controller.abort(reason)
        return Aborted(reason)

    async def require_claim(self) -> None:
        """
        Look at the root's row, where the fence stands; one indexed read.

        Raises:
            Aborted: the claim is over.
        """
        try:
            root = await self.ask(lambda: self._store.read(self._root_run_id))
        except RunNotFound as gone:
            raise self.lost(gone) from gone
        if root.epoch != self.claim_epoch:
            raise self.lost(LeaseLost(run_id=self.run_id, claim_epoch=self.claim_epoch))

    async def read_output(self, step: StepRecord) -> str:
        """As the store's; waits for a store that is unavailable."""
        return await self.ask(lambda: self._store.read_output(step))

    async def read_history(self, record: RunRecord) -> History:
        """What the journal holds of earlier executions; waits for a store that is unavailable."""
        return await self.ask(lambda: History.read(self._store, record))

    async def keep_output(self, text: str) -> StepOutput:
        """As the store's; waits for a store that is unavailable."""
        return await self.ask(lambda: self._store.keep_output(text))

    async def keep_result(self, result: RunResult) -> RunResult:
        """As the store's; waits for a store that is unavailable."""
        return await self.ask(lambda: self._store.keep_result(self.run_id, result))

    async def ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the store for something; waits for a store that is unavailable. May be cancelled."""
        return await when_available(ask, self.run_id, self._clock)

    def _is_all_of(self, write: Append) -> bool:
        """
        Whether all that was announced is of the step that `write` is about: the start of one that ended at once.

        What is another's must not be lost with this write, nor refused with it, nor make it be refused.
        """
        about = write.bodies[0]
        key = about.key if isinstance(about, StepChanged) else None
        return not self._lost and all(isinstance(body, StepChanged) and body.key == key for body in self._announced)

    def _take_announced(self) -> tuple[RunnerEvent, ...]:
        announced = (*self._lost, *self._announced)
        self._lost.clear()
        self._announced.clear()
        return announced

    def _hand_over(self) -> None:
        """Give what was announced to the store, where it rides with any write of this process, or goes soon."""
        # What comes late by now may be refused, and must not take anything else with it.
        size = 1 if self._lost else _BODIES_MAX
        announced = self._take_announced()
        for first in range(0, len(announced), size):
            self._send_lazily(announced[first : first + size])

    def _send_lazily(self, bodies: tuple[RunnerEvent, ...]) -> None:
        def look(written: Future[RunRecord]) -> None:
            if not written.cancelled() and isinstance(written.exception(), StoreUnavailable):
                self._lost += bodies

        try:
            self._store.write_lazily(Append(self.run_id, self.claim_epoch, bodies)).add_done_callback(look)
        except StoreUnavailable:
            self._lost += bodies


async def when_available(ask: Callable[[], Awaitable[T]], run_id: str, clock: Clock) -> T:
    """
    Ask the store for something, again every `STORE_RETRY_S` seconds while it is unavailable. May be cancelled.

    Raises:
        Whatever else the store raises.
    """
    while True:
        try:
            return await ask()
        except StoreUnavailable as away:
            await _wait_for_store(away, run_id, clock)


async def _wait_for_store(away: StoreUnavailable, run_id: str, clock: Clock) -> None:
    log.warning("%s waits for its store: %s", run_id, away)
    await clock.sleep(STORE_RETRY_S)
