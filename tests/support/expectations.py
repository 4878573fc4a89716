"""
Expectations over the messages a server has sent.

An expectation looks at all messages so far and says `met`, `unmet` (more may come) or `unmeetable` (no message can make
it true any more), so that a test that waits for what cannot come fails at once. They are plain values: combine them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Message: TypeAlias = dict[str, Any]


class Verdict(enum.Enum):
    """What the messages so far say about an expectation."""

    MET = "met"
    UNMET = "unmet"  # More messages may meet it.
    UNMEETABLE = "unmeetable"  # None can.


@dataclass(frozen=True)
class Finding:
    """A verdict with the value that meets the expectation, or why nothing can."""

    verdict: Verdict
    value: Any = None
    why: str = ""


@dataclass(frozen=True)
class Expectation:
    """
    Attributes:
        name: For people, in the failure.
        judge: Looks at the messages so far, in order.
    """

    name: str
    judge: Callable[[Sequence[Message]], Finding]


UNMET = Finding(Verdict.UNMET)


def met(value: Any) -> Finding:
    return Finding(Verdict.MET, value)


def unmeetable(why: str) -> Finding:
    return Finding(Verdict.UNMEETABLE, why=why)


def message_where(fits: Callable[[Message], bool], name: str = "a message that fits") -> Expectation:
    """Met by the first message that fits; its value."""

    def judge(messages: Sequence[Message]) -> Finding:
        return next((met(message) for message in messages if fits(message)), UNMET)

    return Expectation(name, judge)


def response_to(request_id: int | str | None) -> Expectation:
    """Met by the one response with this id; unmeetable when there are two."""

    def judge(messages: Sequence[Message]) -> Finding:
        found = [m for m in messages if "method" not in m and is_same_id(m.get("id"), request_id)]
        if len(found) > 1:
            return unmeetable(f"there are {len(found)} responses with this id")
        return met(found[0]) if found else UNMET

    return Expectation(f"the response to {request_id!r}", judge)


def notification(method: str, **params: Any) -> Expectation:
    """Met by the first notification of this method whose params have these members."""

    def fits(message: Message) -> bool:
        return message.get("method") == method and "id" not in message and _has(message, params)

    return message_where(fits, f"notification {method} {params or ''}")


def server_request(method: str, **params: Any) -> Expectation:
    """Met by the first request of the server's with this method whose params have these members."""

    def fits(message: Message) -> bool:
        return message.get("method") == method and "id" in message and _has(message, params)

    return message_where(fits, f"request {method} {params or ''}")


def before(first: Expectation, second: Expectation) -> Expectation:
    """Met by both, in this order; unmeetable when the second comes without the first. Its value: both values."""

    def judge(messages: Sequence[Message]) -> Finding:
        for count in range(len(messages) + 1):
            one, two = first.judge(messages[:count]), second.judge(messages[:count])
            if one.verdict is Verdict.UNMEETABLE:
                return one
            if one.verdict is Verdict.MET:
                later = second.judge(messages)
                return met((one.value, later.value)) if later.verdict is Verdict.MET else later
            if two.verdict is Verdict.MET:
                return unmeetable(f"{second.name} came before {first.name}")
        return UNMET

    return Expectation(f"{first.name}, then {second.name}", judge)


def never(unwanted: Expectation, until: Expectation) -> Expectation:
    """Met by `until`; unmeetable when the unwanted came before it."""

    def judge(messages: Sequence[Message]) -> Finding:
        for count in range(len(messages) + 1):
            if unwanted.judge(messages[:count]).verdict is Verdict.MET:
                return unmeetable(f"{unwanted.name} came")
            finding = until.judge(messages[:count])
            if finding.verdict is not Verdict.UNMET:
                return finding
        return UNMET

    return Expectation(f"no {unwanted.name} until {until.name}", judge)


def count_of(expectation_of: Callable[[Message], bool], count: int, name: str = "messages") -> Expectation:
    """Met by so many messages that fit; its value: those messages. Unmeetable when there are more."""

    def judge(messages: Sequence[Message]) -> Finding:
        found = [message for message in messages if expectation_of(message)]
        if len(found) > count:
            return unmeetable(f"there are {len(found)}")
        return met(found) if len(found) == count else UNMET

    return Expectation(f"{count} {name}", judge)


def is_same_id(one: object, other: object) -> bool:
    """`1` and `"1"` differ, and so do `1` and `True`."""
    return type(one) is type(other) and one == other


def _has(message: Message, params: Mapping[str, Any]) -> bool:
    found = message.get("params")
    return isinstance(found, dict) and all(name in found and found[name] == value for name, value in params.items())
