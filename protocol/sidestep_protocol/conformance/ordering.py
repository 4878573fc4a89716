"""Group `ordering`, first half: G1 to G7, on runs of one server. See README.md, "Order"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep_protocol.conformance.answers import params_of, result_of
from sidestep_protocol.conformance.check import check, must, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.check import Message
    from sidestep_protocol.conformance.server_process import ServerProcess
    from sidestep_protocol.conformance.trial import Trial

# How many requests are sent at once to see that each is answered once.
_REQUESTS = 100


def _about(server: ServerProcess, run_id: str) -> list[Message]:
    """Notifications about a run, in order."""
    return [m for m in server.received if "id" not in m and params_of(m).get("runId") == run_id]


def _statuses(server: ServerProcess, run_id: str) -> list[dict[str, Any]]:
    return [m["params"] for m in _about(server, run_id) if m["method"] == "workflow/statusChanged"]


def _events(server: ServerProcess, run_id: str) -> list[dict[str, Any]]:
    """Events told, in the order they were."""
    batches = [m["params"]["events"] for m in _about(server, run_id) if m["method"] == "workflow/eventsAppended"]
    return [event for batch in batches for event in batch]


async def _completed(trial: Trial, server: ServerProcess, **wanted: Any) -> tuple[int, dict[str, Any]]:
    """Start a workflow and wait for its end: (request, outcome)."""
    number = trial.start(server, trial.quick(), **wanted)
    outcome = result_of(await server.response(number, "workflow/start"), "workflow/start")
    must_equal(outcome["status"], "completed", "the status of the outcome")
    return number, outcome


@check("G1", "start", "events")
async def what_is_told_can_be_read_at_once(trial: Trial) -> None:
    """Whatever sequence a host is told, workflow/events has it already."""
    server = await trial.server()
    number = trial.start(server, trial.quick())
    run_id = await trial.run_of(server)
    looked_at = 0
    while not server.responses(number) or looked_at < len(_about(server, run_id)):
        about = await _more_about(server, run_id, looked_at, number)
        looked_at = len(about)
        newest = max(_newest_told(message) for message in about)
        page = await server.result("workflow/events", {"runId": run_id})
        kept = [event["sequence"] for event in page["events"]]
        what = f"the journal has event {newest} when it was told"
        must(page["lastSequence"] >= newest and newest in kept, what, f"{kept}, lastSequence {page['lastSequence']}")


async def _more_about(server: ServerProcess, run_id: str, known: int, number: int) -> list[Message]:
    """Everything about a run, once it is more than what is known, or the request was answered."""

    def find() -> list[Message] | None:
        about = _about(server, run_id)
        return about if len(about) > known or server.responses(number) else None

    return await server.until(find, "news of the run")


def _newest_told(message: Message) -> int:
    """The newest sequence that a notification about a run tells."""
    params = message["params"]
    return int(params["sequence"] if "sequence" in params else max(event["sequence"] for event in params["events"]))


@check("G1", "start", "events")
async def sequences_are_gap_free_from_1(trial: Trial) -> None:
    """The events told are numbered from 1 without a gap, and are the journal's, and the outcome has the last number."""
    server = await trial.server()
    _, outcome = await _completed(trial, server)
    wanted = list(range(1, outcome["sequence"] + 1))
    told = sorted(_events(server, outcome["runId"]), key=lambda event: event["sequence"])
    must_equal([event["sequence"] for event in told], wanted, "the sequences told, sorted")
    journal = await trial.journal(server, outcome["runId"])
    must_equal([event["sequence"] for event in journal], wanted, "the sequences of the journal")
    must(told == journal, "the events told are the journal's", [event for event in told if event not in journal])


@check("G1", "start", "events")
async def statuses_told_are_the_journals(trial: Trial) -> None:
    """Each statusChanged of a new status stands in the journal under its sequence."""
    server = await trial.server()
    _, outcome = await _completed(trial, server)
    journal = await trial.journal(server, outcome["runId"])
    kept = [(event["sequence"], event["status"]) for event in journal if event["type"] == "status"]
    must_equal([status for _, status in kept], ["pending", "running", "completed"], "the statuses of the journal")
    seen = [(s["sequence"], s["status"]) for s in _statuses(server, outcome["runId"])]
    # The one with the phase repeats a status.
    told = [pair for at, pair in enumerate(seen) if at == 0 or pair[1] != seen[at - 1][1]]
    must_equal(told, kept, "sequence and status of each statusChanged, as in the journal")


@check("G2", "start", "events")
async def events_come_in_order(trial: Trial) -> None:
    """Event n of a run comes before event n+1."""
    server = await trial.server()
    _, outcome = await _completed(trial, server)
    told = [event["sequence"] for event in _events(server, outcome["runId"])]
    must(told == sorted(told), "sequences that grow", told)
    journal = [event["sequence"] for event in await trial.journal(server, outcome["runId"])]
    must(journal == sorted(journal), "sequences of workflow/events that grow", journal)
    statuses = [status["sequence"] for status in _statuses(server, outcome["runId"])]
    must(statuses == sorted(statuses), "sequences of workflow/statusChanged that grow", statuses)


@check("G3", "start")
async def the_first_status_comes_first(trial: Trial) -> None:
    """The first of a run is statusChanged: pending, sequence 1, with requestId and startKey, before anything else."""
    server = await trial.server()
    number, outcome = await _completed(trial, server, startKey=trial.name, workDoneToken=trial.name)
    run_id = outcome["runId"]

    def is_about(message: Message) -> bool:
        params = params_of(message)
        return run_id == params.get("runId") or trial.name == params.get("token") or message.get("id") == number

    first = next(message for message in server.received if is_about(message))
    must_equal(first.get("method"), "workflow/statusChanged", "the first message about the run")
    told = first["params"]
    must_equal((told["status"], told["sequence"]), ("pending", 1), "status and sequence of the first statusChanged")
    must_equal(told.get("requestId"), number, "requestId of the first statusChanged")
    must_equal(told.get("startKey"), trial.name, "startKey of the first statusChanged")


