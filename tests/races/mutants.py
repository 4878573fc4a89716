"""
The rules of the product, each broken alone: what the races are worth is that they notice.

A mutant replaces one function of the running product. `caught_by` names the race that has to lose against it; a mutant
that nobody catches, and a race that loses without one, are failures of the suite.
"""

from __future__ import annotations

import heapq
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec.structs

from sidestep.engine.replay import Deliveries, History
from sidestep.model import decision, journal, nested, progress
from sidestep.model.decision import Decision
from sidestep.model.run import RunRecord, RunStatus
from sidestep.model.writes import Release
from sidestep.service.active_runs import ActiveRun, ActiveRuns
from sidestep.service.claims import Claims
from sidestep.service.interrupting import Interrupting
from tests.races import question_mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from sidestep.model.abort import AbortReason
    from sidestep.model.execution import Settled
    from sidestep.model.writes import Append, Claim, Interrupt
    from sidestep.service.requests import Interrupted

    Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutant:
    """
    Attributes:
        caught_by: The race that notices.
        mutate: Breaks the rule.
    """

    name: str
    caught_by: str
    mutate: Callable[[Patch], None]

    @contextmanager
    def applied(self, patch: Patch) -> Iterator[None]:
        """The rule is broken within the body."""
        with patch.context() as within:
            self.mutate(within)
            yield


def no_epoch_check(patch: Patch) -> None:
    """(a) of the fence without its condition."""
    append = progress.append

    def unfenced(record: RunRecord, root: RunRecord, write: Append, *rest: Any) -> Decision:
        return append(record, root, msgspec.structs.replace(write, claim_epoch=root.epoch), *rest)

    patch.setattr(journal, "append", unfenced)


def no_claim_required(patch: Patch) -> None:
    """Finish, Reopen and Suspend under a claim that is over."""
    for module in (journal, nested, decision):
        patch.setattr(module, "require_claim", lambda record, root, claim_epoch: None)


def claim_without_compare_and_set(patch: Patch) -> None:
    claim = journal._claim

    def careless(record: RunRecord, write: Claim, now_ms: int) -> Decision:
        return claim(record, msgspec.structs.replace(write, expected_epoch=record.epoch), now_ms)

    patch.setattr(journal, "_claim", careless)


def interrupt_without_epoch(patch: Patch) -> None:
    """An interrupt that grows no epoch: a claim in flight does not notice it."""
    interrupt = journal._interrupt

    def quiet(record: RunRecord, write: Interrupt, now_ms: int) -> Decision:
        made = interrupt(record, write, now_ms)
        return made._replace(record=msgspec.structs.replace(made.record, epoch=record.epoch))

    patch.setattr(journal, "_interrupt", quiet)


def reply_before_commit(patch: Patch) -> None:
    async def hasty(interrupting: Interrupting, active: ActiveRun, reason: AbortReason) -> RunRecord:
        interrupting._runs.stop(active, reason)
        assert active.latest is not None
        row = active.latest
        return msgspec.structs.replace(row, status=RunStatus.INTERRUPTED, sequence=row.sequence + 1)

    patch.setattr(Interrupting, "stopped", hasty)


def late_result_after_claim(patch: Patch) -> None:
    """(b) of the fence also after the next claim."""
    late = progress._append_late

    def lenient(record: RunRecord, root: RunRecord, write: Append, *rest: Any) -> Decision:
        if record.is_active and record.claim_epoch > write.claim_epoch:
            return progress.append(record, root, msgspec.structs.replace(write, claim_epoch=root.epoch), *rest)
        return late(record, root, write, *rest)

    patch.setattr(progress, "_append_late", lenient)


def lease_cleared_before_unwinding(patch: Patch) -> None:
    stop = ActiveRuns.stop

    def letting_go(runs: ActiveRuns, active: ActiveRun, reason: AbortReason) -> Any:
        written = stop(runs, active, reason)

        async def release() -> None:
            row = await written
            await runs._write(Release(row.run_id, runs._owner_id, row.claim_epoch))

        runs._spawn(release(), "release")
        return written

    patch.setattr(ActiveRuns, "stop", letting_go)


