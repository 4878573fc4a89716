"""What a plain editor's person is asked before a run: missing arguments with few values, and trust. Pure texts."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidestep.scripts.resolver import ResolvedScript
    from sidestep.scripts.signature import ScriptParameter

# More values than this are no question with buttons.
CHOICES_MAX = 9
TRUST = "Trust and run"
NOT_NOW = "Not now"


@dataclass(frozen=True)
class ArgumentQuestion:
    """
    One argument that is asked for.

    Attributes:
        choices: Value by the title of its button.
    """

    name: str
    text: str
    choices: Mapping[str, Any]


def missing_arguments(script: ResolvedScript, args: Mapping[str, Any]) -> list[ScriptParameter]:
    """What has no default and was not given."""
    return [each for each in script.signature.parameters if each.is_required and each.name not in args]


def argument_question(script: ResolvedScript, parameter: ScriptParameter) -> ArgumentQuestion | None:
    """None for what has too many values to be asked for with buttons."""
    values = _values(parameter.schema)
    if values is None or len(values) > CHOICES_MAX:
        return None
    choices = {value if isinstance(value, str) else json.dumps(value): value for value in values}
    if len(choices) < len(values):
        return None
    about = f" ({parameter.description})" if parameter.description else ""
    return ArgumentQuestion(parameter.name, f"{script.name}: {parameter.name}?{about}", choices)


def how_to_give(script: ResolvedScript, missing: list[ScriptParameter]) -> str:
    """What to do about arguments that cannot be asked for."""
    listed = ", ".join(f"{each.name} ({each.type_text})" if each.type_text else each.name for each in missing)
    words = " ".join(f"{each.name}=..." for each in missing)
    example = json.dumps({"uri": script.uri, "args": {each.name: "..." for each in missing}})
    return (
        f"{script.name} was not started: it needs {listed}. Run it in a terminal: "
        f"sidestep run {shlex.quote(script.name)} {words} - or give the command sidestep.run the argument {example}"
    )


def trust_text(folder: str) -> str:
    return f"{folder} is not trusted. Workflows in it can run any command as you. Trust it from now on?"


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    """All values a schema allows, if they are few."""
    if "enum" in schema:
        return list(schema["enum"])
    if "anyOf" in schema:
        members = [_values(member) for member in schema["anyOf"]]
        return None if None in members else [value for member in members for value in member or ()]
    return {"boolean": [True, False], "null": [None]}.get(schema.get("type", ""))
