"""
A host's agent steps: `workflow/runTask` answered by a function of the application's.

Owns which task is at work and what finished ones gave. A task is known by its id alone, whichever server asks for it
and how often: asked again, it is joined while it works, and answered from memory when it has finished.

Invariants:
- A task never works twice at one time.
- A withdrawn task is cancelled; one whose server died works on, for the next server will ask for it again.
- A task that failed is forgotten: asked for again, it is done again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from sidestep_protocol.errors import INTERNAL_ERROR, REQUEST_CANCELLED
from sidestep_protocol.requests import ResponseFailed
from sidestep_protocol.tasks import RunTaskParams, RunTaskResult, TaskProgressNotification

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidestep_protocol.client import Client

# Results kept for servers that ask again; the oldest go first.
REMEMBERED_MAX = 1_000


class HostTask:
    """One task at work."""

    def __init__(self, params: RunTaskParams, client: Client) -> None:
        """`client` is the one whose server asked last."""
        self.params = params
        self._client = client

    async def progress(self, message: str | None = None) -> None:
        """Tell whoever asked that the task is alive, and what it does; nothing when that server is gone."""
        told = TaskProgressNotification(task_id=self.params.task_id, message=message or UNSET)
        await self._client.notify("workflow/taskProgress", told)

    def ask_again(self, client: Client) -> None:
        """Another server asks for it: progress goes there."""
        self._client = client


@dataclass
class _Work:
    task: HostTask
    doing: asyncio.Task[RunTaskResult]
    # Requests that wait for it.
    waiting: int = 0


class HostTasks:
    """
    The agent steps a host does, over any number of servers:

        async with HostTasks(do) as tasks:
            tasks.serve(client)         # for each server, before `initialize`
    """

    def __init__(
        self, do: Callable[[HostTask], Awaitable[RunTaskResult]], *, remembered_max: int = REMEMBERED_MAX
    ) -> None:
        """
        Args:
            do: Does a task. Raise ResponseFailed in it to refuse with a reason of your own.
            remembered_max: Finished tasks to remember.
        """
        self._do = do
        self._remembered_max = remembered_max
        # By task id, the one begun last at the end.
        self._works: dict[str, _Work] = {}

    def serve(self, client: Client) -> None:
        """Answer this client's server from now on."""
        client.handle("workflow/runTask", lambda params: self._answer(client, params))

    async def __aenter__(self) -> HostTasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel what is at work, and wait for its end."""
        doing = [work.doing for work in self._works.values()]
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)

    async def _answer(self, client: Client, params: RunTaskParams) -> RunTaskResult:
        work = self._works.get(params.task_id) or self._begin(client, params)
        work.task.ask_again(client)
        work.waiting += 1
        try:
            return await asyncio.shield(work.doing)
        except ResponseFailed:
            raise
        except Exception as broken:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"Sidestep client: task {params.task_id}", "exception": broken}
            )
            # It stands in the journal: whoever reads of the failed step there has no other way to learn why.
            why = str(broken) or f"the host failed to answer workflow/runTask: {type(broken).__name__}"
            raise ResponseFailed(INTERNAL_ERROR, "internal", why) from broken
        except asyncio.CancelledError:
            if work.doing.cancelled():
                raise ResponseFailed(REQUEST_CANCELLED, "requestCancelled", "the host cancelled the task") from None
            if work.waiting == 1 and not client.is_gone:
                work.doing.cancel()
            raise
        finally:
            work.waiting -= 1

    def _begin(self, client: Client, params: RunTaskParams) -> _Work:
        task = HostTask(params, client)
        doing = asyncio.get_running_loop().create_task(self._run(task), name=f"task {params.task_id}")
        work = self._works[params.task_id] = _Work(task, doing)
        doing.add_done_callback(lambda done: self._ended(params.task_id, work, done))
        return work

    async def _run(self, task: HostTask) -> RunTaskResult:
        return await self._do(task)

    def _ended(self, task_id: str, work: _Work, done: asyncio.Task[RunTaskResult]) -> None:
        if done.cancelled() or done.exception() is not None:
            if self._works.get(task_id) is work:
                del self._works[task_id]
            return
        finished = [known for known, other in self._works.items() if other.doing.done()]
        for known in finished[: max(0, len(finished) - self._remembered_max)]:
            del self._works[known]
