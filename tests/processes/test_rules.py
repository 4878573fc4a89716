"""Each rule of the storm goes red for what it is there for: a rule that cannot is no rule."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.model.run import RunStatus
from tests.processes import journal_rules, storm_workflow
from tests.processes.journal_rules import Journal
from tests.processes.storm_workflow import Line
from tests.processes.told_rules import missed_stops, told_faults
from tests.processes.work_rules import Sidecar, WorkAudit, WorkTally

if TYPE_CHECKING:
    from pathlib import Path

    Event = dict[str, Any]

FOLDER = "/workspace"


def status(after: str, before: str | None = None, epoch: int = 1, **more: Any) -> Event:
    return {"type": "status", "status": after, "epoch": epoch, **({"previous": before} if before else {}), **more}


def step(step_id: str, what: str, **more: Any) -> Event:
    return {"type": "step", "stepId": step_id, "kind": "command", "key": step_id, "status": what, "attempt": 1, **more}


BEGUN = (status("pending"), status("running", "pending"))
ENDED = ({"type": "result", "hasReport": True, "hasData": True}, status("completed", "running"))
SAID = {"type": "log", "message": "hello"}


def journal(*events: Event, ends: str = "completed", owner: str | None = None) -> Journal:
    """A root run with these events, each 10 ms after the one before, and a row that agrees with them."""
    made = Journal("run_a", "run_a", None, FOLDER, ends, owner, {"label": "a", "name": "storm"})
    made.events = [{"at_ms": 10 * number, **event, "sequence": number} for number, event in enumerate(events, start=1)]
    made.record["sequence"] = len(events)
    done = {event["key"] for event in events if event["type"] == "step" and event["status"] == "completed"}
    made.rows = [(key, "completed") for key in sorted(done)]
    return made


def interrupted(reason: str, epoch: int = 2) -> Event:
    return status("interrupted", "running", epoch, reason=reason)


def resumed(how: str = "resume", epoch: int = 3, before: str = "interrupted") -> Event:
    return status("running", before, epoch, how=how)


SOUND = journal(
    *BEGUN,
    step("one", "started"),
    interrupted("crash"),
    step("one", "completed", late=True),
    resumed("automatic"),
    SAID,
    step("two", "started"),
    step("two", "failed"),
    {"type": "error", "error": {}},
    status("failed", "running", 3),
    resumed("retry", 4, "failed"),
    step("two", "started"),
    step("two", "completed"),
    {"type": "result"},
    status("completed", "running", 4),
)


def test_a_journal_with_a_crash_a_late_step_and_a_retry_is_sound() -> None:
    assert journal_rules.faults_of(SOUND) == []


UNASKED = [event for n in range(4) for event in (interrupted("crash", 2 + 2 * n), resumed("automatic", 3 + 2 * n))]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param(journal(*BEGUN, status("completed", "running"), SAID), "was appended while", id="g5-after-a-stop"),
        pytest.param(journal(*BEGUN, *ENDED, resumed()), "goes from completed to running", id="arrow"),
        pytest.param(journal(*BEGUN, status("failed", "backgrounded"), ends="failed"), "says it followed", id="before"),
        pytest.param(journal(*BEGUN, ends="completed"), "the row says completed", id="row"),
        pytest.param(journal(*BEGUN, *ENDED, owner="o"), "has an owner", id="owner"),
        pytest.param(journal(*BEGUN, ENDED[0], SAID, ENDED[1]), "has no stop after it", id="result"),
        pytest.param(journal(*BEGUN, interrupted("user"), resumed(epoch=1), *ENDED), "shrinks", id="epoch"),
        pytest.param(
            journal(status("pending"), status("running", "pending", 2), interrupted("user"), resumed(epoch=2), *ENDED),
            "two executions have the epoch",
            id="claim",
        ),
        pytest.param(
            journal(*BEGUN, step("one", "completed"), step("one", "completed"), *ENDED),
            "after its completion",
            id="two",
        ),
        pytest.param(
            journal(*BEGUN, step("one", "completed"), step("one", "started"), *ENDED),
            "after its completion",
            id="again",
        ),
        pytest.param(
            journal(*BEGUN, step("one", "failed"), step("one", "started"), *ENDED), "without a retry", id="j5-failure"
        ),
        pytest.param(journal(*BEGUN, step("one", "completed", late=True), *ENDED), "late, completed", id="late"),
        pytest.param(
            journal(*BEGUN, interrupted("user"), step("one", "started"), ends="interrupted"),
            "one started",
            id="stopped",
        ),
        pytest.param(journal(*BEGUN, interrupted("user"), resumed("automatic"), *ENDED), "unasked after", id="c3"),
        pytest.param(journal(*BEGUN, *UNASKED, *ENDED), "unasked 4 times", id="c2-attempts"),
        pytest.param(journal(*BEGUN, SAID, SAID, *ENDED), "said 2 times", id="j6"),
        pytest.param(
            journal(*BEGUN, step("n", "started", wakeAtMs=1), step("n", "started", wakeAtMs=2), *ENDED),
            "a sleep was begun anew",
            id="p6",
        ),
    ],
)
def test_a_wrong_journal_is_called_wrong(wrong: Journal, says: str) -> None:
    assert any(says in fault for fault in journal_rules.faults_of(wrong)), journal_rules.faults_of(wrong)


def test_j1_a_gap_is_called_a_gap() -> None:
    wrong = journal(*BEGUN, *ENDED)
    wrong.events[2]["sequence"] = 4
    assert any("gaps" in fault for fault in journal_rules.faults_of(wrong))


def test_every_arrow_comes_from_the_table() -> None:
    assert {word for arrow in journal_rules.ARROWS for word in arrow} == {each.value for each in RunStatus}


def test_the_short_form_tells_one_event_a_line() -> None:
    told = journal_rules.short(SOUND).splitlines()
    assert len(told) == 1 + len(SOUND.events)
    assert "one completed late" in told[5]


def test_i5_a_nested_run_that_is_active_below_a_stopped_root_is_found(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("CREATE TABLE runs (run, run_id, root_run_id, status)")
        rows = [(1, "root", "root", "interrupted"), (2, "child", "root", "running"), (3, "done", "root", "completed")]
        connection.executemany("INSERT INTO runs VALUES (?, ?, ?, ?)", rows)
        for table in ("events", "steps", "inputs", "questions"):
            connection.execute(f"CREATE TABLE {table} (run, place)")
        connection.execute("INSERT INTO steps (place) VALUES (9 << 32)")
        # What a deletion leaves so that positions go on.
        connection.execute("INSERT INTO events (run) VALUES (0)")
    assert list(journal_rules.loose_children(store)) == [
        "the nested run child is running below root, which is interrupted"
    ]
    assert list(journal_rules.leftovers(store)) == ["1 rows of steps belong to no run"]


# -- What was executed

SIDECARS = (
    Sidecar("mine", 10, frozenset({FOLDER}), auto_resume=True),
    Sidecar("woken", 11, frozenset({FOLDER}), auto_resume=False, woken_at_ms=[100.0]),
    Sidecar("stranger", 12, frozenset({"/elsewhere"}), auto_resume=True),
    Sidecar("shy", 13, frozenset({FOLDER}), auto_resume=False),
)
WORKED = journal(
    *BEGUN, step("first", "started"), interrupted("crash"), resumed("automatic"), step("first", "completed"), *ENDED
)


def executed(*lines: tuple[int, float]) -> list[str]:
    """What is wrong when the first step was executed by these sidecars at these times, and the others never."""
    work = [Line("a", "first", pid, at_ms) for pid, at_ms in lines]
    found = list(WorkAudit([WORKED], work, SIDECARS, WorkTally()).faults_of(WORKED, flaky=False))
    assert "differ from the workflow's steps" in found[0]
    return found[1:]


def test_j4_a_step_in_flight_at_a_kill_may_be_executed_once_more() -> None:
    assert executed((10, 25), (10, 55)) == []


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        pytest.param([(10, 25), (10, 27)], "twice in the execution that began with event 2", id="twice"),
        pytest.param([(10, 25), (10, 65)], "after event 6: completed", id="finished"),
        pytest.param([(10, 15)], "before its run began", id="before"),
        pytest.param([(12, 25)], "has not opened", id="d3-folder"),
        pytest.param([(99, 25)], "no sidecar of this store", id="unknown"),
        pytest.param([(13, 55)], "resumes nothing unasked", id="c2-unasked"),
    ],
)
def test_work_done_again_or_by_the_wrong_one_is_a_fault(lines: list[tuple[int, float]], says: str) -> None:
    (fault,) = executed(*lines)
    assert says in fault


def test_what_a_woken_sidecar_begins_is_counted_by_itself() -> None:
    tally = WorkTally()
    work = [Line("a", "first", 10, 55), Line("a", "first", 11, 101)]
    list(WorkAudit([WORKED], work, SIDECARS, tally).faults_of(WORKED, flaky=False))
    assert (tally.executions, tally.repeats, tally.woken) == (2, 1, 1)


def test_the_workflows_steps_are_the_ones_that_are_counted(tmp_path: Path) -> None:
    storm_workflow.lay_out(tmp_path / "workspace")
    source = storm_workflow.PARENT + storm_workflow.CHILD
    for name in storm_workflow.steps_of(flaky=True):
        assert f'"{name.rsplit(":", 1)[0]}:{{n}}"' in source or f'"{name}"' in source


# -- What was told


def told(*pairs: tuple[int, str], quiescent: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "method": "workflow/statusChanged",
            "params": {"runId": "run_a", "sequence": number, "status": word, "quiescent": quiescent},
        }
        for number, word in pairs
    ]


def appended(*numbers: int) -> list[dict[str, Any]]:
    events = [WORKED.events[number - 1] for number in numbers]
    return [{"method": "workflow/eventsAppended", "params": {"runId": "run_a", "events": events}}]


def wrong_with(messages: list[dict[str, Any]]) -> list[str]:
    return list(told_faults(messages, {"run_a": WORKED}, set()))


def test_j10_a_window_that_sees_every_second_status_in_order_is_told_right() -> None:
    seen = [*told((1, "pending"), (4, "interrupted"), (8, "completed")), *appended(1, 2, 3, 4), *appended(6, 7)]
    assert wrong_with(seen) == []
    assert list(missed_stops(seen, {"run_a": WORKED})) == []


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        pytest.param(told((3, "interrupted")), "where the journal has running", id="g1-not-yet"),
        pytest.param(told((9, "completed")), "told completed at 9", id="g1-never"),
        pytest.param(told((4, "interrupted"), (2, "running")), "told running at 2 after 4", id="g2-order"),
        pytest.param(told((2, "running"), (2, "running")), "told twice", id="j10-twice"),
        pytest.param(appended(1, 2, 2), "told event 2 after 2", id="j10-event-twice"),
        pytest.param(appended(1, 3), "not what is between", id="j10-gap"),
        pytest.param(
            [{"id": 1, "result": {"runId": "run_a", "status": "completed", "sequence": 4}}],
            "the journal has interrupted at 4",
            id="untrue-answer",
        ),
        pytest.param([{"id": 1, "result": {}}, {"id": 1, "result": {}}], "answered twice", id="g7"),
        pytest.param([{"id": 1, "result": {"runId": "run_b"}}], "which is not stored", id="g1-stranger"),
    ],
)
def test_a_window_that_was_told_wrong_is_noticed(messages: list[dict[str, Any]], says: str) -> None:
    assert any(says in fault for fault in wrong_with(messages)), wrong_with(messages)


def test_j10_a_window_that_missed_the_end_is_noticed() -> None:
    (fault,) = missed_stops(told((4, "interrupted")), {"run_a": WORKED})
    assert "never told that run_a is completed" in fault
