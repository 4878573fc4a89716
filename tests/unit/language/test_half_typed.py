"""Wrong or half-typed code never raises, and what can be said of it is said (D4)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidestep.language.completion import complete
from sidestep.language.diagnostics import diagnose
from sidestep.language.document import Document, Snapshot
from sidestep.language.fixes import fixes_in
from sidestep.language.hover import hover
from sidestep.language.navigation import definition, references
from sidestep.language.signature_help import signature_help
from sidestep.language.surroundings import StepMemory, Surroundings
from sidestep.language.symbols import outline
from sidestep.scripts.source_text import Span

PATH = "/workspace/.sidestep/workflows/typed.py"
LIMIT = 1 << 20
SOUND = '''"""A script."""
from sidestep import (agent, command as run,
    workflow, phase)

async def main(task: str = "x"):
    phase("one", detail=[1, {"a": (2,)}])
    first = await agent(f"Do {task!r}", id="first", schema={"type": "object"}, agent="claude")
    for n in [1, 2]:
        await run(["ls", "-l"], id=f"list:{n}", check=False)  # a comment
    return await workflow("child", id='nested', args={"name": """long
    text"""})
'''
SURROUNDINGS = Surroundings(
    workflows=lambda _: {"child": "/workspace/.sidestep/workflows/child.py"},
    read=lambda _: SOUND,
    agents=lambda _: ["claude", "codex"],
    last_steps=lambda _: [StepMemory("first", "completed", 12, True), StepMemory("lost", "failed")],
)


def ask_everything(text: str, line: int, column: int) -> None:
    snapshot = Snapshot(PATH, text, 1)
    problems = diagnose(snapshot, SURROUNDINGS, bytes_max=LIMIT)
    fixes_in(problems, Span(line, column, line, column))
    hover(snapshot, line, column, SURROUNDINGS)
    complete(snapshot, line, column, SURROUNDINGS)
    signature_help(snapshot, line, column)
    definition(snapshot, line, column, SURROUNDINGS)
    references(snapshot, line, column, SURROUNDINGS, with_definition=True)
    outline(snapshot)


@pytest.mark.slow
def test_every_beginning_of_a_script_is_taken() -> None:
    for length in range(len(SOUND)):
        text = SOUND[:length]
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        ask_everything(text, line, column)


_TEXTS = st.text(st.sampled_from("agent(\"'){}[]=,:.#\n\r\\ f\t\0\ud800\ufeff🛰é1id\f\u2028"), max_size=60)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(_TEXTS, st.integers(0, len(SOUND)), st.integers(-1, 20), st.integers(-1, 90))
def test_any_text_at_any_place_is_taken(typed: str, at: int, line: int, column: int) -> None:
    ask_everything(SOUND[:at] + typed + SOUND[at:], line, column)
    ask_everything(typed, line, column)


@pytest.mark.parametrize("text", ["", "\ufeff", "\r\r\n", "(" * 3000, '"' * 999, "x = [" * 300, "await agent(" * 200])
def test_strange_texts_are_taken(text: str) -> None:
    ask_everything(text, 1, len(text) + 1)


def test_a_longer_text_than_a_script_may_be_is_not_looked_at() -> None:
    problems = diagnose(Snapshot(PATH, "x = (\n" * 100, 1), SURROUNDINGS, bytes_max=100)
    assert [problem.code for problem in problems] == ["too-long"]


def test_the_outline_of_the_last_python_stays_while_one_types() -> None:
    document = Document(PATH, SOUND, 1)
    whole = [symbol.name for symbol in outline(document.snapshot)]
    assert whole == ["main"]
    document.change(SOUND + "    await agent(", 2)
    assert [symbol.name for symbol in outline(document.snapshot)] == whole
    document.change(SOUND + "    await agent((", 3)
    assert [symbol.name for symbol in outline(document.snapshot)] == whole
    document.change("async def main():\n    phase('a')\n", 4)
    assert [child.name for child in outline(document.snapshot)[0].children] == ["a"]


def test_a_completed_primitive_brings_its_import() -> None:
    document = Document(PATH, "from sidestep import agent\n\nasync def main():\n    await comm\n", 1)
    (item,) = [each for each in complete(document.snapshot, 4, 15, SURROUNDINGS) if each.label == "command"]
    assert item.import_edit == (Span(1, 27, 1, 27), ", command")
    (known,) = [each for each in complete(document.snapshot, 4, 15, SURROUNDINGS) if each.label == "agent"]
    assert known.import_edit is None


def test_ids_are_offered_from_the_prompt_and_from_the_last_run() -> None:
    text = 'from sidestep import agent\n\nasync def main():\n    await agent("Fix the bug", id="'
    labels = [item.label for item in complete(Snapshot(PATH, text, 1), 4, 36, SURROUNDINGS)]
    assert labels == ["fix-the", "first", "lost"]
    taken = Document(PATH, 'from sidestep import agent\n\nasync def main():\n    await agent("x", id="fix-the")\n', 1)
    outline(taken.snapshot)
    taken.change(taken.text + '    await agent("Fix the bug", id="', 2)
    assert complete(taken.snapshot, 5, 36, SURROUNDINGS)[0].label == "fix-the-2"


def test_what_an_import_takes_is_offered() -> None:
    def labels(text: str) -> list[str]:
        return [item.label for item in complete(Snapshot(PATH, text, 1), 1, len(text) + 1, SURROUNDINGS)]

    assert "agent" in labels("from sidestep import ")
    assert "agent" not in labels("from sidestep import agent, ")
    assert labels("from ")[0] == "sidestep"
    assert "sidestep" not in labels("import ")
    assert "loads" in labels("from json import ")
    assert labels("x.") == []
    assert labels("x = 1") == []
    assert labels("# com") == []
