"""C4, promise 2: a delete that is refused is its own caller's business."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidestep.model.errors import InvalidTransition
from tests.contract.stores import Backend, completed, running

if TYPE_CHECKING:
    from sidestep.model.run import RunRecord


async def test_a_refused_delete_leaves_the_other_writes_of_its_batch_alone(backend: Backend) -> None:
    async with backend.store() as store:
        active = [await running(store, number) for number in range(1, 40)]

        async def finish(record: RunRecord) -> object:
            return await store.write(completed(record, "a"))

        answers = await asyncio.gather(*map(finish, active), store.delete(active[0].run_id), return_exceptions=True)
        assert isinstance(answers[-1], InvalidTransition), answers[-1]
        assert [answer for answer in answers[:-1] if isinstance(answer, BaseException)] == []
