"""Group `durability`, second half: ends that are told apart afterwards, going on by itself, and retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep_protocol.conformance import scripts
from sidestep_protocol.conformance.answers import result_of
from sidestep_protocol.conformance.check import check, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.trial import Trial


@check("exit", "start", own_server=True)
async def a_shutdown_leaves_its_reason(trial: Trial) -> None:
    """A run that a shutdown stopped is interrupted, reason shutdown, and can be resumed."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    await server.result("shutdown")
    server.notify("exit")
    await server.exit_code()
    later = await trial.another_server()
    run = await trial.run(later, run_id)
    must_equal((run["status"], run.get("reason")), ("interrupted", "shutdown"), "status and reason after a shutdown")


@check("W18", "start", own_server=True)
async def a_host_that_vanishes_leaves_its_reason(trial: Trial) -> None:
    """A run whose host closed the server's input is interrupted, reason clientGone."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    server.close_input()
    must_equal(await server.exit_code(), 1, "the exit code at the end of input")
    later = await trial.another_server()
    run = await trial.run(later, run_id)
    must_equal((run["status"], run.get("reason")), ("interrupted", "clientGone"), "status and reason afterwards")


@check("Recovery", "start", own_server=True)
async def a_crashed_run_goes_on_by_itself(trial: Trial) -> None:
    """With autoResume, the next server goes on with a run of a killed one, and keeps its finished steps."""
    options = {"autoResume": True}
    server = await trial.server(options=options)
    _, run_id = await trial.begin_gated(server)
    await server.kill()
    later = await trial.another_server(options=options)
    await trial.gate.told("begun", times=2)
    trial.gate.open()
    await later.notified("workflow/statusChanged", runId=run_id, status="completed")
    must_equal(trial.gate.done(), ["first", "gated", "last"], "the work that was done, once each")


@check("Recovery", "start", "interrupt", own_server=True)
async def an_interrupted_run_waits_for_somebody(trial: Trial) -> None:
    """A run that the user interrupted is not resumed by the next server, also with autoResume."""
    options = {"autoResume": True}
    server = await trial.server(options=options)
    number, run_id = await trial.begin_gated(server)
    await server.result("workflow/interrupt", {"runId": run_id})
    await server.response(number)
    await server.kill()
    later = await trial.another_server(options=options)
    # A run of its own, to its end: by then another one would have begun.
    await later.result("workflow/start", trial.start_params(trial.quick()))
    run = await trial.run(later, run_id)
    must_equal((run["status"], run.get("reason")), ("interrupted", "user"), "status and reason of the interrupted run")


@check("workflow/retry", "start", "retry", own_server=True)
async def a_retry_keeps_finished_steps(trial: Trial) -> None:
    """A failed run that another server retries does its failed step again and keeps the finished one."""
    server = await trial.server()
    outcome = await server.result("workflow/start", trial.start_params(scripts.failing(trial.gate)))
    must_equal((outcome["status"], outcome["error"]["stepId"]), ("failed", "second"), "status and step of the failure")
    await server.kill()
    (trial.folder / f"mended-{trial.gate.done_at}").touch()
    later = await trial.another_server()
    number = later.request("workflow/retry", {"runId": outcome["runId"]})
    retried = result_of(await later.response(number, "workflow/retry"), "workflow/retry")
    must_equal(retried["status"], "completed", "the status after the retry")
    must_equal(trial.gate.done(), ["first", "tried", "tried"], "the work that was done")


CHECKS = (
    a_shutdown_leaves_its_reason,
    a_host_that_vanishes_leaves_its_reason,
    a_crashed_run_goes_on_by_itself,
    an_interrupted_run_waits_for_somebody,
    a_retry_keeps_finished_steps,
)
