"""What the journal already holds, and the order in which completions reach the script (J3, J4, J5, J6)."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from sidestep.engine.replay import Deliveries, History
from sidestep.model.events import Logged, PhaseEntered
from sidestep.model.execution import Settled
from sidestep.model.run import Failure, FailureCode, StepRecord, StepStatus


def waiting_for(*call_ids: int) -> Deliveries:
    deliveries = Deliveries(horizon=10)
    for call_id in call_ids:
        deliveries.open(call_id)
    return deliveries


def step(key: str, status: StepStatus, sequence: int = 5) -> StepRecord:
    return StepRecord(
        step_id=f"id of {key}",
        key=key,
        kind="command",
        status=status,
        attempt=1,
        started_at_ms=1,
        claim_epoch=1,
        sequence=sequence,
        output_json="1" if status is StepStatus.COMPLETED else None,
        failure=Failure(FailureCode.STEP, "no") if status is StepStatus.FAILED else None,
    )


@pytest.mark.parametrize("order", list(itertools.permutations([3, 7, 9])))
async def test_j3_completions_are_delivered_in_journal_order_whatever_order_they_arrive_in(order: list[int]) -> None:
    deliveries = waiting_for(*order)
    for sequence in order:
        deliveries.put(Settled(call_id=sequence, value_json="0"), sequence)
    assert [(await deliveries.next()).call_id for _ in order] == [3, 7, 9]


async def test_j3_an_answer_the_journal_does_not_hold_goes_first_in_call_order() -> None:
    deliveries = waiting_for(1, 2, 9)
    deliveries.put(Settled(call_id=9, value_json="0"), 4)
    deliveries.put(Settled(call_id=2), 0)
    deliveries.put(Settled(call_id=1), 0)
    assert [(await deliveries.next()).call_id for _ in range(3)] == [1, 2, 9]


async def test_j3_live_completions_wait_until_no_journaled_one_can_be_delivered() -> None:
    deliveries = waiting_for(1, 2, 9)
    deliveries.put(Settled(call_id=1), 11)
    assert not deliveries.is_replaying
    deliveries.put(Settled(call_id=2), 10)
    assert deliveries.is_replaying
    assert (await deliveries.next()).call_id == 2
    assert not deliveries.is_replaying


async def test_a_cancelled_wait_for_a_completion_loses_none() -> None:
    deliveries = waiting_for(1)
    waiting = asyncio.create_task(deliveries.next())
    asyncio.get_running_loop().call_soon(waiting.cancel)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    deliveries.put(Settled(call_id=1), 1)
    assert (await deliveries.next()).call_id == 1


async def test_p3_the_calls_of_a_failed_scope_are_answered_at_once_in_call_order_and_only_once() -> None:
    deliveries = Deliveries(horizon=10)
    for call_id, scopes in {1: (), 2: (5,), 3: (5, 6), 4: (7,)}.items():
        deliveries.open(call_id, scopes)
    for call_id in (3, 4):
        deliveries.put(Settled(call_id, value_json="0"), sequence=call_id)
    deliveries.answer_scope(5, Failure(FailureCode.STEP, "sibling"))
    deliveries.put(Settled(2, value_json="late"), sequence=20)
    deliveries.put(Settled(1, value_json="0"), sequence=30)
    answers = [await deliveries.next() for _ in range(4)]
    assert [(answer.call_id, answer.error is None) for answer in answers] == [
        (2, False),
        (3, False),
        (4, True),
        (1, True),
    ]
    assert not deliveries.is_replaying


async def test_j3_an_answer_that_took_the_place_of_one_given_ahead_stays_first_when_that_one_is_durable() -> None:
    deliveries = Deliveries(horizon=0)
    for call_id, scopes in {1: (7,), 2: (7,), 3: ()}.items():
        deliveries.open(call_id, scopes)
    deliveries.put(Settled(3, value_json="0"), sequence=5)
    deliveries.put_ahead(Settled(2, value_json="0"))
    deliveries.answer_scope(7, Failure(FailureCode.STEP, "sibling"))
    order = [(await deliveries.next()).call_id]
    deliveries.confirm(2, sequence=6)
    order += [(await deliveries.next()).call_id for _ in range(2)]
    # As in a replay, where 2 and 3 are journaled when the scope fails.
    assert order == [1, 2, 3]


async def test_j3_an_answer_given_ahead_stands_among_the_others_once_it_is_durable() -> None:
    deliveries = waiting_for(1, 2, 3)
    deliveries.put(Settled(1, value_json="0"), sequence=11)
    deliveries.put_ahead(Settled(2, value_json="0"))
    deliveries.confirm(2, sequence=12)
    deliveries.put(Settled(3, value_json="0"), sequence=13)
    assert [(await deliveries.next()).call_id for _ in range(3)] == [1, 2, 3]


def test_j4_j5_completed_and_failed_steps_are_replayed_and_no_others() -> None:
    statuses = {status.value: step(status.value, status) for status in StepStatus}
    history = History(9, list(statuses.values()), [])
    assert {key for key in statuses if history.outcome(key)} == {"completed", "failed"}
    assert history.earlier("started") is statuses["started"]
    assert history.earlier("unknown") is None
    assert history.knows("id of started")
    assert not history.knows("another id")


def test_j6_a_journaled_line_answers_for_one_announcement_and_content_decides() -> None:
    lines = [Logged(message="a"), Logged(message="a"), PhaseEntered(name="a", details={"n": 1})]
    history = History(9, [], lines)
    assert [history.was_announced(Logged(message="a", line=99)) for _ in range(3)] == [True, True, False]
    assert not history.was_announced(Logged(message="a", origin="print"))
    assert not history.was_announced(PhaseEntered(name="a", details={"n": 2}))
    assert history.was_announced(PhaseEntered(name="a", details={"n": 1}))
