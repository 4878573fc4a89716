"""
N2: nothing is ever decided by message text.

Reads our own source: a text that was made of an error (`str(error)`, an f-string around it, `error.message`,
`error.args`) may be shown, stored and measured, and neither compared, searched, taken apart nor looked up.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Where reading a text is the point, as "path:function", each with its reason.
ALLOWED = {
    # msgspec says where a value does not fit in its message only; what is made of it is shown, too. A test holds every
    # form those messages take.
    "protocol/sidestep_protocol/validation.py:invalid_params_data",
    # Before Python 3.14, tomllib says the line of a mistake in its message only; it is shown, and decides nothing.
    "server/sidestep/scripts/agent_config.py:_file_source",
    # Only a text crosses into the sandbox and back: a step's failure is found again by the whole text it was raised
    # with. And the wording of two messages of the sandbox is improved, under the code they have anyway.
    "server/sidestep/runtime/failures.py:Failures._raised",
}

# The prelude's `failure()` takes apart the text that Sidestep itself wrote for a failed step: DESIGN says so to
# authors. It runs inside the sandbox, where a text is all there is of an error.
INSIDE_THE_SANDBOX = "server/sidestep/runtime/prelude/"

_MAKES_TEXT = {"str", "repr", "ascii", "format"}
_PARTS_OF_ERRORS = {"message", "msg", "args", "strerror"}
_READS_TEXT = {
    *("startswith", "endswith", "find", "rfind", "index", "rindex", "count", "split", "rsplit", "partition"),
    *("rpartition", "removeprefix", "removesuffix", "get", "match", "search", "fullmatch", "findall"),
    *("finditer", "sub", "fnmatch"),
}
# What our code calls the errors it holds; a handler's own name counts whatever it is.
_CALLED_ERRORS = {"error", "exception", "failure", "problem", "cause", "aborted", "away", "raised", "refusal", "err"}


class _Decisions(ast.NodeVisitor):
    """Finds, function by function, where the text of an error decides something."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []
        self._names: list[str] = []
        self._errors: set[str] = set(_CALLED_ERRORS)
        self._texts: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside = self._errors, self._texts
        self._errors, self._texts = set(self._errors), set(self._texts)
        self._names.append(node.name)
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            if argument.annotation is not None and _is_of_errors(ast.unparse(argument.annotation)):
                self._errors.add(argument.arg)
        # Twice: a text may be read above the line that makes it, in a loop.
        for each in [*node.body, *node.body]:
            self.visit(each)
        self._names.pop()
        self._errors, self._texts = outside

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        self.generic_visit(node)
        self._names.pop()

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self._errors.add(node.name)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        if self._is_text(node.value):
            for target in node.targets:
                self._texts |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        if self._is_text(node.value):
            self._texts.add(node.target.id)

    def visit_Compare(self, node: ast.Compare) -> None:
        if not all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops):
            self._note(node, node.left, *node.comparators)
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        self._note(node, node.subject)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        # A table looked up by a text, or a part of one (`error.args[0]` is itself a text, and looked at where it goes).
        self._note(node, node.slice)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in _READS_TEXT:
            self._note(node, node.func.value, *node.args)
        self.generic_visit(node)

    def _is_text(self, node: ast.expr) -> bool:
        """Whether the value is the text of an error, or made of it."""
        match node:
            case ast.Name():
                return node.id in self._texts
            case ast.Call(func=ast.Name(id=name), args=[value, *_]) if name in _MAKES_TEXT:
                return self._is_error(value) or self._is_text(value)
            case ast.Call(func=ast.Attribute(value=value, attr="lower" | "upper" | "strip" | "casefold" | "display")):
                return self._is_text(value) or self._is_error(value)
            case ast.Attribute(value=value, attr=name):
                return name in _PARTS_OF_ERRORS and self._is_error(value)
            case ast.Subscript(value=value) | ast.NamedExpr(value=value):
                return self._is_text(value)
            case ast.JoinedStr(values=values):
                inner = [each.value for each in values if isinstance(each, ast.FormattedValue)]
                return any(self._is_error(value) or self._is_text(value) for value in inner)
            case ast.BinOp(left=left, right=right):
                return self._is_text(left) or self._is_text(right)
            case ast.Tuple(elts=elements):
                return any(map(self._is_text, elements))
            case _:
                return False

    def _is_error(self, node: ast.expr) -> bool:
        match node:
            case ast.Name():
                return node.id in self._errors
            case ast.Attribute(attr=name):
                return name.lstrip("_") in self._errors
            case ast.Call(func=ast.Attribute(attr="exception")):
                return True
            case _:
                return False

    def _note(self, where: ast.AST, *operands: ast.expr) -> None:
        if any(map(self._is_text, operands)):
            place = (".".join(self._names) or "<module>", getattr(where, "lineno", 0))
            if place not in self.found:
                self.found.append(place)


def _is_of_errors(annotation: str) -> bool:
    return any(word.endswith(("Error", "Exception", "Failure")) for word in annotation.replace("|", " ").split())


def decisions(source: str) -> list[tuple[str, int]]:
    """(function, line) of every place where `source` decides by the text of an error."""
    finder = _Decisions()
    finder.visit(ast.parse(source))
    return finder.found


def test_n2_nothing_is_decided_by_the_text_of_an_error() -> None:
    deciding = set()
    for path in sorted(path for folder in ("server", "protocol") for path in (ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith((INSIDE_THE_SANDBOX, "server/sidestep/builtin/")):
            deciding |= {f"{name}:{function}" for function, _ in decisions(path.read_text())}
    assert deciding == ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "if 'disk full' in str(error): return 1",
        "if error.message == 'no': return 1",
        "if error.args[0] == 13: return 1",
        "while f'{error}' != '': pass",
        "return 'locked' in repr(error).lower()",
        "return re.search('locked', str(error))",
        "return LOCKED.match(str(error))",
        "return str(error).startswith('database')",
        "return CODES[str(error)]",
        "return CODES.get(str(error))",
        "text = 'x' + str(error)\n    return text.split(':')",
        "if (text := error.args[0]).endswith('x'): return 1",
        "match error.message:\n        case 'no': return 1",
        "return [each for each in WORDS if each in str(error)]",
        "try:\n        work()\n    except OSError as odd:\n        return str(odd) == 'x'",
    ],
)
def test_n2_a_decision_by_text_is_found(line: str) -> None:
    assert len(decisions(f"def decide(error):\n    {line}\n")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "return f'the store is away: {error}'",
        "if error.code is FailureCode.STEP: return 1",
        "if isinstance(error, OSError) and error.errno == errno.ENOSPC: return 1",
        "message = str(error)\n    if len(message) > 10: message = message[:10]\n    return message",
        "log.warning('%s', str(error))",
        "return str(error).splitlines()",
        "text = error.strerror\n    return 'it broke' if text is None else text",
    ],
)
def test_n2_what_is_only_shown_or_typed_is_not_found(line: str) -> None:
    assert decisions(f"def decide(error):\n    {line}\n") == []
