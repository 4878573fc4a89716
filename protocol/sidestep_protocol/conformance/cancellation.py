"""
Group `cancellation`, first half: the table in README.md, "Cancellation", where only one outcome is possible.

Row 8 (the server drains) is in `endings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep_protocol.conformance.answers import refused, result_of
from sidestep_protocol.conformance.check import CheckSkipped, check, must, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.trial import Trial


@check("cancellation row 1")
async def a_cancel_of_an_unknown_id_is_passed_over(trial: Trial) -> None:
    """A cancel of an id that nobody has, twice, is answered with nothing."""
    server = await trial.server()
    for unknown in (777_001, "777001"):
        server.cancel(unknown)
        server.cancel(unknown)
    await server.round_trip()
    told = [m for m in server.received if "method" not in m and m.get("id") in (777_001, "777001", None)]
    must(not told, "no answer to a cancel of an unknown id", told)


@check("W15", "start")
async def a_cancel_of_an_answered_id_is_passed_over(trial: Trial) -> None:
    """A cancel of a request that was answered changes neither its run nor its one answer."""
    server = await trial.server()
    number = trial.start(server, trial.quick())
    outcome = result_of(await server.response(number), "workflow/start")
    server.cancel(number)
    await server.round_trip()
    must_equal((await trial.run(server, outcome["runId"]))["status"], "completed", "the run's status")
    must_equal(len(server.responses(number)), 1, "the answers to the start")


@check("W15", "start")
async def a_cancel_before_its_request_is_passed_over(trial: Trial) -> None:
    """A cancel that comes before its request withdraws nothing."""
    server = await trial.server()
    number = server.new_id()
    server.send(
        {"method": "$/cancelRequest", "params": {"id": number}},
        {"id": number, "method": "workflow/start", "params": trial.start_params(trial.quick())},
    )
    outcome = result_of(await server.response(number, "the start behind the cancel"), "workflow/start")
    must_equal(outcome["status"], "completed", "the status of the outcome")


@check("cancellation row 4", "start")
async def a_cancel_of_a_waiting_start_interrupts_its_run(trial: Trial) -> None:
    """A waiting start that is cancelled is answered requestCancelled when its run is durably interrupted."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    server.cancel(number)
    answer = await server.response(number, "the cancelled start")
    data = refused(answer, "requestCancelled", "the cancelled start")["data"]
    seen = (data.get("runId"), data.get("status"), data.get("resumable"))
    must_equal(seen, (run_id, "interrupted", True), "runId, status and resumable of the error")
    must(isinstance(data.get("quiescent"), bool), "quiescent in the error", data)
    run = await trial.run(server, run_id)
    must_equal((run["status"], run.get("reason")), ("interrupted", "cancelled"), "status and reason in the journal")
    must(run["sequence"] >= data.get("sequence", 0) > 0, "the sequence of the journal", data)
    must_equal(trial.gate.done(), ["first"], "the work that was done")


@check("cancellation row 4", "start", "interrupt", "resume")
async def a_cancel_of_a_waiting_resume_interrupts_its_run(trial: Trial) -> None:
    """A waiting resume that is cancelled is answered as a start is."""
    server = await trial.server()
    first, run_id = await trial.begin_gated(server)
    await server.result("workflow/interrupt", {"runId": run_id})
    await server.response(first)
    number = server.request("workflow/resume", {"runId": run_id})
    await trial.gate.told("begun", times=2)
    server.cancel(number)
    answer = await server.response(number, "the cancelled resume")
    data = refused(answer, "requestCancelled", "the cancelled resume")["data"]
    must_equal((data.get("runId"), data.get("status")), (run_id, "interrupted"), "runId and status of the error")
    run = await trial.run(server, run_id)
    must_equal((run["status"], run.get("reason")), ("interrupted", "cancelled"), "status and reason in the journal")


