"""Arguments as typed on the command line (A1): by declared type, JSON, files, lists."""

from __future__ import annotations

from typing import Any

import pytest

from sidestep.scripts.command_line_arguments import coerce_cli
from sidestep.scripts.signature import read_signature

FILES = {"task.md": "From a file.\n", "number": " 7\n", "data.json": '{"a": 1}'}


def read_file(name: str) -> str:
    if name == "binary":
        return b"\xff".decode("utf-8")
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory", name)
    return FILES[name]


def coerce(parameters: str, *words: str, given: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    signature, problems = read_signature(f"async def main({parameters}): ...", "script.py")
    assert not problems
    assert signature is not None
    args, found = coerce_cli(signature, words, read_file, given)
    return args, [f"{each.path}: {each.message}" for each in found]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("str", "3", "3"), ("str", "", ""), ("str", "a=b", "a=b"), ("int", "-3", -3), ("int", " 3 ", 3),
        ("float", "3", 3), ("float", "2.5e1", 25.0), ("bool", "yes", True), ("bool", "False", False),
        ("bool", "0", False),
        ("int | None", "null", None), ("int | None", "4", 4), ("str | None", "null", "null"), ("int | str", "5", 5),
        ("str | int", "5", "5"), ("None | str", "None", None), ("Literal['a', 2, True]", "a", "a"),
        ("Literal['a', 2, True]", "2", 2), ("Literal['a', 2, True]", "true", True), ("Any", "3", "3"),
        ("dict", '{"a": [1]}', {"a": [1]}), ("list[str]", "a", ["a"]), ("list[int] | None", "1", [1]),
        ("list[dict]", '{"a": 1}', [{"a": 1}]), ("list", "x", ["x"]),
    ],
)  # fmt: skip
def test_a_word_is_taken_as_the_declared_type(annotation: str, text: str, value: Any) -> None:
    """A1."""
    args, problems = coerce(f"x: {annotation}", f"x={text}")
    assert problems == []
    assert args == {"x": value}
    assert type(args["x"]) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [("int", "3.0"), ("int", "x"), ("int", ""), ("int", "1_000"), ("float", "nan"), ("float", "1e999"),
     ("bool", "maybe"), ("dict", "[1]"), ("dict", "{"), ("Literal['a']", "b"), ("list[int]", "x")],
)  # fmt: skip
def test_a_word_of_another_type_is_a_problem_at_its_name(annotation: str, text: str) -> None:
    args, problems = coerce(f"x: {annotation}", f"x={text}")
    assert "x" not in args
    assert [problem.partition(":")[0] for problem in problems] == ["/x"]


def test_json_files_and_repeated_keys() -> None:
    """A1: `key:=JSON`, `key=@FILE`, `key:=@FILE`, a repeated key for lists."""
    args, problems = coerce(
        "task: str, n: int, paths: list[str], data: dict, free=None, at: str = ''",
        "task=@task.md", "n=@number", "paths=a", "paths=b", "data:=@data.json", "free:=[1, null]", 'at:="@here"',
    )  # fmt: skip
    assert problems == []
    assert args == {
        "task": "From a file.\n", "n": 7, "paths": ["a", "b"], "data": {"a": 1}, "free": [1, None], "at": "@here",
    }  # fmt: skip


def test_words_replace_what_was_given_as_a_whole() -> None:
    args, problems = coerce("a: int, b: int", "b=3", given={"a": 1, "b": 2})
    assert (args, problems) == ({"a": 1, "b": 3}, [])


def test_every_problem_is_told_once() -> None:
    """A1: coercion and validation together list everything."""
    _, problems = coerce(
        "task: str, n: int, flag: bool = False, other: int = 1",
        "n=x", "flag=yes", "flag=no", "nn=@secret", "other:=NaN", "junk", "=x", "task:=1",
    )  # fmt: skip
    assert problems == [
        "/n: expected an integer, got 'x'",
        "/other: not JSON: NaN is no JSON",
        ": 'junk' is not of the form key=value, key:=JSON or key=@FILE",
        ": '=x' is not of the form key=value, key:=JSON or key=@FILE",
        "/flag: given twice, and it is no list",
        "/task: expected a string, got the integer 1",
        "/nn: unknown argument. Did you mean 'n'?",
    ]


def test_a_file_that_cannot_be_read_is_a_problem() -> None:
    _, problems = coerce("task: str = ''", "task=@nope")
    assert problems == ["/task: cannot read 'nope': No such file or directory"]
    _, problems = coerce("task: str = ''", "task=@binary")
    assert problems == ["/task: 'binary' is not UTF-8 text"]


def test_a_whole_list_and_items_of_it_do_not_mix() -> None:
    _, problems = coerce("paths: list[str] = []", 'paths:=["a"]', "paths=b")
    assert problems == ["/paths: given twice"]


def test_json_too_deep_to_read_is_a_problem() -> None:
    _, problems = coerce("x=None", "x:=" + "[" * 100_000)
    assert len(problems) == 1
    assert problems[0].startswith("/x: not JSON")
