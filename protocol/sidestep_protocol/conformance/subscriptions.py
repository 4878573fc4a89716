"""Group `ordering`, second half: subscriptions and live output, where the server offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep_protocol.conformance.answers import result_of
from sidestep_protocol.conformance.check import CheckSkipped, check, must, must_equal

if TYPE_CHECKING:
    from sidestep_protocol.conformance.server_process import ServerProcess
    from sidestep_protocol.conformance.trial import Trial


def _live(server: ServerProcess, run_id: str, *, since: int = 0) -> list[int]:
    """Sequences of the events told, in order."""
    told = [m["params"] for m in server.received[since:] if m.get("method") == "workflow/eventsAppended"]
    return [event["sequence"] for params in told if params["runId"] == run_id for event in params["events"]]


async def _told_up_to(server: ServerProcess, run_id: str, sequence: int, *, since: int) -> list[int]:
    """Wait until this event was told live; returns all sequences told."""

    def find() -> list[int] | None:
        told = _live(server, run_id, since=since)
        return told if sequence in told else None

    return await server.until(find, f"event {sequence} of {run_id} in workflow/eventsAppended")


async def _meets(server: ServerProcess, run_id: str, answer: dict[str, Any], last: int, after: int, since: int) -> None:
    """The reply's events and the live ones are `after + 1` to `last`, each once."""
    replayed = [event["sequence"] for event in answer["events"]]
    live_from = answer["liveFromSequence"]
    must_equal(replayed, list(range(after + 1, live_from)), "the reply's events, up to liveFromSequence")
    live = await _told_up_to(server, run_id, last, since=since) if last >= live_from else []
    must_equal(live, list(range(live_from, last + 1)), "the live events, from liveFromSequence")


@check("workflow/subscribe", "start", "subscribe")
async def a_subscription_meets_its_stream_exactly(trial: Trial) -> None:
    """What a subscription replays and what follows live is every event once."""
    server = await trial.server()
    number = trial.start(server, trial.gated(), events=False)
    await trial.gate.told("begun")
    run_id = await trial.run_of(server)
    since = server.mark()
    answer = await server.result("workflow/subscribe", {"runId": run_id})
    must_equal(answer["run"]["runId"], run_id, "run.runId of the reply")
    trial.gate.open()
    outcome = result_of(await server.response(number), "workflow/start")
    await _meets(server, run_id, answer, outcome["sequence"], 0, since)


@check("workflow/subscribe", "start", "subscribe")
async def a_subscription_made_in_the_middle_of_things_has_no_gap(trial: Trial) -> None:
    """Subscribing again and again while a run writes loses nothing and repeats nothing."""
    server = await trial.server()
    number = trial.start(server, trial.quick(), events=False)
    run_id = await trial.run_of(server)
    known = 0
    while not server.responses(number):
        since = server.mark()
        answer = await server.result("workflow/subscribe", {"runId": run_id, "afterSequence": known})
        replayed = [event["sequence"] for event in answer["events"]]
        must_equal(replayed, list(range(known + 1, answer["liveFromSequence"])), "the reply's events")
        await server.round_trip()
        live = _live(server, run_id, since=since)
        # The subscription before may still have told something on the way to the reply.
        live = [sequence for sequence in live if sequence >= answer["liveFromSequence"]]
        must_equal(live, list(range(answer["liveFromSequence"], answer["liveFromSequence"] + len(live))), "live events")
        known = answer["liveFromSequence"] + len(live) - 1
    outcome = result_of(await server.response(number), "workflow/start")
    answer = await server.result("workflow/subscribe", {"runId": run_id, "afterSequence": known})
    rest = [event["sequence"] for event in answer["events"]]
    must_equal(rest, list(range(known + 1, outcome["sequence"] + 1)), "what was left at the end")


@check("workflow/subscribe", "start", "subscribe", own_server=True)
async def another_windows_run_can_be_subscribed_to(trial: Trial) -> None:
    """A window follows the run of another one live: every event once."""
    owner = await trial.server()
    number, run_id = await trial.begin_gated(owner)
    other = await trial.another_server()
    if not owner.capability.get("storeId") or owner.capability.get("storeId") != other.capability.get("storeId"):
        raise CheckSkipped("two processes of this command share no store")
    since = other.mark()
    answer = await other.result("workflow/subscribe", {"runId": run_id})
    trial.gate.open()
    outcome = result_of(await owner.response(number), "workflow/start")
    await _meets(other, run_id, answer, outcome["sequence"], 0, since)


@check("workflow/subscribe", "start", "subscribe", "resume", own_server=True)
async def a_cursor_is_good_after_a_crash(trial: Trial) -> None:
    """A subscription after the last sequence known before a crash goes on behind it."""
    server = await trial.server()
    _, run_id = await trial.begin_gated(server)
    known = (await server.result("workflow/events", {"runId": run_id}))["lastSequence"]
    await server.kill()
    later = await trial.another_server()
    since = later.mark()
    answer = await later.result("workflow/subscribe", {"runId": run_id, "afterSequence": known})
    number = later.request("workflow/resume", {"runId": run_id})
    await trial.gate.told("begun", times=2)
    trial.gate.open()
    outcome = result_of(await later.response(number, "workflow/resume"), "workflow/resume")
    await _meets(later, run_id, answer, outcome["sequence"], known, since)


@check("workflow/unsubscribe", "start", "subscribe")
async def nothing_comes_after_unsubscribing(trial: Trial) -> None:
    """After the answer to unsubscribe no event of the run comes, and its statuses still do."""
    server = await trial.server()
    number = trial.start(server, trial.gated(), events=False)
    await trial.gate.told("begun")
    run_id = await trial.run_of(server)
    await server.result("workflow/subscribe", {"runId": run_id})
    must_equal(await server.result("workflow/unsubscribe", {"runId": run_id}), {}, "the result")
    since = server.mark()
    trial.gate.open()
    await server.notified("workflow/statusChanged", runId=run_id, status="completed")
    await server.response(number)
    await server.round_trip()
    must_equal(_live(server, run_id, since=since), [], "events told after unsubscribing")


@check("workflow/subscribe", "subscribe")
async def subscribing_to_an_unknown_run_is_refused(trial: Trial) -> None:
    """A subscription to a run that is not there is answered runNotFound."""
    server = await trial.server()
    await server.refusal("runNotFound", "workflow/subscribe", {"runId": "run_aaaaaaaaaaaaaaaa"})


@check("workflow/output", "start", "output", own_server=True)
async def output_is_told_to_hosts_that_want_it(trial: Trial) -> None:
    """What a step prints while it runs is told as workflow/output to a host that said so."""
    server = await trial.server(capability={"output": True})
    source = trial.gated().replace("echo begun >", "echo printed; echo begun >")
    number = trial.start(server, source)
    await trial.gate.told("begun")
    told = await server.notified("workflow/output", stepId="gated", stream="stdout")
    must("printed" in told["text"], "the step's output", told)
    trial.gate.open()
    await server.response(number)


CHECKS = (
    a_subscription_meets_its_stream_exactly,
    a_subscription_made_in_the_middle_of_things_has_no_gap,
    another_windows_run_can_be_subscribed_to,
    a_cursor_is_good_after_a_crash,
    nothing_comes_after_unsubscribing,
    subscribing_to_an_unknown_run_is_refused,
    output_is_told_to_hosts_that_want_it,
)
