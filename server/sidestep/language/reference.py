"""The primitives' table as people read it: signatures, and documentation in Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidestep.scripts.imports import AUTHORING
from sidestep.scripts.primitives import PRIMITIVES, Kind

if TYPE_CHECKING:
    from sidestep.scripts.primitives import Primitive, PrimitiveParameter

# `from sidestep import a, b as c`, also over several lines in parentheses, also without its end.
_IMPORT = re.compile(rf"^[ \t]*from[ \t]+{AUTHORING}[ \t]+import[ \t]*(?:\(([^)]*)\)?|([^\n]*))", re.MULTILINE)
_ALIAS = re.compile(r"(\w+)(?:[ \t]+as[ \t]+(\w+))?")


def imported_primitives(text: str) -> dict[str, Primitive]:
    """The primitives a text imports, by the name it calls them; the text need not be Python yet."""
    found: dict[str, Primitive] = {}
    for statement in _IMPORT.finditer(text):
        names = re.sub(r"#[^\n]*", "", statement[1] or statement[2] or "")
        for name, alias in _ALIAS.findall(names):
            if name in PRIMITIVES:
                found[alias or name] = PRIMITIVES[name]
    return found


def primitives_of(text: str) -> dict[str, Primitive]:
    """What names stand for in a text: primitives that are not imported keep their own, as the check has it."""
    return {**PRIMITIVES, **imported_primitives(text)}


def parameter_text(parameter: PrimitiveParameter) -> str:
    """One parameter as a signature shows it."""
    match parameter.kind:
        case Kind.REST:
            return f"*{parameter.name}"
        case Kind.DETAILS:
            return f"**{parameter.name}"
        case _:
            return parameter.name if parameter.required else f"{parameter.name}=..."


def signature_text(primitive: Primitive) -> tuple[str, list[tuple[int, int]]]:
    """
    Returns:
        The signature on one line, and where in it each parameter of the table stands; all of it ASCII.
    """
    text = f"{primitive.name}("
    places: list[tuple[int, int]] = []
    is_by_name = False
    for number, parameter in enumerate(primitive.parameters):
        text += ", " if number else ""
        if parameter.kind is Kind.KEYWORD and not is_by_name:
            is_by_name = True
            text += "" if any(each.kind is Kind.REST for each in primitive.parameters) else "*, "
        shown = parameter_text(parameter)
        places.append((len(text), len(text) + len(shown)))
        text += shown
    return f"{text})", places


def primitive_text(primitive: Primitive) -> str:
    """A primitive's documentation, in Markdown."""
    call = signature_text(primitive)[0]
    lines = [f"```python\n{'await ' if primitive.is_awaited else ''}{call}\n```", primitive.doc, ""]
    lines += [f"- `{parameter_text(each)}`: {each.doc}" for each in primitive.parameters]
    return "\n".join(lines)


def parameter_documentation(primitive: Primitive, parameter: PrimitiveParameter) -> str:
    """One parameter's documentation, in Markdown."""
    return f"```python\n{primitive.name}(..., {parameter_text(parameter)})\n```\n{parameter.doc}"
