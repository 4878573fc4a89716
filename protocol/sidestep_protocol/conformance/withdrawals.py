"""
Group `cancellation`, second half: cancels that meet something else on the way, where either may win.

Whoever wins, answer, journal and what was told have to agree: that is what these checks look at. `cancellation` has the
rows that only one outcome fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep_protocol.conformance.answers import refused, result_of, shorten
from sidestep_protocol.conformance.check import check, must, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.check import Message
    from sidestep_protocol.conformance.server_process import ServerProcess
    from sidestep_protocol.conformance.trial import Trial

# How often a cancel races the end of a run.
_RACES = 12


async def _agrees_with_the_journal(trial: Trial, server: ServerProcess, answer: Message, *, reason: str) -> None:
    """
    Of an answer to a cancelled request: it says what the journal does.

    Args:
        reason: Of the interruption, when the answer is a result of status `interrupted`.
    """
    if "result" in answer:
        told: dict[str, Any] = answer["result"]
        run = await trial.run(server, told["runId"])
        must(told["status"] != "pending", "an outcome", shorten(answer))
        if told["status"] == "interrupted":
            must_equal(run.get("reason"), reason, "the journal's reason when the answer is an outcome")
    else:
        told = refused(answer, "requestCancelled", "the cancelled request")["data"]
        run = await trial.run(server, told["runId"])
        must_equal(run.get("reason"), "cancelled", "the journal's reason when the answer is requestCancelled")
    must_equal(told["status"], run["status"], "the answer's status, as in the journal")


async def _statuses_told(trial: Trial, server: ServerProcess, count: int, since: int) -> None:
    """Wait until so many statuses of this check's newest run were told."""

    def find() -> bool | None:
        told = [m for m in server.received[since:] if m.get("method") == "workflow/statusChanged"]
        return len([m for m in told if m["params"]["name"] == trial.name]) >= count or None

    await server.until(find, f"{count} workflow/statusChanged of the run")


@check("cancellation row 2", "start")
async def a_cancel_in_the_same_write_as_its_start_is_answered_once(trial: Trial) -> None:
    """A start cancelled in the same write is answered once: with runId null and no run, or with its interrupted run."""
    server = await trial.server()
    number = server.new_id()
    server.send(
        {"id": number, "method": "workflow/start", "params": trial.start_params(trial.gated())},
        {"method": "$/cancelRequest", "params": {"id": number}},
    )
    answer = await server.response(number, "a start cancelled in the same write")
    data = refused(answer, "requestCancelled", "the start")["data"]
    # A run that was made in spite of the answer is in the list by the time that a later one has ended.
    later = trial.start_params("async def main():\n    return 'later'\n")
    await server.result("workflow/start", {**later, "script": {**later["script"], "name": f"{trial.name}-later"}})
    listed = await server.result("workflow/list", {"name": trial.name, "workspaceFolder": server.folder_uri})
    found = [(run["runId"], run["status"]) for run in listed["runs"]]
    wanted = [] if data["runId"] is None else [(data["runId"], "interrupted")]
    must_equal(found, wanted, "the run's id and status in the list, as the answer has them")
    must_equal(len(server.responses(number)), 1, "the answers to the start")


@check("cancellation row 3", "start", "resume", "interrupt")
async def a_cancel_in_the_same_write_as_its_resume_says_how_the_run_stands(trial: Trial) -> None:
    """A resume cancelled in the same write is answered with the status that the journal has."""
    server = await trial.server()
    first, run_id = await trial.begin_gated(server)
    await server.result("workflow/interrupt", {"runId": run_id})
    await server.response(first)
    before = await trial.run(server, run_id)
    number = server.new_id()
    server.send(
        {"id": number, "method": "workflow/resume", "params": {"runId": run_id}},
        {"method": "$/cancelRequest", "params": {"id": number}},
    )
    answer = await server.response(number, "a resume cancelled in the same write")
    data = refused(answer, "requestCancelled", "the resume")["data"]
    must_equal((data["runId"], data["status"]), (run_id, "interrupted"), "runId and status of the error")
    after = await trial.run(server, run_id)
    wanted = "user" if after["sequence"] == before["sequence"] else "cancelled"
    must_equal((after["status"], after.get("reason")), ("interrupted", wanted), "status and reason in the journal")


@check("W16", "start")
async def a_cancel_that_races_the_end_agrees_with_the_journal(trial: Trial) -> None:
    """However a cancel and the end of a run meet, the answer is one, and says what the journal says."""
    server = await trial.server()
    source = "async def main():\n    return 'at once'\n"
    for number in range(_RACES):
        since = server.mark()
        request = trial.start(server, source)
        # At another point each time: right away, and after each status that is told.
        await _statuses_told(trial, server, number % 4, since)
        server.cancel(request)
        answer = await server.response(request, "a cancelled start")
        if "error" in answer and answer["error"].get("data", {}).get("runId", 0) is None:
            continue
        await _agrees_with_the_journal(trial, server, answer, reason="cancelled")
        await server.round_trip()
        must_equal(len(server.responses(request)), 1, "the answers to the start")


@check("cancellation row 7", "start", "interrupt")
async def a_cancel_behind_an_interrupt_agrees_with_the_journal(trial: Trial) -> None:
    """Of an interrupt and a cancel in one write the first in the journal decides both answer and reason."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    interrupt = server.new_id()
    server.send(
        {"id": interrupt, "method": "workflow/interrupt", "params": {"runId": run_id}},
        {"method": "$/cancelRequest", "params": {"id": number}},
    )
    result_of(await server.response(interrupt, "workflow/interrupt"), "workflow/interrupt")
    answer = await server.response(number, "the start that was interrupted and cancelled")
    await _agrees_with_the_journal(trial, server, answer, reason="user")


@check("cancellation row 10", "start", "interrupt")
async def a_cancel_of_a_background_start_leaves_its_run_alone(trial: Trial) -> None:
    """A background start cancelled in the same write makes no run, or is answered and its run goes on."""
    server = await trial.server()
    number = server.new_id()
    params = trial.start_params(trial.gated(), mode="background")
    server.send(
        {"id": number, "method": "workflow/start", "params": params},
        {"method": "$/cancelRequest", "params": {"id": number}},
    )
    answer = await server.response(number, "a background start cancelled in the same write")
    if "error" in answer:
        data = refused(answer, "requestCancelled", "the background start")["data"]
        must_equal(data["runId"], None, "runId of the error: it made no run")
        listed = await server.result("workflow/list", {"name": trial.name, "workspaceFolder": server.folder_uri})
        must_equal(listed["runs"], [], "the runs that were made")
        return
    run_id = answer["result"]["runId"]
    await trial.gate.told("begun")
    must_equal((await trial.run(server, run_id))["status"], "running", "the run's status after the cancel")
    await server.result("workflow/interrupt", {"runId": run_id})


CHECKS = (
    a_cancel_in_the_same_write_as_its_start_is_answered_once,
    a_cancel_in_the_same_write_as_its_resume_says_how_the_run_stands,
    a_cancel_that_races_the_end_agrees_with_the_journal,
    a_cancel_behind_an_interrupt_agrees_with_the_journal,
    a_cancel_of_a_background_start_leaves_its_run_alone,
)
