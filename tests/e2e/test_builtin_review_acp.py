"""
`sidestep run review` with agents of the Agent Client Protocol that are processes of their own. C1, J4, J5, V1.

One finds and another one tries to refute; one dies, one prints prose instead of findings, and the command is killed.
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.acp_project import AcpProject

if TYPE_CHECKING:
    from pathlib import Path

# Each agent is a process that imports the protocol's package; on a busy machine that adds up.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FILES = {"calc.py": "def half(n):\n    return n / 2\n", "read.py": "text = open(name).read()\n"}


def finding(file: str, line: int, severity: str, title: str) -> dict[str, Any]:
    return {"file": file, "line": line, "severity": severity, "title": title, "detail": f"{title}, always."}


HALF = finding("calc.py", 2, "high", "half loses the rest")
OPEN = finding("read.py", 1, "medium", "the name is not checked")
STORY: list[dict[str, Any]] = [
    {"when": "Look only for this: wrong behaviour", "answers": [{"text": {"findings": [HALF]}}]},
    {"when": "Look only for this: what an attacker", "answers": [{"text": {"findings": [OPEN]}}]},
    {"when": "Look only for this", "answers": [{"text": {"findings": []}}]},
    {"when": "Claim: half loses", "answers": [{"text": {"holds": "yes", "reason": "7 gives 3."}}]},
    {"when": "Claim: the name is", "answers": [{"text": {"holds": "no", "reason": "Its caller checks."}}]},
]
CORRECTNESS, SECURITY, OTHER, HALF_CLAIM, OPEN_CLAIM = range(5)


@pytest.fixture
def project(tmp_path: Path) -> AcpProject:
    made = AcpProject(tmp_path, STORY, FILES)
    (made.cli.folder / "calc.py").write_text("def half(n):\n    return n // 2\n")
    (made.cli.folder / "read.py").write_text("text = open(name, 'rb').read()\n")
    return made


def reviewed(project: AcpProject, *words: str) -> dict[str, Any]:
    said = project.cli("run", "review", *words, "--json")
    assert said.exit == 0, said.err
    result: dict[str, Any] = said.lines[-1]["result"]
    return result


def verdicts(result: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(each["file"], each["line"], each["holds"]) for each in result["data"]["findings"]]


def test_a_second_agent_tries_to_refute_what_the_first_one_found(project: AcpProject) -> None:
    project.agent("finder", "well_behaved", "--usage", "0.5")
    project.agent("judge", "well_behaved")
    result = reviewed(project, "verifier=judge")
    assert verdicts(result) == [("calc.py", 2, "yes"), ("read.py", 1, "no")]
    assert "### `calc.py:2` half loses the rest" in result["report"]
    assert "- `read.py:1` the name is not checked: Its caller checks." in result["report"]
    assert sorted(project.called()) == [CORRECTNESS, SECURITY, OTHER, OTHER, HALF_CLAIM, OPEN_CLAIM]
    # Four lanes at half a dollar; the judge tells nothing.
    assert "$2.00" in project.cli("runs", "show", "last").out


def test_j5_an_agent_that_dies_is_asked_once_more(project: AcpProject, tmp_path: Path) -> None:
    project.agent("finder", "crashing", "--once", str(tmp_path / "crashed"))
    project.agent("judge", "well_behaved")
    result = reviewed(project, "lanes=correctness", "verifier=judge")
    assert verdicts(result) == [("calc.py", 2, "yes")]
    assert result["data"]["failed_lanes"] == {}
    assert project.called() == [CORRECTNESS, CORRECTNESS, HALF_CLAIM]


def test_v1_a_lane_of_prose_fails_after_its_attempts_and_the_report_says_so(project: AcpProject) -> None:
    """V1: three attempts of a step, twice; the other lanes stand."""
    rules = [dict(rule) for rule in STORY]
    rules[SECURITY]["answers"] = [{"text": "All is well, I think."}]
    project.story.write_text(json.dumps(rules))
    project.agent("finder", "well_behaved")
    result = reviewed(project, "lanes=correctness", "lanes=security")
    assert verdicts(result) == [("calc.py", 2, "yes")]
    assert list(result["data"]["failed_lanes"]) == ["security"]
    assert "**Partial**" in result["report"]
    # A repair turn of the same session shows the problem, not the task again.
    assert project.called().count(SECURITY) == 2
    assert len(project.called()) == 2 + 6


def test_c1_killed_while_a_claim_is_verified_it_asks_no_finished_lane_again(project: AcpProject) -> None:
    """C1, J4: and the agents of the killed process are gone before others begin."""
    project.agent("finder", "well_behaved")
    project.agent("judge", "slow")
    with project.cli.spawn("run", "review", "lanes=correctness", "verifier=judge") as process:
        project.wait_for(HALF_CLAIM)
        process.send_signal(signal.SIGKILL)
        process.wait()
    project.tables.pop()
    project.agent("judge", "well_behaved")
    said = project.cli("runs", "continue", "last", "--json")
    assert said.exit == 0, said.err
    assert verdicts(said.lines[-1]["result"]) == [("calc.py", 2, "yes")]
    assert project.called() == [CORRECTNESS, HALF_CLAIM, HALF_CLAIM]
