"""The questions of runs that have been answered, found by their journals, newest first. Bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidestep.model.events import InteractionChanged, InteractionStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from sidestep.model.ports import RunStore
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord

# Answered questions that are told of a run with its nested runs.
ANSWERED_MAX = 20

_PAGE = 500
# Events of all runs together that are looked through, from each journal's end.
_LOOKED_AT_MAX = 20_000


async def answered_questions(store: RunStore, records: Iterable[RunRecord]) -> list[Question]:
    """The answered questions of these runs, in the order they were asked: of more than 20, the newest of each run."""
    found: list[Question] = []
    left = _LOOKED_AT_MAX
    for record in records:
        count = 0
        async for interaction_id in _answered_ids(store, record, left):
            question = await store.read_question(interaction_id)
            if question is not None and question.answer_json is not None:
                found.append(question)
                count += 1
            if count == ANSWERED_MAX:
                break
        left -= min(record.sequence, left)
        if left <= 0:
            break
    return sorted(found, key=lambda question: question.place)[-ANSWERED_MAX:]


async def _answered_ids(store: RunStore, record: RunRecord, limit: int) -> AsyncIterator[str]:
    """Ids of questions of a run, the last answered first; looks at its last `limit` events."""
    end = record.sequence
    begin = max(0, record.sequence - limit)
    while end > begin:
        after = max(begin, end - _PAGE)
        for event in reversed(await store.read_events(record.run_id, after_sequence=after, limit=end - after)):
            body = event.body
            if isinstance(body, InteractionChanged) and body.status is InteractionStatus.ANSWERED:
                yield body.interaction_id
        end = after
