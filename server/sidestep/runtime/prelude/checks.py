"""
What a call may look like: the checks of the primitives' arguments, and of what is JSON.

Everything raises in the frame of the author's call, before any work, with a text that says what to write instead.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Parameters of the function these modules become the body of; `loader.PreludeLimits` describes the limits.
    def host(text: str) -> Any: ...

    limits: dict[str, int] = {}

# Deeper JSON cannot be read back by the sandbox, which stops at 200.
_DEPTH_MAX = 150

# Python refuses to read or write longer ones as text.
_INTEGER_MAX = 10**4000

_STEP_OPTIONS = ("id", "title", "phase", "timeout_s", "on_error")


def not_json(value: Any, where: str) -> str | None:
    """Where in `value` there is something that is not JSON, and what; None when all of it is."""
    # A path is a chain (path of the parent, key); text is made of it only for the one that is wrong.
    stack: list[tuple[Any, Any, int]] = [(value, None, 0)]
    while stack:
        item, path, depth = stack.pop()
        kind = type(item)  # pyright: ignore[reportUnknownVariableType]
        if item is None or kind is str or kind is bool:
            continue
        if kind is int:
            if not -_INTEGER_MAX < item < _INTEGER_MAX:
                return f"{_path(where, path)} is an int of more than 4000 digits"
        elif kind is float:
            if item != item or item in (float("inf"), float("-inf")):
                return f"{_path(where, path)} is {item}, which is not JSON"
        elif depth >= _DEPTH_MAX:
            return f"{_path(where, path)[:200]} is nested deeper than {_DEPTH_MAX} levels"
        elif isinstance(item, dict):
            for key in item:  # pyright: ignore[reportUnknownVariableType]
                if type(key) is not str:  # pyright: ignore[reportUnknownArgumentType]
                    return f"{_path(where, path)} has the key {key!r}, {kind_of(key)}; keys in JSON are strings"
            stack.extend([(child, (path, key), depth + 1) for key, child in item.items()])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        elif kind is list or kind is tuple:
            stack.extend([(child, (path, position), depth + 1) for position, child in enumerate(item)])
        else:
            return f"{_path(where, path)} is {kind_of(item)}, which is not JSON"
    return None


def _path(where: str, path: Any) -> str:
    parts: list[str] = []
    while path is not None:
        path, key = path
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif key.isidentifier():
            parts.append("." + key)
        else:
            parts.append("[" + json.dumps(key, ensure_ascii=False) + "]")
    text = where + "".join(reversed(parts))
    return text if where else text.lstrip(".")


def kind_of(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return ("an " if name[:1] in "aeiou" else "a ") + name


def is_awaitable(value: Any) -> bool:
    # What calling an async function gives, and what `asyncio.gather` gives: the sandbox has one name for both.
    return type(value).__name__ == "coroutine"


def is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and value == value and abs(value) != float("inf"))


def know_options(name: str, given: dict[str, Any], own: tuple[str, ...], *, step: bool = True) -> None:
    common = _STEP_OPTIONS if step else ()
    for option in given:
        if option not in common:
            near = _nearest(option, (*own, *common))
            hint = f"; did you mean {near}?" if near is not None else ""
            raise TypeError(f"{name}() has no option {option}{hint}")


def expect_text(name: str, option: str, value: Any, *, required: bool = False) -> None:
    if value is None and not required:
        return
    if not isinstance(value, str) or (required and not value.strip()):
        what = repr(value) if isinstance(value, str) else kind_of(value)
        raise TypeError(f"{name}(): {option} is {what}, not {'a non-empty' if required else 'a'} string")


def expect_texts(name: str, option: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"{name}(): {option} is {kind_of(value)}, not a dict of strings")
    for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(key, str) or not isinstance(item, str):
            wrong = key if not isinstance(key, str) else item  # pyright: ignore[reportUnknownVariableType]
            raise TypeError(f"{name}(): {option} maps names to strings, and holds {kind_of(wrong)}: {wrong!r}")


def expect_strings(name: str, option: str, value: Any) -> None:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name}(): {option} is {kind_of(value)}, not a list of strings")
    for position, item in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if not isinstance(item, str) or not item:
            raise TypeError(f"{name}(): {option}[{position}] is {item!r}, not a non-empty string")


def expect_object(name: str, option: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise TypeError(f"{name}(): {option} is {kind_of(value)}, not a dict")
    problem = not_json(value, option)
    if problem is not None:
        raise TypeError(f"{name}(): {problem}")


def expect_flag(name: str, option: str, value: Any) -> None:
    if type(value) is not bool:
        raise TypeError(f"{name}(): {option} is {kind_of(value)}, not True or False")


def expect_choice(name: str, option: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}(): {option} is {value!r}, not {' or '.join([json.dumps(each) for each in choices])}")


def expect_limit(name: str, limit: Any) -> None:
    if limit is not None and (type(limit) is not int or limit < 1):
        raise TypeError(f"{name}(): limit is {limit!r}, not a whole number above 0")


def expect_width(name: str, width: int) -> None:
    if width > limits["width"]:
        raise ValueError(f"{name}() was given {width} items, the limit is {limits['width']}")


def _nearest(word: str, names: tuple[str, ...]) -> str | None:
    """The name that differs from `word` in the fewest letters, if those are few."""
    best, best_distance = None, max(2, len(word) // 3) + 1
    for name in names:
        row = list(range(len(name) + 1))
        for position, letter in enumerate(word):
            above = row
            row = [position + 1]
            for column, other in enumerate(name):
                row.append(min(above[column] + (letter != other), above[column + 1] + 1, row[column] + 1))
        if row[-1] < best_distance or (name.startswith(word) and best is None):
            best, best_distance = name, row[-1]
    return best
