"""The README's first workflow is one: it passes the check, shows its arguments, and runs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from sidestep.scripts.check import check
from tests.docs.documents import README, ROOT, text_of, the_fence

if TYPE_CHECKING:
    from pathlib import Path

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
