"""
Turns a failed decode into `{path, expected}`, the data of an `invalidParams` error.

Owns the reading of msgspec's messages, which carry the path only as text. A test holds every form they take, so that
a new msgspec that words them differently is noticed. Never raises.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from sidestep_protocol.errors import InvalidParamsData

_AT_PATH = re.compile(r"^(?P<what>.*) - at `(?P<path>\$[^`]*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`$")
_EXPECTED = re.compile(r"^Expected (?P<expected>.*?)(?:, got .*)?$", re.DOTALL)
# A step of the path: a field, or an element of a list (`[3]`) or of a dict (`[...]`).
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|(?P<index>\[\.\.\.\]|\[[0-9]+\])")


def invalid_params_data(error: Exception, params: Any = None) -> InvalidParamsData:
    """
    Say where params are wrong and what should stand there.

    Args:
        error: What the decode raised: ValidationError, DecodeError, UnicodeDecodeError or RecursionError.
        params: The type that was decoded; with it, a wrong choice is answered with the list of choices.

    Returns:
        `path` starts at `$`, the params themselves; `expected` is for people.
    """
    if not isinstance(error, msgspec.ValidationError):
        what = "params nested less deeply" if isinstance(error, RecursionError) else "valid UTF-8 JSON"
        return InvalidParamsData(reason="invalidParams", path="$", expected=what)
    text = str(error)
    located = _AT_PATH.match(text)
    what, path = (located["what"], located["path"]) if located else (text, "$")
    if missing := _MISSING.match(what):
        return InvalidParamsData(
            reason="invalidParams", path=f"{path}.{missing['field']}", expected="a value (required)"
        )
    if what.startswith("Invalid enum value") and (choices := _choices(params, path)):
        return InvalidParamsData(reason="invalidParams", path=path, expected="one of " + ", ".join(choices))
    expected = _EXPECTED.match(what)
    return InvalidParamsData(reason="invalidParams", path=path, expected=expected["expected"] if expected else what)


def _choices(params: Any, path: str) -> list[str]:
    """List the values allowed at `path` inside the type `params`; empty when they cannot be told."""
    if params is None:
        return []
    found: list[inspect.Type] = [inspect.type_info(params)]
    for step in _STEP.finditer(path):
        found = [inner for outer in found for inner in _inside(outer, step["field"])]
    return [str(value) for kind in found for part in _parts(kind) for value in getattr(part, "values", ())]


def _parts(kind: Any) -> list[Any]:
    """A union's members, or the type itself."""
    return list(getattr(kind, "types", (kind,)))


def _inside(outer: Any, name: str | None) -> list[Any]:
    """The types of field `name` in `outer`, or of its elements when there is no name."""
    inner: list[Any] = []
    for part in _parts(outer):
        if name is None:
            inner += [getattr(part, slot) for slot in ("item_type", "value_type") if hasattr(part, slot)]
        else:
            inner += [field.type for field in getattr(part, "fields", ()) if field.encode_name == name]
    return inner
