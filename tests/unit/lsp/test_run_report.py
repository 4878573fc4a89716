"""Reports as files: the whole of one or the one before, the oldest removed, none left of a run that is gone."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.lsp import run_report
from sidestep.lsp.run_report import RunReports, report_text
from sidestep.model.ports import Deleted
from sidestep.model.run import Failure, FailureCode, RunResult, RunStatus, StepCounts, StepRecord, StepStatus
from sidestep.scripts.file_uri import path_of_uri
from tests.support.plain_editor import FakeService, a_run

if TYPE_CHECKING:
    import pytest


def a_step(step_id: str, status: StepStatus, **changes: object) -> StepRecord:
    known = {"key": step_id, "kind": "command", "attempt": 1, "started_at_ms": 0, "claim_epoch": 1, "sequence": 2}
    return StepRecord(step_id=step_id, status=status, **{**known, **changes})


def test_a_report_has_the_failure_and_the_steps() -> None:
    failure = Failure(FailureCode.STEP, "oh\nno", step_id="two", file="build.py", line=5)
    run = a_run(status=RunStatus.FAILED, error=failure, steps=StepCounts(completed=1, failed=1, known=3))
    steps = [
        a_step("one", StepStatus.COMPLETED, ended_at_ms=1500),
        a_step("two", StepStatus.FAILED, failure=failure),
    ]
    assert report_text(run, steps).splitlines() == [
        "# build: failed",
        "",
        "failed: oh",
        "",
        "`run_1`",
        "",
        "## Error",
        "",
        "```text",
        "build.py:5: oh",
        "no",
        "```",
        "",
        "## Steps",
        "",
        "- `one` (command): completed, 1.5 s",
        "- `two` (command): failed: oh no",
        "",
        "1 more: `sidestep runs show run_1`",
    ]


def test_a_report_has_what_main_returned() -> None:
    text = report_text(a_run(result=RunResult(report="# Well", data_json='{"a": 1}')), [])
    assert "\n# Well\n" in text
    assert '```json\n{"a": 1}\n```' in text
    assert "/results/1.json" in report_text(a_run(result=RunResult(file="/results/1.json")), [])


def test_the_file_is_the_users_alone_and_the_present_state(tmp_path: Path) -> None:
    async def written() -> str:
        await reports.write(a_run(status=RunStatus.RUNNING))
        return await reports.write(a_run()) or ""

    reports = RunReports(FakeService(tmp_path).opened)  # type: ignore[arg-type]
    path = Path(path_of_uri(asyncio.run(written()))[0] or "")
    assert path.read_text().startswith("# build: completed")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["run_1.md"]


async def test_the_oldest_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_report, "REPORTS_MAX", 2)
    reports = RunReports(FakeService(tmp_path).opened)  # type: ignore[arg-type]
    for number in (1, 2, 3):
        await reports.write(a_run(f"run_{number}"))
        os.utime(tmp_path / "reports" / f"run_{number}.md", (number, number))
    assert sorted(os.listdir(tmp_path / "reports")) == ["run_2.md", "run_3.md"]


async def test_a_deleted_run_leaves_no_report(tmp_path: Path) -> None:
    reports = RunReports(FakeService(tmp_path).opened)  # type: ignore[arg-type]
    for number in (1, 2):
        await reports.write(a_run(f"run_{number}"))
    reports.deleted(Deleted("run_1", "/w"))
    # Of this run there is none.
    reports.deleted(Deleted("run_3", "/w"))
    await reports.removed()
    assert os.listdir(tmp_path / "reports") == ["run_2.md"]


async def test_a_report_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")
    assert await RunReports(FakeService(tmp_path).opened).write(a_run()) is None  # type: ignore[arg-type]
