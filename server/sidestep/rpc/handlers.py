"""
The tasks that serve one client's messages.

Owns the running handlers: one task for each request and notification, started in the order of the calls. It must not
know phases, routes or framing.

Invariant: a request is answered once, from its task's done-callback, because a task that is cancelled before its first
step never enters its coroutine.
Invariant: nothing is answered at once while a handler that came before it has not begun.
Invariant: when `aclose` returns, every request has been answered.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sidestep.rpc.answers import draining
from sidestep.rpc.envelope import encode_error
from sidestep.rpc.router import RequestContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sidestep.rpc.answers import Answers
    from sidestep.rpc.envelope import RequestId
    from sidestep.rpc.inbound import InboundRequests, InFlight
    from sidestep.rpc.transport import Lane

T = TypeVar("T")

log = logging.getLogger("sidestep.rpc")


class Handlers:
    """Runs handlers and sends their answers."""

    def __init__(
        self,
        *,
        inbound: InboundRequests,
        answers: Answers,
        send: Callable[[bytes], object],
        notify: Callable[[str, object, Lane], bool],
    ) -> None:
        self._inbound = inbound
        self._answers = answers
        self._send = send
        self._notify = notify
        # Not a TaskGroup: one handler that fails must not cancel the others. `aclose` awaits them.
        self._tasks: set[asyncio.Task[Any]] = set()
        # Tasks made in this turn of the loop, which have not begun.
        self._unbegun = 0
        self._is_closing = False

    def start(
        self,
        request: InFlight,
        handle: Callable[[RequestContext], Awaitable[object]],
        finished: Callable[[bool], object] = bool,
    ) -> None:
        """
        Serve a request.

        Args:
            handle: Returns its result.
            finished: Called just before the answer is sent, with whether it carries a result.
        """
        signal = request.controller.signal
        context = RequestContext(request.request_id, request.method, signal, self._notify, request.after_answer)

        async def run() -> object:
            return await handle(context)

        request.task = self._begin(run(), request.method)
        request.task.add_done_callback(partial(self._finish, request, finished))

    def spawn(self, method: str, handle: Callable[[], Awaitable[object]]) -> None:
        """Serve a notification; nobody is told when it fails, so the log is."""

        async def run() -> None:
            try:
                await handle()
            except Exception as failure:  # The handler's edge: a notification has no answer.
                if self._answers.refusal(failure) is None:
                    log.exception("the handler of %s failed", method)
                else:
                    log.info("%s ignored: %s", method, failure)

        self._begin(run(), method).add_done_callback(self._tasks.discard)

    def answer_at_once(self, request_id: RequestId, method: str, work: Callable[[], object]) -> bool:
        """
        Serve a request without a task.

        Args:
            work: Returns its result; None when it cannot be served at once.

        Returns:
            False when it has to be started: a handler that came before has not begun, or `work` says so.
        """
        if self._unbegun:
            return False
        body = self._answers.at_once(request_id, method, work)
        if body is not None:
            self._send(body)
        return body is not None

    async def aclose(self, within_s: float) -> None:
        """See `Session.aclose`."""
        self._is_closing = True
        await self._wait(within_s)
        for task in self._tasks:
            # A task whose request was cancelled is not cancelled again: that would abort its clean-up.
            if not task.cancelling():
                task.cancel()
        await self._wait(within_s)
        for request in self._inbound:
            log.error("the handler of %s ignores its cancellation", request.method)
            self._answer(request, encode_error(request.request_id, draining()))

    def _begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=name)
        self._tasks.add(task)
        self._unbegun += 1
        # Called right after the task's first step: the loop takes turns in order.
        loop.call_soon(self._has_begun)
        return task

    def _has_begun(self) -> None:
        self._unbegun -= 1

    async def _wait(self, within_s: float) -> None:
        # A task's answer is out before we wake for it: its own done-callback was added before this one's.
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=within_s)

    def _finish(self, request: InFlight, finished: Callable[[bool], object], task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        body, succeeded = self._answers.respond(request, task, is_closing=self._is_closing)
        finished(succeeded)
        self._answer(request, body)

    def _answer(self, request: InFlight, body: bytes) -> None:
        if not self._inbound.close(request):
            return
        self._send(body)
        for callback in request.after_answer:
            callback()
