"""What a server answered, judged: a result, or the refusal that the contract names. Knows no process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from sidestep_protocol.conformance.check import must
from sidestep_protocol.errors import ERROR_CODES

if TYPE_CHECKING:
    from sidestep_protocol.conformance.check import Message

_SHOWN_CHARS = 240


def result_of(answer: Message, what: str) -> Any:
    """The answer's result. Raises: CheckFailed: it is an error."""
    must("result" in answer, f"{what} succeeds", f"the error {shorten(answer.get('error', answer))}")
    return answer["result"]


def params_of(message: Message) -> dict[str, Any]:
    """A message's params, empty for what has none."""
    params: Any = message.get("params")
    return cast("dict[str, Any]", params) if isinstance(params, dict) else {}


def refused(answer: Message, reason: str, what: str) -> Message:
    """The answer's error. Raises: CheckFailed: it is a result, or another error than the reason's."""
    error: Any = answer.get("error")
    expected = f"{what} refused: code {ERROR_CODES[reason]}, data.reason {reason!r}"
    must(isinstance(error, dict), expected, shorten(answer))
    data: Any = error.get("data")
    reason_seen: Any = cast("dict[str, Any]", data).get("reason") if isinstance(data, dict) else None
    seen = (error.get("code"), reason_seen)
    must(seen == (ERROR_CODES[reason], reason), expected, shorten(error))
    return error


def is_same_id(one: object, other: object) -> bool:
    """`1`, `"1"` and `true` are three."""
    return type(one) is type(other) and one == other


def shorten(message: Any) -> str:
    """For people, on one line."""
    text = json.dumps(message, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} ... ({len(text)} characters)"
