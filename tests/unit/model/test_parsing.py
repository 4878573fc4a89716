"""Parsing stays right when others parse at the same time."""

from __future__ import annotations

import ast
import threading
import warnings

import pytest

from sidestep.model import parsing
from sidestep.model.parsing import compile_module, parse_expression, parse_module


def test_a_parse_that_somebody_came_between_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([SystemError("AST constructor recursion depth mismatch (before=33, after=86)")] * 4)
    real = ast.parse

    def disturbed(source: str, **options: object) -> ast.AST:
        for failure in failures:
            raise failure
        return real(source, **options)  # pyright: ignore[reportArgumentType, reportCallIssue]

    monkeypatch.setattr(parsing.ast, "parse", disturbed)
    assert isinstance(parse_module("a = 1").body[0], ast.Assign)


def test_many_threads_parse_at_once() -> None:
    source = "x = " + "(" * 40 + "1" + ")" * 40 + "\n" + "y = [" + ", ".join("f(a)(b)[c].d" for _ in range(300)) + "]\n"
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                parse_module(source)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_the_author_s_warnings_go_nowhere() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compile_module(parse_module('x = "\\d"\n'))
        assert isinstance(parse_expression("1 is 1"), ast.Compare)
    assert caught == []


def test_what_is_wrong_with_the_text_is_told() -> None:
    with pytest.raises(SyntaxError):
        parse_module("a = (")
    with pytest.raises(SyntaxError):
        compile_module(parse_module("break"))
