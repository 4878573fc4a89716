"""
The questions of a run: asked by a step, answered by anybody, once. Pure.

A question belongs to a run and stays open while its run is stopped; it is answered from any process and in any status
but completed and failed, and the first durable answer wins (P7). Asking and withdrawing are the owner's, under the
fence; answering touches neither epoch nor lease.

`RunRecord.pending` counts a run's open questions; a root's counts those of its whole tree.

Invariant: an answer once recorded never changes.
Invariant: a run that has completed or failed has no open question.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from sidestep.model.decision import Decision, put, require_claim
from sidestep.model.errors import InteractionNotPending, LeaseLost
from sidestep.model.events import InteractionChanged, InteractionStatus
from sidestep.model.problems import ArgsProblem
from sidestep.model.replay_key import canonical_json, hash_text
from sidestep.model.run import TERMINAL, RunRecord, loads
from sidestep.model.writes import Answer, Ask, QuestionWrite, Withdraw

if TYPE_CHECKING:
    from sidestep.model.ports import JsonSchemas


class QuestionKind(enum.Enum):
    """What is asked."""

    QUESTION = "question"  # An `ask` step.
    PERMISSION = "permission"  # A step wants to do something a person may refuse.


class Choice(msgspec.Struct, frozen=True):
    """One of the answers offered; its id is the answer."""

    id: str
    title: str


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One question, as stored.

    Attributes:
        interaction_id: Derived from the run and the step that asks, so that every execution means the same question.
        choices: When there are any, the answer is the id of one.
        schema_json: JSON Schema the answer has to fit, JSON text; without choices and schema the answer is text.
        answer_json: The answer as JSON text, when `status` is answered.
        by: Who answered, for people.
        sequence: Of the event that asked, in its run's journal; tells the order within one millisecond. Older rows: 0.
    """

    interaction_id: str
    run_id: str
    root_run_id: str
    step_id: str
    kind: QuestionKind
    title: str
    asked_at_ms: int
    detail: str | None = None
    choices: tuple[Choice, ...] = ()
    schema_json: str | None = None
    status: InteractionStatus = InteractionStatus.ASKED
    answer_json: str | None = None
    by: str | None = None
    sequence: int = 0

    @property
    def is_open(self) -> bool:
        return self.status is InteractionStatus.ASKED

    @property
    def place(self) -> tuple[int, int, str]:
        """What lists are ordered by: when it was asked."""
        return self.asked_at_ms, self.sequence, self.interaction_id

    @property
    def answer(self) -> Any:
        assert self.answer_json is not None, "only an answered question has an answer"
        return loads(self.answer_json)


def interaction_id(run_id: str, key: str, what: str = "") -> str:
    """The id of the question a step asks; `what` tells several of one step apart."""
    return "ask_" + hash_text(canonical_json([run_id, key, what]))[:24]


def decide_question(
    record: RunRecord, root: RunRecord, write: QuestionWrite, question: Question | None, now_ms: int
) -> Decision:
    """
    What `write` does to the run and its question, or why it may not.

    Args:
        record, root: As of `journal.decide`.
        question: The question's row inside the transaction, None when there is none.

    Returns:
        The decision; nothing changes when the question already stands as asked for.

    Raises:
        LeaseLost: asked or withdrawn under a claim that is over.
        InteractionNotPending: there is nothing to answer; names the recorded answer if there is one.
    """
    match write:
        case Ask():
            _require_active(record, root, write.claim_epoch)
            if question is not None and question.status is not InteractionStatus.WITHDRAWN:
                return Decision(record)
            return _changed(record, write.question, InteractionStatus.ASKED, now_ms, pending=1)
        case Withdraw():
            _require_active(record, root, write.claim_epoch)
            if question is None or not question.is_open:
                return Decision(record)
            return _changed(record, question, InteractionStatus.WITHDRAWN, now_ms, pending=-1)
        case Answer():
            if question is None or not question.is_open or record.status in TERMINAL:
                recorded = None if question is None else question.answer_json
                raise InteractionNotPending(interaction_id=write.interaction_id, recorded_json=recorded)
            answered = replace(question, answer_json=write.answer_json, by=write.by or None)
            return _changed(record, answered, InteractionStatus.ANSWERED, now_ms, pending=-1)


def _require_active(record: RunRecord, root: RunRecord, claim_epoch: int) -> None:
    require_claim(record, root, claim_epoch)
    if not record.is_active:
        raise LeaseLost(run_id=record.run_id, claim_epoch=claim_epoch)


def _changed(
    record: RunRecord, question: Question, status: InteractionStatus, now_ms: int, *, pending: int
) -> Decision:
    stored = replace(question, status=status)
    if status is InteractionStatus.ASKED:
        stored = replace(stored, asked_at_ms=now_ms, sequence=record.sequence + 1)
    body = InteractionChanged(
        interaction_id=stored.interaction_id,
        kind=stored.kind.value,
        status=status,
        step_id=stored.step_id,
        title=stored.title if status is InteractionStatus.ASKED else None,
        answer=stored.answer if status is InteractionStatus.ANSWERED else msgspec.UNSET,
        by=stored.by if status is InteractionStatus.ANSWERED else None,
    )
    assert record.pending + pending >= 0, "no more questions end than were asked"
    decision = put(record, replace(record, pending=record.pending + pending), [body], now_ms)
    assert status is not InteractionStatus.ASKED or stored.sequence == decision.events[0].sequence, "its event's place"
    return decision._replace(question=stored, pending=pending)


def encode_answer(
    question: Question, answer: Any, schemas: JsonSchemas, bytes_max: int
) -> tuple[str, tuple[ArgsProblem, ...]]:
    """JSON text of an answer, and why it is none to the question: nothing when it is one."""
    try:
        text = canonical_json(answer)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        return "", (ArgsProblem("", f"it is no JSON: {error}"),)
    if size > bytes_max:
        return text, (ArgsProblem("", f"it is longer than {bytes_max} bytes; shorten it"),)
    return text, _misfits(question, answer, schemas)


def _misfits(question: Question, answer: Any, schemas: JsonSchemas) -> tuple[ArgsProblem, ...]:
    if question.choices:
        ids = [choice.id for choice in question.choices]
        if answer in ids:
            return ()
        return (ArgsProblem("", f"it is none of the choices: {', '.join(map(repr, ids))}"),)
    if question.schema_json is not None:
        return schemas.problems(loads(question.schema_json), answer)
    return () if isinstance(answer, str) else (ArgsProblem("", "it is not text"),)
