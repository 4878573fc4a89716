"""What must be true after a storm: asked of the SQLite file, of the lines the commands left, and of what was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.processes import journal_rules, storm_workflow
from tests.processes.question_rules import answer_faults, answers_of
from tests.processes.storm import CALM
from tests.processes.told_rules import deleted_told, missed_stops, told_faults
from tests.processes.work_rules import WorkAudit, WorkTally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.storm import Storm


@dataclass
class Report:
    """The faults, and what it all came to, in one line."""

    faults: list[str]
    counts: str


def audit(storm: Storm) -> Report:
    """Every rule, over a storm that has settled."""
    journals = journal_rules.read_journals(storm.store)
    faults = [*storm.faults, *storm.questions.faults]
    for journal in journals:
        faults += journal_rules.named(journal, journal_rules.faults_of(journal), journals)
    faults += journal_rules.loose_children(storm.store)
    faults += journal_rules.leftovers(storm.store)
    faults += answer_faults(journals, storm.questions.given)
    faults += _ends(storm, journals)
    tally = WorkTally()
    faults += _work(storm, journals, tally)
    faults += _told(storm, journals)
    deleted = sum(run.status == "deleted" for run in storm.runs)
    steps = sum(len(journal.rows) for journal in journals)
    claims = sum(len(journal.claims) - 1 for journal in journals if journal.is_root)
    crashes = sum(event.get("reason") == "crash" for each in journals if each.is_root for event in each.events)
    weather = storm.weather
    answers = sum(len(answers_of(journal)) for journal in journals)
    accepted = sum(given.accepted is True for given in storm.questions.given)
    refused = ", ".join(f"{what} {count}" for what, count in sorted(weather.refused.items()))
    counts = (
        f"{len(storm.runs)} runs ({deleted} deleted) with {steps} steps, {weather.kills} kills, {weather.stops} stops "
        f"({weather.long_stops} past the grace); crashed {crashes} times, gone on {claims} times "
        f"({tally.automatic} unasked): {tally.executions} executions, {tally.repeats} repeats of what was in flight, "
        f"{tally.woken} by a woken sidecar; {answers} questions answered, {len(storm.questions.given)} answers "
        f"replied to ({accepted} accepted); faults {len(faults)}\n"
        f"  asked {dict(weather.asked)}\n  refused: {refused}"
    )
    counts += "".join(f"\n  away: {said}" for said in weather.away)
    return Report(faults, counts)


def _ends(storm: Storm, journals: list[journal_rules.Journal]) -> Iterator[str]:
    """Every run has come to its end, with the result of an undisturbed one."""
    roots = [journal for journal in journals if journal.is_root]
    labels = [journal.label for journal in roots]
    wanted = {CALM, *(run.name for run in storm.runs if run.status != "deleted")}
    if sorted(labels) != sorted(wanted):
        yield f"stored are {sorted(labels)}, and started were {sorted(wanted)}"
    for journal in journals:
        if journal.status != "completed":
            yield from journal_rules.named(journal, ["it could not be brought to its end"], journals)
    ids = {journal.run_id: journal.label for journal in roots}
    answers = _answers(journals)
    for window in storm.all:
        for message in window.client.messages:
            outcome = message.get("result")
            if not isinstance(outcome, dict) or outcome.get("runId") not in ids or "result" not in outcome:
                continue
            label = ids[outcome["runId"]]
            if outcome["result"] != storm_workflow.result_of(label, storm.calm, CALM, answers[outcome["runId"]]):
                yield f"{label}: the result differs from the undisturbed run's: {outcome['result']}"
    for journal in roots:
        result = journal.record.get("result")
        expected = storm_workflow.result_of(journal.label, storm.calm, CALM, answers[journal.run_id])
        if journal.status == "completed" and not storm_workflow.is_result(result, expected):
            yield f"{journal.label}: stored is {result}, the undisturbed run came to {expected}"


def _answers(journals: list[journal_rules.Journal]) -> dict[str, storm_workflow.Answers]:
    """Root's run id -> what its tree was answered."""
    own = {journal.run_id: next(iter(answers_of(journal).values()), None) for journal in journals}
    childs = {journal.root_run_id: own[journal.run_id] for journal in journals if not journal.is_root}
    roots = [journal.run_id for journal in journals if journal.is_root]
    return {run_id: storm_workflow.Answers(own[run_id], childs.get(run_id)) for run_id in roots}


def _work(storm: Storm, journals: list[journal_rules.Journal], tally: WorkTally) -> Iterator[str]:
    flaky = {run.name: run.flaky for run in storm.runs}
    lines = [line for folder in storm.folders for line in storm_workflow.lines_of(folder)]
    work = WorkAudit(journals, lines, [window.sidecar for window in storm.all], tally)
    for journal in journals:
        if journal.is_root and journal.status == "completed":
            found = work.faults_of(journal, flaky=flaky.get(journal.label, False))
            yield from journal_rules.named(journal, found, journals)
    for folder in storm.folders:
        yield from (f"two copies ran at once: {which}" for which in storm_workflow.overlaps_of(folder))


def _told(storm: Storm, journals: list[journal_rules.Journal]) -> Iterator[str]:
    by_id = {journal.run_id: journal for journal in journals}
    deletable = {run.name for run in storm.runs if run.is_deletion_asked}
    gone: set[str] = set()
    for window in storm.all:
        for message in window.client.messages:
            params = message.get("params", {})
            if params.get("startKey") in deletable:
                gone.add(params["runId"])
    gone -= set(by_id)
    for window in storm.all:
        name = f"{window.outlook.name} ({window.sidecar.pid})"
        yield from (f"{name}: {fault}" for fault in told_faults(window.client.messages, by_id, gone))
        deleted = deleted_told(window.client.messages)
        if len(set(deleted)) < len(deleted):
            yield f"{name} was told more than once that a run is deleted: {sorted(deleted)}"
        if not set(deleted) <= gone:
            yield f"{name} was told that runs are deleted which are stored: {sorted(set(deleted) - gone)}"
        if "Traceback" in window.client.stderr:
            yield f"{name} logged:\n{window.client.stderr[-6000:]}"
    yield from missed_stops(storm.witness.client.messages, by_id)
    missed = gone - set(deleted_told(storm.witness.client.messages))
    if missed:
        yield f"the window that lived through it all was never told that {sorted(missed)} are deleted"
