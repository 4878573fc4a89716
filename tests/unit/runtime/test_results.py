"""R1, R2: what `main` may return, and where it says that something is not JSON."""

from __future__ import annotations

import json

import pytest

from sidestep.model.execution import ScriptReturned
from sidestep.model.run import FailureCode
from sidestep.settings import MIB, Settings
from tests.unit.runtime.scripted_host import FILE, conduct


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("None", None),
        ("'é\\n\"'", 'é\n"'),
        ("{'report': 'r', 'data': [1]}", {"report": "r", "data": [1]}),
        ("[True, 1, 1.5, 10**30, -0.0]", [True, 1, 1.5, 10**30, -0.0]),
        ("(1, (2, 3))", [1, [2, 3]]),
        ("{'a-b': {}, '': []}", {"a-b": {}, "": []}),
        ("'\\ud800'", "\ufffd"),
    ],
)
def test_r1_json_values_come_out_as_they_are(expression: str, value: object):
    assert conduct(f"async def main():\n    return {expression}").value == value


def test_r1_counters_and_default_dicts_are_dicts():
    source = "from collections import Counter, defaultdict\ndef main():\n    d = defaultdict(list)\n    d['x'] += [1]\n"
    assert conduct(source + "    return [Counter('aab'), d]").value == [{"a": 2, "b": 1}, {"x": [1]}]


def test_the_result_is_canonical_json():
    ended = conduct("def main():\n    return {'b': [1, 2], 'a': 'é'}").ended
    assert ended == ScriptReturned('{"a":"é","b":[1,2]}')


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("{'rows': [0, 1, 2, {'when': {1}}]}", "the result at $.rows[3].when is a set, which is not JSON"),
        ("{'a b': [float('nan')]}", 'the result at $["a b"][0] is nan, which is not JSON'),
        ("[float('-inf')]", "the result at $[0] is -inf"),
        ("b'x'", "the result at $ is a bytes"),
        ("{1: 2}", "the result at $ has the key 1, an int; keys in JSON are strings"),
        ("[{None: 1}]", "the result at $[0] has the key None, None"),
        ("main", "the result at $ is a function"),
        ("[main()]", "the result at $[0] is a coroutine"),
        ("P()", "the result at $ is a P, which is not JSON"),
        ("P", "the result at $ is a type"),
        ("ValueError('x')", "the result at $ is a ValueError"),
        ("nested(151)", "is nested deeper than 150 levels"),
        ("nested(100000)", "is nested deeper than 150 levels"),
        ("cyclic()", "is nested deeper than 150 levels"),
        ("10**5000", "$ is an int of more than 4000 digits"),
    ],
)
def test_r2_what_is_not_json_fails_the_run_and_says_where(expression: str, told: str):
    source = f"""
class P:
    pass
def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value
def cyclic():
    value = []
    value.append(value)
    return value
async def main():
    return {expression}
"""
    failure = conduct(source).failure
    assert told in failure.message
    assert failure.code is FailureCode.VALIDATION
    assert failure.file == FILE


def test_r2_as_deep_as_can_be_read_back_comes_out():
    value = conduct(
        "def main():\n    x = 1\n    for _ in range(150):\n        x = {'a': [x]} if 0 else [x]\n    return x"
    ).value
    assert json.dumps(value) == "[" * 150 + "1" + "]" * 150


def test_r3_a_result_over_the_message_limit_is_a_limit():
    settings = Settings(message_bytes_max=MIB)
    failure = conduct("def main():\n    return 'é' * 600_000", settings=settings).failure
    assert failure.code is FailureCode.LIMIT
    assert failure.message == "the result has 1200002 bytes as JSON, the limit is 1048576"


def test_a_value_left_at_the_end_of_a_script_never_crosses():
    trace = conduct("class A:\n    def __hash__(self): return 1\ndef main():\n    return 1\n{A(): 1}")
    assert trace.value == 1
