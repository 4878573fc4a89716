"""What the command line says about a folder: scripts, validate, trust, doctor, completion. D1, D3, D4."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

GOOD = '"""Good."""\nasync def main():\n    return "good"\n'
BUILT_IN = ["implement", "repo-report", "research", "review"]
BAD = "import nothing\n\nasync def main():\n    return 1\n"


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def test_scripts_lists_the_projects_and_the_built_in_ones(cli: CommandLine) -> None:
    cli.script("good", GOOD)
    cli.script("bad", BAD)
    lines = {line.split()[0]: line for line in cli("scripts").out.splitlines()}
    assert lines["good"].split() == ["good", "project", "Good."]
    assert "cannot run: " in lines["bad"]
    assert " builtin " in lines["repo-report"]
    listed = json.loads(cli("scripts", "--json").out)["scripts"]
    runnable = {each["name"]: each["runnable"] for each in listed}
    assert runnable == {"bad": False, "good": True, **dict.fromkeys(BUILT_IN, True)}


def test_a_new_script_runs_as_it_is_and_is_never_overwritten(cli: CommandLine) -> None:
    said = cli("scripts", "new", "mine")
    assert (said.exit, said.out) == (0, os.path.join(".sidestep", "workflows", "mine.py") + "\n")
    assert cli("validate", said.out.strip()).exit == 0
    (cli.folder / "file.txt").touch()
    ran = cli("run", "mine", "limit=1")
    assert ran.exit == 0
    assert "# The largest of" in ran.out
    path = cli.workflows / "mine.py"
    path.write_text("mine")
    refused = cli("scripts", "new", "mine")
    assert refused.exit == 2
    assert path.read_text() == "mine"


def test_a_new_script_says_what_to_do_next(cli: CommandLine) -> None:
    said = cli("scripts", "new", "mine")
    next_ones = [line.rpartition("  ")[2] for line in said.err.splitlines()[1:]]
    assert next_ones == [
        ".sidestep/workflows/mine.py",
        "sidestep validate .sidestep/workflows/mine.py",
        "sidestep run mine --help",
        "sidestep run mine",
        "sidestep guide",
    ]
    for words in next_ones[1:]:
        assert cli(*words.split()[1:]).exit == 0


@pytest.mark.parametrize("builtin", BUILT_IN)
def test_a_new_script_may_begin_from_a_built_in_one(cli: CommandLine, builtin: str) -> None:
    said = cli("scripts", "new", "mine", "--from", builtin)
    assert said.exit == 0
    assert "instead of the built-in one" not in said.err
    assert cli("validate", said.out.strip()).exit == 0
    assert cli("run", "mine", "--help").out.partition("\n")[2] != ""
    source = (cli.workflows / "mine.py").read_text()
    assert "from sidestep import " in source
    refused = cli("scripts", "new", "mine", "--from", "repo-report")
    assert refused.exit == 2
    assert (cli.workflows / "mine.py").read_text() == source


def test_one_that_takes_a_built_in_ones_name_says_so(cli: CommandLine) -> None:
    """D1"""
    said = cli("scripts", "new", "review", "--from", "review")
    assert "`sidestep run review` is this one here, instead of the built-in one" in said.err
    assert " project " in next(line for line in cli("scripts").out.splitlines() if line.startswith("review "))


def test_a_built_in_one_that_is_none_is_refused_with_those_there_are(cli: CommandLine) -> None:
    said = cli("scripts", "new", "mine", "--from", "reviw")
    assert said.exit == 2
    assert "there are implement, repo-report, research, review. Did you mean 'review'?" in said.err
    assert os.listdir(cli.workflows) == []
    assert cli("scripts", "new", "mine", "--from", "__init__").exit == 2


@pytest.mark.parametrize("name", ["../up", "a/b", "", "x" * 101, ".hidden"])
def test_a_name_that_is_none_is_refused(cli: CommandLine, name: str) -> None:
    assert cli("scripts", "new", name).exit == 2
    assert os.listdir(cli.workflows) == []


def test_validate_says_file_line_and_column_and_runs_nothing(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, trusted=False)
    good, bad = cli.script("good", GOOD), cli.script("bad", BAD)
    said = cli("validate", str(good), str(bad))
    assert said.exit == 2
    assert said.out.startswith(f"{bad}:1:8: error: ")
    assert "2 scripts checked, 1 error." in said.err
    assert cli("validate", str(good)).exit == 0
    assert cli("validate", "missing.py").exit == 5
    assert cli("validate").exit == 2
    assert not cli.store.exists()


def test_trust_is_remembered_listed_and_revoked(tmp_path: Path) -> None:
    """D3"""
    cli = CommandLine(tmp_path, trusted=False)
    cli.script("good", GOOD)
    assert cli("trust", "--list").out == ""
    assert cli("trust").exit == 0
    assert cli("trust", "--list").out == f"{cli.folder}\n"
    assert cli("run", "good").exit == 0
    assert cli("trust", str(cli.folder), "--revoke").exit == 0
    assert cli("trust", "--list").out == ""
    assert cli("run", "good").exit == 7
    assert cli("trust", "nowhere").exit == 2
    assert cli("trust", "--list", "--revoke").exit == 2


def test_trust_of_a_folder_that_is_gone_can_be_withdrawn(cli: CommandLine) -> None:
    gone = cli.place / "gone"
    gone.mkdir()
    cli("trust", str(gone))
    gone.rmdir()
    assert cli("trust", str(gone), "--revoke").exit == 0
    assert cli("trust", "--list").out == f"{cli.folder}\n"


def test_doctor_finds_everything_well(cli: CommandLine) -> None:
    said = cli("doctor")
    assert said.exit == 0, said.out
    # Then come the agents and editors of this machine, which need not be there.
    assert [line.split()[:2] for line in said.out.splitlines()][:4] == [
        ["ok", "python:"],
        ["ok", "git:"],
        ["ok", "store:"],
        ["ok", "sandbox:"],
    ]


def test_doctor_says_what_to_do_about_what_is_missing(cli: CommandLine) -> None:
    cli.environ["PATH"] = str(cli.place)
    said = cli("doctor")
    assert said.exit == 1
    assert "!!  git: not on PATH" in said.out
    assert "Install git" in said.out
    broken = cli("doctor", "--store", str(cli.folder))
    assert "!!  store: " in broken.out


def test_doctor_paths_names_the_places_and_makes_nothing(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, trusted=False)
    said = cli("doctor", "--paths")
    paths = {line.split("  ")[0]: line.rpartition("  ")[2] for line in said.out.splitlines()}
    assert paths["store"] == str(cli.store)
    assert paths["trust"] == str(cli.store.parent / "trust.json")
    beside = {"outputs", "results", "worktrees", "owners"}
    assert set(paths) == {"store", *beside, "trust", "your workflows", "your agents", "incidents"}
    assert {name: paths[name] for name in beside} == {name: f"{cli.store}-{name}" for name in beside}
    assert paths["your agents"].endswith("config.toml")
    assert all(path.startswith(str(tmp_path)) for path in paths.values())
    assert sorted(os.listdir(tmp_path)) == [cli.folder.name]


def test_last_in_a_folder_without_runs_is_told_in_words(cli: CommandLine) -> None:
    said = cli("runs", "show", "last")
    assert (said.exit, said.out) == (5, "")
    assert said.err.splitlines()[0] == f"sidestep: there is no run yet in {cli.folder}, so there is no last one."


def test_resume_of_a_script_that_failed_itself_names_a_command_that_works(cli: CommandLine) -> None:
    """N1, J7"""
    path = cli.script("good", GOOD.replace('return "good"', "{}['k']"))
    assert cli("run", "good").exit == 1
    refused = cli("runs", "resume", "last")
    assert refused.exit == 2
    (line,) = [line for line in refused.err.splitlines() if "sidestep runs" in line]
    path.write_text(GOOD)
    assert cli(*line.partition("sidestep ")[2].split()).out == "good\n"


@pytest.mark.parametrize("words", ["5", "soon", "1.5h"])
def test_a_length_of_time_is_asked_for_with_all_its_units(cli: CommandLine, words: str) -> None:
    said = cli("run", "good", "--deadline", words)
    assert said.exit == 2
    assert "a number and s, m (minutes), h, d or w, as 90s or 2h" in " ".join(said.err.split())


def completed(cli: CommandLine, *words: str) -> list[str]:
    """What bash would be offered for the last word."""
    asked = {"_SIDESTEP_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    with cli.spawn(environ=asked) as process:
        out, _ = process.communicate()
    return [line.partition(",")[2] for line in out.split()]


def test_a_shell_completes_commands_workflows_and_run_ids(cli: CommandLine) -> None:
    cli.script("good", GOOD)
    run_id = cli("run", "good", "--json").lines[0]["runId"]
    assert completed(cli, "sidestep", "scr") == ["scripts"]
    assert completed(cli, "sidestep", "run", "go") == ["good"]
    assert completed(cli, "sidestep", "runs", "show", "run_") == [run_id]
    assert completed(cli, "sidestep", "runs", "show", "run_zz") == []
    assert completed(cli, "sidestep", "runs", "show", "la") == ["last"]
    # The shell completes these as files.
    for words in ("./fl", "flows/", "nothing-begins-so"):
        assert completed(cli, "sidestep", "run", words) == [words]
