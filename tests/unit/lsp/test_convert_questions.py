"""Questions, and the events about agents and people, on the wire."""

from __future__ import annotations

import msgspec
import pytest

from sidestep.lsp import convert
from sidestep.model.events import (
    EventBody,
    InteractionChanged,
    InteractionStatus,
    JournalEvent,
    TimeLimitReached,
    ValidationFailed,
)
from sidestep.model.questions import Choice, Question, QuestionKind
from sidestep_protocol.events import Event
from tests.unit.lsp.test_notifier import RECORD

QUESTION = Question(
    interaction_id="ask_1",
    run_id="run_2",
    root_run_id="run_1",
    step_id="ship",
    kind=QuestionKind.PERMISSION,
    title="May it?",
    asked_at_ms=1_000,
)
PLAIN = {"interactionId": "ask_1", "runId": "run_2", "stepId": "ship", "kind": "permission", "title": "May it?"}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, {}),
        ({"detail": "rm"}, {"detail": "rm"}),
        ({"choices": (Choice("y", "Yes"),)}, {"choices": [{"id": "y", "title": "Yes"}]}),
        ({"schema_json": '{"type":"integer"}'}, {"schema": {"type": "integer"}}),
    ],
)
def test_a_question_is_told_with_what_it_has(changes: dict[str, object], more: dict[str, object]) -> None:
    question = msgspec.structs.replace(QUESTION, **changes)
    asked_at = {"askedAt": "1970-01-01T00:00:01.000Z"}
    assert msgspec.to_builtins(convert.interaction(question)) == {**PLAIN, **more, **asked_at}
    assert msgspec.to_builtins(convert.interact(question, redelivery=True)) == {**PLAIN, **more, "redelivery": True}


INTERACTION = {"type": "interaction", "interactionId": "ask_1", "kind": "question", "stepId": "ship"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            InteractionChanged(
                interaction_id="ask_1", kind="question", status=InteractionStatus.ASKED, step_id="ship", title="Ship?"
            ),
            {**INTERACTION, "status": "asked", "title": "Ship?"},
        ),
        (
            InteractionChanged(
                interaction_id="ask_1",
                kind="question",
                status=InteractionStatus.ANSWERED,
                step_id="ship",
                answer=None,
                by="terminal",
            ),
            {**INTERACTION, "status": "answered", "answer": None, "by": "terminal"},
        ),
        (
            InteractionChanged(
                interaction_id="ask_1", kind="question", status=InteractionStatus.WITHDRAWN, step_id="ship"
            ),
            {**INTERACTION, "status": "withdrawn"},
        ),
        (
            ValidationFailed(step_id="a", key="k", attempt=2, problems=(("/x", "is no integer"),)),
            {
                "type": "validation",
                "stepId": "a",
                "key": "k",
                "attempt": 2,
                "problems": [{"path": "/x", "message": "is no integer"}],
            },
        ),
        (
            TimeLimitReached(step_id="a", key="k", stage="soft", limit_ms=1500),
            {"type": "timeout", "stepId": "a", "key": "k", "stage": "soft", "limitMs": 1500},
        ),
    ],
    ids=["asked", "answered", "withdrawn", "validation", "timeout"],
)
def test_an_event_is_told_and_read_again(body: EventBody, told: dict[str, object]) -> None:
    event = convert.event(JournalEvent(3, 1_000, body), RECORD)
    assert msgspec.to_builtins(event) == {**told, "sequence": 3, "at": "1970-01-01T00:00:01.000Z"}
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
