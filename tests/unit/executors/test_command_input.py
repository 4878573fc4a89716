"""The shape of a command's input (P1, P5)."""

from __future__ import annotations

import pytest

from sidestep.executors.command_input import Command, parse_command


def test_a_full_input_and_nulls_as_not_given() -> None:
    given = {"argv": ["a", "b"], "cwd": "x", "env": {"A": "1"}, "stdin": "", "check": False, "allow_truncated": True}
    assert parse_command(given) == (Command(("a", "b"), "x", {"A": "1"}, "", False, True), None)
    assert parse_command({"argv": ["a"], "cwd": None, "env": None, "stdin": None}) == (Command(("a",)), None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "list of strings"),
        ({"argv": "git status"}, "no shell"),
        ({"argv": []}, "program first"),
        ({"argv": [""]}, "argv[0] is empty"),
        ({"argv": ["a", 1]}, "argv[1] must be a string, not int"),
        ({"argv": ["a", "b\0c"]}, "argv[1] holds a NUL"),
        ({"argv": ["\ud800"]}, "surrogate"),
        ({"argv": ["a"], "cwd": 3}, "cwd must be a string"),
        ({"argv": ["a"], "cwd": "x\0"}, "cwd holds a NUL"),
        ({"argv": ["a"], "env": ["A=1"]}, "env must be an object"),
        ({"argv": ["a"], "env": {"A": 1}}, "env['A'] must be a string"),
        ({"argv": ["a"], "env": {"A": "\0"}}, "NUL"),
        ({"argv": ["a"], "env": {"A=B": "1"}}, "no name"),
        ({"argv": ["a"], "env": {"": "1"}}, "no name"),
        ({"argv": ["a"], "stdin": 5}, "stdin must be a string"),
        ({"argv": ["a"], "stdin": "\udfff"}, "surrogate"),
        ({"argv": ["a"], "check": 1}, "check must be True or False"),
        ({"argv": ["a"], "allow_truncated": "no"}, "allow_truncated must be"),
        ({"argv": ["a"], "shell": True}, "no option 'shell'"),
    ],
)
def test_every_wrong_shape_says_what_is_wrong(given: dict, says: str) -> None:
    command, problem = parse_command(given)
    assert command is None
    assert says in (problem or "")


def test_stdin_may_hold_a_nul() -> None:
    command, _ = parse_command({"argv": ["a"], "stdin": "a\0b"})
    assert command is not None
    assert command.stdin == "a\0b"