@check("W15", "start")
async def a_second_cancel_changes_nothing(trial: Trial) -> None:
    """A request that is cancelled twice has one answer, and its run is interrupted once."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    server.send(*({"method": "$/cancelRequest", "params": {"id": number}} for _ in range(2)))
    answer = await server.response(number, "the cancelled start")
    data = refused(answer, "requestCancelled", "the cancelled start")["data"]
    must_equal(data.get("runId"), run_id, "runId of the error")
    await server.notified("workflow/statusChanged", runId=run_id, status="interrupted", quiescent=True)
    await server.round_trip()
    must_equal(len(server.responses(number)), 1, "the answers to the start")
    journal = await trial.journal(server, run_id)
    stops = [e for e in journal if e["type"] == "status" and e["status"] == "interrupted" and not e.get("quiescent")]
    must_equal(len(stops), 1, "the interruptions in the journal")


@check("cancellation row 5", "start", "interrupt")
async def a_cancel_of_one_of_two_waiting_requests_detaches_it(trial: Trial) -> None:
    """Of two requests that wait for a run, the one that is cancelled lets go (detached); the last one interrupts."""
    server = await trial.server()
    first, run_id = await trial.begin_gated(server, startKey=trial.name)
    second = trial.start(server, trial.gated(), startKey=trial.name, workDoneToken=trial.name)
    # Its progress begins when it waits for the run.
    await server.notified("$/progress", token=trial.name)
    server.cancel(first)
    answer = await server.response(first, "one of two waiting starts, cancelled")
    data = refused(answer, "requestCancelled", "the first start")["data"]
    must_equal((data.get("runId"), data.get("detached")), (run_id, True), "runId and detached of the error")
    must_equal((await trial.run(server, run_id))["status"], "running", "the run's status")
    must_equal(server.responses(second), [], "answers to the other start")
    server.cancel(second)
    answer = await server.response(second, "the last waiting start, cancelled")
    data = refused(answer, "requestCancelled", "the last start")["data"]
    must_equal((data.get("status"), data.get("detached")), ("interrupted", None), "status and detached of the error")


@check("cancellation row 5", "start", own_server=True)
async def a_cancel_leaves_the_run_of_another_process_alone(trial: Trial) -> None:
    """A request that waits for a run of another process is cancelled without touching the run."""
    owner = await trial.server()
    number, run_id = await trial.begin_gated(owner, startKey=trial.name)
    other = await trial.another_server()
    if not owner.capability.get("storeId") or owner.capability.get("storeId") != other.capability.get("storeId"):
        raise CheckSkipped("two processes of this command share no store")
    attached = trial.start(other, trial.gated(), startKey=trial.name)
    # Behind it, so that it most likely waits by then; a cancel that comes sooner may find no run.
    await trial.run(other, run_id)
    other.cancel(attached)
    answer = await other.response(attached, "a start that waits for another process's run, cancelled")
    data = refused(answer, "requestCancelled", "the attached start")["data"]
    if data.get("runId") is not None:
        must_equal((data["runId"], data.get("detached")), (run_id, True), "runId and detached of the error")
    must_equal((await trial.run(owner, run_id))["status"], "running", "the run's status")
    trial.gate.open()
    outcome = result_of(await owner.response(number), "the owner's start")
    must_equal(outcome["status"], "completed", "the status of the outcome")


@check("cancellation row 6", "start")
async def a_cancel_after_the_end_is_durable_leaves_the_outcome(trial: Trial) -> None:
    """A cancel read after the run has completed is too late: the answer is the outcome."""
    server = await trial.server()
    number = trial.start(server, trial.quick(), workDoneToken=trial.name)
    run_id = await trial.run_of(server)
    await server.notified("workflow/statusChanged", runId=run_id, status="completed")
    server.cancel(number)
    outcome = result_of(await server.response(number, "a start cancelled after its run completed"), "workflow/start")
    must_equal(outcome["status"], "completed", "the status of the outcome")
    must_equal((await trial.run(server, run_id))["status"], "completed", "the run's status")


@check("cancellation row 7", "start", "interrupt")
async def an_interrupt_by_somebody_else_is_an_outcome(trial: Trial) -> None:
    """A waiting start whose run somebody interrupts is answered with an outcome, not with an error."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    await server.result("workflow/interrupt", {"runId": run_id})
    outcome = result_of(await server.response(number), "the waiting start")
    seen = (outcome["runId"], outcome["status"], outcome.get("reason"))
    must_equal(seen, (run_id, "interrupted", "user"), "runId, status and reason of the outcome")


@check("$/progress", "start")
async def a_cancel_of_the_progress_is_an_interrupt_by_the_user(trial: Trial) -> None:
    """Cancelling the progress of a waiting start interrupts its run, and the answer is an outcome."""
    server = await trial.server()
    number, _ = await trial.begin_gated(server, workDoneToken=trial.name)
    server.notify("window/workDoneProgress/cancel", {"token": trial.name})
    outcome = result_of(await server.response(number, "a start whose progress was cancelled"), "workflow/start")
    seen = (outcome["status"], outcome.get("reason"))
    must_equal(seen, ("interrupted", "user"), "status and reason of the outcome")


CHECKS = (
    a_cancel_of_an_unknown_id_is_passed_over,
    a_cancel_of_an_answered_id_is_passed_over,
    a_cancel_before_its_request_is_passed_over,
    a_cancel_of_a_waiting_start_interrupts_its_run,
    a_cancel_of_a_waiting_resume_interrupts_its_run,
    a_second_cancel_changes_nothing,
    a_cancel_of_one_of_two_waiting_requests_detaches_it,
    a_cancel_leaves_the_run_of_another_process_alone,
    a_cancel_after_the_end_is_durable_leaves_the_outcome,
    an_interrupt_by_somebody_else_is_an_outcome,
    a_cancel_of_the_progress_is_an_interrupt_by_the_user,
)
