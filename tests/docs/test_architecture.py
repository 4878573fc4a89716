"""server/ARCHITECTURE.md and the code agree: the diagram, the code map, the layers; and it stays readable."""

from __future__ import annotations

import re
import tomllib

from sidestep.model.transitions import mermaid
from tests.docs.documents import ARCHITECTURE, ROOT, code_spans, sections, table_rows, text_of, the_fence

PACKAGE = ROOT / "server" / "sidestep"
LINES_MAX = 300
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*(/|\.(py|sql|md|json|toml))")


def exists(path: str) -> bool:
    """A path from one of the roots, or the bare name of a module that the text around it places."""
    if any((base / path).exists() for base in (PACKAGE, ROOT / "server", ROOT / "protocol", ROOT)):
        return True
    return "/" not in path and any(found for base in (PACKAGE, ROOT / "protocol") for found in base.rglob(path))


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(text_of(ARCHITECTURE).splitlines()) <= LINES_MAX


def test_the_state_diagram_is_generated_from_the_table() -> None:
    assert the_fence(ARCHITECTURE, "mermaid").body.strip() == mermaid().strip()


def test_every_path_it_names_exists() -> None:
    named = {span for span in code_spans(text_of(ARCHITECTURE)) if PATH.fullmatch(span)}
    assert len(named) > 40
    assert sorted(path for path in named if not exists(path)) == []


def test_the_code_map_places_modules_in_the_package_it_speaks_of() -> None:
    misplaced: list[str] = []
    for paragraph in sections(ARCHITECTURE)["Code map"].split("\n\n"):
        package, *modules = [span for span in code_spans(paragraph) if PATH.fullmatch(span)] or [""]
        if package.endswith("/"):
            bases = (PACKAGE / package, PACKAGE, ROOT / "protocol" / package, ROOT)
            misplaced += [f"{package}: {name}" for name in modules if not any((base / name).exists() for base in bases)]
    assert misplaced == []


def test_the_code_map_names_every_package_and_every_module_beside_them() -> None:
    here = {f"{path.name}/" for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    here |= {path.name for path in PACKAGE.glob("*.py")}
    told = {span for title, text in sections(ARCHITECTURE).items() if title == "Code map" for span in code_spans(text)}
    assert here - told == set()


def test_the_layers_are_those_that_the_test_run_enforces() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    drawn = the_fence(ARCHITECTURE, "text", "layers").body.splitlines()
    assert [" ".join(line.split()) for line in drawn if line.strip()] == [
        re.sub(r"[()]", "", layer) for layer in layers
    ]


def test_every_decision_has_the_alternative_and_the_number() -> None:
    rows = table_rows(sections(ARCHITECTURE)["Decisions"])
    assert len(rows) >= 8
    assert [row[0] for row in rows if len(row) != 3 or not re.search(r"\d", row[2])] == []
