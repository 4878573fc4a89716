"""Results and the limits of outputs (R1, N2)."""

from __future__ import annotations

import json

import pytest

from sidestep.engine.output import encode_output, read_result
from sidestep.model.run import Failure, FailureCode, RunResult
from sidestep.settings import Settings


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("text", RunResult(report="text")),
        (None, RunResult()),
        ({"report": "r", "data": [1]}, RunResult(report="r", data_json="[1]")),
        ({"report": "r"}, RunResult(report="r")),
        ({"report": "r", "data": None}, RunResult(report="r")),
        ({"report": 1, "data": 2}, RunResult(data_json='{"report": 1, "data": 2}')),
        ({"report": "r", "extra": 1}, RunResult(data_json='{"report": "r", "extra": 1}')),
        ([1, "ü"], RunResult(data_json=json.dumps([1, "ü"]))),
        (0, RunResult(data_json="0")),
        (False, RunResult(data_json="false")),
    ],
)
def test_r1_what_main_returned_becomes_report_and_data(value: object, result: RunResult) -> None:
    assert read_result(json.dumps(value)) == result


def test_an_output_is_canonical_json() -> None:
    assert encode_output({"b": 1, "a": "ü"}, "s", Settings()) == '{"a":"ü","b":1}'


@pytest.mark.parametrize("output", [{1: 2}, float("nan"), {"a": object()}, {"a"}])
def test_n2_an_output_that_is_not_json_is_a_validation_failure(output: object) -> None:
    failure = encode_output(output, "s", Settings())
    assert isinstance(failure, Failure)
    assert failure.code is FailureCode.VALIDATION
    assert failure.step_id == "s"


def test_n2_an_output_over_the_limit_is_a_limit_failure_and_one_at_the_limit_is_kept() -> None:
    settings = Settings(step_output_bytes_max=10)
    assert encode_output("12345678", "s", settings) == '"12345678"'
    failure = encode_output("123456789", "s", settings)
    assert isinstance(failure, Failure)
    assert failure.code is FailureCode.LIMIT
    assert "11 bytes" in failure.message
