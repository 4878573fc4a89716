"""Every error Sidestep can raise has one reason, one number and data that fits the wire's struct."""

from __future__ import annotations

import msgspec
import pytest

from sidestep.lsp.error_map import map_error
from sidestep.model import errors
from sidestep.model.problems import ArgsProblem, ScriptProblem
from sidestep_protocol.errors import ERROR_CODES, ERROR_DATA, ErrorData

EXAMPLES: list[errors.SidestepError] = [
    errors.WorkspaceUntrusted("/w"),
    errors.WorkspaceInvalid("/w", "it does not exist"),
    errors.ScriptNotFound("a", ("b",)),
    errors.ScriptInvalid("f.py", (ScriptProblem(1, 3, "no", "syntax"),), "ab)\n"),
    errors.ArgsInvalid("a", (ArgsProblem("/n", "no"),)),
    errors.StartKeyConflict("k", "run_1"),
    errors.CursorInvalid("x"),
    errors.Overloaded("too much"),
    errors.Draining({"runId": "run_1", "status": "interrupted"}),
    errors.RunNotFound("run_1"),
    errors.InvalidTransition("run_1", "failed", "no", root_run_id="run_0"),
    errors.RunLeased("run_1", 7, 1000, mine=False),
    errors.LeaseLost("run_1", 3),
    errors.ClaimSuperseded("run_1", 1, 2),
    errors.InteractionNotPending("ask_1", '"yes"'),
    errors.AnswerInvalid("ask_1", (ArgsProblem("/port", "no"),)),
    errors.StoreUnavailable("It is full.", "Make room."),
    errors.DataDamaged("It is gone.", "Restore it."),
    errors.RequestCancelled({"runId": None}),
]


def leaves(kind: type[errors.SidestepError]) -> set[type[errors.SidestepError]]:
    below = kind.__subclasses__()
    return {leaf for child in below for leaf in leaves(child)} if below else {kind}


def test_every_leaf_class_has_an_example_here() -> None:
    internal = {leaf for leaf in leaves(errors.SidestepError) if leaf.code == "internal"}
    assert leaves(errors.SidestepError) - internal == {type(example) for example in EXAMPLES}
    assert internal == {errors.StepConflict}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_told_with_its_reason_number_and_data(error: errors.SidestepError) -> None:
    told = map_error(error)
    assert told is not None
    assert told.code == ERROR_CODES[error.code]
    assert told.reason == error.code
    assert told.message == str(error)
    msgspec.convert(told.data, ERROR_DATA.get(error.code, ErrorData))


def test_what_nobody_expected_is_left_to_the_session() -> None:
    assert map_error(KeyError("x")) is None
    assert map_error(errors.StepConflict("run_1", "a")) is None


def test_diagnostics_of_a_script_count_utf16() -> None:
    problem = ScriptProblem(1, 3, "no", "syntax")
    told = map_error(errors.ScriptInvalid("f.py", (problem,), "\N{PILE OF POO}x)\n"))
    assert told is not None
    assert told.details["diagnostics"][0]["range"]["start"] == {"line": 0, "character": 3}
