"""`language/` is pure: it knows no wire, no loop and no disk, so that any thread and any editor may ask it."""

from __future__ import annotations

import ast
from pathlib import Path

import sidestep.language

PACKAGE = Path(sidestep.language.__file__).parent
FORBIDDEN = {"asyncio", "lsprotocol", "msgspec", "pathlib", "pygls", "sidestep_protocol", "subprocess", "threading"}
# What of ours it may import: downwards only.
ALLOWED = ("sidestep.language", "sidestep.scripts", "sidestep.model")


def imported_modules(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_nothing_of_the_wire_the_loop_or_the_disk_is_imported() -> None:
    files = sorted(PACKAGE.glob("*.py"))
    assert len(files) > 10
    for path in files:
        modules = imported_modules(path)
        assert {module.partition(".")[0] for module in modules}.isdisjoint(FORBIDDEN), path.name
        ours = {module for module in modules if module.startswith("sidestep")}
        assert {module for module in ours if not module.startswith(ALLOWED)} == set(), path.name
