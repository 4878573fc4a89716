"""D4 as an editor shows it: every script of `scripts/` carries its own problems, fixes, hovers and completions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.language.completion import complete
from sidestep.language.diagnostics import diagnose
from sidestep.language.document import Snapshot
from sidestep.language.failed_calls import failed_calls
from sidestep.language.fixes import fixes_in, span_of
from sidestep.language.hover import hover
from sidestep.language.lenses import main_span, offers
from sidestep.language.navigation import definition, references
from sidestep.language.signature_help import signature_help
from sidestep.language.symbols import outline
from sidestep.model.replay_key import hash_text
from sidestep.scripts.source_text import Span
from tests.markers.marked_script import SCRIPTS, MarkedScript, marked_scripts, read_marked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidestep.language.navigation import Place
    from sidestep.language.symbols import Symbol
    from tests.markers.marked_script import Mark

LIMIT = 1 << 20


def snapshot_of(script: MarkedScript) -> Snapshot:
    return Snapshot(script.path, script.text, 1)


def check_problems(script: MarkedScript, snapshot: Snapshot) -> None:
    found = diagnose(snapshot, script.surroundings(), bytes_max=LIMIT)
    told = {(each.severity, each.code, span_of(each)): each for each in found}
    for mark in script.marks:
        if mark.kind in ("error", "warning"):
            code, _, words = mark.rest.partition(": ")
            problem = told.pop((mark.kind, code, mark.span), None)
            assert problem is not None, f"no {mark} in {found}"
            assert words in problem.message
    assert not told, "a problem is not marked"


def check_fix(script: MarkedScript, snapshot: Snapshot, mark: Mark) -> None:
    found = diagnose(snapshot, script.surroundings(), bytes_max=LIMIT)
    fixes = [each for each in fixes_in(found, mark.span) if span_of(each.problem) == mark.span]
    assert len(fixes) == 1, f"{mark}: {fixes}"
    start = snapshot.offset(fixes[0].span.line, fixes[0].span.column)
    end = snapshot.offset(fixes[0].span.end_line, fixes[0].span.end_column)
    fixed = snapshot.text[:start] + fixes[0].text + snapshot.text[end:]
    assert mark.rest in [line.strip() for line in fixed.split("\n")]
    after = diagnose(Snapshot(script.path, fixed, 2), script.surroundings(), bytes_max=LIMIT)
    assert len(after) < len(found), "the fix mends nothing"


def check_mark(script: MarkedScript, snapshot: Snapshot, mark: Mark) -> None:
    at, surroundings = (mark.span.line, mark.span.column), script.surroundings()
    match mark.kind:
        case "fix":
            check_fix(script, snapshot, mark)
        case "hover":
            shown = hover(snapshot, *at, surroundings)
            assert (shown.text if shown is not None else "-").find(mark.rest) >= 0, f"{mark}: {shown}"
        case "complete" | "complete has" | "complete lacks":
            labels = {item.label for item in complete(snapshot, *at, surroundings)}
            wanted = set(mark.rest.split())
            is_so = {"complete": labels == wanted, "complete has": wanted <= labels}
            assert is_so.get(mark.kind, labels.isdisjoint(wanted)), f"{mark}: {sorted(labels)}"
        case "signature":
            shown = signature_help(snapshot, *at)
            active = None if shown is None or shown.active is None else shown.primitive.parameters[shown.active].name
            told = "-" if shown is None else f"{shown.primitive.name} {active or '-'}"
            assert told == mark.rest, mark
        case "definition":
            assert _lines(definition(snapshot, *at, surroundings), script) == mark.rest.split(), mark
        case "references":
            places = references(snapshot, *at, surroundings, with_definition=False)
            assert _lines(places, script) == mark.rest.split(), mark
        case "lens":
            places = main_span(snapshot)
            assert places is not None
            assert places[0] == mark.span
            shown = offers("file:///it", script.runs, hash_text(snapshot.text))
            assert " | ".join(each.title for each in shown) == mark.rest
        case "failed":
            error = script.runs[0].error
            assert error is not None
            (problem,) = failed_calls(snapshot, snapshot, error)
            assert span_of(problem) == mark.span
            assert mark.rest in problem.message
            changed = Snapshot(script.path, snapshot.text.replace('"true"', '"false"'), 2)
            assert failed_calls(changed, snapshot, error) == [], "the call is another one"
        case _:
            assert mark.kind in ("error", "warning"), f"no such mark: {mark}"


def _lines(places: Iterable[Place], script: MarkedScript) -> list[str]:
    return [
        str(place.span.line) if place.path == script.path else f"{os.path.basename(place.path)}:{place.span.line}"
        for place in places
    ]


def _told(symbols: Iterable[Symbol], indent: str = "") -> list[str]:
    told: list[str] = []
    for symbol in symbols:
        told.append(f"{indent}{symbol.kind} {symbol.name}")
        told += _told(symbol.children, f"{indent}  ")
    return told


@pytest.mark.parametrize("name", marked_scripts())
def test_a_marked_script_is_shown_as_it_says(name: str) -> None:
    script = read_marked(name)
    assert script.marks, "a script without marks tests nothing"
    snapshot = snapshot_of(script)
    check_problems(script, snapshot)
    for mark in script.marks:
        check_mark(script, snapshot, mark)
    if script.symbols:
        assert _told(outline(snapshot)) == script.symbols


def test_a_wrong_mark_is_noticed() -> None:
    """What the scripts say is not true by itself."""
    script = read_marked("missing_id")
    snapshot = snapshot_of(script)
    for mark in script.marks:
        if mark.kind in ("hover", "fix", "complete", "signature"):
            wrong = type(mark)(mark.kind, f"{mark.rest} no such words", mark.span)
            with pytest.raises(AssertionError):
                check_mark(script, snapshot, wrong)
    moved = [type(mark)(mark.kind, mark.rest, Span(1, 1, 1, 2)) for mark in script.marks]
    with pytest.raises(AssertionError):
        check_problems(MarkedScript("missing_id", script.text, moved), snapshot)


def test_every_file_beside_the_scripts_is_one() -> None:
    assert sorted(path.name for path in SCRIPTS.iterdir()) == [f"{name}.py.txt" for name in marked_scripts()]