def completion_order_not_kept(patch: Patch) -> None:
    """Answers reach the script as they arrive, not as the journal has them."""

    def put(deliveries: Deliveries, settled: Settled, sequence: int) -> None:
        if settled.call_id in deliveries._open:
            place = min(sequence, 1) * settled.call_id
            heapq.heappush(deliveries._heap, (place, settled.call_id, settled))
            deliveries._arrived.set()

    patch.setattr(Deliveries, "put", put)


def finished_steps_done_again(patch: Patch) -> None:
    patch.setattr(History, "outcome", lambda history, key: None)


def fenced_execution_goes_on(patch: Patch) -> None:
    """A commit that fences an execution off does not abort it."""
    patch.setattr(ActiveRuns, "_heed", lambda runs, active: None)


def quiescent_without_looking(patch: Patch) -> None:
    interrupt = Interrupting._interrupt

    async def optimistic(interrupting: Interrupting, run_id: str, by: str, *, wait_quiescent: bool) -> Interrupted:
        return msgspec.structs.replace(
            await interrupt(interrupting, run_id, by, wait_quiescent=wait_quiescent), quiescent=True
        )

    patch.setattr(Interrupting, "_interrupt", optimistic)


def resume_without_waiting(patch: Patch) -> None:
    """The old execution is not waited for: its lease is taken over at once."""

    async def impatient(claims: Claims, record: RunRecord, signal: Any) -> str | None:
        return None if record.owner is None else record.owner.owner_id

    patch.setattr(Claims, "_require_quiescence", impatient)


def root_stop_leaves_members(patch: Patch) -> None:
    patch.setattr(journal, "_stopping_members", lambda made: made)


def members_fenced_by_themselves(patch: Patch) -> None:
    """A nested run's writes look at its own row's epochs instead of its root's."""
    append = progress.append

    def own(record: RunRecord, root: RunRecord, *rest: Any) -> Decision:
        return append(record, record, *rest)

    patch.setattr(journal, "append", own)


def suspended_member_stays_active(patch: Patch) -> None:
    patch.setattr(journal, "suspended", lambda record, root, write, now_ms: Decision(record))


MUTANTS = [
    Mutant("no epoch check", "late result x claim", no_epoch_check),
    Mutant("no claim required", "woken owner x claim", no_claim_required),
    Mutant("claim without compare-and-set", "resume x interrupt", claim_without_compare_and_set),
    Mutant("interrupt without epoch", "resume x interrupt", interrupt_without_epoch),
    Mutant("reply before commit", "interrupt x completion", reply_before_commit),
    Mutant("late result after claim", "late result x claim", late_result_after_claim),
    Mutant("lease cleared before unwinding", "cancel x completion", lease_cleared_before_unwinding),
    Mutant("completion order not kept", "interrupt x completion", completion_order_not_kept),
    Mutant("finished steps done again", "interrupt x completion", finished_steps_done_again),
    Mutant("fenced execution goes on", "interrupt x completion", fenced_execution_goes_on),
    Mutant("quiescent without looking", "background x interrupt", quiescent_without_looking),
    Mutant("resume without waiting", "two resumes", resume_without_waiting),
    Mutant("root's stop leaves members", "interrupt x child", root_stop_leaves_members),
    Mutant("members fenced by themselves", "late result x child", members_fenced_by_themselves),
    Mutant("suspended member stays active", "sibling x child", suspended_member_stays_active),
    Mutant("answer overwrites the recorded one", "two answers", question_mutants.answer_overwrites_the_recorded_one),
    Mutant("answers of others not heard", "two answers", question_mutants.answers_of_others_not_heard),
    Mutant("question asked again on resume", "answer x interrupt", question_mutants.question_asked_again),
    Mutant("answer to a stopped run dropped", "answer x interrupt", question_mutants.answer_to_a_stopped_run_dropped),
    Mutant("interrupt withdraws questions", "answer x interrupt", question_mutants.interrupt_withdraws_questions),
    Mutant("answered question is withdrawn", "answer x timeout", question_mutants.answered_question_is_withdrawn),
    Mutant("given up question stays open", "answer x timeout", question_mutants.given_up_question_stays_open),
    Mutant("questions without fence", "answer x claim", question_mutants.questions_without_fence),
]
