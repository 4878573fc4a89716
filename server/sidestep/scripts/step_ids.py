"""
The ids of steps: there, a non-empty string, and another one in each round of a loop; and an id to propose.

A loop's constant id is a warning: the same id with other input is other work, so it need not fail.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

from sidestep.scripts.edits import insertion
from sidestep.scripts.loop_ids import LoopIds, loop_variable, loops_around

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidestep.model.problems import ScriptProblem
    from sidestep.scripts.edits import Edit
    from sidestep.scripts.primitives import Primitive
    from sidestep.scripts.syntax import ScriptSyntax

_BAD = "a step's id is a non-empty string"
_NO_STRINGS = (ast.List, ast.Dict, ast.Tuple, ast.Set, ast.Lambda, ast.ListComp, ast.DictComp, ast.SetComp)


class StepIds:
    """
    Checks the ids of one script's steps.

    Args:
        calls: Every call of a primitive; their ids are not proposed again.
    """

    def __init__(self, syntax: ScriptSyntax, calls: list[tuple[ast.Call, Primitive]]) -> None:
        self._syntax = syntax
        self._loops = LoopIds(syntax)
        # Ids that are there or proposed, each with the last number that was put behind it.
        self._taken: dict[str, int] = {}
        for call, _ in calls:
            match _id_of(call):
                case ast.Constant(value=str(name)):
                    self._taken[name] = 1
                case _:
                    pass

    def check(self, call: ast.Call, primitive: Primitive) -> Iterator[ScriptProblem]:
        """Problems of one step's id."""
        value = _id_of(call)
        if value is None:
            # Spread arguments may hold the id; too many positions are told as such.
            if not any(each.arg is None for each in call.keywords) and len(call.args) <= (primitive.positions_max or 0):
                yield self._missing(call, primitive)
        elif _is_empty(value):
            text = _id_text(self._syntax, call, self._proposal(call, primitive))
            fix = (self._syntax.span(value), text)
            yield self._syntax.problem(value, "bad-id", _BAD, fix=fix, fix_title=f"Use {text}")
        elif isinstance(value, _NO_STRINGS) or (isinstance(value, ast.Constant) and not isinstance(value.value, str)):
            yield self._syntax.problem(value, "bad-id", _BAD)
        else:
            yield from self._check_loops(value)

    def _missing(self, call: ast.Call, primitive: Primitive) -> ScriptProblem:
        text = f"id={_id_text(self._syntax, call, self._proposal(call, primitive))}"
        fix = _added_argument(self._syntax, call, text)
        message = f"{primitive.name}() needs an id, which names the step in the journal, e.g. {text}"
        title = f"Add {text}" if fix else None
        return self._syntax.problem(call, "missing-id", message, fix=fix, fix_title=title)

    def _check_loops(self, value: ast.expr) -> Iterator[ScriptProblem]:
        loops = self._loops.loops_with_constant(value)
        if not loops:
            return
        message = f"this id is the same in every round of the loop at line {loops[0].lineno}; use one that changes"
        fix = None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            variables = [loop_variable(loop) for loop in reversed(loops)]
            known = [name for name in variables if name is not None]
            example = _varying_text(value.value, known or ["n"])
            message += f", e.g. id={example}"
            fix = (self._syntax.span(value), example) if len(known) == len(variables) else None
        title = f"Use {fix[1]}" if fix else None
        yield self._syntax.problem(value, "constant-id", message, severity="warning", fix=fix, fix_title=title)

    def _proposal(self, call: ast.Call, primitive: Primitive) -> str:
        name = candidate = _derived_id(call, primitive)
        while candidate in self._taken:
            self._taken[name] += 1
            candidate = f"{name}-{self._taken[name]}"
        self._taken[candidate] = 1
        return candidate


def _id_of(call: ast.Call) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == "id"), None)


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.JoinedStr):
        return not value.values
    return isinstance(value, ast.Constant) and isinstance(value.value, str) and not value.value.strip()


def _derived_id(call: ast.Call, primitive: Primitive) -> str:
    """A readable id from what the step is given: the program's name, the prompt's first words."""
    subject = call.args[0] if call.args else None
    words: list[str] = []
    if isinstance(subject, ast.List | ast.Tuple):
        for each in subject.elts[:2]:
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and not each.value.startswith("-"):
                words.append(each.value.rpartition("/")[2])
            else:
                break
    elif isinstance(subject, ast.Constant) and isinstance(subject.value, str):
        words = subject.value.split()[:2]
    slugs = [re.sub(r"[^a-z0-9_.]+", "-", word.lower()).strip("-.") for word in words]
    return "-".join(slug for slug in slugs if slug)[:40] or primitive.name


def _id_text(syntax: ScriptSyntax, call: ast.Call, name: str) -> str:
    """The id as source text; in loops with a name of each round."""
    variables = [loop_variable(loop) for loop in reversed(list(loops_around(syntax, call)))]
    known = [variable for variable in variables if variable is not None]
    return _varying_text(name, known) if known else json.dumps(name, ensure_ascii=False)


def _varying_text(name: str, variables: list[str]) -> str:
    escaped = json.dumps(name, ensure_ascii=False).replace("{", "{{").replace("}", "}}")
    return "f" + escaped[:-1] + "".join(f":{{{variable}}}" for variable in variables) + '"'


def _added_argument(syntax: ScriptSyntax, call: ast.Call, text: str) -> Edit | None:
    """The edit that adds one more argument before the closing parenthesis."""
    if any(isinstance(each, ast.GeneratorExp) for each in call.args):
        return None
    close = syntax.span(call)
    arguments = [syntax.span(each) for each in [*call.args, *call.keywords]]
    if not arguments:
        return insertion(close.end_line, close.end_column - 1, text)
    last = max(arguments, key=lambda span: (span.end_line, span.end_column))
    rest = syntax.text.slice(type(last)(last.end_line, last.end_column, close.end_line, close.end_column - 1))
    code = re.sub(r"#[^\n]*", "", rest)
    ends_in_comma = code.rstrip().endswith(",")
    if ends_in_comma and "\n" in code:
        # One argument a line with a trailing comma: the new one gets a line of its own below the last.
        indent = " " * (last.column - 1) if last.line != call.lineno else None
        if indent is not None and not code.rpartition("\n")[2].strip():
            return insertion(close.end_line, 1, f"{indent}{text},\n")
    return insertion(close.end_line, close.end_column - 1, f"{' ' if ends_in_comma else ', '}{text}")
