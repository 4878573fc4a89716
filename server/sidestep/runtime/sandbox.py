"""
Sandboxed scripts for the engine: a session for each script, its turns in threads, and the stop.

Each session has a worker process of its own, from the pool. A turn runs in one of `sandbox_threads` threads, never in
the event loop's executor, and comes back once. Stopping needs no thread. A script that waits for something does
nothing, so its worker is simply taken from it; in the middle of a turn the worker is killed from the event loop,
whatever it does, and the turn then ends by itself; a turn that has no thread yet is taken back.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from sidestep.model.execution import ScriptRaised, Turn
from sidestep.model.run import Failure, FailureCode
from sidestep.runtime.call_threads import CallThreads
from sidestep.runtime.prelude import PRELUDE_VERSION
from sidestep.runtime.worker_pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidestep.model.execution import KnownAnswer, Program, SandboxSession, Settled
    from sidestep.runtime.call_threads import ThreadedCall
    from sidestep.runtime.fed_worker import FedWorker
    from sidestep.runtime.worker import ScriptWorker
    from sidestep.settings import Settings

# Answers of the journal given in one go: others wait for the thread.
_KNOWN_ANSWERS_MAX = 100

# Answers that take no turn, one after the other, while the event loop does nothing else.
_KEPT_IN_A_ROW_MAX = 100

# How long an exit without `close` waits for the threads.
_EXIT_S = 1.0


def versions() -> dict[str, str]:
    """What a run's replay depends on here: `{"prelude", "sandbox"}`."""
    return {"prelude": PRELUDE_VERSION, "sandbox": _installed_version("pydantic-monty-client")}


def _installed_version(distribution: str) -> str:
    """
    The version an installation has written down, as `importlib.metadata` would tell it.

    Source: PyPA, "Recording installed projects": the folder `{name}-{version}.dist-info`, escaped. Reading its name
    saves importing a mail parser (3 MiB, 14 ms), which only answers where no such folder is.
    """
    name = distribution.replace("-", "_")
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or "."):
                if entry.startswith(f"{name}-") and entry.endswith(".dist-info"):
                    return entry.removeprefix(f"{name}-").removesuffix(".dist-info")
    from importlib import metadata

    return metadata.version(distribution)


