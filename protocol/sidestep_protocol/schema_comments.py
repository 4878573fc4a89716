"""
Reads descriptions for the schema out of the struct modules: docstrings, and the comments above fields and aliases.

Owns the reading of sources, with `ast`; the comments are no longer there when the program runs. Used by the generator
only, never by a server that serves.
"""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

# Sections that tell Python programmers something, and nobody else.
_PYTHON_ONLY = re.compile(r"\n\s*(Raises|Returns|Args):\n.*", re.DOTALL)


def describe(definitions: dict[str, dict[str, Any]], modules: Iterable[ModuleType]) -> None:
    """
    Write descriptions into schemas, in place: the type's own, and one for each field that has a comment.

    Args:
        definitions: Schemas by the name of their struct or alias.
        modules: Where those are defined. A field inherits the comment it has in the base class.
    """
    comments: dict[str, str] = {}
    structs: dict[str, type[msgspec.Struct]] = {}
    for module in modules:
        comments |= read_comments(inspect.getsource(module))
        structs |= {name: kind for name, kind in vars(module).items() if _is_struct(kind)}
    for name, schema in definitions.items():
        text = schema.get("description") or comments.get(name)
        if text is not None:
            schema["description"] = _PYTHON_ONLY.sub("", text).strip()
        if name in structs:
            _describe_fields(schema["properties"], structs[name], comments)


def read_comments(source: str) -> dict[str, str]:
    """
    Collect the comments that stand right above a name of a module or a field of a class.

    Returns:
        `{"Name": text, "Class.field": text}`, lines joined by spaces.
    """
    lines = source.splitlines()
    found = {name: _comment_above(lines, line) for name, line in _named_lines(ast.parse(source))}
    return {name: text for name, text in found.items() if text}


def _named_lines(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.lineno
        elif isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield f"{node.name}.{field.target.id}", field.lineno


def _comment_above(lines: list[str], line: int) -> str:
    """The block of comment lines that ends right above `line`, 1-based."""
    block: list[str] = []
    for text in reversed(lines[: line - 1]):
        stripped = text.strip()
        if not stripped.startswith("#"):
            break
        block.insert(0, stripped.lstrip("# "))
    return " ".join(block)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _describe_fields(properties: dict[str, Any], struct: type[msgspec.Struct], comments: dict[str, str]) -> None:
    names = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    classes = [base.__name__ for base in struct.__mro__]
    for field, encoded in names.items():
        above = [comments[f"{name}.{field}"] for name in classes if f"{name}.{field}" in comments]
        if above and encoded in properties:
            properties[encoded]["description"] = above[0]
