"""
What a run's journal already holds, and the order in which completions reach the script.

Owns the answer to "was this done before?" (`History`) and the queue of answers (`Deliveries`). Knows no executor.

Invariant: each turn delivers the earliest completion in the journal whose call is pending (J3); what the script does
next therefore depends on the journal alone, and a replay makes the same calls as the original.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from collections import Counter
from typing import TYPE_CHECKING

from sidestep.model.abort import Aborted
from sidestep.model.events import Logged, PhaseEntered, StepChanged, ValidationFailed
from sidestep.model.execution import Settled
from sidestep.model.replay_key import canonical_json
from sidestep.model.run import StepStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidestep.model.abort import AbortReason
    from sidestep.model.events import JournalEvent
    from sidestep.model.ports import RunStore
    from sidestep.model.run import Failure, RunRecord, StepRecord

Announcement = PhaseEntered | Logged

_EVENTS_PAGE = 500

# Created and begun, which is one commit: nothing else is there.
_JUST_BEGUN = 2

# The place of an answer whose commit is under way: after all that are journaled.
_AHEAD = sys.maxsize


class History:
    """
    The journal of earlier executions of a run, as its next execution needs it.

    Attributes:
        horizon: Sequence at the claim; completions up to it are replayed ones.
    """

    def __init__(
        self,
        horizon: int,
        steps: Sequence[StepRecord],
        announced: Sequence[Announcement],
        rejected: Mapping[str, int] | None = None,
    ) -> None:
        self.horizon = horizon
        self._steps = {step.key: step for step in steps}
        self._step_ids = {step.step_id for step in steps}
        self._rejected = dict(rejected or {})
        self._announced = Counter(_announcement_key(progress) for progress in announced)

    @classmethod
    async def read(cls, store: RunStore, record: RunRecord) -> History:
        """Read what the journal of `record` holds; nothing is read for a run that has only just begun."""
        if record.sequence <= _JUST_BEGUN:
            return cls(record.sequence, (), ())
        steps = await store.read_steps(record.run_id)
        announced: list[Announcement] = []
        rejected: dict[str, int] = {}
        events: Sequence[JournalEvent] = ()
        after = 0
        while after < record.sequence:
            events = await store.read_events(record.run_id, after_sequence=after, limit=_EVENTS_PAGE)
            if not events:
                break
            for event in events:
                match event.body:
                    case PhaseEntered() | Logged():
                        announced.append(event.body)
                    case ValidationFailed():
                        rejected[event.body.key] = event.body.attempt
                    case StepChanged(status=StepStatus.FAILED):
                        # Done again by a retry, the step has all its attempts again.
                        rejected.pop(event.body.key, None)
                    case _:
                        pass
            after = events[-1].sequence
        return cls(record.sequence, steps.items, announced, rejected)

    def outcome(self, key: str) -> StepRecord | None:
        """The step's row if its outcome is to be replayed: completed, or failed and not set aside by a retry."""
        step = self._steps.get(key)
        return step if step is not None and step.status in (StepStatus.COMPLETED, StepStatus.FAILED) else None

    @property
    def is_empty(self) -> bool:
        """True when no earlier execution asked for a step."""
        return not self._steps

    def earlier(self, key: str) -> StepRecord | None:
        """The step's row, whatever became of it: the attempt before this one."""
        return self._steps.get(key)

    def rejected(self, key: str) -> int:
        """How many answers of an agent earlier executions of the step did not take (V1)."""
        return self._rejected.get(key, 0)

    def knows(self, step_id: str) -> bool:
        """True when some input was journaled under this id: a miss is then other work, or an edited script (J9)."""
        return step_id in self._step_ids

    def was_announced(self, progress: Announcement) -> bool:
        """
        True when an earlier execution journaled this phase or log line; each journaled one answers once (J6).

        Lines are matched by content, not by position, so that an edited script repeats none and hides none.
        """
        key = _announcement_key(progress)
        if self._announced[key] == 0:
            return False
        self._announced[key] -= 1
        return True


