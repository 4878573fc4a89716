"""
`sidestep run implement` with agents of the Agent Client Protocol that are processes of their own. C1, I6, J4, P7.

One that behaves, one that dies, one that ignores that it is to stop, one that asks for permission.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sidestep_protocol.client import Client
from tests.support.acp_project import AcpProject
from tests.support.raw_client import SERVE

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep_protocol.tasks import InteractParams

# Each agent is a process that imports the protocol's package; on a busy machine that adds up.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CHECK = "from calc import add\nassert add(2, 3) == 5\n"
WRONG, RIGHT = (f"def add(a, b):\n    return a {sign} b\n" for sign in "-+")
BLOCKER = {"blockers": [{"file": "calc.py", "line": 2, "problem": "add subtracts"}], "suggestions": []}
CLEAN: dict[str, Any] = {"blockers": [], "suggestions": []}
STORY = [
    {"when": "Do this task", "answers": [{"text": "I wrote it.", "write": {"calc.py": WRONG}}]},
    {"when": "Review an uncommitted change", "answers": [{"text": BLOCKER}, {"text": CLEAN}]},
    {"when": "It was tested and reviewed", "answers": [{"text": "I mended it.", "write": {"calc.py": RIGHT}}]},
]
IMPLEMENT, REVIEW, MEND = range(3)


class Project(AcpProject):
    """A tiny module that is to be written."""

    def __init__(self, place: Path) -> None:
        super().__init__(place, STORY, {"calc.py": "", "check.py": CHECK})
        test = [f"test={word}" for word in (sys.executable, "-B", "check.py")]
        self.words = ["run", "implement", "task=Write add(a, b) in calc.py.", *test]

    def code(self) -> str:
        return (self.cli.folder / "calc.py").read_text()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_an_agent_that_behaves_makes_it_green_in_the_second_round(project: Project) -> None:
    project.agent("worker", "well_behaved", "--usage", "0.5")
    said = project.cli(*project.words, "--json")
    assert said.exit == 0, said.err
    assert [each["green"] for each in said.lines[-1]["result"]["data"]["rounds"]] == [False, True]
    assert project.called() == [IMPLEMENT, REVIEW, MEND, REVIEW]
    assert project.code() == RIGHT
    assert "$2.00" in project.cli("runs", "show", "last").out


def test_j5_an_agent_that_dies_fails_the_run_with_its_last_words_and_is_asked_again(
    project: Project, tmp_path: Path
) -> None:
    project.agent("worker", "crashing", "--once", str(tmp_path / "crashed"))
    said = project.cli(*project.words)
    assert said.exit == 1
    assert "the agent's last words" in said.err
    assert project.called() == [IMPLEMENT]
    said = project.cli("runs", "continue", "last")
    assert said.exit == 0, said.err
    assert said.out.startswith("# Green after 2 rounds")
    assert project.called() == [IMPLEMENT, IMPLEMENT, REVIEW, MEND, REVIEW]


def test_a_reviewer_that_dies_while_the_tests_are_red_stops_nothing(project: Project, tmp_path: Path) -> None:
    project.agent("worker", "well_behaved")
    project.agent("judge", "crashing", "--once", str(tmp_path / "crashed"))
    said = project.cli(*project.words, "reviewer=judge", "--json")
    assert said.exit == 0, said.err
    rounds = said.lines[-1]["result"]["data"]["rounds"]
    assert [each["green"] for each in rounds] == [False, True]
    assert "the agent's last words" in rounds[0]["review"]
    assert project.called() == [IMPLEMENT, REVIEW, MEND, REVIEW]


def test_i6_an_agent_that_ignores_that_it_is_to_stop_is_gone_and_another_one_goes_on(
    project: Project, tmp_path: Path
) -> None:
    """I6: with its child; and the run continues with that step."""
    life = tmp_path / "life"
    os.mkfifo(life)
    reader = os.open(life, os.O_RDONLY | os.O_NONBLOCK)
    try:
        project.agent("worker", "ignoring_cancel", "--child", SIDESTEP_AGENT_LIFE=str(life))
        with project.cli.spawn(*project.words) as process:
            project.wait_for(IMPLEMENT)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
            assert process.returncode == 4
        # Nobody holds the other end any more.
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
    assert project.called() == [IMPLEMENT]
    project.tables.clear()
    project.agent("worker", "well_behaved")
    said = project.cli("runs", "continue", "last")
    assert said.exit == 0, said.err
    assert project.called() == [IMPLEMENT, IMPLEMENT, REVIEW, MEND, REVIEW]


async def test_p7_an_agent_that_asks_for_permission_works_once_a_person_gave_it(project: Project) -> None:
    """P7: the commands of the workflow ask, too; the editor puts the questions."""
    project.agent("worker", "asking_permission")
    project.configure('[permissions]\npolicy = "ask"\n')
    asked: list[str] = []

    async def agree(question: InteractParams) -> str:
        asked.append(question.title)
        assert isinstance(question.choices, list)
        return question.choices[0].id

    async with Client.spawn(SERVE, env=project.cli.environ, cwd=project.cli.folder) as client:
        client.handle_questions(agree)
        await client.initialize(folders=[project.cli.folder], trust=True)
        args = {"task": "Write add(a, b) in calc.py.", "test": [sys.executable, "-B", "check.py"]}
        ended = await client.request("workflow/start", {"script": {"name": "implement"}, "args": args})
        assert ended.status == "completed", ended
        assert ended.result.data["green"]
    assert asked.count("execute: rm -rf build") == 4
    assert f"Run {sys.executable} -B check.py" in asked
    assert project.code() == RIGHT
    assert project.called() == [IMPLEMENT, REVIEW, MEND, REVIEW]


def test_p7_with_the_policy_to_allow_nobody_is_asked(project: Project) -> None:
    project.agent("worker", "asking_permission")
    said = project.cli(*project.words)
    assert said.exit == 0, said.err
    assert said.out.startswith("# Green after 2 rounds")
    assert project.code() == RIGHT


@pytest.mark.parametrize(
    ("policy", "code", "says"),
    [("deny", 1, "the tests cannot be run: the permission policy denies commands"), ("ask", 4, "sidestep runs answer")],
)
def test_p7_where_nothing_is_allowed_or_nobody_is_there_it_stops_before_an_agent_is_paid(
    project: Project, policy: str, code: int, says: str
) -> None:
    project.agent("worker", "asking_permission")
    project.configure(f'[permissions]\npolicy = "{policy}"\n')
    said = project.cli(*project.words)
    assert said.exit == code
    assert says in said.err
    assert not project.calls.exists()
