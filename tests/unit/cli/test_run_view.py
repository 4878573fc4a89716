"""What a terminal shows of a run, from its events."""

from __future__ import annotations

from sidestep.cli.run_view import FINISHED_KEPT, LOGS_KEPT, RunView
from sidestep_protocol.runs import StepSummary
from sidestep_protocol.timestamps import format_timestamp
from tests.unit.cli.wire_events import BEGAN_MS, Events


def test_a_step_is_in_flight_until_it_ends() -> None:
    view, events = RunView("x"), Events()
    view.take(events.step("a", "started"))
    assert [line.name for line in view.running.values()] == ["a"]
    view.take(events.step("a", "completed"))
    assert not view.running
    assert [(line.name, line.status, line.duration_ms) for line in view.finished] == [("a", "completed", 100)]
    assert (view.completed, view.failed, view.reused) == (1, 0, 0)


def test_a_told_duration_is_shown_rather_than_a_measured_one() -> None:
    view, events = RunView("x"), Events()
    view.take(events.step("a", "started"))
    view.take(events.step("a", "completed", duration_ms=7))
    assert view.finished[0].duration_ms == 7


def test_a_failed_step_keeps_its_error() -> None:
    view, events = RunView("x"), Events()
    view.take(events.step("a", "failed"))
    assert view.finished[0].error == "exit code 1"
    assert view.failed == 1


def test_a_stop_leaves_nothing_in_flight() -> None:
    view, events = RunView("x"), Events()
    view.take(events.step("a", "started"))
    view.take(events.status("interrupted", reason="user"))
    assert not view.running
    assert (view.status, view.reason, view.is_stopped) == ("interrupted", "user", True)
    view.take(events.status("running"))
    assert view.reason is None


def test_completed_steps_of_an_earlier_execution_are_reused_and_the_others_are_not() -> None:
    view = RunView("x")

    def summary(step_id: str, status: str) -> StepSummary:
        began, ended = format_timestamp(BEGAN_MS), format_timestamp(BEGAN_MS + 40)
        return StepSummary(
            step_id=step_id,
            kind="command",
            key=step_id,
            status=status,
            attempt=1,
            started_at=began,
            ended_at=ended,
            reused=False,
            child_run_id="run_child",
        )

    view.seed([summary("a", "completed"), summary("b", "interrupted"), summary("c", "failed")])
    assert [(line.name, line.reused, line.duration_ms, line.child) for line in view.finished] == [
        ("a", True, 40, "run_child")
    ]
    assert view.reused == 1


def test_what_is_kept_does_not_grow_with_the_run() -> None:
    view, events = RunView("x"), Events()
    for number in range(1000):
        view.take(events.step(f"s{number}", "started"))
        view.take(events.step(f"s{number}", "completed"))
        view.take(events.log(f"line {number}"))
    assert len(view.finished) == FINISHED_KEPT
    assert len(view.logs) == LOGS_KEPT
    assert view.completed == 1000


def test_phase_and_log_show_their_details() -> None:
    view, events = RunView("x"), Events()
    view.take(events.phase("verify", round=2, of="three"))
    view.take(events.log("odd", level="warning", data={"files": ["a"]}))
    assert view.phase == "verify (round=2, of=three)"
    assert view.logs[0] == 'warning: odd (files=["a"])'


def test_a_step_shows_the_nested_run_that_does_its_work() -> None:
    """P8"""
    view, events = RunView("x"), Events()
    view.take(events.step("a", "started"))
    view.take(events.step("b", "started"))
    view.take(events.child("b", "run_child"))
    assert [(line.name, line.child) for line in view.running.values()] == [("a", None), ("b", "review run_child")]
    view.take(events.step("b", "completed"))
    assert view.finished[0].child == "review run_child"


def test_a_child_of_a_step_that_is_over_shows_nowhere() -> None:
    view, events = RunView("x"), Events()
    view.take(events.step("a", "started"))
    view.take(events.step("a", "failed"))
    view.take(events.child("a", "run_child"))
    assert view.finished[0].child is None
    view.take(events.step("b", "started"))
    (line,) = view.running.values()
    view.take(events.status("interrupted"))
    view.take(events.child("b", "run_child"))
    assert line.child is None
