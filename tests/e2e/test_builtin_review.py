"""`sidestep run review` with a real repository and an agent that is a program: what it takes for the change."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.git_repository import GitRepository

pytestmark = pytest.mark.slow

AGENT = Path(__file__).parents[1] / "support" / "cli_agents" / "reviewing.py"
FILES = {"calc.py": "a\nb\n", "fine.py": "a\nb\n", "same.py": "a\n", "sub/deep.py": "a\n", ".gitignore": ".sidestep/\n"}


class Project:
    def __init__(self, place: Path) -> None:
        self.cli = CommandLine(place)
        self.calls = place / "calls"
        self.repository = GitRepository(self.cli.folder)
        self.repository.commit("Ada", FILES)
        words = json.dumps([str(AGENT), str(self.calls)])
        configuration = f'[agents.worker]\nkind = "cli"\ncommand = {json.dumps(sys.executable)}\nargs = {words}\n'
        (self.cli.folder / ".sidestep" / "config.toml").write_text(configuration)

    def review(self, *words: str) -> dict[str, Any]:
        said = self.cli("run", "review", *words, "--json")
        assert said.exit == 0, said.err
        result: dict[str, Any] = said.lines[-1]["result"]
        return result


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def found(result: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(each["file"], each["line"], each["holds"]) for each in result["data"]["findings"]]


def test_what_is_uncommitted_is_reviewed_with_its_new_files(project: Project) -> None:
    for name in ("calc.py", "fine.py"):
        (project.cli.folder / name).write_text("a\nB\n")
    (project.cli.folder / "new ü.py").write_text("n\n")
    (project.cli.folder / "new.py").write_text("n\n")
    result = project.review()
    assert result["data"]["files"] == ["calc.py", "fine.py", "new ü.py", "new.py"]
    assert found(result) == [("calc.py", 2, "yes"), ("fine.py", 2, "no"), ("new.py", 2, "yes")]
    assert result["report"].startswith("# Review: 2 high\n\n4 files were looked at for ")
    assert "### `calc.py:2` calc.py is wrong" in result["report"]
    assert "- `fine.py:2` fine.py is wrong: I looked." in result["report"]
    assert len(project.calls.read_text().splitlines()) == 4 + 3


def test_a_branch_is_compared_with_where_it_left(project: Project) -> None:
    project.repository.git("checkout", "-q", "-b", "feature")
    project.repository.commit("Ada", {"calc.py": "a\nB\n"})
    project.repository.commit("Ada", {"sub/deep.py": "A\n"})
    result = project.review()
    assert "this branch since it left main" in result["report"]
    assert result["data"]["files"] == ["calc.py", "sub/deep.py"]
    assert project.review("base=HEAD~1")["data"]["files"] == ["sub/deep.py"]


def test_the_last_commit_is_reviewed_where_there_is_nothing_else(project: Project) -> None:
    project.repository.commit("Ada", {"calc.py": "a\nB\n"})
    result = project.review("lanes=correctness")
    assert "the last commit" in result["report"]
    assert found(result) == [("calc.py", 2, "yes")]


def test_in_a_folder_of_the_repository_only_that_is_reviewed(project: Project) -> None:
    (project.cli.folder / "calc.py").write_text("a\nB\n")
    (project.cli.folder / "sub" / "deep.py").write_text("A\n")
    folder = str(project.cli.folder / "sub")
    project.cli.environ["XDG_CONFIG_HOME"] = str(project.cli.place / "config")
    configuration = project.cli.place / "config" / "sidestep"
    configuration.mkdir(parents=True)
    (configuration / "config.toml").write_text((project.cli.folder / ".sidestep" / "config.toml").read_text())
    assert project.review("--trust", "--folder", folder)["data"]["files"] == ["deep.py"]


def test_a_name_with_a_dash_is_no_option(project: Project) -> None:
    said = project.cli("run", "review", "base=--output=stolen")
    assert said.exit == 1
    assert "there is no commit '--output=stolen' here" in said.err
    assert not (project.cli.folder / "stolen").exists()
