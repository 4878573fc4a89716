"""What is said at the end of a run: whose turn it is, and with which words to go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from sidestep.cli.invocation import Invocation
from sidestep.cli.outcome import tell
from sidestep.model.run import Failure, FailureCode, RunStatus, StepCounts
from sidestep.scripts.discovery import builtin_folder

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord


@dataclass
class Row:
    """What of a failed run is told."""

    error: Failure
    steps: StepCounts = field(default_factory=StepCounts)
    file: str = "flow.py"
    folder: str = "/project"
    run_id: str = "run_x"
    status: RunStatus = RunStatus.FAILED
    is_stopped: bool = True
    result: Any = None
    reason: str | None = None


def told(row: Row, capsys: pytest.CaptureFixture[str], invocation: Invocation | None = None) -> str:
    assert tell(cast("RunRecord", row), invocation or Invocation(), as_json=False, as_events=False) == 1
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("code", [FailureCode.SCRIPT, FailureCode.VALIDATION, FailureCode.LIMIT])
def test_where_no_step_failed_the_script_is_to_be_mended(code: FailureCode, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where one failed that the script had seen to."""
    row = Row(Failure(code, "no"), StepCounts(failed=1))
    said = told(row, capsys, Invocation(typed_store="a b.db"))
    assert said == "Mend the script, then go on with: sidestep runs continue run_x --edited --store 'a b.db'"


# An agent that is not there fails its step with code script.
@pytest.mark.parametrize(
    "code", [FailureCode.STEP, FailureCode.TIMEOUT, FailureCode.INFRASTRUCTURE, FailureCode.SCRIPT]
)
def test_failed_steps_are_to_be_done_again(code: FailureCode, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(Row(Failure(code, "no", step_id="s"), StepCounts(failed=1)), capsys)
    assert said == "Do the failed steps again with: sidestep runs continue run_x"


def test_what_could_not_be_done_at_all_is_to_be_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(Row(Failure(FailureCode.INFRASTRUCTURE, "no")), capsys)
    assert said == "Try again with: sidestep runs continue run_x"


def test_nobody_is_asked_to_mend_a_built_in_script(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(Row(Failure(FailureCode.SCRIPT, "no"), file=str(Path(builtin_folder(), "repo-report.py"))), capsys)
    assert "Mend the script" not in said
    assert said.endswith("sidestep runs continue run_x")


@pytest.mark.parametrize(("reason", "why"), [("deadline", ": its deadline passed"), ("user", " (user)")])
def test_why_a_run_is_interrupted_is_said_with_how_to_go_on(
    reason: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """T2"""
    row = Row(Failure(FailureCode.STEP, "no"), status=RunStatus.INTERRUPTED, reason=reason)
    assert tell(cast("RunRecord", row), Invocation(), as_json=False, as_events=False) == 4
    assert capsys.readouterr().err.splitlines() == [
        f"run_x is interrupted{why}. Finished steps are kept; go on with:",
        "  sidestep runs continue run_x",
    ]
