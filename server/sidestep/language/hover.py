"""
What is shown for a word of a script: a primitive, a parameter, a step with what became of it, a nested workflow.

Primitives and parameters are read from the text alone, so they are told in half-typed code too; steps need Python.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.language.reference import parameter_documentation, primitive_text, primitives_of
from sidestep.language.steps import site_at
from sidestep.language.workflows import workflow_at
from sidestep.scripts.imports import AUTHORING
from sidestep.scripts.signature import read_signature

if TYPE_CHECKING:
    from sidestep.language.document import Snapshot
    from sidestep.language.steps import CallSite
    from sidestep.language.surroundings import StepMemory, Surroundings
    from sidestep.scripts.source_text import Span

# Steps told for an id that is another one each round.
STEPS_MAX = 5


@dataclass(frozen=True)
class Hover:
    """Markdown, and the range it is about."""

    text: str
    span: Span


def hover(snapshot: Snapshot, line: int, column: int, surroundings: Surroundings) -> Hover | None:
    """What is shown at a position; None for nothing."""
    nested = workflow_at(snapshot, line, column, surroundings)
    if nested is not None:
        return Hover(_workflow_text(nested.name, nested.path, surroundings), nested.span)
    word = _word_hover(snapshot, line, column)
    site = site_at(snapshot, line, column)
    if site is None or not site.primitive.is_step:
        return word
    is_on_id = site.step_id is not None and word is None
    step = _step_text(snapshot, site, surroundings)
    if is_on_id and site.step_id is not None:
        return Hover(step or f"The id of a step: `{site.step_id.text}`", site.step_id.span)
    return word if word is None or not step else Hover(f"{step}\n\n---\n\n{word.text}", word.span)


def _word_hover(snapshot: Snapshot, line: int, column: int) -> Hover | None:
    """A primitive or one of its parameters."""
    cursor = snapshot.cursor(line, column)
    # Looked at from its first letter: behind the last one another token may have begun.
    start, word = cursor.word_start, cursor.word
    if cursor.string is not None or cursor.in_comment or cursor.is_attribute or not word:
        return None
    span = snapshot.span(start, start + len(word))
    primitives = primitives_of(snapshot.text)
    call = cursor.brackets[-1] if cursor.brackets and cursor.brackets[-1].is_call else None
    after = snapshot.text[start + len(word) :].lstrip(" \t")
    if call is not None and call.callee in primitives and after.startswith("=") and not after.startswith("=="):
        parameter = primitives[call.callee].parameter(word)
        return None if parameter is None else Hover(parameter_documentation(primitives[call.callee], parameter), span)
    if word not in primitives or _is_bound_otherwise(snapshot, word):
        return None
    return Hover(primitive_text(primitives[word]), span)


def _is_bound_otherwise(snapshot: Snapshot, word: str) -> bool:
    """True when a name of a primitive's spelling is the script's own."""
    if snapshot.syntax is None or snapshot.imports is None or word not in snapshot.syntax.bindings:
        return False
    meaning = snapshot.imports.dotted_name(ast.Name(word, ast.Load()))
    return meaning is None or not meaning.startswith(f"{AUTHORING}.")


def _step_text(snapshot: Snapshot, site: CallSite, surroundings: Surroundings) -> str:
    """What became of the step in the last run; empty when nobody knows."""
    step_id = site.step_id
    if step_id is None or surroundings.last_steps is None:
        return ""
    steps = [step for step in surroundings.last_steps(snapshot.path) if step_id.matches(step.step_id)]
    lines = [f"- `{step.step_id}`: {_memory_text(step)}" for step in steps[-STEPS_MAX:]]
    if len(steps) > STEPS_MAX:
        lines.insert(0, f"- {len(steps) - STEPS_MAX} more")
    return "\n".join(["In the last run:", "", *lines]) if lines else "Not reached in the last run."


def _memory_text(step: StepMemory) -> str:
    parts = [step.status]
    if step.duration_ms is not None:
        parts.append(_duration(step.duration_ms))
    if step.is_reused is not None:
        parts.append("will be reused" if step.is_reused else "will be done again")
    return ", ".join(parts)


def _duration(duration_ms: int) -> str:
    if duration_ms < 1000:
        return f"{duration_ms} ms"
    seconds = duration_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _workflow_text(name: str, path: str | None, surroundings: Surroundings) -> str:
    if path is None:
        return f"No workflow `{name}` is found here."
    source = surroundings.read(path)
    signature = None if source is None else read_signature(source, path)[0]
    lines = [f"Workflow `{name}`"]
    if signature is not None and signature.description:
        lines += ["", signature.description]
    if signature is not None and signature.parameters:
        lines.append("")
    for parameter in signature.parameters if signature is not None else ():
        needed = "" if parameter.is_required else " (optional)"
        about = f": {parameter.description}" if parameter.description else ""
        lines.append(f"- `{parameter.name}: {parameter.type_text or 'Any'}`{needed}{about}")
    return "\n".join(lines)
