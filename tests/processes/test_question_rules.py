"""Each rule of the storm's questions (P7, G5, W25) goes red for what it is there for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import journal_rules
from tests.processes.question_rules import answer_faults
from tests.processes.storm_plan import Given
from tests.processes.test_rules import BEGUN, ENDED, interrupted, journal, resumed, status, step

if TYPE_CHECKING:
    from tests.processes.journal_rules import Journal


def question(what: str, interaction_id: str = "q", **more: Any) -> dict[str, Any]:
    return {"type": "interaction", "interactionId": interaction_id, "stepId": "ask", "status": what, **more}


ANSWERED = question("answered", answer="yes")
ENDED_LATER = (ENDED[0], status("completed", "running", 3))
DONE = step("ask", "completed", kind="ask")
SOUND = journal(*BEGUN, question("asked"), interrupted("crash"), ANSWERED, resumed(), DONE, *ENDED_LATER)


def test_a_question_that_is_answered_while_its_run_is_stopped_is_sound() -> None:
    assert journal_rules.faults_of(SOUND) == []
    assert list(answer_faults([SOUND], [Given("q", "yes", True, "yes"), Given("q", "no", False, "yes")])) == []


def test_a_question_that_ended_with_its_run_may_be_asked_again() -> None:
    asked_again = journal(
        *BEGUN,
        question("asked"),
        {"type": "error", "error": {}},
        status("failed", "running"),
        resumed("retry", 3, "failed"),
        question("asked"),
        ANSWERED,
        DONE,
        *ENDED_LATER,
    )
    assert journal_rules.faults_of(asked_again) == []


def with_pending(wrong: Journal) -> Journal:
    wrong.record["pending"] = 1
    return wrong


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param(journal(*BEGUN, question("asked"), question("asked"), ANSWERED, *ENDED), "is asked", id="twice"),
        pytest.param(journal(*BEGUN, question("asked"), ANSWERED, question("asked"), *ENDED), "is asked", id="again"),
        pytest.param(journal(*BEGUN, question("asked"), ANSWERED, ANSWERED, *ENDED), "is answered", id="two-answers"),
        pytest.param(
            journal(*BEGUN, question("asked"), ANSWERED, question("withdrawn"), *ENDED), "is withdrawn", id="dropped"
        ),
        pytest.param(journal(*BEGUN, ANSWERED, *ENDED), "was unknown", id="never-asked"),
        pytest.param(journal(*BEGUN, question("asked"), DONE, *ENDED), "is completed", id="no-answer"),
        pytest.param(
            journal(*BEGUN, question("asked"), question("asked", "p"), ANSWERED, DONE, *ENDED), "is completed", id="ids"
        ),
        pytest.param(journal(*BEGUN, question("asked"), *ENDED, ANSWERED), "was appended while", id="g5-ended"),
        pytest.param(
            journal(*BEGUN, interrupted("user"), question("asked"), ends="interrupted"), "appended while", id="g5-asked"
        ),
        pytest.param(with_pending(journal(*BEGUN, question("asked"), *ENDED)), "1 questions are open", id="open"),
    ],
)
def test_a_question_that_went_wrong_is_noticed(wrong: Journal, says: str) -> None:
    assert any(says in fault for fault in journal_rules.faults_of(wrong)), journal_rules.faults_of(wrong)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param([Given("q", "no", True, "no")], "recorded is 'yes'", id="lost"),
        pytest.param([Given("q", "no", True, "yes")], "another answer was accepted", id="another"),
        pytest.param([Given("q", "no", False, "no")], "recorded is 'yes'", id="told-wrong"),
        pytest.param([Given("q", "yes", True, "yes"), Given("q", "yes", True, "yes")], "2 answers to q", id="w25-two"),
    ],
)
def test_a_reply_to_an_answer_that_is_not_so_is_noticed(given: list[Given], says: str) -> None:
    assert any(says in fault for fault in answer_faults([SOUND], given)), list(answer_faults([SOUND], given))
