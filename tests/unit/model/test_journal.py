"""The rules of the journal, as properties of any sequence of writes, and the cases that are easy to get wrong."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sidestep.model.errors import ClaimSuperseded, InvalidTransition, LeaseLost, RunLeased, SidestepError, StepConflict
from sidestep.model.events import Logged, PhaseEntered, StatusChanged, StepChanged, decode_body, encode_body
from sidestep.model.journal import created, decide
from sidestep.model.run import (
    Attention,
    Failure,
    FailureCode,
    Owner,
    RunRecord,
    RunResult,
    RunStatus,
    StepRecord,
    StepStatus,
)
from sidestep.model.transitions import RunEvent
from sidestep.model.writes import (
    Append,
    Background,
    Claim,
    Finish,
    Interrupt,
    Recover,
    Release,
    StepOutput,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.decision import Decision

A, B = Owner("owner-a", 1, 10), Owner("owner-b", 2, 20)
FAILURE = Failure(FailureCode.STEP, "no")


def pending(**changes: Any) -> RunRecord:
    fields: dict[str, Any] = {
        **{"run_id": "run_1", "name": "n", "folder": "/f", "folder_uri": "file:///f", "status": RunStatus.PENDING},
        **{"epoch": 1, "claim_epoch": 1, "owner": A, "attention": Attention.BLOCKING, "sequence": 0},
        **{"created_at_ms": 5, "updated_at_ms": 5, "source_hash": "h", "file": None, "args_json": "{}"},
        **{"args_schema_json": "{}", "script_ref": "{}", "root_run_id": "run_1"},
    }
    return RunRecord(**{**fields, **changes})


class Journal:
    """The smallest store: puts what is decided."""

    def __init__(self) -> None:
        self.now_ms = 100
        self.steps: dict[str, StepRecord] = {}
        self.bodies: list[Any] = []
        for decision in created(pending()):
            self._put(decision)

    def write(self, write: Write) -> RunRecord:
        decision = decide(self.record, self.record, write, self.steps.get, self.now_ms)
        self._put(decision)
        return self.record

    def refused(self, write: Write, error: type[SidestepError]) -> None:
        """The write is refused with that error and leaves everything as it was."""
        with pytest.raises(error):
            self.write(write)

    def claim(self, event: RunEvent = RunEvent.RESUME, owner: Owner = A, **changes: Any) -> Claim:
        return Claim("run_1", self.record.epoch, owner, event, Attention.BLOCKING, **changes)

    def _put(self, decision: Decision) -> None:
        expected = range(len(self.bodies) + 1, len(self.bodies) + 1 + len(decision.events))
        assert [event.sequence for event in decision.events] == list(expected)
        self.bodies += [event.body for event in decision.events]
        self.record = decision.record
        self.steps.update({step.key: step for step in decision.steps})
        if decision.supersede_failed:
            for key, step in self.steps.items():
                if step.status is StepStatus.FAILED:
                    self.steps[key] = replace(step, status=StepStatus.SUPERSEDED)


def step(name: str, status: StepStatus, **changes: Any) -> StepChanged:
    error = FAILURE if status is StepStatus.FAILED else None
    return StepChanged(step_id=name, kind="command", key=name, status=status, attempt=1, error=error, **changes)


def append(claim_epoch: int, *bodies: Any) -> Append:
    outputs = {
        body.key: StepOutput("1")
        for body in bodies
        if isinstance(body, StepChanged) and body.status is StepStatus.COMPLETED
    }
    return Append("run_1", claim_epoch, bodies, outputs)


def started(claim_epoch: int, *names: str) -> Append:
    return append(claim_epoch, *(step(name, StepStatus.STARTED) for name in names))


def completed(claim_epoch: int, *names: str) -> Append:
    return append(claim_epoch, *(step(name, StepStatus.COMPLETED) for name in names))


def failed(claim_epoch: int, *names: str) -> Append:
    return append(claim_epoch, *(step(name, StepStatus.FAILED) for name in names))


def made(kind: Callable[..., Write], *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Write]:
    """Not `st.builds`: that reads annotations, whose types the model imports for type checkers alone."""
    return st.tuples(*fields).map(lambda values: kind(*values))


NAMES = st.sampled_from("abc")
OWNERS = st.sampled_from([A, B])
OWNER_IDS = st.sampled_from(["owner-a", "owner-b"])
STATUSES = st.sampled_from(
    [StepStatus.STARTED, StepStatus.COMPLETED, StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.INTERRUPTED]
)
BODIES = st.builds(step, NAMES, STATUSES) | st.just(Logged(message="m")) | st.just(PhaseEntered(name="p"))
# One body per step in a write: a started and a completed one of a step come in two.
PROGRESS = st.lists(BODIES, min_size=1, max_size=3, unique_by=lambda body: getattr(body, "key", id(body)))
REASONS = st.sampled_from(["user", "shutdown", "crash", "deadline"])
CLAIMS = made(
    Claim,
    *(st.just("run_1"), st.just(0), OWNERS, st.sampled_from([RunEvent.RESUME, RunEvent.RETRY])),
    st.sampled_from(list(Attention)),
)
# Epochs are filled in when a write is made: mostly the current one, sometimes one that is behind by a few.
WRITES: st.SearchStrategy[Write] = st.one_of(
    PROGRESS.map(lambda bodies: append(0, *bodies)),
    PROGRESS.map(lambda bodies: append(0, *bodies)),
    made(Finish, st.just("run_1"), st.just(0), st.just(RunResult("r")), st.sampled_from([None, FAILURE])),
    st.just(Background("run_1")),
    made(Interrupt, st.just("run_1"), REASONS),
    made(Release, st.just("run_1"), OWNER_IDS, st.just(0)),
    made(Recover, st.just("run_1"), OWNER_IDS),
    CLAIMS,
    CLAIMS,
)
LAGS = st.sampled_from([0, 0, 0, 0, 1, 2])


def of_now(write: Write, record: RunRecord, lag: int) -> Write:
    if isinstance(write, Claim):
        return replace(write, expected_epoch=record.epoch - lag)
    if isinstance(write, Append | Finish | Release):
        return replace(write, claim_epoch=record.claim_epoch - lag)
    return write


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(WRITES, LAGS), max_size=40))
def test_whatever_is_written_the_journal_keeps_its_invariants(writes: list[tuple[Write, int]]) -> None:
    """J1, F2, I3: on any sequence of writes, allowed or not."""
    journal = Journal()
    for template, lag in writes:
        before, bodies, steps = journal.record, len(journal.bodies), dict(journal.steps)
        write = of_now(template, before, lag)
        with contextlib.suppress(SidestepError):
            # `Journal._put` asserts that sequences have no gap.
            journal.write(write)
        check_record(before, journal.record)
        check_steps(journal, steps)
        check_events(journal, before, write, journal.bodies[bodies:])


def check_record(before: RunRecord, after: RunRecord) -> None:
    assert after.epoch >= before.epoch
    assert before.claim_epoch <= after.claim_epoch <= after.epoch
    assert after.sequence >= before.sequence
    if after.is_active:
        assert after.owner is not None, "an active run has an owner"
        assert after.ended_at_ms is None
    if after.status in (RunStatus.COMPLETED, RunStatus.FAILED):
        assert after.owner is None, "an ended run is quiescent"
    if before.status is RunStatus.COMPLETED:
        assert after.status is RunStatus.COMPLETED


def check_steps(journal: Journal, before: dict[str, StepRecord]) -> None:
    for key, row in before.items():
        if row.status is StepStatus.COMPLETED:
            assert journal.steps[key] == row, "a finished step is never changed"
    rows, record = journal.steps.values(), journal.record
    assert record.steps.completed == sum(row.status is StepStatus.COMPLETED for row in rows)
    assert record.steps.failed == sum(row.status is StepStatus.FAILED for row in rows)
    running = [row for row in rows if row.status is StepStatus.STARTED and row.claim_epoch == record.claim_epoch]
    assert record.steps.running == (len(running) if record.is_active else 0)


def check_events(journal: Journal, before: RunRecord, write: Write, bodies: list[Any]) -> None:
    after = journal.record
    assert after.sequence == len(journal.bodies)
    for body in bodies:
        assert decode_body(encode_body(body)) == body
    if after.status is not before.status:
        status = bodies[-1]
        assert (status.previous, status.status, status.epoch) == (before.status, after.status, after.epoch)
    if not (before.is_stopped and after.is_stopped):
        return
    # While stopped, only late completions and a person's interrupt are appended (G5).
    if isinstance(write, Append):
        assert all(body.late and body.status is StepStatus.COMPLETED for body in bodies)
        assert (after.status, after.epoch, after.reason) == (before.status, before.epoch, before.reason)
    elif bodies:
        assert isinstance(write, Interrupt)
        assert write.reason == "user"


def test_f1_who_creates_owns() -> None:
    first, begun = created(pending())
    assert (first.record.owner, first.record.sequence, first.record.status) == (A, 1, RunStatus.PENDING)
    (event,) = first.events
    assert (event.sequence, event.at_ms) == (1, 5)
    assert event.body == StatusChanged(status=RunStatus.PENDING, epoch=1, attention=Attention.BLOCKING)
    assert (begun.record.owner, begun.record.sequence, begun.record.status) == (A, 2, RunStatus.RUNNING)
    (event,) = begun.events
    assert (event.sequence, event.at_ms) == (2, 5)
    assert event.body == StatusChanged(status=RunStatus.RUNNING, epoch=1, previous=RunStatus.PENDING)
    for wrong in ({"owner": None}, {"epoch": 2}, {"status": RunStatus.RUNNING}):
        with pytest.raises(AssertionError):
            created(pending(**wrong))


def test_i3a_a_runner_writes_under_its_epoch() -> None:
    journal = Journal()
    journal.write(append(1, PhaseEntered(name="verify"), step("a", StepStatus.STARTED, title="T", line=3)))
    assert (journal.record.phase, journal.record.steps.running) == ("verify", 1)
    journal.now_ms = 200
    journal.write(completed(1, "a"))
    row = journal.steps["a"]
    assert (row.status, row.started_at_ms, row.ended_at_ms, row.sequence) == (StepStatus.COMPLETED, 100, 200, 5)
    assert (row.title, row.line, row.output_json) == ("T", 3, "1")


def test_i3b_only_a_completion_of_a_started_step_is_late() -> None:
    journal = Journal()
    journal.write(started(1, "a", "b", "c"))
    journal.write(failed(1, "b"))
    journal.write(Interrupt("run_1", "user"))
    for nothing in (
        started(1, "d"),
        failed(1, "a"),
        completed(1, "d"),
        completed(1, "b"),
        append(1, Logged(message="x")),
    ):
        journal.refused(nothing, LeaseLost)
    journal.refused(completed(2, "a"), LeaseLost)
    # What may be kept is kept, the rest of the same write is not; and once only.
    mixed = append(1, Logged(message="x"), step("a", StepStatus.COMPLETED), step("a", StepStatus.COMPLETED))
    sequence = journal.record.sequence
    journal.write(mixed)
    assert journal.record.sequence == sequence + 1
    assert journal.bodies[-1].late
    journal.refused(completed(1, "a"), LeaseLost)
    journal.write(Release("run_1", "owner-a", 1))
    journal.write(completed(1, "c"))
    journal.write(journal.claim())
    assert journal.record.steps.reused == 2


def test_f2_i3c_after_a_claim_the_old_claim_writes_nothing() -> None:
    journal = Journal()
    journal.write(started(1, "a"))
    journal.write(Interrupt("run_1", "user"))
    journal.write(Release("run_1", "owner-a", 1))
    journal.write(journal.claim(owner=B))
    assert (journal.record.epoch, journal.record.claim_epoch, journal.record.owner) == (3, 3, B)
    for stale in (completed(1, "a"), append(1, Logged(message="x")), Finish("run_1", 1)):
        journal.refused(stale, LeaseLost)
    # Not the old owner's late release either.
    assert journal.write(Release("run_1", "owner-a", 1)).owner == B


def test_f2_a_claim_that_ended_its_run_writes_nothing_more() -> None:
    journal = Journal()
    journal.write(started(1, "a"))
    journal.write(Finish("run_1", 1))
    for late in (completed(1, "a"), append(1, Logged(message="x"))):
        journal.refused(late, LeaseLost)
    journal.refused(Finish("run_1", 1), InvalidTransition)


def test_i8_a_claim_names_the_epoch_it_was_accepted_under() -> None:
    journal = Journal()
    journal.write(Interrupt("run_1", "user"))
    accepted = journal.claim()
    journal.refused(accepted, RunLeased)
    journal.write(Release("run_1", "owner-a", 1))
    journal.write(Interrupt("run_1", "user"))
    journal.refused(accepted, ClaimSuperseded)
    journal.write(journal.claim())
    # F1: whoever comes second learns who has it.
    journal.refused(journal.claim(), RunLeased)


def test_f1_who_is_refused_learns_who_owns_the_run() -> None:
    journal = Journal()
    journal.write(Interrupt("run_1", "user"))
    for owner, mine in ((A, True), (B, False)):
        with pytest.raises(RunLeased) as leased:
            journal.write(journal.claim(owner=owner))
        assert (leased.value.pid, leased.value.since_ms, leased.value.mine) == (1, 10, mine)


def test_p6_a_claim_drops_a_deadline_that_has_passed_and_keeps_one_that_has_not() -> None:
    for deadline, now, named, kept in ((50, 60, None, None), (70, 60, None, 70), (50, 60, 90, 90), (70, 60, 65, 65)):
        journal = Journal()
        journal.record = replace(journal.record, deadline_at_ms=deadline)
        journal.write(Interrupt("run_1", "deadline"))
        journal.write(Release("run_1", "owner-a", 1))
        journal.now_ms = now
        assert journal.write(journal.claim(deadline_at_ms=named)).deadline_at_ms == kept


def test_n1_a_retry_may_go_on_with_another_source() -> None:
    journal = Journal()
    journal.write(failed(1, "a"))
    journal.write(Finish("run_1", 1, error=FAILURE))
    after = journal.write(journal.claim(RunEvent.RETRY, source_hash="new"))
    assert (after.source_hash, after.error, after.status) == ("new", None, RunStatus.RUNNING)
    changed, status = journal.bodies[-2:]
    assert (changed.old_hash, changed.new_hash) == ("h", "new")
    assert (status.how, status.previous) == ("retry", RunStatus.FAILED)
    assert journal.steps["a"].status is StepStatus.SUPERSEDED


def test_j5_a_resume_keeps_failed_steps_as_they_are() -> None:
    journal = Journal()
    journal.write(failed(1, "a"))
    journal.write(Interrupt("run_1", "user"))
    journal.write(Release("run_1", "owner-a", 1))
    journal.write(journal.claim())
    assert (journal.steps["a"].status, journal.record.steps.failed) == (StepStatus.FAILED, 1)


def test_a_step_left_started_by_an_earlier_claim_is_not_counted_as_running() -> None:
    journal = Journal()
    journal.write(started(1, "a", "b"))
    journal.write(Interrupt("run_1", "user"))
    assert journal.record.steps.running == 0
    journal.write(Release("run_1", "owner-a", 1))
    journal.write(journal.claim())
    journal.write(started(3, "a"))
    assert journal.write(started(3, "b")).steps.running == 2
    assert journal.write(completed(3, "a")).steps.running == 1


def test_one_completion_per_step_also_within_one_write() -> None:
    journal = Journal()
    journal.refused(completed(1, "a", "a"), StepConflict)
    journal.write(completed(1, "a"))
    journal.refused(failed(1, "a"), StepConflict)
    assert [body.status for body in journal.bodies[2:]] == [StepStatus.COMPLETED]


def test_a_completion_without_an_output_is_a_programmer_s_error() -> None:
    journal = Journal()
    for status, outputs in ((StepStatus.COMPLETED, {}), (StepStatus.FAILED, {"a": StepOutput("1")})):
        with pytest.raises(AssertionError):
            journal.write(Append("run_1", 1, (step("a", status),), outputs))


def test_b1_moving_to_the_background_is_an_event_once() -> None:
    journal = Journal()
    after = journal.write(Background("run_1"))
    assert (after.status, after.attention) == (RunStatus.BACKGROUNDED, Attention.NOTIFY_ON_TERMINAL)
    assert journal.bodies[-1].attention is Attention.NOTIFY_ON_TERMINAL
    assert journal.write(Background("run_1")) is after


def test_c2_recovery_is_a_compare_and_set_on_the_dead_owner() -> None:
    journal = Journal()
    assert journal.write(Recover("run_1", "owner-b")).status is RunStatus.RUNNING
    after = journal.write(Recover("run_1", "owner-a"))
    assert (after.status, after.reason, after.owner, after.epoch) == (RunStatus.INTERRUPTED, "crash", None, 2)
    assert journal.write(Recover("run_1", "owner-a")) is after


def test_c3_recovery_of_a_stopped_run_keeps_its_reason() -> None:
    journal = Journal()
    journal.write(Interrupt("run_1", "user"))
    after = journal.write(Recover("run_1", "owner-a"))
    assert (after.reason, after.owner, after.is_quiescent) == ("user", None, True)
