"""A question in LSP's own words, for clients without `workflow/interact`, and what clients answer in either way."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET

from sidestep.model.questions import QuestionKind
from sidestep.rpc.errors import PeerInvalid
from sidestep.rpc.outbound import read_result
from sidestep_protocol.tasks import InteractResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.model.problems import ArgsProblem
    from sidestep.model.questions import Question
    from sidestep.rpc.envelope import Response

# Characters of a message; editors show it in one corner of the window.
TEXT_MAX = 1_000

_WARNING, _INFO = 2, 3


class MessageItem(msgspec.Struct):
    """The action a person chose."""

    title: str


# What may come for an answer; null is none.
_INTERACTED = cast("type[InteractResult | None]", InteractResult | None)
_CHOSEN = cast("type[MessageItem | None]", MessageItem | None)


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


def read_answer(question: Question, response: Response, *, interacts: bool) -> Any:
    """
    The answer in a client's response, UNSET when there is none.

    Args:
        interacts: The question was put with `workflow/interact`, not with a message.

    Raises:
        PeerError: the client answered with an error.
        PeerInvalid: it is none of the answers that were offered, or garbage.
    """
    if interacts:
        result = read_result(response, _INTERACTED)
        return UNSET if result is None else result.answer
    item = read_result(response, _CHOSEN)
    if item is None:
        return UNSET
    for choice in question.choices:
        if item.title == choice.title:
            return choice.id
    raise PeerInvalid(f"there is no choice {item.title!r:.100}")


def refusal(name: str, problems: Iterable[ArgsProblem]) -> str:
    """Why an answer was not taken: each thing that is wrong, and where in it."""
    listed = "; ".join(f"{each.message} (at {each.path})" if each.path else each.message for each in problems)
    return f"{name}: the answer was not taken: {listed}."


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
