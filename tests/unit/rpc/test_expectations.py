"""The test client's own judgement: an expectation that cannot be met any more says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.expectations import (
    Expectation,
    Verdict,
    before,
    count_of,
    never,
    notification,
    response_to,
    server_request,
)

A: dict[str, Any] = {"method": "a", "params": {"n": 1, "m": 2}}
B: dict[str, Any] = {"method": "b", "params": {}}
ONE: dict[str, Any] = {"id": 1, "result": None}
ONE_AS_TEXT: dict[str, Any] = {"id": "1", "result": None}
ASKED: dict[str, Any] = {"id": 1, "method": "a", "params": {}}


@pytest.mark.parametrize(
    ("expectation", "messages", "verdict"),
    [
        (response_to(1), [], Verdict.UNMET),
        (response_to(1), [A, ONE_AS_TEXT, ASKED], Verdict.UNMET),
        (response_to(1), [ONE_AS_TEXT, ONE], Verdict.MET),
        (response_to(1), [ONE, ONE], Verdict.UNMEETABLE),
        (notification("a", n=1), [A], Verdict.MET),
        (notification("a", n=2), [A, ASKED], Verdict.UNMET),
        (server_request("a"), [A, ASKED], Verdict.MET),
        (before(notification("a"), notification("b")), [A], Verdict.UNMET),
        (before(notification("a"), notification("b")), [A, B], Verdict.MET),
        (before(notification("a"), notification("b")), [B, A], Verdict.UNMEETABLE),
        (never(notification("a"), until=response_to(1)), [B], Verdict.UNMET),
        (never(notification("a"), until=response_to(1)), [ONE, A], Verdict.MET),
        (never(notification("a"), until=response_to(1)), [A, ONE], Verdict.UNMEETABLE),
        (count_of(lambda m: m is A, 2), [A], Verdict.UNMET),
        (count_of(lambda m: m is A, 2), [A, A], Verdict.MET),
        (count_of(lambda m: m is A, 1), [A, A], Verdict.UNMEETABLE),
    ],
)
def test_verdicts(expectation: Expectation, messages: list[dict[str, Any]], verdict: Verdict) -> None:
    assert expectation.judge(messages).verdict is verdict
