"""The README's first workflow is one and runs; each built-in workflow has its section, with its arguments."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from sidestep.scripts.check import check, check_with_signature
from sidestep.scripts.command_line_arguments import coerce_cli
from sidestep.scripts.discovery import builtin_folder
from tests.docs.documents import README, ROOT, code_spans, fences, sections, table_rows, text_of, the_fence

if TYPE_CHECKING:
    from sidestep.scripts.signature import ScriptSignature

NAME = "who.py"
FIRST_SCREEN_LINES = 40


def sidestep(*words: str, folder: Path, store: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("server", "protocol")),
        "SIDESTEP_STORE": str(store),
    }
    command = [sys.executable, "-m", "sidestep", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with two commits by two people, and the README's workflow saved in it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for person, file in (("Ada", "engine.py"), ("Grace", "compiler.py")):
        (folder / file).write_text(file)
        identity = ["-c", f"user.name={person}", "-c", f"user.email={person}@example.invalid"]
        for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", file]):
            subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    (folder / NAME).write_text(the_fence(README, "python").body)
    return folder


def test_the_first_workflow_passes_the_check() -> None:
    script = the_fence(README, "python").body
    assert check(script, NAME) == []
    assert len([line for line in script.splitlines() if line.strip()]) <= 20


@pytest.mark.slow
def test_the_first_workflow_runs(repository: Path, tmp_store_path: Path) -> None:
    done = sidestep("run", NAME, "--trust", "pause_s=0", folder=repository, store=tmp_store_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["# Authors of the latest commits (2 in all)", "", "- Ada: 1", "- Grace: 1"]


def test_the_first_screen_has_the_two_commands_and_the_picture() -> None:
    screen = "\n".join(text_of(README).splitlines()[:FIRST_SCREEN_LINES])
    for wanted in ("make demo", "make test", ".github/demo.svg"):
        assert wanted in screen


def test_the_picture_shows_the_demo() -> None:
    """Drawn from a real demo: `python -m tests.docs.picture FOLDER`."""
    drawn = ElementTree.parse(ROOT / ".github" / "demo.svg").getroot()
    text = " ".join("".join(drawn.itertext()).split())
    for words in ("repo-report", "SIGKILL", "reused", "What the journal says"):
        assert words in text


BUILT_IN = sorted(path.stem for path in Path(builtin_folder()).glob("[a-z]*.py"))


def signature_of(name: str) -> ScriptSignature:
    signature, problems = check_with_signature(Path(builtin_folder(), f"{name}.py").read_text(), f"{name}.py")
    assert problems == []
    assert signature is not None
    return signature


def test_there_is_a_built_in_workflow_for_day_one() -> None:
    assert BUILT_IN == ["implement", "repo-report", "research", "review"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_workflow_has_a_section_with_what_it_takes_and_costs(name: str) -> None:
    section = sections(README)[name]
    parameters = {each.name: each for each in signature_of(name).parameters}
    told: dict[str, str] = {}
    for row in table_rows(section):
        names = code_spans(row[0])
        # Several in one row have a default each, or share one.
        defaults = row[1].split(", ") if "," in row[1] else [row[1]] * len(names)
        told |= dict(zip(names, defaults, strict=True))
    assert list(told) == list(parameters)
    for argument, default in told.items():
        parameter = parameters[argument]
        assert (default == "") == parameter.is_required
        if isinstance(parameter.schema.get("default"), int | float):
            assert float(default) == parameter.schema["default"]
    assert "agent call" in section


def shown_runs() -> list[str]:
    lines = [line for fence in fences(README, "sh") for line in fence.body.splitlines()]
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("sidestep run ")]


@pytest.mark.parametrize("line", [line for line in shown_runs() if line.split()[2] in BUILT_IN])
def test_a_run_of_a_built_in_workflow_that_it_shows_has_arguments_that_fit(line: str) -> None:
    name, *pairs = shlex.split(line)[2:]
    arguments, problems = coerce_cli(signature_of(name), pairs, lambda path: f"the text of {path}")
    assert problems == []
    assert len(arguments) == len({pair.partition("=")[0] for pair in pairs})


def test_each_built_in_workflow_is_shown_being_run() -> None:
    assert {line.split()[2] for line in shown_runs()} >= set(BUILT_IN)
