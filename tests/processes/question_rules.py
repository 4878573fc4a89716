"""
What must be true of the questions after a storm: promise 1 and P7, told from the journals and from what was replied.

No answer is lost, none recorded twice, nothing is asked again once it was answered, nothing is open after the end.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.processes.journal_rules import Journal
    from tests.processes.storm_plan import Given

    Faults = Iterator[str]


def answers_of(journal: Journal) -> dict[str, Any]:
    """Interaction id -> the recorded answer."""
    answered = [event for event in journal.of_type("interaction") if event["status"] == "answered"]
    return {event["interactionId"]: event["answer"] for event in answered}


def question_faults(journal: Journal) -> Faults:
    """One journal by itself."""
    known: dict[str, str] = {}
    for event in journal.events:
        where = f"event {event['sequence']}"
        if event["type"] == "status" and (event["status"] == "failed" or event.get("reason") == "parent"):
            # What is open may go with it, without an event of its own.
            known = {one: "open or not" if status == "asked" else status for one, status in known.items()}
        elif event["type"] == "interaction":
            before, status = known.get(event["interactionId"], "unknown"), event["status"]
            allowed = ("unknown", "withdrawn", "open or not") if status == "asked" else ("asked", "open or not")
            if before not in allowed:
                yield f"{where}: {event['interactionId']} is {status}, and it was {before}"
            known[event["interactionId"]] = status
        elif event["type"] == "step" and event["kind"] == "ask" and event["status"] == "completed":
            asked = {e["interactionId"] for e in journal.of_type("interaction") if e["stepId"] == event["stepId"]}
            if [known.get(one) for one in asked] != ["answered"]:
                yield f"{where}: {event['stepId']} is completed, and its questions are {known}"
    if journal.status in ("completed", "failed") and journal.record.get("pending"):
        yield f"it is {journal.status}, and {journal.record['pending']} questions are open"


def answer_faults(journals: Sequence[Journal], given: Sequence[Given]) -> Faults:
    """What was replied to answers; of runs that were deleted nothing is stored any more."""
    recorded = {one: answer for journal in journals for one, answer in answers_of(journal).items()}
    stored = {event["interactionId"] for journal in journals for event in journal.of_type("interaction")}
    for each in given:
        if each.accepted and each.recorded != each.text:
            yield f"another answer was accepted: {each}"
        told = each.accepted is not None and each.interaction_id in stored
        if told and each.recorded != recorded.get(each.interaction_id):
            yield f"recorded is {recorded.get(each.interaction_id)!r}, and this was told: {each}"
    for interaction_id, count in Counter(each.interaction_id for each in given if each.accepted).items():
        if count > 1:
            yield f"{count} answers to {interaction_id} were accepted"
