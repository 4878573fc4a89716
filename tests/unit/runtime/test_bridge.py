"""The texts that cross: whatever a script sends by itself is refused, not believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidestep.model.execution import Call, Settled
from sidestep.model.run import Failure, FailureCode
from sidestep.runtime.bridge import crossable, failure_text, read_call, write_answer

STEP = {"call": "command", "payload": {"id": "a", "input": {"argv": ["x"]}}, "line": 3, "scopes": [1, 2]}


def changed(**changes: Any) -> dict[str, Any]:
    return STEP | changes


def test_a_call_keeps_its_payload_as_it_was_sent():
    assert read_call((json.dumps(STEP),), 1000) == Call(None, "command", STEP["payload"], line=3, scopes=(1, 2))


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        json.dumps(changed(call="agent")),
        json.dumps(changed(call="")),
        json.dumps(changed(line="3")),
        json.dumps(changed(scopes=None)),
        json.dumps(changed(payload=None)),
        json.dumps(changed(payload={"id": "a"})),
        json.dumps(changed(payload={"id": "", "input": {"argv": ["x"]}})),
        json.dumps(changed(payload={"id": 3, "input": {"argv": ["x"]}})),
        json.dumps(changed(payload={"id": "a" * 501, "input": {"argv": ["x"]}})),
        json.dumps(changed(payload={"id": "a", "input": {"argv": [3]}})),
        json.dumps(changed(payload={"id": "a", "input": {"argv": ["x"], "shell": True}})),
        json.dumps(changed(payload={"id": "a", "input": {"argv": ["x"]}, "timeout_s": "soon"})),
        json.dumps(changed(call="sleep", payload={"id": "a", "input": {"seconds": "1"}})),
        json.dumps(changed(call="phase", payload={"name": 1, "details": {}})),
        json.dumps(changed(call="log", payload={"message": "x"})),
        json.dumps(changed(call="abort", payload={"scope": "1"})),
        json.dumps(changed(call="print", payload={"text": "x", "stream": "stdout"})),
    ],
)
def test_what_is_no_call_is_refused_with_a_reason(sent: str):
    assert isinstance(read_call((sent,), 1_000_000), str)


def test_a_call_over_the_limit_or_with_other_arguments_is_refused():
    assert isinstance(read_call((json.dumps(STEP),), 10), str)
    assert isinstance(read_call((), 1000), str)
    assert isinstance(read_call(({},), 1000), str)
    assert isinstance(read_call((json.dumps(STEP), 1), 1000), str)


def test_the_text_of_a_failure_names_code_and_step():
    failure = Failure(FailureCode.STEP, 'said: "no"', step_id='odd "id": x\n')
    assert failure_text(failure) == 'step in step "odd \\"id\\": x\\n": said: "no"'
    told = json.loads(write_answer(Settled(1, error=failure)))
    assert told["error"] == {"code": "step", "message": 'said: "no"', "stepId": 'odd "id": x\n'}


def test_half_characters_are_replaced_and_whole_ones_kept():
    assert json.loads(crossable('{"a":"\\ud83d\\ude00 \\ud800 \ud800 \U0001f600"}')) == {
        "a": "\U0001f600 \ufffd \ufffd \U0001f600"
    }
    assert crossable('{"a":  1}') == '{"a":  1}'
