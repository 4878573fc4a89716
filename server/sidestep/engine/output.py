"""
The shape of what steps and scripts return: size limits of a step's output, and a script's return value as a result.

Return value (R1): `str` -> report; `{"report": str, "data": any}` -> both; other JSON -> data; `None` -> neither.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from sidestep.model.replay_key import canonical_json
from sidestep.model.run import Failure, FailureCode, RunResult, loads

if TYPE_CHECKING:
    from sidestep.settings import Settings


def encode_output(output: Any, step_id: str, settings: Settings) -> str | Failure:
    """
    Canonical JSON text of a step's output, or why it cannot be kept.

    Limits: `settings.step_output_bytes_max` bytes of UTF-8.
    """
    try:
        text = canonical_json(output)
    except (TypeError, ValueError, RecursionError) as error:
        return Failure(FailureCode.VALIDATION, f"the output is not JSON: {error}", step_id=step_id)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > settings.step_output_bytes_max:
        limit = settings.step_output_bytes_max
        return Failure(FailureCode.LIMIT, f"the output has {size} bytes, the limit is {limit}", step_id=step_id)
    return text


def read_result(value_json: str) -> RunResult:
    """The result in what `main` returned; `value_json` is the JSON text the sandbox gave."""
    value = loads(value_json)
    if value is None:
        return RunResult()
    if isinstance(value, str):
        return RunResult(report=value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if _is_report(fields):
            data = fields.get("data")
            return RunResult(report=fields["report"], data_json=None if data is None else _text(data))
    return RunResult(data_json=value_json)


def _is_report(value: dict[str, Any]) -> bool:
    return isinstance(value.get("report"), str) and value.keys() <= {"report", "data"}


def _text(value: Any) -> str:
    # Not canonical: the order of the author's keys is kept for whoever reads it.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
