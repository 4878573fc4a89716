"""
Turns a failed decode into `{path, expected}`, the data of an `invalidParams` error.

Owns the reading of msgspec's messages, which carry the path only as text. A test holds every form they take, so that
a new msgspec that words them differently is noticed. Never raises.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import inspect

from sidestep_protocol.errors import InvalidParamsData

if TYPE_CHECKING:
    from collections.abc import Iterator

    # What `bytes` takes.
    Buffer = bytes | msgspec.Raw

_AT_PATH = re.compile(r"^(?P<what>.*) - at `(?P<path>\$[^`]*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`$")
_EXPECTED = re.compile(r"^Expected (?P<expected>.*?)(?:, got .*)?$", re.DOTALL)
# The escape of any half of a surrogate pair.
_SURROGATE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
# A step of the path: a field, or an element of a list (`[3]`) or of a dict (`[...]`).
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|(?P<index>\[\.\.\.\]|\[[0-9]+\])")


def invalid_params_data(error: Exception, params: Any = None, raw: Buffer | None = None) -> InvalidParamsData:
    """
    Say where params are wrong and what should stand there.

    Args:
        error: What the decode raised: ValidationError, DecodeError, UnicodeDecodeError or RecursionError.
        params: The type that was decoded; with it, a wrong choice is answered with the list of choices.
        raw: The bytes that were decoded; with them, half a surrogate pair is told from broken JSON.

    Returns:
        `path` starts at `$`, the params themselves; `expected` is for people.
    """
    if not isinstance(error, msgspec.ValidationError):
        if raw is not None and (place := _lone_surrogate_in(bytes(raw))):
            expected = "text without lone surrogates: half of a pair is no character"
            return InvalidParamsData(reason="invalidParams", path=place, expected=expected)
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


def _lone_surrogate_in(raw: bytes) -> str:
    """
    The path of the first string with half a surrogate pair; of its object when it is a name.

    JavaScript writes them as escapes, which are JSON, and no text that could be stored.

    Returns:
        Empty when there is none, or the rest is no JSON either.
    """
    if _SURROGATE.search(raw) is None:
        return ""
    # Imported late, as few hosts make this mistake; unlike msgspec it reads such strings.
    import json

    try:
        return _place_of_surrogate(json.loads(raw), "$")
    except (ValueError, RecursionError):
        return ""


def _place_of_surrogate(value: Any, path: str) -> str:
    if isinstance(value, str):
        return path if any("\ud800" <= character <= "\udfff" for character in value) else ""
    found: Iterator[str] = iter(())
    if isinstance(value, dict):
        inside = cast("dict[str, Any]", value).items()
        found = (
            _place_of_surrogate(name, path) or _place_of_surrogate(item, f"{path}.{name}") for name, item in inside
        )
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        found = (_place_of_surrogate(item, f"{path}[{index}]") for index, item in enumerate(items))
    return next(filter(None, found), "")


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
