"""Group `robustness`, first half: hosts that read nothing, runs that print, and limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from sidestep_protocol.conformance import scripts
from sidestep_protocol.conformance.answers import params_of, refused, result_of
from sidestep_protocol.conformance.check import CheckFailed, check, must, must_equal
from sidestep_protocol.methods import METHODS

if TYPE_CHECKING:
    from sidestep_protocol.conformance.trial import Trial

# Together 24 MB: well over the 8 MiB that may wait for a host, what the pipe and this process take unread, and what a
# quick server has gathered and not sent yet when the run says that it is done.
_LOG_TURNS = 40
_LOG_LINES = 50
_LOG_BYTES = 12_000


@check("W21", "start", "events", own_server=True)
async def a_run_does_not_wait_for_a_host_that_does_not_read(trial: Trial) -> None:
    """A run goes on while its host reads nothing; statuses, answer and lagged are there when it reads again."""
    server = await trial.server()
    number = server.new_id()
    server.pause_reading()
    source = scripts.talkative(trial.gate, _LOG_TURNS, _LOG_LINES, _LOG_BYTES)
    server.send({"id": number, "method": "workflow/start", "params": trial.start_params(source)})
    await trial.gate.told("said it all")
    server.resume_reading()
    outcome = result_of(await server.response(number, "the start, once the host reads again"), "workflow/start")
    run_id = outcome["runId"]
    must_equal(outcome["status"], "completed", "the status of the outcome")
    await server.round_trip()
    about = [m for m in server.received if params_of(m).get("runId") == run_id]
    statuses = [m["params"]["status"] for m in about if m["method"] == "workflow/statusChanged"]
    must(statuses[0] == "pending" and statuses[-1] == "completed", "statuses from pending to completed", statuses)
    batches = [m["params"]["events"] for m in about if m["method"] == "workflow/eventsAppended"]
    told = [event["sequence"] for batch in batches for event in batch]
    lagged = [m["params"]["lastSequence"] for m in about if m["method"] == "workflow/lagged"]
    last = told[-1] if told else 0
    must_equal(told, list(range(1, len(told) + 1)), "the events told, without a gap")
    if last < outcome["sequence"]:
        must_equal(lagged, [last], "lastSequence of one workflow/lagged: the last event told")
    rest = [event["sequence"] for event in (await trial.journal(server, run_id))[last:]]
    must_equal(rest, list(range(last + 1, outcome["sequence"] + 1)), "what workflow/events has after it")


@check("W23", "start")
async def what_a_run_prints_never_reaches_stdout(trial: Trial) -> None:
    """What a script and its steps print is no byte of the server's stdout, and print is in the journal."""
    server = await trial.server()
    outcome = await server.result("workflow/start", trial.start_params(scripts.noisy()))
    await server.round_trip()
    journal = await trial.journal(server, outcome["runId"])
    logs = [event["message"] for event in journal if event["type"] == "log"]
    must_equal(logs, ["printed by the script"], "the log of the run")


@check("Limits", own_server=True)
async def a_flood_of_requests_is_answered_or_refused_one_by_one(trial: Trial) -> None:
    """Each of 1,000 requests at once is answered or refused as overloaded, and health is always let in."""
    server = await trial.server()
    numbers = [server.new_id() for _ in range(1000)]
    health = server.new_id()
    params = {"workspaceFolder": server.folder_uri}
    server.send(
        *({"id": n, "method": "workflow/list", "params": params} for n in numbers),
        {"id": health, "method": "workflow/health", "params": {}},
    )
    result_of(await server.response(health, "workflow/health behind a flood"), "workflow/health")
    for number in numbers:
        answer = await server.response(number, "one of a flood of requests")
        if "error" in answer:
            error = refused(answer, "overloaded", "one of a flood of requests")
            must(error["data"].get("retryAfterMs", 0) > 0, "data.retryAfterMs", error["data"])


@check("Order", "start")
async def a_slow_request_delays_no_other(trial: Trial) -> None:
    """While a start waits for its run, other requests are answered, and another run ends."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    health = await server.result("workflow/health")
    must(health["activeRuns"] >= 1, "activeRuns counts the run", health)
    quick = await server.result("workflow/start", trial.start_params(trial.quick()))
    must_equal(quick["status"], "completed", "the status of another run meanwhile")
    must_equal((await trial.run(server, run_id))["status"], "running", "the first run's status")
    trial.gate.open()
    must_equal(result_of(await server.response(number), "the first start")["status"], "completed", "its outcome")


@check("workflow/background", "start", "background")
async def a_run_moved_to_the_background_goes_on(trial: Trial) -> None:
    """workflow/background answers the waiting start with status backgrounded; the run goes on to its end."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    moved = await server.result("workflow/background", {"runId": run_id})
    must_equal(moved["status"], "backgrounded", "the status of the answer")
    outcome = result_of(await server.response(number), "the waiting start")
    must_equal((outcome["runId"], outcome["status"]), (run_id, "backgrounded"), "runId and status of the outcome")
    trial.gate.open()
    ended = await server.notified("workflow/statusChanged", runId=run_id, status="completed")
    must_equal(ended["attention"], "notifyOnTerminal", "attention at the end")


@check("workflow/start", "start")
async def a_background_start_is_answered_when_the_run_is_stored(trial: Trial) -> None:
    """A start in the background is answered while the run still has work, and the run goes on to its end."""
    server = await trial.server()
    started = await server.result("workflow/start", trial.start_params(trial.gated(), mode="background"))
    must_equal(started["created"], True, "created")
    await trial.run(server, started["runId"])
    await trial.gate.told("begun")
    trial.gate.open()
    await server.notified("workflow/statusChanged", runId=started["runId"], status="completed")


@check("Types", "start", "list")
async def messages_have_the_shape_of_their_types(trial: Trial) -> None:
    """Whatever the server tells of a run, and answers about it, decodes as its type."""
    server = await trial.server()
    outcome = await server.result("workflow/start", trial.start_params(trial.quick(), label="shapes"))
    _decode("workflow/start", outcome)
    run = {"runId": outcome["runId"]}
    asked = {
        "workflow/get": {**run, "include": ["args", "result", "source"]},
        "workflow/steps": {**run, "outputs": True},
        "workflow/events": run,
        "workflow/interrupt": run,
        "workflow/list": {"name": trial.name},
        "workflow/scripts": {},
        "workflow/validate": {"source": "async def main():\n    yield 1\n"},
        "workflow/health": {},
    }
    for method, params in asked.items():
        _decode(method, await server.result(method, params))
    for message in server.received:
        method = METHODS.get(message.get("method", ""))
        if method is not None:
            try:
                method.decode_params(json.dumps(message["params"]).encode())
            except msgspec.ValidationError as problem:
                raise CheckFailed(f"params of {method.name} of the contract's shape", str(problem)) from problem


def _decode(method: str, result: object) -> None:
    """Raises: CheckFailed: the result is not of its type."""
    try:
        METHODS[method].decode_result(json.dumps(result).encode())
    except msgspec.ValidationError as problem:
        raise CheckFailed(f"a result of {method} of the contract's shape", str(problem)) from problem


CHECKS = (
    messages_have_the_shape_of_their_types,
    a_run_does_not_wait_for_a_host_that_does_not_read,
    what_a_run_prints_never_reaches_stdout,
    a_flood_of_requests_is_answered_or_refused_one_by_one,
    a_slow_request_delays_no_other,
    a_run_moved_to_the_background_goes_on,
    a_background_start_is_answered_when_the_run_is_stored,
)