class MontySandbox:
    """
    Makes sessions; built once. Nothing is started, and Monty is not imported, before the first `open`.

    Args:
        settings: Its limits.
        monotonic: A clock in seconds for the length of turns.
    """

    def __init__(self, settings: Settings, *, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._turns = CallThreads(settings.sandbox_threads, "sidestep-turn")
        self._workers = WorkerPool(settings)
        self._sessions: set[MontySandboxSession] = set()
        self._process_id: int | None = None
        self._is_closed = False

    async def open(self, program: Program, known: KnownAnswer | None = None) -> SandboxSession:
        """
        Have a worker for `program`; the script is not read before `start`.

        `known` is asked in the thread of a turn, so that a replay hands nothing over.
        A worker that cannot be had is told by the first turn, as a failure with code infrastructure.
        Cancellation: a worker that was on its way is kept for another run.
        """
        assert not self._is_closed, "a closed sandbox opens nothing"
        if self._process_id is None:
            self._process_id = os.getpid()
            atexit.register(self._at_exit)
        worker = await self._workers.take()
        if isinstance(worker, str):
            return _NoSession(worker)
        # Imports Monty, which a thread has done for the worker.
        from sidestep.runtime.worker import ScriptWorker

        script = ScriptWorker(worker.session, program, self._settings, self._monotonic)
        session = MontySandboxSession(self, self._workers, worker, script, known)
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """End every session and every worker, and the threads. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._workers.refuse()
        # Whoever was given a worker just now has a session after this.
        await asyncio.sleep(0)
        await asyncio.gather(*[session.close() for session in list(self._sessions)])
        await self._workers.close()
        self._turns.stop()
        atexit.unregister(self._at_exit)

    def in_turn_thread(self, work: Callable[[], Turn]) -> ThreadedCall[Turn]:
        return self._turns.submit(work)

    def forget(self, session: MontySandboxSession) -> None:
        self._sessions.discard(session)

    def _at_exit(self) -> None:
        """The process ends and nothing was closed: a thread that comes back from Monty too late would abort it."""
        if os.getpid() != self._process_id:
            # A fork of the process that uses the sandbox has its objects, and none of its threads.
            return
        for session in list(self._sessions):
            session.kill_worker()
        threads = [self._turns, *self._workers.at_exit()]
        for each in threads:
            each.stop()
        until = time.monotonic() + _EXIT_S
        for each in threads:
            each.wait(until)


class _NoSession:
    """In place of a session whose worker could not be had."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def start(self) -> Turn:
        return Turn(ended=ScriptRaised(Failure(FailureCode.INFRASTRUCTURE, self._reason)))

    async def settle(self, settled: Settled) -> Turn:
        raise AssertionError("a script that ended calls nothing")

    def kill(self) -> None:
        """There is nothing to kill."""

    async def close(self) -> None:
        """There is nothing to close."""


class MontySandboxSession:
    """One script in one worker. Made by `MontySandbox`."""

    def __init__(
        self,
        sandbox: MontySandbox,
        workers: WorkerPool,
        worker: FedWorker,
        script: ScriptWorker,
        known: KnownAnswer | None,
    ) -> None:
        self._sandbox = sandbox
        self._workers = workers
        self._worker = worker
        self._script = script
        self._known = known
        # The latest turn, begun or still waiting for a thread.
        self._turn: ThreadedCall[Turn] | None = None
        self._has_ended = False
        self._is_stopped = False
        self._left = asyncio.Event()
        # Answers that took no turn.
        self._kept = 0

    async def start(self) -> Turn:
        """Run the script until it blocks or ends."""
        return await self._taken(self._script.start)

    async def settle(self, settled: Settled) -> Turn:
        """Deliver exactly one completion and run until the script blocks or ends."""
        if not self._is_stopped and self._script.keep(settled):
            self._kept += 1
            if self._kept % _KEPT_IN_A_ROW_MAX == 0:
                await asyncio.sleep(0)
            return Turn()
        return await self._taken(lambda: self._script.settle(settled))

    async def close(self) -> None:
        """
        Stop the script, also in the middle of a turn, and wait until nothing of it goes on.

        A turn in flight ends with an empty `Turn`. Idempotent. What `kill` does happens before the first wait.
        """
        self.kill()
        await self._left.wait()

    def kill(self) -> None:
        """The part of `close` that waits for nothing."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._sandbox.forget(self)
        turn = self._turn
        if turn is None:
            self._workers.put_back(self._worker)
            self._left.set()
            return
        # Busy scripts may hold every thread: a turn that has none yet must not make a stop wait for them.
        turn.withdraw()
        if turn.is_over and not self._script.is_gone:
            self._workers.give_back(self._worker, is_next_due=self._has_ended)
            self._left.set()
        else:
            self._worker.kill()
            turn.when_over(lambda: self._workers.end(self._worker, self._left.set))

    def kill_worker(self) -> None:
        """For a process that ends: without the event loop, and without giving anything back."""
        # First, or a loop that still runs, in another thread, would take the end of the worker for the script's.
        self._is_stopped = True
        self._worker.kill()

    async def _taken(self, turn: Callable[[], Turn]) -> Turn:
        """What the turn brings; nothing when the session is stopped before or meanwhile."""
        if self._is_stopped:
            return Turn()
        call = self._turn = self._sandbox.in_turn_thread(lambda: self._take(turn))
        try:
            return await call.answer
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if call.answer.cancelled() and self._is_stopped and not (task is not None and task.cancelling()):
                return Turn()
            raise

    def _take(self, turn: Callable[[], Turn]) -> Turn:
        """Called in a thread."""
        taken = turn()
        for _ in range(_KNOWN_ANSWERS_MAX):
            if self._is_stopped or self._known is None or (known := self._known(taken)) is None:
                break
            taken = self._script.settle(known)
        self._has_ended = taken.ended is not None
        if self._script.is_gone:
            # It may live, and be ended then: what a script that hit the limit of memory took is not all given back.
            self._worker.see()
        # A worker that was killed under a turn has nothing to say.
        return Turn() if self._is_stopped else taken
