"""
Questions of runs as a terminal shows them, what a person types read as an answer, and the commands that answer.

Knows no service: what is asked stands in `model/questions.py`.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from sidestep.cli.terminal_text import one_line, place_text, plural
from sidestep.model.errors import AnswerInvalid
from sidestep.model.problems import ArgsProblem
from sidestep.model.run import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sidestep.cli.invocation import Invocation
    from sidestep.model.questions import Question

BY = "terminal"

# Choices whose command is printed each; questions that are told at the end of a command.
_COMMANDS_MAX = 5
_TOLD_MAX = 20
_SCHEMA_CHARS_MAX = 400


def lines_of_question(question: Question) -> list[str]:
    """What is asked: title, detail, and the choices with their numbers or the schema."""
    lines = question.title.splitlines() or [""]
    lines += [f"  {line}" for line in (question.detail or "").splitlines()]
    for number, choice in enumerate(question.choices, start=1):
        mark = f"{number})" if _are_numbered(question) else "-"
        title = choice.title if choice.title == choice.id else f"{choice.id}: {choice.title}"
        lines.append(f"  {mark} {one_line(title)}")
    if question.schema_json is not None and not question.choices:
        lines.append(f"  JSON that fits {one_line(question.schema_json, _SCHEMA_CHARS_MAX)}")
    return lines


def prompt_of(question: Question) -> str:
    """What stands before the cursor."""
    return "Number or words: " if question.choices and _are_numbered(question) else "Answer: "


def read_answer(question: Question, text: str) -> Any:
    """
    The answer that was typed: a choice's id, its title or its number; JSON for a schema; else the text.

    Whether it fits is the service's to say.

    Raises:
        AnswerInvalid: no text, no JSON, or none of the choices.
    """
    if not _is_text(text):
        raise _invalid(question, "not UTF-8 text")
    if question.choices:
        return _choice(question, text.strip())
    if question.schema_json is None:
        return text
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise _invalid(question, "nested too deep") from None
    except ValueError:
        if loads(question.schema_json).get("type") == "string":
            return text
        raise _invalid(question, "not JSON; texts need quotes") from None
    try:
        encoded = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # What is too large for a float is read as infinity.
        raise _invalid(question, "a number in it is too large") from None
    if not _is_text(encoded):
        raise _invalid(question, "half a surrogate pair is not text")
    return value


def problem_lines(problems: Iterable[ArgsProblem]) -> list[str]:
    """Why something is no answer: each place in it with what is wrong there."""
    return [f"{place_text(problem.path) or 'the answer'}: {problem.message}" for problem in problems]


def answer_commands(question: Question, invocation: Invocation, *, alone: bool) -> list[str]:
    """The commands that answer it, one for each of a few choices; `alone`: its run has no other open question."""
    words = ["runs", "answer", question.run_id]
    more = [] if alone else ["--interaction", question.interaction_id]
    given = [choice.id for choice in question.choices[:_COMMANDS_MAX]]
    if not question.choices:
        given = ["TEXT" if question.schema_json is None else "JSON"]
    return [_command(invocation, [*words, *more], answer) for answer in given]


def open_question_lines(questions: Sequence[Question], invocation: Invocation) -> list[str]:
    """Open questions of a run or its tree, each with how to answer it."""
    lines: list[str] = []
    for question in questions[:_TOLD_MAX]:
        alone = sum(each.run_id == question.run_id for each in questions) == 1
        first, *rest = lines_of_question(question)
        lines += ["", f"{first} ({one_line(question.step_id)})", *rest]
        lines += [f"    {command}" for command in answer_commands(question, invocation, alone=alone)]
        if len(question.choices) > _COMMANDS_MAX:
            lines.append("    ... or another of the choices")
    if len(questions) > _TOLD_MAX:
        lines += ["", f"and {plural(len(questions) - _TOLD_MAX, 'more question')}"]
    return lines


def answered_lines(questions: Iterable[Question]) -> list[str]:
    """Questions that have been answered, each with its answer on its line."""
    return [
        f"  {one_line(question.title, 80)} ({one_line(question.step_id)}): {one_line(question.answer_json or '')}"
        + (f", by {one_line(question.by)}" if question.by else "")
        for question in questions
    ]


def _command(invocation: Invocation, words: list[str], answer: str) -> str:
    if answer.startswith("-"):
        # What looks like an option stands behind all of them.
        return f"{invocation.hint(*words)} -- {shlex.quote(answer)}"
    return invocation.hint(*words[:3], answer, *words[3:])


def _choice(question: Question, typed: str) -> str:
    for choice in question.choices:
        if typed in (choice.id, choice.title):
            return choice.id
    if _are_numbered(question) and typed.isascii() and typed.isdigit() and 0 < int(typed) <= len(question.choices):
        return question.choices[int(typed) - 1].id
    given = ", ".join(repr(choice.id) for choice in question.choices)
    raise _invalid(question, f"{one_line(typed)!r} is none of the choices: {given}")


def _are_numbered(question: Question) -> bool:
    """Choices that are numbers themselves get none."""
    return not any(choice.id.strip().isdigit() or choice.title.strip().isdigit() for choice in question.choices)


def _is_text(text: str) -> bool:
    # What the shell hands over that is no UTF-8 arrives as lone surrogates.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(question: Question, why: str) -> AnswerInvalid:
    return AnswerInvalid(interaction_id=question.interaction_id, problems=(ArgsProblem("", why),))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
