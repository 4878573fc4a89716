"""Questions in both stores: asked under the claim, answered by anybody, once (P7); counted at the root of the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from sidestep.model.errors import InteractionNotPending, LeaseLost
from sidestep.model.run import Failure, FailureCode, RunStatus
from sidestep.model.writes import Answer, Ask, Finish, Recover, Release, Suspend, Withdraw
from tests.contract.stores import (
    OTHER_OWNER,
    OWNER,
    Told,
    child_of,
    claim,
    interrupt,
    kinds,
    question,
    running,
    sequences,
)

if TYPE_CHECKING:
    from sidestep.model.questions import Question
    from sidestep.model.run import RunRecord
    from tests.contract.stores import Backend, Store


async def put(store: Store, record: RunRecord, key: str = "k") -> Question:
    """Ask, under the first claim."""
    asked = question(record, key)
    await store.write(Ask(record.run_id, 1, asked))
    return asked


async def test_p7_asking_twice_asks_once(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store, 1)
        asked = await put(store, record)
        again = await store.write(Ask(record.run_id, 1, asked))
        assert again.pending == 1
        assert (await kinds(store, record.run_id))[2:] == ["interaction"]
        (opened,) = await store.open_questions(record.run_id)
        assert opened == replace(asked, asked_at_ms=opened.asked_at_ms, sequence=3)
        assert await store.read_question(asked.interaction_id) == opened


async def test_p7_the_first_answer_wins_whoever_gives_it(backend: Backend) -> None:
    async with backend.store() as store, backend.store() as other:
        told = Told(store)
        record = await running(store, 1)
        await store.watch(busy=True)
        asked = await put(store, record)
        after = await other.write(Answer(record.run_id, asked.interaction_id, '"yes"', "window 2"))
        assert (after.pending, after.epoch, after.owner) == (0, record.epoch, record.owner)
        with pytest.raises(InteractionNotPending) as late:
            await store.write(Answer(record.run_id, asked.interaction_id, '"no"'))
        assert late.value.recorded_json == '"yes"'
        stored = await store.read_question(asked.interaction_id)
        assert stored is not None
        assert (stored.answer, stored.by) == ("yes", "window 2")
        assert any(not commit.mine and commit.record.pending == 0 for commit in told.commits)
        # Asked again under the same claim, an answered question stays answered.
        assert (await store.write(Ask(record.run_id, 1, asked))).pending == 0
        assert await sequences(store, record.run_id) == list(range(1, 5))


async def test_p7_only_the_owner_asks_and_withdraws(backend: Backend) -> None:
    """P7, F2: under a claim that is over nothing is asked or withdrawn; what is open stays open."""
    async with backend.store() as store:
        record = await running(store, 1)
        asked = await put(store, record)
        stopped = await store.write(interrupt(record))
        for refused in (Ask(record.run_id, 1, question(record, "other")), Withdraw(record.run_id, 1, "x")):
            with pytest.raises(LeaseLost):
                await store.write(refused)
        await store.write(Release(record.run_id, OWNER.owner_id, 1))
        claimed = await store.write(claim(stopped, owner=OTHER_OWNER))
        assert claimed.pending == 1
        with pytest.raises(LeaseLost):
            await store.write(Withdraw(record.run_id, 1, asked.interaction_id))
        gone = await store.write(Withdraw(record.run_id, claimed.claim_epoch, asked.interaction_id))
        assert gone.pending == 0
        with pytest.raises(InteractionNotPending):
            await store.write(Answer(record.run_id, asked.interaction_id, '"late"'))
        # Needed again, it is asked again.
        assert (await store.write(Ask(record.run_id, claimed.claim_epoch, asked))).pending == 1


async def test_p7_a_stopped_run_takes_an_answer_and_grows_no_epoch(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store, 1)
        asked = await put(store, record)
        recovered = await store.write(Recover(record.run_id, OWNER.owner_id))
        after = await store.write(Answer(record.run_id, asked.interaction_id, "1"))
        assert (after.status, after.epoch, after.pending) == (RunStatus.INTERRUPTED, recovered.epoch, 0)
        assert (await kinds(store, record.run_id))[-2:] == ["status:interrupted", "interaction"]


@pytest.mark.parametrize("error", [None, Failure(FailureCode.SCRIPT, "no")])
async def test_p7_a_run_that_ends_has_no_open_question(backend: Backend, error: Failure | None) -> None:
    """P7: what an earlier execution of the tree had asked and nobody asked again is withdrawn with the end."""
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        other = await running(store, 3)
        mine, below, stranger = await put(store, root), await put(store, child), await put(store, other)
        assert (await store.read(root.run_id)).pending == 2
        ended = await store.write(Finish(root.run_id, 1, error=error))
        assert (ended.pending, (await store.read(child.run_id)).pending) == (0, 0)
        for gone in (mine, below):
            with pytest.raises(InteractionNotPending):
                await store.write(Answer(gone.run_id, gone.interaction_id, "1"))
        assert [each.interaction_id for each in await store.open_questions(other.run_id)] == [stranger.interaction_id]


async def test_p7_the_root_counts_the_questions_of_its_tree(backend: Backend) -> None:
    async with backend.store() as store:
        root = await running(store, 1)
        child = await child_of(store, 2, root)
        grandchild = await child_of(store, 3, child)
        await put(store, root)
        first, second = await put(store, child), await put(store, child, "k2")
        await put(store, grandchild)
        assert [(await store.read(each.run_id)).pending for each in (root, child, grandchild)] == [4, 2, 1]
        assert len(await store.open_questions(root.run_id)) == 4
        assert [each.run_id for each in await store.open_questions(grandchild.run_id)] == [grandchild.run_id]
        await store.write(Answer(child.run_id, first.interaction_id, "1"))
        await store.write(Withdraw(child.run_id, 1, second.interaction_id))
        assert (await store.read(root.run_id)).pending == 2
        await store.write(Suspend(grandchild.run_id, 1))
        assert [(await store.read(each.run_id)).pending for each in (root, child, grandchild)] == [1, 0, 0]
        await put(store, child, "k3")
        await store.write(Finish(child.run_id, 1))
        assert [(await store.read(each.run_id)).pending for each in (root, child)] == [1, 0]


async def test_open_questions_stand_in_the_order_they_were_asked_within_one_millisecond(backend: Backend) -> None:
    """P7: the backend's clock stands still."""
    async with backend.store() as store:
        record = await running(store, 1)
        asked = [await put(store, record, f"k{number}") for number in range(8)]
        ids = [each.interaction_id for each in asked]
        assert ids != sorted(ids), "the order of the ids is another one"
        assert [each.interaction_id for each in await store.open_questions(record.run_id)] == ids
        await store.write(Withdraw(record.run_id, 1, ids[0]))
        await store.write(Ask(record.run_id, 1, asked[0]))
        again = await store.open_questions(record.run_id)
        assert [each.interaction_id for each in again] == [*ids[1:], ids[0]]
        assert len({each.asked_at_ms for each in again}) == 1


async def test_p7_a_deleted_run_takes_its_questions_along(backend: Backend) -> None:
    async with backend.store() as store:
        record = await running(store, 1)
        asked = await put(store, record)
        await store.write(Recover(record.run_id, OWNER.owner_id))
        await store.delete(record.run_id)
        assert await store.read_question(asked.interaction_id) is None


@pytest.mark.parametrize("field", ["title", "detail", "step_id"])
async def test_a_question_that_cannot_be_encoded_is_refused_and_leaves_nothing(backend: Backend, field: str) -> None:
    async with backend.store() as store:
        record = await running(store, 1)
        with pytest.raises(ValueError, match="surrogates"):
            await store.write(Ask(record.run_id, 1, replace(question(record), **{field: "half a pair: \ud800"})))
        assert await store.read(record.run_id) == record
        assert await store.open_questions(record.run_id) == []
