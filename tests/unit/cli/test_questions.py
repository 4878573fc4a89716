"""Questions in a terminal: what is shown, what is read as an answer, and the commands that are proposed. P7."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from msgspec.structs import replace

from sidestep.cli.complaints import lines_of
from sidestep.cli.invocation import Invocation
from sidestep.cli.questions import (
    answer_commands,
    answered_lines,
    lines_of_question,
    open_question_lines,
    problem_lines,
    prompt_of,
    read_answer,
)
from sidestep.model.errors import AnswerInvalid
from sidestep.model.events import InteractionStatus
from sidestep.model.problems import ArgsProblem
from sidestep.model.questions import Choice, Question, QuestionKind

TEXT = Question(
    interaction_id="ask_1",
    run_id="run_1",
    root_run_id="run_1",
    step_id="s",
    kind=QuestionKind.QUESTION,
    title="Which?",
    asked_at_ms=0,
)
CHOICES = replace(TEXT, choices=(Choice("yes", "yes"), Choice("no", "Not now")))
NUMBERS = replace(TEXT, choices=(Choice("2", "2"), Choice("1", "1")))
FORM = replace(TEXT, schema_json='{"type":"object"}')
STRING = replace(TEXT, schema_json='{"type":"string"}')


@pytest.mark.parametrize(
    ("question", "typed", "answer"),
    [
        (TEXT, "", ""),
        (TEXT, " 1 ", " 1 "),
        (CHOICES, "yes", "yes"),
        (CHOICES, " no ", "no"),
        (CHOICES, "Not now", "no"),
        (CHOICES, "2", "no"),
        (NUMBERS, "2", "2"),
        (NUMBERS, "1", "1"),
        (FORM, '{"a": [1, null]}', {"a": [1, None]}),
        (FORM, "7", 7),
        (STRING, "plain words", "plain words"),
        (STRING, '"quoted"', "quoted"),
    ],
)
def test_what_is_typed_is_read_as_the_question_wants_it(question: Question, typed: str, answer: Any) -> None:
    assert read_answer(question, typed) == answer


@pytest.mark.parametrize(
    ("question", "typed", "why"),
    [
        (TEXT, "\udcff", "UTF-8"),
        (CHOICES, "3", "'3' is none of the choices: 'yes', 'no'"),
        (CHOICES, "0", "none of the choices"),
        (CHOICES, "-1", "none of the choices"),
        (CHOICES, "\u0661", "none of the choices"),
        (CHOICES, "", "none of the choices"),
        (NUMBERS, "3", "none of the choices"),
        (FORM, "x", "not JSON; texts need quotes"),
        (FORM, "NaN", "not JSON"),
        (FORM, "", "not JSON"),
        (FORM, "[1e999]", "too large"),
        (FORM, '"\\ud800"', "surrogate"),
        (FORM, "[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_answer_is_refused_with_the_reason(question: Question, typed: str, why: str) -> None:
    with pytest.raises(AnswerInvalid) as refused:
        read_answer(question, typed)
    (problem,) = refused.value.problems
    assert why in problem.message


def test_choices_are_numbered_unless_they_are_numbers() -> None:
    assert lines_of_question(CHOICES) == ["Which?", "  1) yes", "  2) no: Not now"]
    assert lines_of_question(NUMBERS) == ["Which?", "  - 2", "  - 1"]
    assert lines_of_question(replace(TEXT, title="A\nB", detail="why\nso")) == ["A", "B", "  why", "  so"]
    assert (prompt_of(CHOICES), prompt_of(NUMBERS), prompt_of(TEXT)) == ("Number or words: ", "Answer: ", "Answer: ")
    assert prompt_of(FORM) == "Answer: "


def test_a_schema_stands_on_one_bounded_line() -> None:
    assert lines_of_question(FORM) == ["Which?", '  JSON that fits {"type":"object"}']
    long = replace(TEXT, schema_json='{"enum":["' + "x\n" * 1000 + '"]}')
    (_, line) = lines_of_question(long)
    assert len(line) < 450
    assert "\n" not in line


def test_places_in_an_answer_are_named_everywhere_alike() -> None:
    problems = (ArgsProblem("", "7 is odd"), ArgsProblem("/a~1b/0", "1 is small"))
    assert problem_lines(problems) == ["the answer: 7 is odd", "a/b/0: 1 is small"]
    told = lines_of(AnswerInvalid("ask_1", problems), Invocation())
    assert told[1:] == [f"  {line}" for line in problem_lines(problems)]


def test_answered_questions_are_told_with_their_answers() -> None:
    answered = replace(TEXT, title="A\nB", status=InteractionStatus.ANSWERED, answer_json='"x"', by="terminal")
    assert answered_lines([answered, replace(answered, by=None)]) == ['  A B (s): "x", by terminal', '  A B (s): "x"']


def test_the_proposed_commands_can_be_typed_as_they_stand() -> None:
    invocation = Invocation(typed_store="/a store")
    assert [shlex.split(command) for command in answer_commands(CHOICES, invocation, alone=True)] == [
        ["sidestep", "runs", "answer", "run_1", "yes", "--store", "/a store"],
        ["sidestep", "runs", "answer", "run_1", "no", "--store", "/a store"],
    ]
    dashed = replace(TEXT, choices=(Choice("--force it", "x"),))
    assert [shlex.split(command) for command in answer_commands(dashed, invocation, alone=False)] == [
        [*["sidestep", "runs", "answer", "run_1", "--interaction", "ask_1", "--store"], "/a store", "--", "--force it"]
    ]
    assert answer_commands(FORM, Invocation(), alone=True) == ["sidestep runs answer run_1 JSON"]


def test_many_questions_and_many_choices_are_cut() -> None:
    many = [replace(TEXT, interaction_id=f"ask_{n}") for n in range(25)]
    lines = open_question_lines(many, Invocation())
    assert lines[-1] == "and 5 more questions"
    assert all("--interaction ask_" in line for line in lines if "runs answer" in line)
    wide = replace(TEXT, choices=tuple(Choice(f"c{n}", f"c{n}") for n in range(9)))
    lines = open_question_lines([wide], Invocation())
    assert sum("runs answer" in line for line in lines) == 5
    assert lines[-1].strip() == "... or another of the choices"
    assert "  9) c8" in lines
