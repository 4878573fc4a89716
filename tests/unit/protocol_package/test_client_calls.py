"""Each call of the client against what it sends: names go in, the method's params go out."""

from __future__ import annotations

from typing import Any

import pytest

from sidestep_protocol.methods import METHODS, Direction
from sidestep_protocol.runs import RunOutcome, RunStarted, ScriptRef
from sidestep_protocol.workflow import ListResult, StepsResult
from sidestep_protocol.workflow_calls import WorkflowCalls


class Recorder(WorkflowCalls):
    """Writes down what would be sent, and answers what it was given."""

    def __init__(self, *answers: Any) -> None:
        self.sent: list[tuple[str, Any, Any]] = []
        self._answers = list(answers)

    async def request(self, method: str, params: Any, result_type: Any) -> Any:
        self.sent.append((method, params, result_type))
        return self._answers.pop(0) if self._answers else None


async def test_every_call_sends_its_method_and_params() -> None:
    calls = Recorder()
    script = ScriptRef(name="n")
    await calls.start(script, {"a": 1}, start_key="k", events=True)
    await calls.start_background(script, workspace_folder="file:///w", deadline_s=1.5)
    await calls.interrupt("r", wait="durable")
    await calls.background("r")
    await calls.resume("r", events=True)
    await calls.resume_background("r")
    await calls.retry("r", source="current")
    await calls.retry_background("r")
    await calls.get("r", "result", "args")
    await calls.steps("r", step_id="s", outputs=True)
    await calls.events("r", after_sequence=3, limit=7)
    await calls.subscribe("r", after_sequence=3)
    await calls.unsubscribe("r")
    await calls.answer("i", {"x": 1})
    await calls.scripts()
    await calls.validate(source="x")
    await calls.trust(["file:///w"], trusted=True)
    await calls.delete("r")
    await calls.health()
    await calls.list(status=["active"], limit=5)
    for method, params, result in calls.sent:
        assert type(params) is METHODS[method].params
        assert result in (METHODS[method].result, METHODS[method].background_result)
    requests = {
        name for name, method in METHODS.items() if method.is_request and method.direction is Direction.CLIENT_TO_SERVER
    }
    assert {method for method, _, _ in calls.sent} == requests
    by_method = {method: params for method, params, _ in calls.sent[:1] + calls.sent[8:]}
    started = by_method["workflow/start"]
    assert (started.args, started.start_key, started.events, started.mode) == ({"a": 1}, "k", True, "foreground")
    assert (by_method["workflow/steps"].step_id, by_method["workflow/steps"].outputs) == ("s", True)
    assert (by_method["workflow/events"].after_sequence, by_method["workflow/events"].limit) == (3, 7)
    assert (by_method["workflow/list"].status, by_method["workflow/list"].limit) == (["active"], 5)


@pytest.mark.parametrize(
    ("call", "arguments"), [("start", (ScriptRef(name="n"),)), ("resume", ("r",)), ("retry", ("r",))]
)
async def test_the_background_twin_of_a_call_differs_in_the_mode_alone(call: str, arguments: tuple[Any]) -> None:
    calls = Recorder()
    await getattr(calls, call)(*arguments, work_done_token="t", events=True, deadline_s=2)
    await getattr(calls, f"{call}_background")(*arguments, work_done_token="t", events=True, deadline_s=2)
    (_, first, waited), (_, second, at_once) = calls.sent
    assert (first.mode, second.mode, waited, at_once) == ("foreground", "background", RunOutcome, RunStarted)
    names = [name for name in first.__struct_fields__ if name != "mode"]
    assert [getattr(first, name) for name in names] == [getattr(second, name) for name in names]
    assert (first.work_done_token, first.events, first.deadline_s) == ("t", True, 2)


async def test_all_steps_and_runs_come_page_after_page() -> None:
    steps: list[Any] = ["a", "b", "c"]
    calls = Recorder(
        StepsResult(steps=steps[:2], next_cursor="more"),
        StepsResult(steps=[], next_cursor="still"),
        StepsResult(steps=steps[2:], next_cursor=None),
    )
    assert [step async for step in calls.all_steps("r", outputs=True)] == steps
    assert [params.cursor for _, params, _ in calls.sent[1:]] == ["more", "still"]
    assert all(params.outputs for _, params, _ in calls.sent)
    calls = Recorder(ListResult(runs=steps[:1], next_cursor="more"), ListResult(runs=steps[1:], next_cursor=None))
    assert [run async for run in calls.all_runs(limit=1)] == steps
    assert [params.limit for _, params, _ in calls.sent] == [1, 1]
