"""
`sidestep run implement` as a process, with a real repository and an agent that is a program. C1, F4, J4.

The first round is red and the second one green; in between the process is killed, and another one goes on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine
from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.slow

AGENT = Path(__file__).parents[1] / "support" / "cli_agents" / "working.py"
# The project's tests write a line when they run, too.
CHECK = """
import sys
from pathlib import Path
with Path(sys.argv[1]).open("a") as file:
    file.write("tests\\n")
from calc import add
assert add(2, 3) == 5, f"add(2, 3) is {add(2, 3)}"
"""
ROUNDS = ["implement", "review", "tests", "mend", "review", "tests"]


class Project:
    """A tiny repository, an agent that is configured for it, and what was called."""

    def __init__(self, place: Path) -> None:
        self.cli = CommandLine(place)
        self.calls = place / "calls"
        self.holds = place / "holds"
        self.holds.mkdir()
        os.mkfifo(self.holds / "gate")
        repository = GitRepository(self.cli.folder)
        repository.commit("Ada", {"calc.py": "", "check.py": CHECK, ".gitignore": "__pycache__/\n.sidestep/\n"})
        words = json.dumps([str(AGENT), str(self.calls), str(self.holds)])
        configuration = f'[agents.worker]\nkind = "cli"\ncommand = {json.dumps(sys.executable)}\nargs = {words}\n'
        (self.cli.folder / ".sidestep" / "config.toml").write_text(configuration)
        # Without bytecode: one second and one size are the same file to it, and the agent works faster than that.
        test = [f"test={word}" for word in (sys.executable, "-B", "check.py", str(self.calls))]
        self.words = ["run", "implement", "task=Write add(a, b) in calc.py.", *test]

    def called(self) -> list[str]:
        return self.calls.read_text().split()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_red_round_is_mended_and_the_report_says_what_was_done(project: Project) -> None:
    said = project.cli(*project.words, "--json")
    assert said.exit == 0, said.err
    result = said.lines[-1]["result"]
    assert sorted(project.called()[:3]) == ["implement", "review", "tests"]
    assert sorted(project.called()) == sorted(ROUNDS)
    assert [(each["green"], each["tests"]) for each in result["data"]["rounds"]] == [
        (False, "red (exit code 1)"),
        (True, "green"),
    ]
    assert result["data"]["files"] == ["calc.py"]
    assert "calc.py:2: add subtracts" in result["data"]["rounds"][0]["blockers"]
    assert "add(2, 3) is -1" in result["data"]["rounds"][0]["blockers"][0]
    assert result["report"].startswith("# Green after 2 rounds\n\nWrite add(a, b) in calc.py.")
    assert "I did it with -.\n\nI did it with +." in result["report"]


def test_what_was_uncommitted_before_is_neither_touched_nor_told(project: Project) -> None:
    folder = project.cli.folder
    (folder / "check.py").write_text(CHECK + "# mine\n")
    (folder / "scratch").write_text("mine")
    before = status(folder)
    said = project.cli(*project.words, "--json")
    assert said.exit == 0, said.err
    assert said.lines[-1]["result"]["data"]["files"] == ["calc.py"]
    assert (folder / "check.py").read_text() == CHECK + "# mine\n"
    assert status(folder) == {*before, "M calc.py"} == {"M calc.py", "M check.py", "?? scratch"}
    assert GitRepository(folder).git("stash", "list") == ""


def status(folder: Path) -> set[str]:
    return {line.strip() for line in GitRepository(folder).git("status", "--porcelain").splitlines()}


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"stderr ended without {words!r}")


@pytest.mark.parametrize(
    ("held", "last"),
    [("implement", "look for the test program completed"), ("review", "tests:1 completed"), ("mend", "round 1 is red")],
)
def test_c1_killed_in_the_middle_and_continued_it_does_no_finished_step_again(
    project: Project, held: str, last: str
) -> None:
    """C1, F4, J4: the one step that was cut off is done again, by one agent only."""
    (project.holds / held).touch()
    with project.cli.spawn(*project.words) as process:
        read_until(process, last)
        # Opened when the agent has come to the gate; it waits there as long as this end is open.
        with (project.holds / "gate").open("w"):
            process.send_signal(signal.SIGKILL)
            process.wait()
            cut_off = project.called()
            (project.holds / held).unlink()
            said = project.cli("runs", "continue", "last", "--json")
    assert said.exit == 0, said.err
    outcome = said.lines[-1]
    assert outcome["result"]["data"]["green"]
    assert outcome["steps"]["reused"] >= 1
    assert cut_off.count(held) == 1
    assert sorted(project.called()) == sorted([*ROUNDS, held])
    assert (project.cli.folder / "calc.py").read_text() == "def add(a, b):\n    return a + b\n"


def test_without_an_agent_it_says_what_to_do_and_goes_on_once_that_is_done(project: Project) -> None:
    """P1"""
    configuration = project.cli.folder / ".sidestep" / "config.toml"
    configured = configuration.read_text()
    configuration.unlink()
    path = project.cli.environ["PATH"]
    project.cli.environ["PATH"] = "/usr/bin:/bin"
    said = project.cli(*project.words)
    assert said.exit == 1
    for words in ("no agent is configured", ".sidestep/config.toml", "[agents.NAME]", "sidestep doctor"):
        assert words in said.err
    assert "sidestep runs continue run_" in said.err
    assert "--edited" not in said.err
    configuration.write_text(configured)
    project.cli.environ["PATH"] = path
    said = project.cli("runs", "continue", "last")
    assert said.exit == 0, said.err
    assert said.out.startswith("# Green after 2 rounds")
    assert sorted(project.called()) == sorted(ROUNDS)
