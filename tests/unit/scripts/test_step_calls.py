"""Calls of primitives that this version of Sidestep does not carry out yet. D4, S1."""

from __future__ import annotations

import pytest

from sidestep.scripts.check import check, has_errors

CALLS = ["agent('x', id='a')", "ask('x', id='a')", "apply_patch({}, id='a')"]
SCRIPT = '"""Doc."""\nfrom sidestep import {name}\n\nasync def main():\n{body}\n'


def script(call: str, body: str) -> str:
    return SCRIPT.format(name=call.partition("(")[0], body=body.format(call=call))


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_a_later_version_serves_is_an_error_at_its_place(call: str) -> None:
    """S1: such a script is refused before it starts."""
    (problem,) = check(script(call, "    return await {call}"), "x.py")
    assert (problem.code, problem.severity, problem.line, problem.column) == ("not-yet", "error", 5, 18)
    assert problem.message == f"{call.partition('(')[0]}() arrives with a later version of Sidestep"


def test_one_whose_failure_may_be_caught_is_a_warning() -> None:
    body = "    try:\n        return await {call}\n    except RuntimeError:\n        return 'without'"
    problems = check(script(CALLS[0], body), "x.py")
    assert [(problem.code, problem.severity) for problem in problems] == [("not-yet", "warning")]
    assert not has_errors(problems)


def test_importing_the_name_alone_is_no_problem() -> None:
    assert check(script(CALLS[0], "    pass"), "x.py") == []


def test_a_detail_may_be_named_like_the_subject() -> None:
    source = 'from sidestep import log, phase\n\n\nasync def main():\n    log("x", message=1)\n    phase("p", name=2)\n'
    assert check(source, "f.py") == []
