"""
From an author's source to what the sandbox is fed, and back from its positions to the author's.

The author writes `from sidestep import command`, which the sandbox has no module for, and expects errors to name lines
of the file. So the loader changes the source in place, within its lines:
    - an import from sidestep becomes assignments of the prelude's functions, where the import stood;
    - the id of a step is wrapped, `id=("\\0line", 12, "tests")`, because Monty tells no function who called it;
    - the names `phase` and `log` are wrapped where they are called, for the same reason;
    - `asyncio.gather` becomes the prelude's `gather`, which knows the scopes of `parallel`.

Invariant: a line of the author's is the same line in what is fed; columns move, and `Loaded.column` moves them back.
It knows nothing of Monty itself. Source that `ast` refuses (a syntax error; or newer Python, which Monty takes) has its
imports found by a pattern and is otherwise fed as it is: steps then have no line.
"""

from __future__ import annotations

import ast
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import field

from sidestep.model.parsing import parse_module
from sidestep.model.value import Value
from sidestep.runtime.prelude import INTERNALS, MODULES, PRIMITIVES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Names in the sandbox; whoever writes them in a script gets what they ask for.
FACTORY = "__sidestep_make__"
HOST = "__sidestep_host__"
# The host as a script calls it that has nothing else to run meanwhile: the call itself waits, and nothing is awaited.
WAITING_HOST = "__sidestep_waiting_host__"
LIMITS = "__sidestep_limits__"
PRELUDE = "__sidestep__"

# What the prelude uses of the language's own names.
PRELUDE_BUILTINS = (
    *("BaseException", "Exception", "RuntimeError", "TimeoutError", "TypeError", "ValueError", "abs", "bool", "dict"),
    *("enumerate", "float", "id", "int", "isinstance", "len", "list", "max", "min", "range", "repr", "reversed", "set"),
    *("str", "tuple", "type", "zip"),
)

LOADED_SCRIPTS_MAX = 16

_STEPS = frozenset({"agent", "command", "workflow", "ask", "sleep", "apply_patch"})
_NOTES = frozenset({"phase", "log"})

_LINE_END = re.compile(r"\r\n?")
_IMPORT = re.compile(r"^([ \t]*)from[ \t]+sidestep[ \t]+import[ \t]*(\([^)]*\)|[^\n#;]+)", re.MULTILINE)
_SEPARATOR = re.compile(r"[ \t]*;?[ \t]*")
_QUOTES = '"""'
# How statements of the prelude's modules begin that the sandbox has no use for.
_FOR_TOOLS = ("from __future__ ", "from sidestep.", "if TYPE_CHECKING:")
_COMMENT = re.compile(r"#[^\n]*")


class Problem(Value, frozen=True):
    """Why a source cannot be run; `line` is 1-based."""

    message: str
    line: int


class _Edit(Value, frozen=True):
    """Replace `deleted` characters at `start` (0-based, in the author's line) by `inserted`, which has no line end."""

    start: int
    deleted: int
    inserted: str


class Loaded(Value, frozen=True):
    """
    A script as it is fed.

    Attributes:
        source: Text for the sandbox; ends with a line end.
        lines: The author's lines, without line ends.
    """

    source: str
    lines: tuple[str, ...]
    _edits: dict[int, list[_Edit]] = field(default_factory=dict[int, "list[_Edit]"])

    def column(self, line: int, column: int) -> int:
        """The author's column of a position in `source`; both 1-based, in characters."""
        moved = 0
        for edit in self._edits.get(line, ()):
            start = edit.start + moved
            if column - 1 < start:
                break
            if column - 1 < start + len(edit.inserted):
                return edit.start + 1
            moved += len(edit.inserted) - edit.deleted
        return column - moved


