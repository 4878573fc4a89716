"""
What can be asked of the journal: the writes, as data. What each may do, and when, stands in `journal.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field

from sidestep.model.value import Value

if TYPE_CHECKING:
    from sidestep.model.events import RunnerEvent
    from sidestep.model.questions import Question
    from sidestep.model.run import Attention, Failure, Owner, RunResult
    from sidestep.model.transitions import RunEvent
    from sidestep.model.usage import Usage


class Claim(Value, frozen=True):
    """
    Take a stopped run and make it running again, as one compare-and-set on the epoch.

    Attributes:
        expected_epoch: The epoch read when the request was accepted.
        event: `RunEvent.RESUME` or `RunEvent.RETRY`.
        deadline_at_ms: The new deadline; None drops the old one if it has passed.
        source_hash, args_schema_json: The source to go on with, and what it takes; None keeps the snapshot.
        take_over: The owner whose lease may be taken: it had the interrupt grace to unwind, and its processes are gone.
        automatic: Nobody asked for this resume.
    """

    run_id: str
    expected_epoch: int
    owner: Owner
    event: RunEvent
    attention: Attention
    deadline_at_ms: int | None = None
    source_hash: str | None = None
    args_schema_json: str | None = None
    take_over: str | None = None
    automatic: bool = False


class Reopen(Value, frozen=True):
    """
    Make a stopped nested run running again, under its root's claim.

    Attributes:
        claim_epoch: The root's.
        event: RETRY does its failed steps again, RESUME replays them. A failed one is always retried.
        source_hash, args_schema_json: As of `Claim`.
    """

    run_id: str
    claim_epoch: int
    event: RunEvent
    source_hash: str | None = None
    args_schema_json: str | None = None


class Suspend(Value, frozen=True):
    """Stop a nested run whose step was given up while the tree goes on: interrupted (parent)."""

    run_id: str
    claim_epoch: int


class StepOutput(Value, frozen=True):
    """The output of a completed step: canonical JSON text, or the file that holds it."""

    json: str | None
    file: str | None = None


class Append(Value, frozen=True):
    """A runner's progress in order: phases, log lines, steps, children; `outputs` has one entry per completed step."""

    run_id: str
    claim_epoch: int
    bodies: tuple[RunnerEvent, ...]
    outputs: dict[str, StepOutput] = field(default_factory=dict[str, StepOutput])


class Charge(Value, frozen=True):
    """What an execution of a step has used in all so far, before its outcome says it: counted without an event."""

    run_id: str
    claim_epoch: int
    key: str
    usage: Usage


class Ask(Value, frozen=True):
    """Put a question, under the root's claim; nothing when it is open or answered already."""

    run_id: str
    claim_epoch: int
    question: Question

    @property
    def interaction_id(self) -> str:
        return self.question.interaction_id


class Answer(Value, frozen=True):
    """Answer an open question; anybody may, in any status but completed and failed. `answer_json` is JSON text."""

    run_id: str
    interaction_id: str
    answer_json: str
    by: str = ""


class Withdraw(Value, frozen=True):
    """Nobody waits for the answer any more, under the root's claim; nothing when the question is not open."""

    run_id: str
    claim_epoch: int
    interaction_id: str


class Finish(Value, frozen=True):
    """The script ended: completed with a result or failed with an error. Clears the lease in the same transaction."""

    run_id: str
    claim_epoch: int
    result: RunResult | None = None
    error: Failure | None = None


class Background(Value, frozen=True):
    """The waiting request is released."""

    run_id: str


class Interrupt(Value, frozen=True):
    """
    Stop the run durably; anybody may.

    Attributes:
        claim_epoch: The claim it is about: an execution's own end (its deadline, its host that went) says nothing about
            the run once somebody else has claimed it. None for an interrupt of the run, whoever has it.
    """

    run_id: str
    reason: str
    by: str = ""
    claim_epoch: int | None = None


class Release(Value, frozen=True):
    """The old execution has unwound and its processes are gone: clear the lease of that claim."""

    run_id: str
    owner_id: str
    claim_epoch: int


class Recover(Value, frozen=True):
    """The owner is dead: interrupt (crash) what was active and clear its lease. A compare-and-set on the owner."""

    run_id: str
    dead_owner_id: str


QuestionWrite = Ask | Answer | Withdraw
RootWrite = Claim | Background | Interrupt | Release | Recover
Write = RootWrite | Reopen | Suspend | Append | Charge | Finish | QuestionWrite
