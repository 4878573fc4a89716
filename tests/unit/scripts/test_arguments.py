"""Whether arguments fit: every problem, each with its path, and no coercion (A1, S1)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidestep.scripts.arguments import ARGS_PROBLEMS_MAX, validate_args
from sidestep.scripts.signature import ScriptSignature, read_signature

PARAMETERS = """
    task: str, rounds: int = 3, ratio: float = 1.0, strict: bool = False, paths: list[str] = [],
    table: dict[str, list[int]] = {}, mode: Literal["fast", 1] = "fast", maybe: list[int] | None = None, free=None
"""


def signature_of(parameters: str = PARAMETERS) -> ScriptSignature:
    signature, problems = read_signature(f"async def main({parameters}): ...", "script.py")
    assert not problems
    assert signature is not None
    return signature


def problems_of(args: Any, parameters: str = PARAMETERS) -> list[tuple[str, str]]:
    return [(each.path, each.message) for each in validate_args(signature_of(parameters), args)]


def test_arguments_that_fit_have_no_problems() -> None:
    """A1."""
    args = {
        "task": "x", "rounds": 0, "ratio": 2, "strict": True, "paths": ["a"], "table": {"a": [1]},
        "mode": 1, "maybe": [], "free": {"any": [None, 1.5]},
    }  # fmt: skip
    assert problems_of(args) == []
    assert problems_of({"task": ""}) == []


def test_every_problem_is_listed_with_its_path() -> None:
    """A1, S1: one answer names all that is wrong."""
    args = {
        "rounds": 1.0, "ratio": True, "strict": 0, "paths": ["a", 1, None], "table": {"a/b": [1, "x"], "~": 3},
        "mode": True, "maybe": ["x"], "tusk": "y",
    }  # fmt: skip
    assert problems_of(args) == [
        ("/task", "required: a string"),
        ("/rounds", "expected an integer, got the number 1.0"),
        ("/ratio", "expected a number, got true"),
        ("/strict", "expected true or false, got the integer 0"),
        ("/paths/1", "expected a string, got the integer 1"),
        ("/paths/2", "expected a string, got null"),
        ("/table/a~1b/1", 'expected an integer, got "x"'),
        ("/table/~0", "expected a list, got the integer 3"),
        ("/mode", 'expected "fast" or 1, got true'),
        ("/maybe/0", 'expected an integer, got "x"'),
        ("/tusk", "unknown argument. Did you mean 'task'?"),
    ]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", True), ("int", 1.0), ("int", "1"), ("float", "1"), ("float", math.nan), ("float", True), ("bool", 1),
        ("str", 1), ("None", 0), ("Literal[1]", True), ("Literal[True]", 1), ("Literal[1]", 1.0), ("list", {}),
        ("dict", []), ("int | None", "x"),
    ],
)  # fmt: skip
def test_nothing_is_coerced(annotation: str, value: Any) -> None:
    """A1: no coercion on the wire."""
    assert [path for path, _ in problems_of({"x": value}, f"x: {annotation}")] == ["/x"]


def test_a_whole_number_is_a_number() -> None:
    assert problems_of({"x": 1}, "x: float") == []
    assert problems_of({"x": 10**400}, "x: float | int") == []


def test_a_union_names_what_it_takes() -> None:
    assert problems_of({"x": {}}, "x: int | list[str] | None") == [
        ("/x", "expected an integer or a list or null, got an object")
    ]


@pytest.mark.parametrize("args", [None, [], "x", 1, True])
def test_arguments_are_an_object(args: Any) -> None:
    assert [path for path, _ in problems_of(args)] == [""]


def test_an_unknown_name_lists_the_known_ones_when_none_is_near() -> None:
    """A1: unknown names are refused with the nearest name."""
    assert problems_of({"zzz": 1}, "task=1, paths=1") == [("/zzz", "unknown argument. `main` takes task, paths.")]
    assert problems_of({"zzz": 1}, "") == [("/zzz", "unknown argument. `main` takes no arguments.")]


def test_a_flood_of_problems_is_cut_and_says_so() -> None:
    problems = problems_of({"x": ["no"] * 5000}, "x: list[int]")
    assert len(problems) == ARGS_PROBLEMS_MAX
    assert problems[-1] == ("", f"and {5000 - ARGS_PROBLEMS_MAX + 1} more problems")


SIGNATURE = signature_of()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["task", "rounds", "paths", "table", "mode", "maybe", "other"]), JSON))
def test_each_problem_points_at_something_given_or_required(args: dict[str, Any]) -> None:
    """A1: whatever is given, each path leads to a value, or to a required name that is missing."""
    for problem in validate_args(SIGNATURE, args):
        value: Any = args
        for step in problem.path.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if value is args and step not in args:
                assert step == "task"
                break
            value = value[int(step)] if isinstance(value, list) else value[step]
