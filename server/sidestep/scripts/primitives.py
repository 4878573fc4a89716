"""
The one table of the primitives a script may call: names, parameters, what is a step.

The check, and later hover, completion and signature help, read it; a test compares it with the typed stubs in
`sidestep/__init__.py`. How a primitive works is the runtime's and the engine's knowledge, not this table's.
"""

from __future__ import annotations

import enum
from functools import cached_property

from sidestep.model.value import Value


class Kind(enum.Enum):
    """How a parameter is given."""

    POSITIONAL = "positional"  # By position or by name.
    KEYWORD = "keyword"  # By name only.
    REST = "rest"  # Any number of further positions.
    DETAILS = "details"  # Any further names.


class PrimitiveParameter(Value, frozen=True):
    """One parameter. `choices` lists the only strings it takes; empty when it takes others."""

    name: str
    doc: str
    kind: Kind = Kind.KEYWORD
    required: bool = False
    choices: tuple[str, ...] = ()


class Primitive(Value, frozen=True, dict=True):
    """
    One name a script can import from sidestep.

    Attributes:
        parameters: In the order of the signature.
        is_step: True for a replay boundary: it has an id and its outcome is journaled.
        is_awaited: True when calling it gives a coroutine.
    """

    name: str
    doc: str
    parameters: tuple[PrimitiveParameter, ...]
    is_step: bool = False
    is_awaited: bool = False

    @cached_property
    def positions_max(self) -> int | None:
        """How many positional arguments fit; None for any number."""
        if any(parameter.kind is Kind.REST for parameter in self.parameters):
            return None
        return sum(parameter.kind is Kind.POSITIONAL for parameter in self.parameters)

    @cached_property
    def takes_details(self) -> bool:
        return any(parameter.kind is Kind.DETAILS for parameter in self.parameters)

    def parameter(self, name: str) -> PrimitiveParameter | None:
        """The parameter that can be given by this name."""
        return self._named.get(name)

    @cached_property
    def _named(self) -> dict[str, PrimitiveParameter]:
        return {each.name: each for each in self.parameters if each.kind in (Kind.POSITIONAL, Kind.KEYWORD)}


_ON_ERROR = PrimitiveParameter(
    "on_error",
    '"raise" (default), or "return" for {"error": {"code", "message", "stepId"}} instead of raising.',
    choices=("raise", "return"),
)

_STEP_OPTIONS = (
    PrimitiveParameter("title", "What people read instead of the id; not part of the replay key."),
    PrimitiveParameter("phase", "The phase the step is shown under; the last phase(...) by default."),
    PrimitiveParameter("timeout_s", "Seconds the work may take; then the step fails with code timeout."),
    _ON_ERROR,
)

_ID = PrimitiveParameter(
    "id", "Names the step in the journal: a non-empty string, another one for each round of a loop.", required=True
)

_LIMIT = PrimitiveParameter("limit", "How many run at once; all of them by default.")


def _first(name: str, doc: str) -> PrimitiveParameter:
    return PrimitiveParameter(name, doc, Kind.POSITIONAL, required=True)


def _step(name: str, doc: str, subject: PrimitiveParameter, *options: PrimitiveParameter) -> Primitive:
    parameters = (subject, _ID, *options, *_STEP_OPTIONS)
    return Primitive(name, doc, parameters, is_step=True, is_awaited=True)


_TABLE = (
    _step(
        "agent",
        "Ask an agent; gives its text, or the object that fits `schema`.",
        _first("prompt", "What the agent is asked to do."),
        PrimitiveParameter("schema", "JSON Schema the answer has to fit."),
        PrimitiveParameter("agent", "Name of a configured agent; the default one otherwise."),
        PrimitiveParameter(
            "isolation", 'Where it works: "none" or "worktree" (then with a patch).', choices=("none", "worktree")
        ),
        PrimitiveParameter("grace_s", "Seconds it has after timeout_s to report what it has; 0 by default."),
        PrimitiveParameter("final_instructions", "What it is told at timeout_s."),
    ),
    _step(
        "command",
        "Run a program without a shell; gives exit_code, stdout, stderr and their sizes.",
        _first("argv", "The program and its arguments, a list of strings."),
        PrimitiveParameter("cwd", "Folder to run in, inside the workspace."),
        PrimitiveParameter("env", "Environment names to add."),
        PrimitiveParameter("stdin", "Text given to the program."),
        PrimitiveParameter("check", "True (default): an exit code other than 0 raises."),
        PrimitiveParameter("allow_truncated", "True: a stdout that was cut off does not raise."),
    ),
    _step(
        "workflow",
        "Run another workflow as a child; gives its result.",
        _first("name_or_path", "A workflow's name, or a path inside the workspace."),
        PrimitiveParameter("args", "Arguments of the child's `main`."),
    ),
    _step(
        "ask",
        "Ask a person, and wait, durably, until they answer.",
        _first("question", "What the person reads."),
        PrimitiveParameter("schema", "JSON Schema the answer has to fit."),
        PrimitiveParameter("choices", "The answers to choose from."),
    ),
    _step("sleep", "Wait for a time that also passes while nothing runs.", _first("seconds", "How long, in seconds.")),
    _step(
        "apply_patch",
        "Apply an agent's patch to the workspace.",
        _first("patch", "The `patch` of an agent that worked in a worktree."),
        PrimitiveParameter("three_way", "True (default): merges with what changed since."),
        PrimitiveParameter("paths", "Files to take from the patch; all of them by default."),
    ),
    Primitive(
        "parallel",
        "Run awaitables at once; results come in the order or under the keys given.",
        (_first("tasks", "A list or a dict of awaitables."), _LIMIT, _ON_ERROR),
        is_awaited=True,
    ),
    Primitive(
        "pipeline",
        "Send each item through the stages, without waiting for the other items.",
        (
            _first("items", "The items."),
            PrimitiveParameter("stages", "Async functions of one value, in order.", Kind.REST),
            _LIMIT,
            _ON_ERROR,
        ),
        is_awaited=True,
    ),
    Primitive(
        "phase",
        "Announce a phase; steps that follow are shown under it.",
        (_first("name", "The phase's name."), PrimitiveParameter("details", "Shown with it.", Kind.DETAILS)),
    ),
    Primitive(
        "log",
        "Write a line to the run's log.",
        (_first("message", "The line."), PrimitiveParameter("data", "JSON values kept with it.", Kind.DETAILS)),
    ),
    Primitive(
        "failure",
        "Take a caught step error apart: step, code, message.",
        (_first("error", "The exception that was caught."),),
    ),
)

PRIMITIVES: dict[str, Primitive] = {primitive.name: primitive for primitive in _TABLE}
