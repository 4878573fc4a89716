"""A document is parsed and checked once for each version, however many ask about it."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from sidestep.language.diagnostics import diagnose
from sidestep.language.document import Document, Snapshot
from sidestep.language.hover import hover
from sidestep.language.surroundings import Surroundings, workspace_of
from sidestep.language.symbols import outline
from sidestep.model import parsing
from sidestep.scripts.syntax import ScriptSyntax

PATH = "/workspace/.sidestep/workflows/typed.py"
LINES = 500


def long_script(lines: int) -> str:
    body = "\n".join(
        f'    await agent(f"Fix {{task}} number {n}", id="fix:{n}", title="Step {n}")' for n in range(lines - 4)
    )
    return f'"""Long."""\nfrom sidestep import agent\n\nasync def main(task: str):\n{body}\n'


class Counted:
    """How often the parser and the walk are asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.parses = 0
        self.nodes = 0
        parse, init = ast.parse, ScriptSyntax.__init__

        def counted_parse(source: Any, *args: Any, **options: Any) -> Any:
            # An annotation's few letters are no parse of the text.
            self.parses += len(source) > 100
            return parse(source, *args, **options)

        def counted_init(syntax: ScriptSyntax, *args: Any) -> None:
            init(syntax, *args)
            self.nodes += len(syntax.nodes)

        patch.setattr(parsing.ast, "parse", counted_parse)
        patch.setattr(ScriptSyntax, "__init__", counted_init)


@pytest.mark.slow
def test_a_full_check_parses_twice_at_most_and_walks_the_tree_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """No stopwatch: three parses and a walk are what it may cost, the benchmark says what it does."""
    source = long_script(LINES)
    nodes = sum(1 for _ in ast.walk(ast.parse(source)))
    counted = Counted(monkeypatch)
    snapshot = Snapshot(PATH, source, 1)
    assert diagnose(snapshot, Surroundings(), bytes_max=1 << 20) == []
    assert counted.parses <= 2
    assert counted.nodes <= 2 * nodes
    outline(snapshot)
    hover(snapshot, 5, 12, Surroundings())
    assert counted.parses <= 2, "what was read once is kept"


def test_a_version_that_nobody_asked_about_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    document = Document(PATH, long_script(50), 1)
    for version in range(2, 30):
        document.change(f"{document.text}#", version)
    assert counted.parses == 0
    assert document.snapshot.readable is document.snapshot
    assert counted.parses == 1


def test_old_snapshots_are_let_go() -> None:
    """Each keeps at most one before it, so that a day of typing is no memory of a day."""
    document = Document(PATH, "x = 1\n", 1)
    for version in range(2, 50):
        assert (document.snapshot.syntax is None) == (version % 3 == 1)
        document.change("x = (" if version % 3 == 0 else f"x = {version}\n", version)
    depth, snapshot = 0, document.snapshot
    while (before := vars(snapshot)["_before"]) is not None:
        depth, snapshot = depth + 1, before
    assert depth <= 1


def test_line_ends_and_a_byte_order_mark_are_no_part_of_the_script() -> None:
    snapshot = Snapshot(PATH, "\ufeffx = 1\r\ny = 2\rz = 3\n", 1)
    assert snapshot.text == "x = 1\ny = 2\nz = 3\n"
    assert snapshot.line_end == "\r\n"
    assert [snapshot.position(snapshot.offset(line, 3)) for line in (1, 2, 3)] == [(1, 3), (2, 3), (3, 3)]


def test_which_documents_are_scripts() -> None:
    around = Surroundings(user_folder="/home/me/.config/sidestep/workflows")
    assert around.is_script("/w/.sidestep/workflows/a.py")
    assert around.is_script("/home/me/.config/sidestep/workflows/a.py")
    assert not around.is_script("/w/.sidestep/workflows/deeper/a.py")
    assert not around.is_script("/w/.sidestep/workflows/a.txt")
    assert not around.is_script("/w/.sidestep/workflows/_a.py")
    assert not around.is_script("/w/workflows/a.py")
    assert not Surroundings().is_script("/home/me/.config/sidestep/workflows/a.py")
    assert workspace_of("/w/.sidestep/workflows/a.py") == "/w"
    assert workspace_of("/home/me/.config/sidestep/workflows/a.py") is None
