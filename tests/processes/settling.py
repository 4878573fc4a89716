"""
After the storm: every answer is heard, every run is brought to its end, every window says goodbye.

What cannot be brought about goes to the storm's faults.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.processes import journal_rules, storm_workflow
from tests.processes.left_processes import left_after
from tests.processes.storm_plan import Run
from tests.processes.window import PATIENCE_S
from tests.support.expectations import UNMET, Expectation, Finding, met
from tests.support.raw_client import ExpectationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.processes.storm import Storm

    Message = dict[str, Any]

# With nothing in the way every run ends after one round, a flaky one after two.
ROUNDS_MAX = 6
# How long people let a question stand.
PEOPLE_S = 0.2


def settle(storm: Storm) -> None:
    """Wake everybody, hear every answer, and see every run to its end; then say goodbye."""
    for window in storm.windows:
        window.wake()
    # What was asked for when something was answered may itself be asked now.
    while any(window.asked for window in storm.windows):
        _hear_all(storm)
    _await_unasked_resumes(storm)
    _strike_once_more(storm)
    for _ in range(ROUNDS_MAX):
        if not _finish_all(storm):
            break
    # The last commits of others are noticed in their time.
    _await_told(storm, [run for run in storm.runs if run.status == "completed"], "completed")
    storm.faults += [f"still there: {line}" for line in left_after(storm.mark, "work.sh", 20).values()]
    for window in storm.windows:
        code = window.leave()
        if code != 0:
            storm.faults.append(f"{window.outlook.name} left with {code}")
    storm.faults += [f"left behind: {line}" for line in left_after(storm.mark, "", 20).values()]


def _hear_all(storm: Storm) -> None:
    """Until every request is answered; whatever is asked meanwhile is answered, too."""
    ends_at = time.monotonic() + PATIENCE_S
    while any(window.asked for window in storm.windows):
        try:
            for window in storm.windows:
                window.answered(list(window.asked), since=0, within_s=PEOPLE_S)
        except ExpectationFailed:
            if time.monotonic() > ends_at:
                raise
        storm.absorb()
        storm.questions.answer_all(storm.windows)


def _await_unasked_resumes(storm: Storm) -> None:
    """C2: what a crash stopped, and may go on unasked, does, when a window has its folder open and wants that."""
    expected = Expectation("every crashed run to go on unasked", lambda _: _judge_unasked(storm))
    try:
        storm.witness.client.expect(expected, within_s=PATIENCE_S)
    except AssertionError:
        journals = journal_rules.read_journals(storm.store)
        for journal in journals:
            if _is_forsaken(storm, journal):
                storm.faults += journal_rules.named(journal, ["nobody went on with it"], journals)


def _strike_once_more(storm: Storm) -> None:
    """
    C2: a sidecar dies and is not replaced; another window that has the folder open, and resumes unasked, goes on.

    The storm alone cannot tell: there, requests and the sweeps of new windows come first.
    """
    (dying,) = (window for window in storm.windows if window.outlook.name == "one")
    last = [Run(f"last-{number}", storm.folders[0], flaky=False) for number in range(2)]
    for run in last:
        storm.runs.append(run)
        storm.known[run.name] = run
        storm.ask(dying, "workflow/start", {**run.start, "mode": "background"}, run)
    _await_told(storm, last, "running")
    storm.windows.remove(dying)
    dying.kill()
    storm.weather.kills += 1
    _await_told(storm, last, "completed")


def _judge_unasked(storm: Storm) -> Finding:
    forsaken = any(_is_forsaken(storm, journal) for journal in journal_rules.read_journals(storm.store))
    return UNMET if forsaken else met(None)


def _is_forsaken(storm: Storm, journal: journal_rules.Journal) -> bool:
    row = journal.record
    willing = any(window.sidecar.auto_resume and journal.folder in window.sidecar.folders for window in storm.windows)
    return (
        journal.is_root
        and (journal.status, row.get("reason")) == ("interrupted", "crash")
        and row["auto_resume"]
        and row["automatic_resumes"] < journal_rules.AUTOMATIC_MAX
        and willing
    )


def _finish_all(storm: Storm) -> bool:
    """Go on with every run that has not completed; False when there is none."""
    stored = journal_rules.read_statuses(storm.store)
    for run in storm.runs:
        run.run_id, run.status = stored.get(run.name, (None, None))
        if run.run_id is None and run.is_deletion_asked:
            run.status = "deleted"
    left = [run for run in storm.runs if run.status not in ("completed", "deleted")]
    for run in left:
        storm_workflow.mend(run.folder, run.name)
        window = storm.choice.choice(storm.near(run))
        if run.status in ("interrupted", "failed"):
            verb = "workflow/resume" if run.status == "interrupted" else "workflow/retry"
            storm.ask(window, verb, {"runId": run.run_id, "mode": "foreground"}, run)
        else:
            storm.ask(window, "workflow/start", {**run.start, "mode": "foreground"}, run)
    _hear_all(storm)
    return bool(left)


def _await_told(storm: Storm, runs: Sequence[Run], status: str) -> None:
    """Wait until the window that lives through it all was told so of all these runs."""
    wanted = {run.name for run in runs}

    def judge(messages: Sequence[Message]) -> Finding:
        changes = [each["params"] for each in messages if each.get("method") == "workflow/statusChanged"]
        return met(None) if wanted <= {it.get("startKey") for it in changes if it["status"] == status} else UNMET

    expected = Expectation(f"{len(runs)} runs to be {status}", judge)
    try:
        storm.witness.client.expect(expected, within_s=PATIENCE_S)
    except AssertionError:
        journals = journal_rules.read_journals(storm.store)
        for journal in journals:
            if journal.label in wanted and journal.status != status:
                storm.faults += journal_rules.named(journal, [f"not {status} in {PATIENCE_S} s"], journals)
