"""
What is seen of all windows on one store, and what must never be seen.

Everything is noted in the order in which it happened. What is wrong is collected, not raised: it is found inside
callbacks of the product, which would swallow it; the schedule stops at the next choice.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sidestep.model.events import InteractionChanged, InteractionStatus, StepChanged
from sidestep.model.replay_key import child_run_id
from sidestep.model.run import STOPPED, RunRecord, RunStatus, StepStatus
from tests.races.journal_rules import completions, status_at, wrong_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidestep.model.events import JournalEvent


class Journal(Protocol):
    """What is durable at this moment."""

    def row(self, run_id: str) -> RunRecord | None: ...

    def events(self, run_id: str) -> Sequence[JournalEvent]: ...

    def run_ids(self) -> Sequence[str]: ...


class Violated(AssertionError):
    """Something was seen that must never be."""


@dataclass
class Reply:
    """
    A request's answer, in plain values.

    Attributes:
        code: The error's code; None for a success.
        quiescent: As the answer says; None when it says nothing.
        mine: Of a refusal as leased: by this very process.
        accepted, recorded: Of an answer: whether it was the first, and which one is recorded.
    """

    verb: str
    window: str
    run_id: str | None = None
    status: str | None = None
    sequence: int = 0
    reason: str | None = None
    quiescent: bool | None = None
    code: str | None = None
    already_terminal: bool | None = None
    created: bool | None = None
    mine: bool | None = None
    detached: bool = False
    interaction_id: str | None = None
    accepted: bool | None = None
    recorded: Any = None


@dataclass(eq=False)
class Work:
    """One call of an executor, or one session of a script, that goes on."""

    window: str
    run_id: str
    what: str
    # Another window killed its processes before it took the run over.
    is_killed: bool = False


@dataclass
class World:
    """All windows of one schedule."""

    journal: Journal
    violations: list[str] = field(default_factory=list[str])
    replies: list[Reply] = field(default_factory=list[Reply])
    # (run id, key or "session") -> what goes on.
    _live: dict[tuple[str, str], list[Work]] = field(default_factory=dict[tuple[str, str], "list[Work]"])
    # What is listed to be killed by whoever takes its run over, from before it looks at its claim.
    _entered: list[Work] = field(default_factory=list[Work])
    # (run id, step id) of every executor call, in order.
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    # Script name -> the run it is started as.
    _starting: dict[str, str] = field(default_factory=dict[str, str])
    # Step ids as each execution of a run's script got them.
    delivered: list[tuple[str, list[str]]] = field(default_factory=list["tuple[str, list[str]]"])
    # (window, run id) -> sequence told last.
    _told: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    # (run id, sequence) -> the window that committed it, where that is known.
    written_by: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    # (window, root) that lost its run to another window after the grace.
    _overpowered: set[tuple[str, str | None]] = field(default_factory=set[tuple[str, "str | None"]])
    _answered_quiescent: dict[str, int] = field(default_factory=dict[str, int])
    told_listeners: list[Callable[[str, RunRecord], None]] = field(
        default_factory=list["Callable[[str, RunRecord], None]"]
    )

    def violated(self, what: str) -> None:
        self.violations.append(what)

    def require_sound(self) -> None:
        if self.violations:
            raise Violated("; ".join(dict.fromkeys(self.violations)))

    # What windows do.

    def enter(self, window: str, run_id: str, what: str) -> Work:
        """An executor lists its work, which waits at its gate: killed there, it never does anything (F3, F4)."""
        entry = Work(window, run_id, what)
        self._entered.append(entry)
        return entry

    def begin(self, window: str, run_id: str, key: str, what: str, entry: Work | None = None) -> Work:
        """
        An executor was called, or a session opened: nothing of the same kind may go on (promise 5).

        Args:
            entry: Of an executor: what it listed before.
        """
        if entry is not None and entry.is_killed:
            return entry
        root = self._root(run_id)
        root_row = None if root is None else self.journal.row(root)
        if key == "session" and root_row is not None and (window, root) in self._overpowered:
            # It stood still when it lost the run. Until it hears of that, its script may begin; its work may not.
            is_stale = not root_row.is_active or root_row.owner is None or root_row.owner.owner_id != window
        else:
            is_stale = False
        work = Work(window, run_id, what, is_killed=is_stale)
        if root_row is not None and not root_row.is_active:
            assert root is not None
            if self._told.get((window, root), 0) >= root_row.sequence:
                self.violated(f"{what} of {run_id} begins in {window}, which was told that it has stopped (I1, I9)")
        if key != "session" and not is_stale:
            self.calls.append((run_id, what))
            for event in self.journal.events(run_id):
                body = event.body
                if isinstance(body, StepChanged) and body.key == key and body.status is StepStatus.COMPLETED:
                    self.violated(f"{what} of {run_id} is done again after its completion (promise 2)")
            if root_row is not None and root_row.claim_epoch <= self._answered_quiescent.get(root_row.run_id, 0):
                self.violated(f"{what} of {run_id} begins after an answer said quiescent, without a claim")
        for other in self._live.get((run_id, key), ()):
            if not other.is_killed and not work.is_killed:
                self.violated(f"{what} of {run_id} begins in {window} while it goes on in {other.window}")
        self._live.setdefault((run_id, key), []).append(work)
        return work

    @property
    def is_busy(self) -> bool:
        """Something goes on, or a run is not quiescent."""
        rows = [self.journal.row(run_id) for run_id in self.journal.run_ids()]
        return bool(self._live) or any(row is not None and not row.is_quiescent for row in rows)

    def end(self, work: Work) -> None:
        for key, works in list(self._live.items()):
            if work in works:
                works.remove(work)
                if not works:
                    del self._live[key]

    def delivering(self, run_id: str) -> list[str]:
        """Where an execution of a run's script notes the ids of the steps whose outputs it is given."""
        step_ids: list[str] = []
        self.delivered.append((run_id, step_ids))
        return step_ids

    def kill(self, window: str, run_id: str) -> int:
        """A window's processes for a run are killed: they do no work any more, whatever their sidecar still thinks."""
        killed = 0
        self._overpowered.add((window, self._root(run_id)))
        for entry in self._entered:
            entry.is_killed |= entry.window == window and self._root(entry.run_id) == self._root(run_id)
        for work in self.going_on(self._root(run_id) or run_id):
            if work.window == window:
                work.is_killed = True
                killed += 1
        return killed

    def going_on(self, root_run_id: str) -> list[Work]:
        """Work of a tree that nobody has killed."""
        every = itertools.chain.from_iterable(self._live.values())
        return [w for w in every if not w.is_killed and self._root(w.run_id) == root_run_id]

    def told(self, window: str, record: RunRecord, events: Sequence[JournalEvent]) -> None:
        """A window's listeners hear of a commit (G1, G2, J10)."""
        durable = self.journal.events(record.run_id)
        seen = self._told.get((window, record.run_id), 0)
        for event in events:
            if event.sequence > len(durable) or durable[event.sequence - 1].body != event.body:
                self.violated(f"{window} was told event {event.sequence} of {record.run_id}, which is not durable")
            if event.sequence != seen + 1:
                self.violated(f"{window} was told event {event.sequence} of {record.run_id} after {seen}")
            seen = event.sequence
        self._told[(window, record.run_id)] = seen
        for listener in list(self.told_listeners):
            listener(window, record)

    def replied(self, reply: Reply) -> Reply:
        """A request was answered: what it says is durable, and was told before (promise 1, G4, G6)."""
        self.replies.append(reply)
        if reply.verb == "answer":
            self._judge_answer(reply)
        if reply.run_id is None or reply.status is None:
            return reply
        row = self.journal.row(reply.run_id)
        if row is None:
            self.violated(f"{reply} names a run that does not exist")
            return reply
        if reply.sequence:
            says = status_at(self.journal.events(reply.run_id), reply.sequence)
            if reply.sequence > row.sequence or says is None or says.value != reply.status:
                self.violated(f"{reply} contradicts the journal, which says {says} at {row.sequence}")
            told = self._told.get((reply.window, reply.run_id), 0)
            # What others are answered may be a row just read, which is durable and need not be told yet.
            is_own = reply.verb in ("start", "background")
            if is_own and told < reply.sequence and self._wrote(reply):
                self.violated(f"{reply} came before the window was told of it (it was told {told})")
        if reply.quiescent and reply.status == RunStatus.INTERRUPTED.value:
            root = row.root_run_id
            root_row = self.journal.row(root)
            assert root_row is not None
            if root_row.is_stopped:
                left = self.going_on(root)
                if left:
                    self.violated(f"{reply} says quiescent, and this goes on: {left}")
                if root_row.owner is not None:
                    self.violated(f"{reply} says quiescent, and the run is leased")
                self._answered_quiescent[root] = max(self._answered_quiescent.get(root, 0), root_row.epoch)
        return reply

    def _judge_answer(self, reply: Reply) -> None:
        """An answer was given: what is said of it is durable (P7)."""
        bodies = [
            event.body
            for run_id in self.journal.run_ids()
            for event in self.journal.events(run_id)
            if isinstance(event.body, InteractionChanged) and event.body.interaction_id == reply.interaction_id
        ]
        answers = [body.answer for body in bodies if body.status is InteractionStatus.ANSWERED]
        if reply.accepted is None:
            if reply.code != "interactionNotPending":
                self.violated(f"an answer is accepted, or nobody waits for it: {reply}")
        elif answers != [reply.recorded]:
            self.violated(f"{reply}, and the journal has {answers}")
        accepted = [each for each in self.replies if each.interaction_id == reply.interaction_id and each.accepted]
        if len(accepted) > 1:
            self.violated(f"more than one answer was accepted: {accepted}")

    def _wrote(self, reply: Reply) -> bool:
        assert reply.run_id is not None
        return self.written_by.get((reply.run_id, reply.sequence)) == reply.window

    def outlived(self, run_id: str, key: str) -> str | None:
        """Why a `workflow` step may not have its outcome yet: its run is active."""
        row = self.journal.row(child_run_id(run_id, key))
        return None if row is None or row.is_stopped else f"the nested run {row.run_id} is {row.status.value}"

    # The end.

    def finished(self) -> None:
        """Everybody is done: look at all that is stored."""
        for run_id in self.journal.run_ids():
            row, events = self.journal.row(run_id), self.journal.events(run_id)
            assert row is not None
            for wrong in wrong_in(row, events):
                self.violated(f"{run_id}: {wrong}")
            if row.status not in STOPPED or row.owner is not None:
                self.violated(f"{run_id} is left {row.status.value}, owner {row.owner}")
        for key, works in self._live.items():
            self.violated(f"{key} still goes on: {works}")
        for run_id, step_ids in self.delivered:
            at = completions(self.journal.events(run_id))
            order = [at[step_id] for step_id in step_ids if step_id in at]
            if order != sorted(order):
                self.violated(f"{run_id}: the script got {step_ids}, the journal has {at} (J3)")
        self.require_sound()

    def starting(self, name: str, run_id: str) -> None:
        """A run of this script is about to be created; its session may open before."""
        self._starting[name] = run_id

    def run_named(self, name: str) -> str:
        """The run of a script; a schedule has one for each name."""
        found = [run_id for run_id in self.journal.run_ids() if self._name(run_id) == name]
        assert len(found) < 2, f"one run of {name}"
        return found[0] if found else self._starting[name]

    def _name(self, run_id: str) -> str | None:
        row = self.journal.row(run_id)
        return None if row is None else row.name

    def _root(self, run_id: str) -> str | None:
        row = self.journal.row(run_id)
        return None if row is None else row.root_run_id


def plain(reply: Reply) -> dict[str, Any]:
    """A reply as JSON values."""
    return dict(vars(reply))
