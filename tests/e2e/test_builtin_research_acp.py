"""
`sidestep run research` with agents of the Agent Client Protocol that are processes of their own. C1, J4, J5.

One searches and reads files of the workspace and another one votes; one dies, and the command is killed.
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

FILES = {"speed.md": "It does 900 in a second.\n", "limits.md": "It breaks at ten thousand.\n"}


def reading(claim: str, weight: int) -> dict[str, Any]:
    return {"claims": [{"claim": claim, "quote": claim, "weight": weight}], "leads": []}


STORY: list[dict[str, Any]] = [
    {"when": "A question is to be researched", "answers": [{"text": {"angles": ["How fast?", "Where does it end?"]}}]},
    {"when": "this: How fast?", "answers": [{"text": {"sources": [{"where": "speed.md", "title": "Speed"}]}}]},
    {"when": "this: Where does", "answers": [{"text": {"sources": [{"where": "limits.md", "title": "Limits"}]}}]},
    {"when": "Read this source: speed.md", "answers": [{"text": reading("It is fast.", 3)}]},
    {"when": "Read this source: limits.md", "answers": [{"text": reading("It has no limit.", 5)}]},
    {"when": "Claim: It is fast.", "answers": [{"text": {"vote": "supported", "reason": "900."}}]},
    {"when": "Claim: It has no", "answers": [{"text": {"vote": "refuted", "reason": "It says ten thousand."}}]},
    {"when": "Answer this question in Markdown", "answers": [{"text": "It is fast [1]."}]},
]
SCOPE, FAST, ENDS, READ_SPEED, READ_LIMITS, VOTE_FAST, VOTE_LIMITS, WRITE = range(8)
ASKED = [SCOPE, FAST, ENDS, READ_SPEED, READ_LIMITS, VOTE_FAST, VOTE_FAST, VOTE_LIMITS, VOTE_LIMITS, WRITE]
WORDS = ("run", "research", "question=Is it any good?", "depth=1", "breadth=2", "verifier=judge")


@pytest.fixture
def project(tmp_path: Path) -> AcpProject:
    return AcpProject(tmp_path, STORY, FILES)


def claims(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["claim"], each["verdict"]) for each in result["data"]["claims"]]


def test_what_a_majority_saw_confirmed_is_reported_with_its_sources(project: AcpProject) -> None:
    project.agent("reader", "well_behaved")
    project.agent("judge", "well_behaved")
    said = project.cli(*WORDS, "--json")
    assert said.exit == 0, said.err
    result = said.lines[-1]["result"]
    assert claims(result) == [("It has no limit.", "refuted"), ("It is fast.", "supported")]
    assert result["report"] == (
        "# Is it any good?\n\nIt is fast [1].\n\n"
        "## Not confirmed\n\n- refuted: It has no limit. [2] (It says ten thousand.)\n\n"
        "## Sources\n\n1. Speed: <speed.md>\n2. Limits: <limits.md>\n"
    )
    assert sorted(project.called()) == ASKED


def test_j5_an_agent_that_dies_at_the_first_step_fails_the_run_which_then_goes_on(
    project: AcpProject, tmp_path: Path
) -> None:
    rules = [dict(rule) for rule in STORY]
    rules[SCOPE]["answers"] = [{"text": {"angles": ["How fast?"]}}]
    project.story.write_text(json.dumps(rules))
    project.agent("reader", "crashing", "--once", str(tmp_path / "crashed"))
    project.agent("judge", "well_behaved")
    said = project.cli(*WORDS)
    assert said.exit == 1
    assert "the agent's last words" in said.err
    said = project.cli("runs", "continue", "last")
    assert said.exit == 0, said.err
    assert "It is fast [1]." in said.out
    assert project.called() == [SCOPE, SCOPE, FAST, READ_SPEED, VOTE_FAST, VOTE_FAST, WRITE]


def test_c1_killed_while_it_is_voted_no_finished_step_is_asked_again(project: AcpProject) -> None:
    """C1, J4: the search and the reading that were paid for are kept."""
    project.agent("reader", "well_behaved")
    project.agent("judge", "slow")
    with project.cli.spawn(*WORDS) as process:
        project.wait_for(VOTE_LIMITS)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = project.called()
    assert WRITE not in before
    project.tables.pop()
    project.agent("judge", "well_behaved")
    said = project.cli("runs", "continue", "last", "--json")
    assert said.exit == 0, said.err
    assert claims(said.lines[-1]["result"])[1] == ("It is fast.", "supported")
    again = project.called()[len(before) :]
    assert sorted(again) == [VOTE_FAST, VOTE_FAST, VOTE_LIMITS, VOTE_LIMITS, WRITE]
