"""
Whether given arguments fit a signature: every problem, each with its JSON pointer.

Knows exactly the schema language `signature.py` writes (type, items, additionalProperties, anyOf, enum). A general
validator was the alternative; it takes 1.0 for an integer, says less in its messages and costs 37 ms to import.

Invariant: nothing is coerced: True is no integer, "3" is no number; 3 is a number all the same.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, cast

from sidestep.model.problems import ArgsProblem
from sidestep.scripts.near_names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.scripts.signature import ScriptSignature

# Problems told about one set of arguments; the last one says how many more there are.
ARGS_PROBLEMS_MAX = 200

# Unknown arguments for which the nearest name is looked for.
NEAR_NAMES_TOLD_MAX = 20

_NOUNS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def validate_args(signature: ScriptSignature, args: Any) -> list[ArgsProblem]:
    """
    Every problem of the arguments, in the order of the signature, unknown names last.

    Args:
        args: Decoded JSON. It is stored as given: defaults are bound by the sandbox.

    Returns:
        At most `ARGS_PROBLEMS_MAX` problems; empty when the arguments fit.
    """
    if not isinstance(args, dict):
        return [ArgsProblem("", f"expected an object, got {kind_of(args)}")]
    problems = list(_problems(signature, cast("dict[str, Any]", args)))
    if len(problems) > ARGS_PROBLEMS_MAX:
        more = len(problems) - ARGS_PROBLEMS_MAX + 1
        problems[ARGS_PROBLEMS_MAX - 1 :] = [ArgsProblem("", f"and {more} more problems")]
    return problems


def value_problems(schema: dict[str, Any], value: Any) -> list[ArgsProblem]:
    """Problems of one value against one parameter's schema; paths begin at the value."""
    return list(_value_problems(schema, value, ""))


def pointer(name: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return json.dumps(value)
        case str():
            return json.dumps(value, ensure_ascii=False) if len(value) <= 40 else "a string"
        case int():
            return f"the integer {value}" if abs(value) < 10**12 else "an integer"
        case float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return type(value).__name__


def describe(schema: dict[str, Any]) -> str:
    """What a schema takes, in words: `a list of strings`, `an integer or null`."""
    if "enum" in schema:
        return " or ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(describe(each) for each in schema["anyOf"])
    return _NOUNS.get(schema.get("type", ""), "any value")


def _problems(signature: ScriptSignature, args: dict[str, Any]) -> Iterator[ArgsProblem]:
    names = {parameter.name: None for parameter in signature.parameters}
    for parameter in signature.parameters:
        if parameter.name in args:
            yield from _value_problems(parameter.schema, args[parameter.name], pointer(parameter.name))
        elif parameter.is_required:
            yield ArgsProblem(pointer(parameter.name), f"required: {describe(parameter.schema)}")
    unknown = [name for name in args if name not in names]
    taken = f" `main` takes {', '.join(names)}." if names else " `main` takes no arguments."
    free = [name for name in names if name not in args] or list(names)
    for number, name in enumerate(unknown):
        near = did_you_mean(name, free) if number < NEAR_NAMES_TOLD_MAX else ""
        yield ArgsProblem(pointer(name), f"unknown argument.{near or taken}")


def _value_problems(schema: dict[str, Any], value: Any, path: str) -> Iterator[ArgsProblem]:
    # Recursion ends with the schema, whose depth `signature.py` limits.
    if "anyOf" in schema:
        yield from _union_problems(schema, value, path)
    elif "enum" in schema:
        if not any(type(value) is type(each) and value == each for each in schema["enum"]):
            choices = [each for each in schema["enum"] if isinstance(each, str)]
            near = did_you_mean(value, choices) if isinstance(value, str) else ""
            yield ArgsProblem(path, f"expected {describe(schema)}, got {kind_of(value)}.{near}".rstrip("."))
    elif not _is_kind(schema.get("type"), value):
        yield ArgsProblem(path, f"expected {describe(schema)}, got {kind_of(value)}")
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _value_problems(schema["items"], item, f"{path}/{index}")
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for name, item in cast("dict[str, Any]", value).items():
            yield from _value_problems(schema["additionalProperties"], item, path + pointer(name))


def _union_problems(schema: dict[str, Any], value: Any, path: str) -> Iterator[ArgsProblem]:
    tried = [(member, list(_value_problems(member, value, path))) for member in schema["anyOf"]]
    if any(not problems for _, problems in tried):
        return
    # A list meant for `list[int] | None` has problems inside it, not the problem of being no null.
    inside = [problems for member, problems in tried if "type" in member and _is_kind(member["type"], value)]
    if len(inside) == 1:
        yield from inside[0]
    else:
        yield ArgsProblem(path, f"expected {describe(schema)}, got {kind_of(value)}")


def _is_kind(kind: str | None, value: Any) -> bool:
    match kind:
        case None:
            return True
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and math.isfinite(value)
            )
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)
