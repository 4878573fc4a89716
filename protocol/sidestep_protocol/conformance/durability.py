"""Group `durability`, first half: what a host was told before `kill -9` is there afterwards. G1, C1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep_protocol.conformance import scripts
from sidestep_protocol.conformance.answers import result_of
from sidestep_protocol.conformance.check import check, must, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.server_process import ServerProcess
    from sidestep_protocol.conformance.trial import Trial


@check("G1", "start", "events", own_server=True)
async def events_told_before_a_crash_are_there_after_it(trial: Trial) -> None:
    """Every event told before the server was killed is in the journal of the next one, unchanged."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    await server.round_trip()
    batches = [m["params"] for m in server.received if m.get("method") == "workflow/eventsAppended"]
    told = [event for params in batches if params["runId"] == run_id for event in params["events"]]
    await server.kill()
    later = await trial.another_server()
    journal = await trial.journal(later, run_id)
    must(bool(told), "events before the crash", told)
    must_equal(journal[: len(told)], told, "the first events of the journal after the crash")
    sequences = [event["sequence"] for event in journal]
    must_equal(sequences, list(range(1, len(journal) + 1)), "the sequences of the journal after the crash")


@check("Recovery", "start", own_server=True)
async def a_run_of_a_killed_server_is_interrupted_by_crash(trial: Trial) -> None:
    """The next server shows the run as interrupted, reason crash, before it answers anything about runs."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    await server.kill()
    later = await trial.another_server()
    listed = await later.result("workflow/list", {"workspaceFolder": later.folder_uri})
    seen = [(run["runId"], run["status"], run.get("reason")) for run in listed["runs"]]
    must_equal(seen, [(run_id, "interrupted", "crash")], "id, status and reason of the runs listed")


@check("workflow/resume", "start", "resume", own_server=True)
async def a_resume_after_a_crash_keeps_finished_steps(trial: Trial) -> None:
    """Resumed after kill -9, a run keeps its finished steps, and does the others once."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    await server.kill()
    later = await trial.another_server()
    number = later.request("workflow/resume", {"runId": run_id, "events": True})
    await trial.gate.told("begun", times=2)
    trial.gate.open()
    outcome = result_of(await later.response(number, "workflow/resume"), "workflow/resume")
    must_equal(outcome["status"], "completed", "the status of the outcome")
    must_equal(trial.gate.done(), ["first", "gated", "last"], "the work that was done, once each")
    must_equal(outcome["steps"]["reused"], 1, "steps.reused of the outcome")
    sequences = [event["sequence"] for event in await trial.journal(later, run_id)]
    must_equal(sequences, list(range(1, outcome["sequence"] + 1)), "the sequences over both executions")


@check("workflow/resume", "start", "resume", own_server=True)
async def no_second_copy_of_a_step_runs_after_a_crash(trial: Trial) -> None:
    """What a killed server left running is ended before its step runs again."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    await server.kill()
    later = await trial.another_server()
    number = later.request("workflow/resume", {"runId": run_id})
    await trial.gate.told("begun", times=2)
    # Enough for two copies: were the first one left, it would go on now.
    trial.gate.open(times=2)
    result_of(await later.response(number, "workflow/resume"), "workflow/resume")
    must_equal(trial.gate.done(), ["first", "gated", "last"], "the work that was done, once each")


@check("G6", "start", "interrupt", own_server=True)
async def an_answered_interrupt_survives_a_crash(trial: Trial) -> None:
    """A server killed right after it answered an interrupt leaves the run interrupted by the user, not by the crash."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    await server.result("workflow/interrupt", {"runId": run_id, "wait": "durable"})
    await server.kill()
    later = await trial.another_server()
    run = await trial.run(later, run_id)
    must_equal((run["status"], run.get("reason")), ("interrupted", "user"), "status and reason after the crash")


@check("workflow/start", "start", own_server=True)
async def an_answered_background_start_survives_a_crash(trial: Trial) -> None:
    """A server killed right after it answered a background start has stored the run, and its start key finds it."""
    server = await trial.server()
    params = trial.start_params(trial.gated(), mode="background", startKey=trial.name)
    started = await server.result("workflow/start", params)
    await server.kill()
    later = await trial.another_server()
    again = await later.result("workflow/start", params)
    must_equal((again["runId"], again["created"]), (started["runId"], False), "runId and created after the crash")


@check("G1", "start", own_server=True)
async def an_outcome_survives_a_crash(trial: Trial) -> None:
    """A server killed right after it answered with an outcome has kept it."""
    server = await trial.server()
    outcome = await server.result("workflow/start", trial.start_params(trial.quick(), args={"n": 7}))
    await server.kill()
    later = await trial.another_server()
    run = await trial.run(later, outcome["runId"])
    seen = (run["status"], run["sequence"], run.get("result"))
    must_equal(
        seen, ("completed", outcome["sequence"], outcome["result"]), "status, sequence and result after the crash"
    )


@check("workflow/resume", "start", "events", "resume", own_server=True)
async def a_sleep_goes_on_after_a_crash(trial: Trial) -> None:
    """A run killed in a sleep step is in it again after a resume, and keeps the step before."""
    server = await trial.server()
    trial.start(server, scripts.asleep(trial.gate))
    await trial.gate.told("begun")
    run_id = await trial.run_of(server)
    await _sleeps(server, run_id)
    await server.kill()
    later = await trial.another_server()
    number = later.request("workflow/resume", {"runId": run_id, "events": True})
    await _sleeps(later, run_id)
    must_equal(trial.gate.done(), ["first"], "the work that was done")
    later.cancel(number)
    await later.response(number, "the cancelled resume")


async def _sleeps(server: ServerProcess, run_id: str) -> None:
    """Wait until the run is in its sleep step, from the events told."""

    def find() -> bool | None:
        batches = [m["params"] for m in server.received if m.get("method") == "workflow/eventsAppended"]
        events = [event for params in batches if params["runId"] == run_id for event in params["events"]]
        return any(e["type"] == "step" and e["kind"] == "sleep" and e["status"] == "started" for e in events) or None

    await server.until(find, "a step event: the sleep has started")


CHECKS = (
    events_told_before_a_crash_are_there_after_it,
    a_run_of_a_killed_server_is_interrupted_by_crash,
    a_resume_after_a_crash_keeps_finished_steps,
    no_second_copy_of_a_step_runs_after_a_crash,
    an_answered_interrupt_survives_a_crash,
    an_answered_background_start_survives_a_crash,
    an_outcome_survives_a_crash,
    a_sleep_goes_on_after_a_crash,
)
