"""
Arguments as a person types them: `key=value` by the declared type, `key:=JSON`, `key=@FILE`, a repeated key for lists.

Coercion is for the command line alone; the wire has typed values and coerces nothing (`arguments.py`).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from sidestep.model.problems import ArgsProblem
from sidestep.scripts.arguments import describe, pointer, validate_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidestep.scripts.signature import ScriptSignature

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class _NoFit(Exception):
    """The text is no value of the declared type; the message says what was expected."""


def coerce_cli(
    signature: ScriptSignature,
    pairs: Sequence[str],
    read_file: Callable[[str], str],
    given: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[ArgsProblem]]:
    """
    Arguments from words such as `rounds=3`, `paths=a`, `paths=b`, `options:={"deep": true}`, `task=@task.md`.

    A word's value is taken as the declared type; of a union, as its first member that takes it. Without a declared
    type it is text. `:=` takes JSON (also `:=@FILE`) and is the way to say null or a text that begins with `@`.

    Args:
        read_file: Gives the text of a file named after `@`; raises OSError or UnicodeDecodeError.
        given: Arguments from elsewhere (`--args-json`); a word of the same name replaces one.

    Returns:
        (arguments, problems): every problem, also what `validate_args` says about the whole.
    """
    words: dict[str, list[Any]] = {}
    whole: dict[str, Any] = {}
    problems: list[ArgsProblem] = []
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name.rstrip(":"):
            problems.append(ArgsProblem("", f"{pair!r} is not of the form key=value, key:=JSON or key=@FILE"))
            continue
        is_json, name = name.endswith(":"), name.removesuffix(":")
        try:
            # An unknown name is told by `validate_args`; its file is nobody's business.
            text = text if signature.parameter(name) is None else _file_text(text, read_file)
            value = _from_json(text) if is_json else _coerce(_item_schema(signature, name), text)
        except _NoFit as error:
            problems.append(ArgsProblem(pointer(name), str(error)))
            continue
        if is_json and name not in whole and name not in words:
            whole[name] = value
        elif is_json or name in whole:
            problems.append(ArgsProblem(pointer(name), "given twice"))
        else:
            words.setdefault(name, []).append(value)
    args: dict[str, Any] = {**(given or {}), **whole}
    for name, values in words.items():
        if _takes_list(signature, name):
            args[name] = values
        elif len(values) == 1:
            args[name] = values[0]
        else:
            problems.append(ArgsProblem(pointer(name), "given twice, and it is no list"))
    told = {problem.path.split("/")[1] for problem in problems if problem.path}
    rest = [each for each in validate_args(signature, args) if not each.path or each.path.split("/")[1] not in told]
    return args, problems + rest


def _file_text(text: str, read_file: Callable[[str], str]) -> str:
    if not text.startswith("@"):
        return text
    try:
        return read_file(text[1:])
    except OSError as error:
        raise _NoFit(f"cannot read {text[1:]!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _NoFit(f"{text[1:]!r} is not UTF-8 text") from error


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _NoFit(f"not JSON: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _members(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema.get("anyOf", [schema])


def _takes_list(signature: ScriptSignature, name: str) -> bool:
    parameter = signature.parameter(name)
    return parameter is not None and any(each.get("type") == "array" for each in _members(parameter.schema))


def _item_schema(signature: ScriptSignature, name: str) -> dict[str, Any]:
    """The schema one word is coerced by: of a list's item, for a list."""
    parameter = signature.parameter(name)
    if parameter is None:
        return {}
    for member in _members(parameter.schema):
        if member.get("type") == "array":
            return member.get("items", {})
    return parameter.schema


def _coerce(schema: dict[str, Any], text: str) -> Any:
    for member in _members(schema):
        try:
            return _coerce_member(member, text)
        except _NoFit:
            continue
    raise _NoFit(f"expected {describe(schema)}, got {text[:40]!r}")


def _coerce_member(schema: dict[str, Any], text: str) -> Any:
    if "enum" in schema:
        for each in schema["enum"]:
            if text == each or (not isinstance(each, str) and text.strip().lower() == json.dumps(each)):
                return each
        raise _NoFit
    match schema.get("type"):
        case None | "string":
            return text
        case "boolean":
            return _boolean(text.strip().lower())
        case "null":
            if text.strip().lower() in ("null", "none"):
                return None
            raise _NoFit
        case "integer" | "number" as kind:
            return _number(text.strip(), kind)
        case kind:
            value = _from_json(text)
            if isinstance(value, list if kind == "array" else dict):
                return value  # pyright: ignore[reportUnknownVariableType]
            raise _NoFit


def _boolean(word: str) -> bool:
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _NoFit


def _number(word: str, kind: str) -> int | float:
    try:
        if re.fullmatch(r"[+-]?[0-9]+", word):
            return int(word)
        if kind == "number" and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", word):
            value = float(word)
            if math.isfinite(value):
                return value
    except ValueError as error:  # More digits than Python converts.
        raise _NoFit from error
    raise _NoFit