class Deliveries:
    """
    The script's open calls, and their answers on the way to it, earliest in the journal first.

    One answer may be given ahead of its commit: whoever delivers it waits for `confirmed` before anything follows.

    Invariant: a call is answered once; what arrives for a call that was answered goes nowhere.
    """

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        # Call id -> the `parallel` scopes the call stands in, for every call that was not answered yet.
        self._open: dict[int, tuple[int, ...]] = {}
        # (sequence, call id, answer); an answer that is not journaled has sequence 0 and goes first.
        self._heap: list[tuple[int, int, Settled]] = []
        # Call ids: of the answer that is not durable yet, and of the last one delivered.
        self._ahead: int | None = None
        self._delivered: int | None = None
        # Something happened that `next` or `confirmed` may wait for.
        self._arrived = asyncio.Event()
        self._stopped: AbortReason | None = None

    def open(self, call_id: int, scopes: tuple[int, ...] = ()) -> None:
        """The script waits for this call from now on."""
        self._open[call_id] = scopes

    def put(self, settled: Settled, sequence: int) -> None:
        """Queue an answer; `sequence` is its journal position, 0 for an answer the journal does not hold."""
        if settled.call_id in self._open:
            heapq.heappush(self._heap, (sequence, settled.call_id, settled))
            self._arrived.set()

    def put_ahead(self, settled: Settled) -> None:
        """Queue the answer whose commit begins now; `confirm` follows, and nothing else is put before that."""
        self._ahead = settled.call_id
        self.put(settled, _AHEAD)

    def confirm(self, call_id: int, sequence: int) -> None:
        """The answer put ahead is durable, at this position of the journal."""
        self._ahead = None
        if self._delivered == call_id:
            self._arrived.set()
            return
        # Others may have more to deliver before it: from now on it stands among them. An answer that took its place in
        # a failed scope stays first.
        self._heap = [(sequence if place == _AHEAD else place, call, answer) for place, call, answer in self._heap]
        heapq.heapify(self._heap)

    def answer_scope(self, scope: int, error: Failure) -> None:
        """
        Answer every open call of a scope with `error`, at once and in call order.

        Whatever their work still brings is journaled and not delivered: a replay, which does not begin that work,
        then gives the script the same answers at the same point.
        """
        inside = {call_id for call_id, scopes in self._open.items() if scope in scopes}
        self._heap = [entry for entry in self._heap if entry[1] not in inside]
        heapq.heapify(self._heap)
        for call_id in sorted(inside):
            self.put(Settled(call_id, error=error), sequence=0)
            # Answered: nothing else may be queued for it.
            del self._open[call_id]

    @property
    def is_waiting(self) -> bool:
        """True while a call is open, or an answer is on its way."""
        return bool(self._open or self._heap)

    @property
    def is_replaying(self) -> bool:
        """True while an answer from an earlier execution is waiting: no new work is begun before it is delivered."""
        return bool(self._heap) and self._heap[0][0] <= self._horizon

    def stop(self, reason: AbortReason) -> None:
        """Deliver nothing any more: whoever waits is told."""
        self._stopped = reason
        self._arrived.set()

    async def next(self) -> Settled:
        """
        The earliest answer; waits for one. May be cancelled, and then loses none.

        Raises:
            Aborted: `stop` was called.
        """
        while not self._heap and self._stopped is None:
            self._arrived.clear()
            await self._arrived.wait()
        if self._stopped is not None:
            raise Aborted(self._stopped)
        settled = heapq.heappop(self._heap)[2]
        self._open.pop(settled.call_id, None)
        self._delivered = settled.call_id
        return settled

    async def confirmed(self) -> None:
        """
        Wait until the answer that `next` gave last is durable; what the script made of it may count from then on.

        Raises:
            Aborted: `stop` was called.
        """
        while self._delivered == self._ahead is not None and self._stopped is None:
            self._arrived.clear()
            await self._arrived.wait()
        if self._stopped is not None:
            raise Aborted(self._stopped)


def _announcement_key(progress: Announcement) -> str:
    if isinstance(progress, PhaseEntered):
        return canonical_json(["phase", progress.name, progress.details])
    return canonical_json([progress.origin, progress.message, progress.data])
