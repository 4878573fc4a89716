"""
What a window was told must be what the journals hold, in their order: G1, G2, J10, promise 1.

Judged connection by connection, from its messages alone: statuses, events and answers.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.processes.journal_rules import STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.processes.journal_rules import Journal

    Message = dict[str, Any]
    Faults = Iterator[str]

SAME = ("type", "status", "stepId", "key", "attempt", "name", "message")


def told_faults(messages: Sequence[Message], journals: Mapping[str, Journal], deleted: set[str]) -> Faults:
    """
    Args:
        journals: By run id.
        deleted: Runs that may have been deleted: what was told of them cannot be looked up any more.
    """
    yield from strangers(messages, journals, deleted)
    by_run: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        if "method" in message and "runId" in message.get("params", ()):
            by_run[message["params"]["runId"]].append(message)
    asking = {journal.root_run_id for journal in journals.values() if journal.of_type("interaction")}
    for run_id, told in by_run.items():
        journal = journals.get(run_id)
        if journal is not None:
            asks = journal.root_run_id in asking
            faults = (*statuses_out_of_order(told, journal, asks=asks), *events_out_of_order(told, journal))
            yield from (f"{run_id}: {fault}" for fault in faults)
    yield from untrue_answers(messages, journals)
    yield from answers_twice(messages)


def strangers(messages: Sequence[Message], journals: Mapping[str, Journal], deleted: set[str]) -> Faults:
    """G1: nobody is told of a run that is not stored."""
    for message in messages:
        if message.get("method") == "workflow/interact" and deleted:
            # Questions of nested runs name these, and a deleted tree leaves nothing to look its nested runs up in.
            continue
        about = message.get("params") or message.get("result") or {}
        run_id = about.get("runId") if isinstance(about, dict) else None
        if run_id is not None and run_id not in journals and run_id not in deleted:
            yield f"told of {run_id}, which is not stored: {_short(message)}"


def statuses_out_of_order(told: Sequence[Message], journal: Journal, *, asks: bool) -> Faults:
    """
    Each status told is the journal's at its sequence; sequences grow; nothing is told twice.

    Args:
        asks: Its tree has questions: their number is told with the status of an active run, at most once a second, so
            one that was answered at once leaves the same words again.
    """
    last, seen = 0, set[tuple[int, str, bool]]()
    for message in told:
        if message["method"] != "workflow/statusChanged":
            continue
        params = message["params"]
        sequence, status = params["sequence"], params["status"]
        if journal.status_at(sequence) != status or sequence > len(journal.events):
            yield f"told {status} at {sequence}, where the journal has {journal.status_at(sequence)}"
        if sequence < last:
            yield f"told {status} at {sequence} after {last}"
        this = (sequence, status, bool(params.get("quiescent")))
        if this in seen and (status in STOPPED or not asks):
            yield f"told twice: {status} at {sequence}, quiescent {this[2]}"
        seen.add(this)
        last = sequence


def events_out_of_order(told: Sequence[Message], journal: Journal) -> Faults:
    """
    Events told are the stored ones, one after the other.

    A window that follows a run is told nothing more after its end, and follows it again when it resumes it: between a
    stop and the next event told there may be others, and nowhere else.
    """
    last: int | None = None
    for message in told:
        if message["method"] == "workflow/lagged":
            last = None
        if message["method"] != "workflow/eventsAppended":
            continue
        for event in message["params"]["events"]:
            sequence = event["sequence"]
            if not _is_stored(event, journal):
                yield f"told an event that is not stored: {_short(event)}"
            if last is not None and sequence <= last:
                yield f"told event {sequence} after {last}"
            elif last is not None and sequence > last + 1 and journal.status_at(last) not in STOPPED:
                yield f"told event {sequence} after {last}, and not what is between"
            last = sequence


def _is_stored(told: Message, journal: Journal) -> bool:
    if not 0 < told["sequence"] <= len(journal.events):
        return False
    stored = journal.events[told["sequence"] - 1]
    return all(stored[name] == told[name] for name in SAME if name in told and name in stored)


def untrue_answers(messages: Sequence[Message], journals: Mapping[str, Journal]) -> Faults:
    """Promise 1: a reply never contradicts the durable status."""
    for message in messages:
        answer = message.get("result") or message.get("error", {}).get("data") or {}
        if "method" in message or not isinstance(answer, dict) or not {"runId", "status", "sequence"} <= set(answer):
            continue
        journal = journals.get(answer["runId"])
        if journal is not None and journal.status_at(answer["sequence"]) != answer["status"]:
            known = journal.status_at(answer["sequence"])
            yield f"{answer['runId']}: the journal has {known} at {answer['sequence']}, and this says {_short(message)}"


def answers_twice(messages: Sequence[Message]) -> Faults:
    """G7."""
    answered: set[object] = set()
    for message in messages:
        if "method" not in message:
            if message["id"] in answered:
                yield f"answered twice: {_short(message)}"
            answered.add(message["id"])


def missed_stops(messages: Sequence[Message], journals: Mapping[str, Journal]) -> Faults:
    """J10: a window that has lived through it all has seen every run come to its end, and every deleted one go."""
    seen = {
        (message["params"]["runId"], message["params"]["status"])
        for message in messages
        if message.get("method") == "workflow/statusChanged"
    }
    for journal in journals.values():
        if journal.is_root and (journal.run_id, journal.status) not in seen:
            yield f"the window that lived through it all was never told that {journal.run_id} is {journal.status}"


def deleted_told(messages: Sequence[Message]) -> list[str]:
    """Every run that a window was told was deleted, as often as it was."""
    return [message["params"]["runId"] for message in messages if message.get("method") == "workflow/deleted"]


def _short(message: object) -> str:
    return json.dumps(message)[:300]
