"""Where the demo finds or makes its repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.cli.demo_repository import GitMissing, find_or_make
from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def test_a_repository_is_found_from_a_folder_in_it(tmp_path: Path, place: Path) -> None:
    repository = GitRepository(tmp_path / "there")
    repository.commit("Ada", {"src/a.py": "1\n"})
    found = find_or_make(tmp_path / "there" / "src", place)
    assert (found.folder, found.made_because) == (tmp_path / "there", None)
    assert os.listdir(place) == []


def test_without_one_a_small_one_is_made(tmp_path: Path, place: Path) -> None:
    made = find_or_make(tmp_path, place)
    assert made.made_because == "this is no git repository"
    assert made.folder.parent == place
    log = GitRepository(made.folder).git("log", "--format=%an")
    assert len(log.splitlines()) == 6
    assert len(set(log.splitlines())) == 3


def test_a_repository_without_commits_is_left_alone(tmp_path: Path, place: Path) -> None:
    there = GitRepository(tmp_path / "there")
    made = find_or_make(there.folder, place)
    assert made.made_because == "the repository here has no commits yet"
    assert made.folder.parent == place


def test_without_git_it_says_what_to_install(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitMissing, match="apt install git"):
        find_or_make(tmp_path, place)
