"""Where something is defined, and where else it is named: nested workflows across scripts, step ids in one script."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.language.document import Snapshot
from sidestep.language.steps import site_at, string_at
from sidestep.language.workflows import nested_workflows, workflow_at
from sidestep.scripts.source_text import Span
from sidestep.scripts.syntax import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.language.steps import CallSite, StepId
    from sidestep.language.surroundings import Surroundings

# References told; a list with more helps nobody.
REFERENCES_MAX = 1000


@dataclass(frozen=True)
class Place:
    """
    A range of a file.

    Attributes:
        snapshot: The text that the range was read from; its lines are what a client's columns are counted in.
    """

    path: str
    span: Span
    snapshot: Snapshot


def definition(snapshot: Snapshot, line: int, column: int, surroundings: Surroundings) -> list[Place]:
    """Where the nested workflow, or the step whose id, stands at a position is written."""
    nested = workflow_at(snapshot, line, column, surroundings)
    if nested is not None:
        target = None if nested.path is None else _read(nested.path, surroundings)
        return [] if target is None else [Place(target.path, _main_span(target), target)]
    return [
        Place(snapshot.path, site.step_id.span, snapshot)
        for site in _steps_meant(snapshot, line, column)
        if site.step_id is not None
    ]


def references(
    snapshot: Snapshot, line: int, column: int, surroundings: Surroundings, *, with_definition: bool
) -> list[Place]:
    """Where else what stands at a position is named; for `main`, where the script itself is."""
    nested = workflow_at(snapshot, line, column, surroundings)
    path = nested.path if nested is not None else _own_path(snapshot, line, column)
    if path is not None:
        found = list(_workflow_references(snapshot, path, surroundings))
        target = _read(path, surroundings) if with_definition and nested is not None else None
        return found + ([Place(target.path, _main_span(target), target)] if target is not None else [])
    ids = [site.step_id for site in _steps_meant(snapshot, line, column) if site.step_id is not None]
    spans = list(_id_references(snapshot, ids))
    if with_definition:
        spans += [step_id.span for step_id in ids]
    unique = sorted(set(spans), key=lambda span: (span.line, span.column))
    return [Place(snapshot.path, span, snapshot) for span in unique[:REFERENCES_MAX]]


def _steps_meant(snapshot: Snapshot, line: int, column: int) -> list[CallSite]:
    """The step whose name or id stands here, or those that a string here may be the id of."""
    here = site_at(snapshot, line, column)
    if here is not None and here.step_id is not None:
        return [here]
    text = string_at(snapshot, line, column)
    if not isinstance(text, ast.Constant) or not isinstance(text.value, str) or _is_given(snapshot, text):
        return []
    sites = [site for site in snapshot.call_sites if site.step_id is not None and site.step_id.matches(text.value)]
    # An id that is all gap would be the definition of every string.
    return [site for site in sites if site.step_id is not None and any(site.step_id.pieces)]


def _id_references(snapshot: Snapshot, ids: list[StepId]) -> Iterator[Span]:
    """Strings of a script that are one of these ids, but for the ids themselves."""
    syntax = snapshot.syntax
    if syntax is None or not ids:
        return
    for node in syntax.nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        is_named = any(any(each.pieces) and each.matches(node.value) for each in ids)
        # Of an f-string only the whole has a place.
        if is_named and syntax.is_placed(node) and not _is_given(snapshot, node):
            yield syntax.span(node)


def _is_given(snapshot: Snapshot, node: ast.AST) -> bool:
    """True for what a primitive is given: `command(["ls"], id="ls")` runs a program, and names no step by that."""
    syntax, imports = snapshot.syntax, snapshot.imports
    if syntax is None or imports is None:
        return False
    for parent in syntax.ancestors(node):
        if isinstance(parent, ast.Compare | ast.Subscript | ast.stmt):
            return False
        if isinstance(parent, ast.Call):
            return imports.primitive(parent) is not None
    return False


def _own_path(snapshot: Snapshot, line: int, column: int) -> str | None:
    """The script's own path when the position is on the head of its `main`."""
    word = snapshot.cursor(line, column).word
    return snapshot.path if word == "main" and _main_span(snapshot).line == line else None


def _workflow_references(snapshot: Snapshot, path: str, surroundings: Surroundings) -> Iterator[Place]:
    """Calls that name the workflow of a file, in this script first, then in all that can be named beside it."""
    name = os.path.basename(path).removesuffix(".py")
    others = [each for each in surroundings.workflows(snapshot.folder).values() if each != snapshot.path]
    told = 0
    for other in [snapshot.path, *sorted(others)]:
        script = snapshot if other == snapshot.path else _read(other, surroundings)
        # A script without the name in it is not parsed.
        if script is None or name not in script.text:
            continue
        for nested in nested_workflows(script, surroundings):
            if nested.path == path and told < REFERENCES_MAX:
                told += 1
                yield Place(script.path, nested.span, script)


def _read(path: str, surroundings: Surroundings) -> Snapshot | None:
    text = surroundings.read(path)
    return None if text is None else Snapshot(path, text, None)


def _main_span(snapshot: Snapshot) -> Span:
    """The word `main` of its definition, or the beginning of the text."""
    syntax = snapshot.syntax
    mains = [
        each for each in (syntax.tree.body if syntax else []) if isinstance(each, FUNCTIONS) and each.name == "main"
    ]
    if syntax is None or not mains:
        return Span(1, 1, 1, 1)
    head = syntax.span(mains[-1])
    column = snapshot.source.lines[head.line - 1].find("main", head.column - 1) + 1
    return Span(head.line, column, head.line, column + len("main")) if column else Span(head.line, 1, head.line, 1)
