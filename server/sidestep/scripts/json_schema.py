"""
JSON Schemas that authors write: what an agent's answer, or a person's, has to fit.

Owns the use of jsonschema-rs, which costs 40 ms to import and is loaded when the first schema is judged. Offline: a
`$ref` never leaves the schema. Regular expressions take linear time, and know no look-around. A value is measured
before it is judged: very deep ones would end the process, and the library raises for what is no Unicode.

Source: JSON Schema, draft 2020-12, unless the schema names another in `$schema`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidestep.model.problems import ArgsProblem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jsonschema_rs import Validator

# More are no help to whoever has to mend them.
_PROBLEMS_MAX = 20
_MESSAGE_CHARS_MAX = 500


class JsonSchemas:
    """Judges values; the `JsonSchemas` port."""

    def __init__(self, depth_max: int) -> None:
        """
        Args:
            depth_max: Objects and lists in each other that a schema or a value may have.
        """
        self._depth_max = depth_max

    def why_invalid(self, schema: dict[str, Any]) -> str | None:
        """Why that is no JSON Schema, for its author; None when it is one."""
        if _depth(schema, self._depth_max) > self._depth_max:
            return f"the schema is nested deeper than {self._depth_max} levels"
        from jsonschema_rs import ValidationError

        try:
            _validator(schema)
        except ValidationError as error:
            where = f" at {_pointer(error.instance_path)}" if error.instance_path else ""
            return f"the schema{where} is no JSON Schema: {_short(error.message)}"
        except ValueError as error:
            # A reference that leads outside.
            return f"the schema is no JSON Schema: {_short(str(error))}"
        return None

    def problems(self, schema: dict[str, Any], value: Any) -> tuple[ArgsProblem, ...]:
        """
        Every place where `value` does not fit, at most 20; none when it fits.

        Args:
            schema: One that `why_invalid` has nothing against.
        """
        if _depth(value, self._depth_max) > self._depth_max:
            return (ArgsProblem("", f"is nested deeper than {self._depth_max} levels"),)
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except ValueError as error:
            # Infinity, which 1e999 is read as, or half of a surrogate pair.
            return (ArgsProblem("", f"is no JSON: {_short(str(error))}"),)
        found: list[ArgsProblem] = []
        for error in _validator(schema).iter_errors(value):
            found.append(ArgsProblem(_pointer(error.instance_path), _short(error.message)))
            if len(found) == _PROBLEMS_MAX:
                break
        return tuple(found)


def _validator(schema: dict[str, Any]) -> Validator:
    import jsonschema_rs

    options = jsonschema_rs.RegexOptions()
    return jsonschema_rs.validator_for(schema, pattern_options=options, offline=True)


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _depth(value: Any, enough: int) -> int:
    """How deep objects and lists are nested in each other; counts no further than just above `enough`."""
    depth, level = 0, [value]
    while level and depth <= enough:
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())  # pyright: ignore[reportUnknownArgumentType]
            elif isinstance(item, list | tuple):
                below.extend(item)  # pyright: ignore[reportUnknownArgumentType]
        depth, level = depth + 1, below
    return depth


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _MESSAGE_CHARS_MAX else line[: _MESSAGE_CHARS_MAX - 3] + "..."
