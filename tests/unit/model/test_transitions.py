"""The table of statuses."""

from __future__ import annotations

import pytest

from sidestep.model.errors import InvalidTransition
from sidestep.model.run import ACTIVE, STOPPED, TERMINAL, RunStatus
from sidestep.model.transitions import TRANSITIONS, RunEvent, mermaid, next_status

S, E = RunStatus, RunEvent


@pytest.mark.parametrize("event", list(RunEvent))
@pytest.mark.parametrize("status", list(RunStatus))
def test_every_pair_has_an_answer_or_a_reason(status: RunStatus, event: RunEvent) -> None:
    if (status, event) in TRANSITIONS:
        assert next_status("run_1", status, event) is TRANSITIONS[status, event]
        return
    with pytest.raises(InvalidTransition) as error:
        next_status("run_1", status, event)
    assert (error.value.run_id, error.value.status) == ("run_1", status.value)
    assert error.value.why


def test_completed_is_final_and_failed_may_only_be_retried() -> None:
    assert [pair for pair in TRANSITIONS if pair[0] is S.COMPLETED] == []
    assert [event for status, event in TRANSITIONS if status is S.FAILED] == [E.RETRY]


def test_whatever_is_active_may_be_interrupted_and_nothing_else_begins_or_ends_it() -> None:
    for status in ACTIVE:
        assert TRANSITIONS[status, E.INTERRUPT] is S.INTERRUPTED
        assert TRANSITIONS[status, E.FAIL] is S.FAILED
    for status in STOPPED:
        assert (status, E.FAIL) not in TRANSITIONS
        assert (status, E.COMPLETE) not in TRANSITIONS


def test_b1_only_a_running_run_is_moved_to_the_background() -> None:
    assert [pair for pair in TRANSITIONS if pair[1] is E.BACKGROUND] == [(S.RUNNING, E.BACKGROUND)]


def test_a_stopped_run_goes_on_only_by_resume_or_retry() -> None:
    goes_on = {
        (status, event) for (status, event), after in TRANSITIONS.items() if status in STOPPED and after in ACTIVE
    }
    assert goes_on == {(S.INTERRUPTED, E.RESUME), (S.INTERRUPTED, E.RETRY), (S.FAILED, E.RETRY)}


def test_every_status_is_active_or_stopped() -> None:
    assert set(RunStatus) == ACTIVE | STOPPED
    assert not ACTIVE & STOPPED
    assert TERMINAL < STOPPED


def test_the_diagram_draws_every_arrow_between_two_statuses() -> None:
    drawn = mermaid().splitlines()
    arrows = [(a, b) for (a, _), b in TRANSITIONS.items() if a is not b]
    assert len(drawn) == len(arrows) + 3
    assert "    interrupted --> running: resume" in drawn