@lru_cache(LOADED_SCRIPTS_MAX)
def load(source: str) -> Loaded | Problem:
    """
    Prepare an author's source; line ends become line feeds, as Python itself reads them.

    The latest ones are remembered by their whole text: a script that was started is often started or resumed again.
    """
    source = _LINE_END.sub("\n", source.removeprefix("\ufeff"))
    try:
        tree = parse_module(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _load_unparsed(source)
    lines = source.split("\n")
    edits: dict[int, list[_Edit]] = {}
    for line, edit in _Editor(lines).edits(tree):
        if isinstance(edit, str):
            return Problem(edit, line)
        edits.setdefault(line, []).append(edit)
    return _edited(lines, edits)


def _edited(lines: list[str], edits: dict[int, list[_Edit]]) -> Loaded:
    fed = list(lines)
    for number, changes in edits.items():
        changes.sort(key=lambda edit: edit.start)
        text = fed[number - 1]
        for edit in reversed(changes):
            text = text[: edit.start] + edit.inserted + text[edit.start + edit.deleted :]
        fed[number - 1] = text
    return Loaded("\n".join(fed) + "\n", tuple(lines), edits)


class _Editor:
    """Walks one tree and gives its edits; a text in the place of an edit is a problem."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        # Name in the script -> primitive, for names that nothing else in the script binds.
        self._imported: dict[str, str] = {}
        self._gathers: set[str] = set()
        self._asyncio: set[str] = set()

    def edits(self, tree: ast.Module) -> Iterator[tuple[int, _Edit | str]]:
        self._read_names(tree)
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.JoinedStr):
                # Python 3.11 gives no true positions inside f-strings.
                continue
            waiting.extend(ast.iter_child_nodes(node))
            if isinstance(node, ast.ImportFrom) and node.module == "sidestep" and not node.level:
                yield from self._import(node)
            elif isinstance(node, ast.Call):
                yield from self._call(node)

    def _read_names(self, tree: ast.Module) -> None:
        bound: list[str] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom | ast.Import):
                for alias in node.names:
                    self._read_import(node, alias, bound)
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                bound.append(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound.append(node.name)
            elif isinstance(node, ast.arg):
                bound.append(node.arg)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name is not None:
                bound.append(node.name)
            elif isinstance(node, ast.MatchMapping) and node.rest is not None:
                bound.append(node.rest)
        for name in bound:
            self._imported.pop(name, None)
            self._gathers.discard(name)
            self._asyncio.discard(name)

    def _read_import(self, node: ast.ImportFrom | ast.Import, alias: ast.alias, bound: list[str]) -> None:
        name = alias.asname or alias.name
        if isinstance(node, ast.Import):
            (self._asyncio.add if alias.name == "asyncio" else bound.append)(name)
        elif node.module == "sidestep":
            self._imported[name] = alias.name
        elif node.module == "asyncio" and alias.name == "gather":
            self._gathers.add(name)
        else:
            bound.append(name)

    def _import(self, node: ast.ImportFrom) -> Iterator[tuple[int, _Edit | str]]:
        assignments: list[str] = []
        for alias in node.names:
            if alias.name == "*":
                yield node.lineno, "from sidestep import * is not available: name what the script uses"
            elif alias.name not in PRIMITIVES:
                yield node.lineno, f"cannot import {alias.name!r} from sidestep; it has {', '.join(PRIMITIVES)}"
            assignments.append(f'{alias.asname or alias.name}={PRELUDE}["{alias.name}"]')
        assert node.end_lineno is not None, "the parser gives ends"
        assert node.end_col_offset is not None, "the parser gives ends"
        start = self._column(node.lineno, node.col_offset)
        end = self._column(node.end_lineno, node.end_col_offset)
        text = ";".join(assignments)
        if node.end_lineno == node.lineno:
            yield node.lineno, _Edit(start, end - start, text)
            return
        # The statement spans lines: the assignments take its first one, spaces the others.
        yield node.lineno, _Edit(start, len(self._lines[node.lineno - 1]) - start, text)
        for line in range(node.lineno + 1, node.end_lineno):
            width = len(self._lines[line - 1])
            yield line, _Edit(0, width, "")
        # What follows on the last line (a comment, or `; x = 1`) must stand where a statement may.
        gap = _SEPARATOR.match(self._lines[node.end_lineno - 1], end)
        assert gap is not None, "the pattern matches nothing at all, too"
        yield node.end_lineno, _Edit(0, gap.end(), " " * start)

    def _call(self, node: ast.Call) -> Iterator[tuple[int, _Edit | str]]:
        if self._is_gather(node.func):
            yield from self._replace(node.func, f'{PRELUDE}["gather"]')
        if not isinstance(node.func, ast.Name):
            return
        primitive = self._imported.get(node.func.id)
        if primitive in _STEPS:
            for keyword in node.keywords:
                if keyword.arg == "id":
                    yield from self._wrap(keyword.value, f'("\\0line",{node.lineno},', ")")
        elif primitive in _NOTES and not any(isinstance(child, ast.Await) for child in ast.walk(node)):
            # With an `await` among the arguments another coroutine could take the line for its own.
            yield from self._wrap(node.func, f'{PRELUDE}["at"]({node.lineno},', ")")

    def _is_gather(self, callee: ast.expr) -> bool:
        if isinstance(callee, ast.Name):
            return callee.id in self._gathers
        return (
            isinstance(callee, ast.Attribute)
            and callee.attr == "gather"
            and callee.lineno == callee.end_lineno
            and isinstance(callee.value, ast.Name)
            and callee.value.id in self._asyncio
        )

    def _wrap(self, node: ast.expr, before: str, after: str) -> Iterator[tuple[int, _Edit]]:
        assert node.end_lineno is not None, "the parser gives ends"
        assert node.end_col_offset is not None, "the parser gives ends"
        yield node.lineno, _Edit(self._column(node.lineno, node.col_offset), 0, before)
        yield node.end_lineno, _Edit(self._column(node.end_lineno, node.end_col_offset), 0, after)

    def _replace(self, node: ast.expr, text: str) -> Iterator[tuple[int, _Edit]]:
        assert node.end_col_offset is not None, "the parser gives ends"
        start = self._column(node.lineno, node.col_offset)
        yield node.lineno, _Edit(start, self._column(node.lineno, node.end_col_offset) - start, text)

    def _column(self, line: int, byte_offset: int) -> int:
        """The 0-based column in characters of a 0-based offset in UTF-8 bytes."""
        text = self._lines[line - 1]
        if text.isascii():
            return byte_offset
        return len(text.encode("utf-8", "surrogatepass")[:byte_offset].decode("utf-8", "ignore"))


def _load_unparsed(source: str) -> Loaded | Problem:
    problems: list[Problem] = []

    def bind(found: re.Match[str]) -> str:
        assignments: list[str] = []
        for part in _COMMENT.sub("", found[2]).strip("() \t").split(","):
            words = part.split()
            if not words:
                continue
            if words[0] not in PRIMITIVES:
                line = source.count("\n", 0, found.start()) + 1
                problems.append(Problem(f"cannot import {words[0]!r} from sidestep", line))
            assignments.append(f'{words[-1]}={PRELUDE}["{words[0]}"]')
        return found[1] + ";".join(assignments) + "\n" * found[0].count("\n")

    fed = _IMPORT.sub(bind, source)
    if problems:
        return problems[0]
    return Loaded(fed + "\n", tuple(source.split("\n")))


@cache
def prelude_source() -> str:
    """
    The prelude as one snippet that leaves one name, `PRELUDE`: a dict of its functions.

    The builtins it uses become parameters of the function around it, bound when it is fed, before the script is.
    """
    lines: list[str] = []
    for module in MODULES:
        # Not through importlib.resources, which takes longer to import than all of this to read.
        lines += _fed_lines((Path(__file__).parent / "prelude" / f"{module}.py").read_text("utf-8"))
    parameters = ", ".join(["host", "waiting_host", "limits", *[f"{name}={name}" for name in PRELUDE_BUILTINS]])
    functions = ", ".join(f'"{name}": {name}' for name in (*PRIMITIVES, *INTERNALS))
    factory = [f"def {FACTORY}({parameters}):", *lines, f"    return {{{functions}}}"]
    call = f"{PRELUDE} = {FACTORY}({HOST}, {WAITING_HOST}, {LIMITS})\n{FACTORY} = {LIMITS} = None\n"
    return "\n".join([*factory, call])


def _fed_lines(text: str) -> Iterator[str]:
    """
    A module's lines one level deeper, without what only people, type checkers and linters need.

    Line by line, since the modules are formatted: no other texts over several lines, and nothing on a line with another
    statement. Rejected: doing it with `ast`, 20 times the time, for which the first run of a process waits.
    """
    is_fed = is_docstring = False
    for line in text.split("\n"):
        bare = line.strip()
        if is_docstring or bare.startswith(_QUOTES):
            is_docstring = not (bare.endswith(_QUOTES) and (is_docstring or len(bare) > len(_QUOTES)))
            continue
        if not bare or bare.startswith("#"):
            continue
        if line[0] not in " )":
            is_fed = not line.startswith(_FOR_TOOLS)
        if is_fed:
            yield f"    {line}"
