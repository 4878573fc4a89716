"""
What a check is, and how it fails.

A check is a coroutine function with a sentence (its docstring) and the clause of the contract it checks. It returns
when the clause holds, and raises `CheckFailed` or `CheckSkipped` otherwise. Knows no server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep_protocol.conformance.trial import Trial

Message: TypeAlias = dict[str, Any]
CheckFunction: TypeAlias = "Callable[[Trial], Awaitable[None]]"


class CheckFailed(Exception):
    """The server does not keep the clause: what was expected, and what was seen instead."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen


class CheckSkipped(Exception):
    """The check says nothing about this server; the message says why."""


@dataclass(frozen=True)
class Check:
    """
    Attributes:
        id: Unique; the function's name with hyphens.
        clause: Where the contract says it: `G1` to `G8`, `W1` to `W25`, `cancellation row N` (of the table in
            README.md, "Cancellation", from 1), or a section's title.
        sentence: What holds when it passes.
        needs: Words of `features`; the check is skipped when the server does not offer one.
        has_own_server: The check starts, ends or kills its servers; others may share one.
    """

    id: str
    clause: str
    sentence: str
    run: CheckFunction
    needs: tuple[str, ...]
    has_own_server: bool


def check(clause: str, *needs: str, own_server: bool = False) -> Callable[[CheckFunction], Check]:
    """Make a check of a function whose docstring is one sentence."""

    def make(function: CheckFunction) -> Check:
        sentence = " ".join((function.__doc__ or "").split())
        assert sentence, "Invariant: a check says in one sentence what it checks"
        name = getattr(function, "__name__", "").replace("_", "-")
        return Check(name, clause, sentence, function, needs, own_server)

    return make


def must(holds: bool, expected: str, seen: object) -> None:
    """Raises: CheckFailed: it does not hold."""
    if not holds:
        raise CheckFailed(expected, seen if isinstance(seen, str) else repr(seen))


def must_equal(seen: object, expected: object, what: str) -> None:
    """Raises: CheckFailed: the two differ. `1` and `True` differ too."""
    must(seen == expected and type(seen) is type(expected), f"{what}: {expected!r}", repr(seen))
