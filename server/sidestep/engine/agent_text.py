"""
What an agent is told, and what its answer says: texts around the author's prompt, and the JSON in a report. Pure.

Parsing never raises: whatever an agent writes gives a value or a problem that can be told to it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidestep.model.problems import ArgsProblem

FINAL_INSTRUCTIONS = "Your time is up. Stop working now, and report what you have so far."

_FENCED = re.compile(
    r"^[ \t]*```[ \t]*(?:json)?[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE | re.IGNORECASE
)
_OPENING = re.compile(r"[\[{]")
# Places where a JSON value may begin that are tried, from the last one on: a flood of brackets costs no more.
_TRIED_MAX = 200


def with_schema(prompt: str, schema: dict[str, Any] | None) -> str:
    """The prompt, with how to answer when the answer has to fit a schema."""
    if schema is None:
        return prompt
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return (
        f"{prompt}\n\n"
        "End your answer with one JSON value that fits this JSON Schema, in a block of its own that begins with "
        f"```json and ends with ```. Write nothing after it.\n\n```json\n{text}\n```"
    )


def repair(problems: Sequence[ArgsProblem]) -> str:
    """What an agent that keeps the conversation is told about an answer that does not fit (V1)."""
    listed = "\n".join(f"- {problem.path or '(the whole value)'}: {problem.message}" for problem in problems)
    return (
        f"Your answer does not fit the schema:\n{listed}\n\n"
        "Answer again with the whole corrected JSON value, in one ```json block, and nothing after it."
    )


def repair_from_start(prompt: str, answer: str, problems: Sequence[ArgsProblem], answer_chars_max: int) -> str:
    """The same for an agent to which each prompt stands alone; of a long answer the end, where the JSON is."""
    kept = answer if len(answer) <= answer_chars_max else "..." + answer[-answer_chars_max:]
    return f"{prompt}\n\nYou have done this before, and answered:\n\n{kept}\n\n{repair(problems)}"


def json_in(report: str) -> tuple[Any, str | None]:
    """
    The JSON value in an agent's report: the last ```json block, else the last object or list that the text ends with,
    else the whole text.

    Returns:
        (value, None), or (None, why there is none).
    """
    blocks = _FENCED.findall(report)
    if blocks:
        return _loaded(blocks[-1])
    text = report.strip()
    value, problem = _loaded(text)
    if problem is None:
        return value, None
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    outermost: tuple[int, Any] | None = None
    starts = [match.start() for match in _OPENING.finditer(text)]
    for start in reversed(starts[-_TRIED_MAX:]):
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if text[end:].strip(" \t\r\n`.") == "":
            outermost = (start, found)
    if outermost is not None:
        return outermost[1], None
    return None, "there is no JSON value in the answer" if not starts else f"the answer is no JSON: {problem}"


def _loaded(text: str) -> tuple[Any, str | None]:
    try:
        return json.loads(text, parse_constant=_no_constant), None
    except RecursionError:
        return None, "it is nested too deep"
    except ValueError as error:
        return None, str(error)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
