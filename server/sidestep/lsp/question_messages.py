"""A question in LSP's own words, for clients without `workflow/interact`: a message with the choices as its actions."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import msgspec

from sidestep.model.questions import QuestionKind

if TYPE_CHECKING:
    from sidestep.model.questions import Question

# Characters of a message; editors show it in one corner of the window.
TEXT_MAX = 1_000

_WARNING, _INFO = 2, 3


class MessageItem(msgspec.Struct):
    """The action a person chose."""

    title: str


def message_of(question: Question, name: str) -> dict[str, Any]:
    """
    Params of `window/showMessageRequest` for a question with choices, else of `window/showMessage`.

    Args:
        name: The workflow's.
    """
    kind = _WARNING if question.kind is QuestionKind.PERMISSION else _INFO
    text = f"{name}: {question.title}"
    if question.detail:
        text += f"\n{question.detail}"
    if question.choices:
        return {
            "type": kind,
            "message": _cut(text),
            "actions": [{"title": choice.title} for choice in question.choices],
        }
    how = how_to_answer(question)
    return {"type": kind, "message": f"{_cut(text, TEXT_MAX - len(how))}\n{how}"}


def warning(text: str) -> dict[str, Any]:
    """Params of `window/showMessage`."""
    return {"type": _WARNING, "message": _cut(text)}


def how_to_answer(question: Question) -> str:
    """What to type in a terminal."""
    given = question.choices[0].id if question.choices else "JSON" if question.schema_json is not None else "TEXT"
    command = ["sidestep", "runs", "answer", question.run_id, "--interaction", question.interaction_id, given]
    return f"Answer it with: {shlex.join(command)}"


def _cut(text: str, length_max: int = TEXT_MAX) -> str:
    return text if len(text) <= length_max else text[: length_max - 3] + "..."
