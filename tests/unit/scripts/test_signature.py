"""The signature of `main` as a JSON Schema (A1), read without running anything."""

from __future__ import annotations

from typing import Any

import pytest

from sidestep.scripts.signature import SCHEMA_DIALECT, ScriptSignature, read_description, read_signature

FULL = '''
"""Implement a change, test it.

More about it.
"""
from typing import Any, Literal

async def main(
    task: str,
    rounds: int = 3,
    *,
    ratio: float = 1,
    strict: bool = False,
    paths: list[str] = [],
    options: dict[str, list[int]] | None = None,
    mode: Literal["fast", "slow", 3, None] = "fast",
    anything=None,
):
    """Do it.

    Args:
        task: What to do,
            at length: with a colon.
        rounds (int): How many
            rounds.

    Returns:
        mode: no argument at all.
    """
    raise SystemExit
'''


def signature_of(source: str) -> ScriptSignature:
    signature, problems = read_signature(source, "script.py")
    assert problems == []
    assert signature is not None
    return signature


def schema_of(annotation: str) -> Any:
    return signature_of(f"async def main(x: {annotation}): ...").args_schema["properties"]["x"]


def test_a_full_signature_becomes_the_schema() -> None:
    """A1: required, defaults, types, nested lists and dicts, Literal, `| None`, descriptions from `Args:`."""
    signature = signature_of(FULL)
    assert signature.description == "Implement a change, test it."
    assert signature.line == 8
    assert signature.args_schema == {
        "$schema": SCHEMA_DIALECT,
        "type": "object",
        "properties": {
            "task": {"type": "string", "description": "What to do, at length: with a colon."},
            "rounds": {"type": "integer", "default": 3, "description": "How many rounds."},
            "ratio": {"type": "number", "default": 1},
            "strict": {"type": "boolean", "default": False},
            "paths": {"type": "array", "items": {"type": "string"}, "default": []},
            "options": {
                "anyOf": [
                    {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
                    {"type": "null"},
                ],
                "default": None,
            },
            "mode": {"enum": ["fast", "slow", 3, None], "default": "fast"},
            "anything": {"default": None},
        },
        "required": ["task"],
        "additionalProperties": False,
    }
    assert [parameter.type_text for parameter in signature.parameters[:3]] == ["str", "int", "float"]


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("list", {"type": "array"}),
        ("dict", {"type": "object"}),
        ("list[Any]", {"type": "array"}),
        ("dict[str, Any]", {"type": "object"}),
        ("Any", {}),
        ("object", {}),
        ("None", {"type": "null"}),
        ("Optional[int]", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("typing.Optional[str]", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("Union[int, str, int]", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("int | str | None", {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
        ("Optional[int | str]", {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
        ("str | Any", {}),
        (
            "List[Dict[str, bool]]",
            {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "boolean"}}},
        ),
        ("Literal[-1, True]", {"enum": [-1, True]}),
        ("'list[int]'", {"type": "array", "items": {"type": "integer"}}),
        ("list['int']", {"type": "array", "items": {"type": "integer"}}),
    ],
)
def test_each_type_has_its_schema(annotation: str, schema: dict[str, Any]) -> None:
    """A1."""
    assert schema_of(annotation) == schema


def test_a_literal_of_one_value_keeps_its_kind() -> None:
    assert schema_of("Literal[True]") == {"enum": [True]}
    assert schema_of("Literal[True]")["enum"][0] is True


@pytest.mark.parametrize(
    ("parameters", "column", "part"),
    [
        ("x: tuple", 19, "'tuple' is no type of an argument"),
        ("x: int | Path", 25, "'Path'"),
        ("é: list[set]", 24, "'set'"),
        ("x: dict[int, str]", 24, "keys of a dict are str"),
        ("x: Literal[1.5]", 27, "Literal[...] takes"),
        ("x: 'list['", 19, "no type"),
        ("x: " + "list[" * 20 + "int" + "]" * 20, 99, "nested more than 16"),
        ("x, /", 16, "positional-only"),
        ("*rest", 17, "no `*` parameter"),
        ("**rest", 18, "name every parameter"),
    ],
)
def test_what_cannot_be_an_argument_is_an_error_at_its_place(parameters: str, column: int, part: str) -> None:
    """A1, D4."""
    _, problems = read_signature(f"async def main({parameters}): ...", "script.py")
    assert [(each.line, each.column, each.severity) for each in problems] == [(1, column, "error")]
    assert part in problems[0].message


def test_a_default_that_does_not_fit_is_a_warning_and_no_default() -> None:
    signature, problems = read_signature("async def main(x: str = None, y: int = 1.0): ...", "script.py")
    assert signature is not None
    assert [(each.column, each.severity, each.fix) for each in problems] == [
        (25, "warning", (1, 22, 1, 22, " | None")),
        (40, "warning", None),
    ]
    assert [parameter.schema for parameter in signature.parameters] == [{"type": "string"}, {"type": "integer"}]
    assert not any(parameter.is_required for parameter in signature.parameters)


@pytest.mark.parametrize("default", ["N", "f()", "(1,)", "{1}", "1e999", "b'x'", "{1: 2}"])
def test_a_default_that_is_no_json_literal_makes_the_parameter_optional_only(default: str) -> None:
    signature, problems = read_signature(f"N = 3\nasync def main(x={default}): ...", "script.py")
    assert signature is not None
    assert signature.parameters[0].schema == {}
    assert not signature.parameters[0].is_required
    assert [each.severity for each in problems] == ["warning"]


@pytest.mark.parametrize(
    ("source", "line", "part"),
    [
        ("", 1, "needs `async def main(...)`"),
        ("def mian(): ...", 1, "Did you mean 'mian'?"),
        ("\nif True:\n    async def main(): ...", 3, "top level"),
        ("class A:\n    async def main(self): ...", 2, "top level"),
    ],
)
def test_a_script_without_main_says_so(source: str, line: int, part: str) -> None:
    """D4."""
    signature, problems = read_signature(source, "script.py")
    assert signature is None
    assert [(each.line, each.code) for each in problems] == [(line, "main")]
    assert part in problems[0].message


def test_a_main_that_is_not_async_can_be_made_so() -> None:
    """D4."""
    signature, problems = read_signature("@once\ndef main(x: int): ...", "script.py")
    assert signature is not None
    assert [(each.line, each.column, each.fix) for each in problems] == [(2, 1, (2, 1, 2, 1, "async "))]


def test_the_last_main_counts_as_it_does_when_the_script_runs() -> None:
    source = "async def main(a): ...\nasync def main(b): ..."
    assert [parameter.name for parameter in signature_of(source).parameters] == ["b"]


def test_nothing_is_run() -> None:
    source = "raise SystemExit(3)\nimport does_not_exist\nasync def main(x: print('no') = 1): ..."
    signature, _ = read_signature(source, "script.py")
    assert signature is not None


def test_the_description_is_the_first_line_that_says_something() -> None:
    assert read_description('"""\n\n  First.  \nSecond."""') == "First."
    assert read_description("x = 1") == ""
    assert read_description("def (") == ""
