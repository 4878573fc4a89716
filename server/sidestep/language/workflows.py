"""Nested workflows: which one a `workflow("...")` names, and who names one."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.language.steps import covers
from sidestep.scripts.resolver import NamedScript, reference_of_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.language.document import Snapshot
    from sidestep.language.surroundings import Surroundings
    from sidestep.scripts.source_text import Span


@dataclass(frozen=True)
class NestedWorkflow:
    """
    A workflow named by a call.

    Attributes:
        name: As it is written.
        path: Of its file; None when there is none.
        span: Of the string that names it.
    """

    name: str
    path: str | None
    span: Span


def nested_workflows(snapshot: Snapshot, surroundings: Surroundings) -> Iterator[NestedWorkflow]:
    """Every workflow a script names by a constant string, in the order of the tree."""
    for span, name in _named(snapshot):
        yield NestedWorkflow(name, path_of_workflow(name, snapshot.folder, surroundings), span)


def workflow_at(snapshot: Snapshot, line: int, column: int, surroundings: Surroundings) -> NestedWorkflow | None:
    """The nested workflow whose name stands at a position."""
    for span, name in _named(snapshot):
        if covers(span, line, column):
            return NestedWorkflow(name, path_of_workflow(name, snapshot.folder, surroundings), span)
    return None


def path_of_workflow(word: str, folder: str | None, surroundings: Surroundings) -> str | None:
    """The file that a name or path means in a workspace folder; None when there is none, or none that is a script."""
    if isinstance(reference_of_word(word), NamedScript):
        return surroundings.workflows(folder).get(word)
    if folder is None or "\0" in word or not word.endswith(".py"):
        return None
    path = os.path.normpath(os.path.join(folder, word))
    is_inside = path.startswith(os.path.join(folder, ""))
    return path if is_inside and surroundings.read(path) is not None else None


def _named(snapshot: Snapshot) -> Iterator[tuple[Span, str]]:
    syntax = snapshot.syntax
    for site in snapshot.call_sites:
        value = site.argument("name_or_path") if site.primitive.name == "workflow" else None
        if syntax is not None and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield syntax.span(value), value.value