@check("G4", "start")
async def the_end_comes_in_order(trial: Trial) -> None:
    """At the end come the stopping statusChanged, the end of the progress, and the response, and then nothing."""
    server = await trial.server()
    number, outcome = await _completed(trial, server, workDoneToken=trial.name)
    await server.round_trip()
    points: list[str] = []
    for message in server.received:
        params = params_of(message)
        if params.get("runId") == outcome["runId"] and params.get("status") == "completed":
            points.append("status completed")
        elif params.get("token") == trial.name:
            points.append(f"progress {params['value']['kind']}")
        elif message.get("id") == number:
            points.append("response")
    wanted = ["status completed", "progress end", "response"]
    must_equal(points[-3:], wanted, "the last three of status, progress and response")
    must(points[0] == "progress begin", "the progress begins before it reports", points)
    must_equal(points.count("progress end"), 1, "the ends of the progress")


@check("G5", "start")
async def the_end_is_told_once_and_nothing_follows(trial: Trial) -> None:
    """The end of a completed run is told once, and no event follows it."""
    server = await trial.server()
    _, outcome = await _completed(trial, server)
    await server.round_trip()
    statuses = [s["status"] for s in _statuses(server, outcome["runId"])]
    must_equal(statuses.count("completed"), 1, "how often the end was told")
    must_equal(statuses[-1], "completed", "the last status told")
    later = [event for event in _events(server, outcome["runId"]) if event["sequence"] > outcome["sequence"]]
    must(not later, "no event after the end", later)


@check("G5", "start", "interrupt")
async def after_an_interrupt_comes_only_what_may(trial: Trial) -> None:
    """After an interrupt come late steps, and one statusChanged that says quiescent."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    await server.result("workflow/interrupt", {"runId": run_id})
    await server.response(number)
    await server.notified("workflow/statusChanged", runId=run_id, status="interrupted", quiescent=True)
    await server.round_trip()
    statuses = [(s["status"], s.get("quiescent", False)) for s in _statuses(server, run_id)]
    stop = next((at for at, (status, _) in enumerate(statuses) if status == "interrupted"), len(statuses))
    allowed = ([("interrupted", False), ("interrupted", True)], [("interrupted", True)])
    must(statuses[stop:] in allowed, "interrupted, and then once more with quiescent", statuses)
    journal = await trial.journal(server, run_id)
    stopped = next(e["sequence"] for e in journal if e["type"] == "status" and e["status"] == "interrupted")
    after = [event for event in [*journal, *_events(server, run_id)] if event["sequence"] > stopped]
    strange = [
        event
        for event in after
        if not (event["type"] == "step" and event.get("late"))
        and event["type"] != "interaction"
        and not (event["type"] == "status" and event.get("quiescent"))
    ]
    must(not strange, "only late steps, answers and quiescence after the stop", strange)


@check("G6", "start", "interrupt")
async def an_interrupt_is_answered_after_its_append(trial: Trial) -> None:
    """When an interrupt is answered, the journal says interrupted."""
    server = await trial.server()
    number, run_id = await trial.begin_gated(server)
    done = await server.result("workflow/interrupt", {"runId": run_id, "wait": "durable"})
    must_equal((done["status"], done["alreadyTerminal"]), ("interrupted", False), "status and alreadyTerminal")
    page = await server.result("workflow/events", {"runId": run_id})
    stops = [e["status"] for e in page["events"] if e["type"] == "status" and e["sequence"] <= done["sequence"]]
    must_equal(stops[-1], "interrupted", "the journal's last status at the interrupt's answer")
    await server.response(number, "the waiting start")


@check("G7")
async def every_request_is_answered_once(trial: Trial) -> None:
    """Of many requests sent at once, each has one answer, a result or a refusal."""
    server = await trial.server()
    numbers = [server.new_id() for _ in range(_REQUESTS)]
    methods = ("workflow/list", "workflow/health", "workflow/scripts", "workflow/noSuchMethod")
    server.send(*({"id": n, "method": methods[n % len(methods)]} for n in numbers))
    for number in numbers:
        await server.response(number, "one of many requests")
    await server.round_trip()
    strange = {number: len(server.responses(number)) for number in numbers if len(server.responses(number)) != 1}
    must(not strange, "one answer for each id", f"answers by id: {strange}")


@check("G7", "start")
async def a_start_is_answered_once(trial: Trial) -> None:
    """A waiting start has one answer, also when other requests come and go meanwhile."""
    server = await trial.server()
    number, _ = await trial.begin_gated(server)
    await server.round_trip()
    must_equal(server.responses(number), [], "answers to the start while its run goes on")
    trial.gate.open()
    await server.response(number, "the waiting start")
    await server.round_trip()
    must_equal(len(server.responses(number)), 1, "the answers to the start")


CHECKS = (
    what_is_told_can_be_read_at_once,
    sequences_are_gap_free_from_1,
    statuses_told_are_the_journals,
    events_come_in_order,
    the_first_status_comes_first,
    the_end_comes_in_order,
    the_end_is_told_once_and_nothing_follows,
    after_an_interrupt_comes_only_what_may,
    an_interrupt_is_answered_after_its_append,
    every_request_is_answered_once,
    a_start_is_answered_once,
)
