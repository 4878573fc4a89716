"""
Parsing of Python text, safely from any thread; an author's warning (an invalid escape) is no line on our stderr.

CPython 3.11 counts the depth of its tree conversion per interpreter: when another thread, or a finalizer that formats
a traceback, parses in the middle of ours, ours fails with SystemError ("recursion depth mismatch") although nothing is
wrong. `warnings.catch_warnings` changes what every thread sees. So all of Sidestep parses through here, one at a time,
and tries again when somebody outside came between.
"""

from __future__ import annotations

import ast
import threading
import warnings
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_ATTEMPTS = 5
_one_at_a_time = threading.Lock()


def parse_module(source: str, feature_version: tuple[int, int] | None = None) -> ast.Module:
    """
    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse`.
    """
    return _undisturbed(lambda: ast.parse(source, feature_version=feature_version))


def parse_expression(source: str) -> ast.expr:
    """
    Raises:
        As `parse_module`.
    """
    return _undisturbed(lambda: ast.parse(source, mode="eval")).body


def compile_module(tree: ast.Module) -> None:
    """
    Find what the grammar alone lets pass ('break' outside a loop, a repeated argument); nothing is run.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `compile`.
    """
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    _undisturbed(lambda: compile(tree, "<script>", "exec", flags=flags, dont_inherit=True))


def _undisturbed(work: Callable[[], T]) -> T:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _one_at_a_time, warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                warnings.simplefilter("ignore", DeprecationWarning)
                return work()
        except SystemError:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")
