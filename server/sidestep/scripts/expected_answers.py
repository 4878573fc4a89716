"""
What a script expects of an answer, as far as it stands there: `schema`, `choices`, and what belongs to `timeout_s`.

Only what is surely wrong is told: a literal, or a name that is bound to one once, at the top of the script. A schema
that is put together while the script runs is judged by the engine, before any work.
"""

from __future__ import annotations

import ast
import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from sidestep.scripts.json_schema import JsonSchemas
from sidestep.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.primitives import Primitive
    from sidestep.scripts.syntax import ScriptSyntax

# What surely is no `None`.
_VALUES = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.JoinedStr)
# Parents of a name that leave its value as it is.
_LEAVES_AS_IT_IS = frozenset({ast.Assign, ast.AnnAssign, ast.keyword})
# Options that say what happens at `timeout_s`.
_AT_TIMEOUT = ("grace_s", "final_instructions")


class ExpectedAnswers:
    """Checks the calls of one script; a schema that several calls share is judged once."""

    def __init__(self, syntax: ScriptSyntax) -> None:
        self._syntax = syntax
        self._schemas = JsonSchemas(Settings().validated_depth_max)
        self._judged: set[ast.expr] = set()

    def check(self, call: ast.Call, primitive: Primitive) -> Iterator[ScriptProblem]:
        """Problems of one call of a primitive."""
        given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
        if primitive.parameter("schema") is not None and "schema" in given:
            yield from self._check_schema(given["schema"])
        if primitive.parameter("choices") is not None and "choices" in given:
            yield from self._check_choices(given["choices"], given.get("schema"))
        spreads = any(keyword.arg is None for keyword in call.keywords)
        if primitive.parameter("grace_s") is not None and not spreads and not _may_be_given(given.get("timeout_s")):
            for name in _AT_TIMEOUT:
                if name in given and self._is_value(given[name]):
                    message = f"{name} says what happens at timeout_s; give that, too"
                    yield self._syntax.problem(given[name], "bad-option", message)

    def _check_schema(self, value: ast.expr) -> Iterator[ScriptProblem]:
        literal = self._literal(value)
        if isinstance(literal, ast.Constant) and literal.value is None:
            return
        if isinstance(literal, ast.Constant | ast.List | ast.Tuple | ast.Set | ast.JoinedStr | ast.ListComp):
            message = 'schema is a dict with a JSON Schema, e.g. {"type": "object"}'
            yield self._syntax.problem(value, "bad-option", message)
            return
        if not isinstance(literal, ast.Dict) or literal in self._judged:
            return
        self._judged.add(literal)
        known, schema = _evaluated(literal)
        if not known:
            return
        why = _why_not_json(schema) or self._schemas.why_invalid(schema)
        if why is not None:
            yield self._syntax.problem(literal, "bad-schema", why)

    def _check_choices(self, value: ast.expr, schema: ast.expr | None) -> Iterator[ScriptProblem]:
        literal = self._literal(value)
        if schema is not None and self._is_value(value) and self._is_value(schema):
            yield self._syntax.problem(value, "bad-option", "give choices or a schema, not both")
        elif isinstance(literal, ast.List | ast.Tuple):
            known, choices = _evaluated(literal)
            if known and not _are_choices(choices):
                message = 'choices are one or more different strings, e.g. ["yes", "no"]'
                yield self._syntax.problem(literal, "bad-option", message)
        elif isinstance(literal, ast.Constant) and literal.value is not None:
            yield self._syntax.problem(value, "bad-option", 'choices is a list of strings, e.g. ["yes", "no"]')

    def _is_value(self, value: ast.expr) -> bool:
        """True for what is surely not `None`."""
        literal = self._literal(value)
        return isinstance(literal, _VALUES) or (isinstance(literal, ast.Constant) and literal.value is not None)

    def _literal(self, value: ast.expr) -> ast.expr:
        """What a name stands for, if it is bound once, at the top of the script, and never changed; else the value."""
        if not isinstance(value, ast.Name) or value.id in self._changed:
            return value
        bound = self._syntax.bindings.get(value.id, [])
        statement = self._syntax.parents.get(bound[0]) if len(bound) == 1 else None
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            return value
        is_plain = isinstance(statement, ast.AnnAssign) or statement.targets == bound
        at_top = self._syntax.parents.get(statement) is self._syntax.tree
        return statement.value if is_plain and at_top else value

    @cached_property
    def _changed(self) -> set[str]:
        """Names of which the value may be changed in place: all that are used for more than being given to a call."""
        return {
            node.id
            for node in self._syntax.of_type(ast.Name)
            if type(self._syntax.parents[node]) not in _LEAVES_AS_IT_IS
        }


def _may_be_given(value: ast.expr | None) -> bool:
    return value is not None and not (isinstance(value, ast.Constant) and value.value is None)


def _evaluated(literal: ast.expr) -> tuple[bool, Any]:
    """(True, its value), or (False, None) for what is put together while the script runs."""
    try:
        return True, ast.literal_eval(literal)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None


def _are_choices(choices: Any) -> bool:
    return (
        bool(choices) and all(isinstance(each, str) and each for each in choices) and len(set(choices)) == len(choices)
    )


def _why_not_json(value: Any) -> str | None:
    level: list[Any] = [value]
    while level:
        item = level.pop()
        if isinstance(item, dict):
            table = cast("dict[Any, Any]", item)
            strange = [key for key in table if not isinstance(key, str)]
            if strange:
                return f"the schema has the key {strange[0]!r}; keys in JSON are strings"
            level.extend(table.values())
        elif isinstance(item, list | tuple):
            level.extend(cast("list[Any]", item))
        elif isinstance(item, float) and not math.isfinite(item):
            return f"the schema holds {item}, which is not JSON"
        elif not (item is None or isinstance(item, str | int | float)):
            return f"the schema holds {item!r}, which is not JSON"
    return None
