"""
The worker processes of scripts: made, given to runs, used again, and few when nothing happens.

Starting a process is most of what a run's start costs. So a worker whose script ended, or was stopped while it waited,
is made one that was fed the prelude and nothing else, as a new one is, and the next run takes it: one ahead of that
run, any others when runs want them. Only a worker that was stopped in the middle of a turn, died, or became large, is
ended. All but one end when no run has wanted them for a while.

Invariant: no run can tell which worker it was given: each has a session of its own and begins from the same dump.
Invariant: event loop only, but for the methods that say that they block.
Rejected: Monty's own asyncio pool aborts the process at exit now and then (10 to 20 of 40 exits).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from sidestep.runtime.call_threads import CallThreads
from sidestep.runtime.fed_worker import FedWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_monty import Monty, MontySession

    from sidestep.settings import Settings

# Workers that may be on their way out while as many runs as allowed are active.
_LEAVING_PROCESSES_MAX = 32

# Starting a worker is processor time of another process: many at once take as long in all, and the event loop waits for
# its share among them. 300 starts at once on 2 cores: a longest tick of 0.7 to 1.2 s with 32 threads, 0.03 to 0.1 s so.
_MAKING_THREADS = 4
# Of their own, so that a run that ended gives its worker to one that waits for a start.
_RENEWING_THREADS = 2
_CHECKOUT_S_MAX = 10.0
_REST_S = 0.02

# What a process leaves behind in its memory grows with the sessions it had; a fresh one has 1 MiB of its own.
_SESSIONS_MAX = 100
_KEPT_BYTES_MAX = 16 * 1024**2

# The pool's own limit stands above the sandbox's, which knows better what to say.
_REQUEST_GRACE_S = 1.0

_CLOSED = "the sandbox is closed"


class WorkerPool:
    """
    Built once. Nothing is started, and Monty is not imported, before the first `take`.

    Args:
        settings: `active_runs_max` and `sandbox_free_workers_max` size it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._making = CallThreads(_MAKING_THREADS, "sidestep-make")
        self._renewing = CallThreads(_RENEWING_THREADS, "sidestep-renew")
        self._monty: Monty | None = None
        self._monty_lock = threading.Lock()
        # A worker's session right after it was fed the prelude.
        self._fed: bytes | None = None
        # With the time since when; the one that became free last is taken first.
        self._free: list[tuple[FedWorker, float]] = []
        # The same, of those that are to be renewed before a run can have them.
        self._resting: list[tuple[FedWorker, float]] = []
        self._waiting: deque[asyncio.Future[FedWorker | str]] = deque()
        # All that is done in threads, and how much of it may bring a worker.
        self._under_way: set[asyncio.Future[Any]] = set()
        self._coming = 0
        self._trimming: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def take(self) -> FedWorker | str:
        """
        A worker that lives and was fed the prelude: a free one, or the first that comes; a text says why there is none.

        Cancellation: a worker that was on its way is kept.

        Raises:
            RuntimeError: the system has no thread for it.
        """
        if self._is_closed:
            return _CLOSED
        # What takes a worker must be able to give it back.
        self._renewing.have_one()
        while self._free:
            worker, _ = self._free.pop()
            is_alive = worker.is_alive()
            if is_alive:
                return worker
            if is_alive is None:
                self._bring(self._renewing, partial(self._checked, worker))
                break
            self.end(worker)
        waiter: asyncio.Future[FedWorker | str] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            self._bring_enough()
            return await waiter
        except BaseException:
            # Cancelled, or there is no thread; nobody must be given a worker who does not wait any more.
            waiter.cancel()
            if waiter.cancelled():
                # Unless it was passed over meanwhile.
                with contextlib.suppress(ValueError):
                    self._waiting.remove(waiter)
            elif waiter.exception() is None and isinstance(worker := waiter.result(), FedWorker):
                self._offer(worker)
            raise

    def put_back(self, worker: FedWorker) -> None:
        """Take back a worker that was given no script."""
        if self._waiting or self._has_room():
            self._offer(worker)
        else:
            self.end(worker)

    def give_back(self, worker: FedWorker, *, is_next_due: bool) -> None:
        """
        Take back a worker that is at rest; whatever its script left there is gone before the next run has it.

        Args:
            is_next_due: The next run may come at once, so one worker is made ready for it. Otherwise that is done a
                moment later, for until a stop is durable, the processor is the stop's.
        """
        if self._is_closed or not (self._waiting or self._has_room()):
            self.end(worker)
        elif self._waiting:
            self._bring(self._renewing, partial(self._renewed, worker))
        else:
            loop = asyncio.get_running_loop()
            self._resting.append((worker, loop.time()))
            self._trim_later()
            if is_next_due:
                self.make_ahead()
            else:
                loop.call_later(_REST_S, self.make_ahead)

    def end(self, worker: FedWorker, ended: Callable[[], None] | None = None) -> None:
        """End a worker that no thread uses; `ended` is called when its process is gone."""

        def over(answer: asyncio.Future[None]) -> None:
            self._under_way.discard(answer)
            if ended is not None:
                ended()
            self.make_ahead()

        answer = self._renewing.submit(worker.end).answer
        self._under_way.add(answer)
        answer.add_done_callback(over)

    def make_ahead(self) -> None:
        """Have a worker for the next run where there is none."""
        if not (self._free or self._coming or self._is_closed):
            self._bring_one(self._made)

    def refuse(self) -> None:
        """Make no worker from now on, and end those that are given back; who waits for one is told."""
        self._is_closed = True
        while self._tell(_CLOSED):
            pass

    async def close(self) -> None:
        """End every worker that no run has, and the threads. The others must have been given back."""
        assert self._is_closed, "`refuse` comes before"
        if self._trimming is not None:
            self._trimming.cancel()
        for worker, _ in (*self._resting, *self._free):
            self.end(worker)
        self._resting.clear()
        self._free.clear()
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._renewing.submit(self._end_monty).answer
        self._making.stop()
        self._renewing.stop()

    def at_exit(self) -> list[CallThreads]:
        """For a process that ends without `close`: make nothing from now on. Returns the threads to wait for."""
        self._is_closed = True
        return [self._making, self._renewing]

    def check_out(self) -> MontySession:
        """
        A worker's session, not yet entered; starts Monty's pool. Blocks.

        The same for every run: name and limits come from the settings alone, or no run could have another's worker.
        """
        from pydantic_monty import Monty

        from sidestep.runtime.worker import OS_POLICY, resource_limits

        settings = self._settings
        with self._monty_lock:
            if self._monty is None:
                monty = Monty(
                    min_processes=0,
                    max_processes=settings.active_runs_max
                    + _LEAVING_PROCESSES_MAX
                    + max(settings.sandbox_free_workers_max, 1),
                    max_checkouts_per_worker=_SESSIONS_MAX,
                    checkout_timeout=_CHECKOUT_S_MAX,
                    request_timeout=settings.sandbox_turn_s_max + _REQUEST_GRACE_S,
                )
                self._monty = monty.__enter__()
            monty = self._monty
        return monty.checkout(script_name="script.py", limits=resource_limits(settings), os_policy=OS_POLICY)

    def give_prelude(self, session: MontySession) -> None:
        """
        Make a fresh session one that was fed the prelude: the first by feeding it, all others by what that one became.

        Blocks. Loading is 0.4 of the time that feeding takes. What is loaded was made here, before any script came, and
        is never stored: Monty trusts such bytes as it trusts itself.
        """
        from sidestep.runtime.worker import feed_prelude

        if self._fed is None:
            feed_prelude(session, self._settings)
            self._fed = session.dump()
        else:
            session.load_session(self._fed)

    def _has_room(self) -> bool:
        return len(self._free) + len(self._resting) + self._coming < self._settings.sandbox_free_workers_max

    def _bring_enough(self) -> None:
        """A worker is on its way for each run that waits, be it its own or one that another run had."""
        while self._coming < len(self._waiting):
            self._bring_one(self._made_if_wanted)

    def _bring_one(self, make: Callable[[], FedWorker | str | None]) -> None:
        if self._resting:
            worker, _ = self._resting.pop()
            self._bring(self._renewing, partial(self._renewed, worker))
        else:
            self._bring(self._making, make)

    def _bring(self, threads: CallThreads, get: Callable[[], FedWorker | str | None]) -> None:
        answer = threads.submit(get).answer
        self._under_way.add(answer)
        self._coming += 1
        answer.add_done_callback(self._came)

    def _came(self, answer: asyncio.Future[FedWorker | str | None]) -> None:
        self._under_way.discard(answer)
        self._coming -= 1
        came = answer.exception() or answer.result()
        if isinstance(came, FedWorker):
            self._offer(came)
        elif came is not None and self._coming < len(self._waiting):
            self._tell(came)
        elif isinstance(came, BaseException):
            # Nobody waits for this one: the event loop logs it.
            raise came
        self._bring_enough()

    def _offer(self, worker: FedWorker) -> None:
        if self._is_closed:
            self.end(worker)
        elif not self._tell(worker):
            self._free.append((worker, asyncio.get_running_loop().time()))
            self._trim_later()

    def _tell(self, came: FedWorker | str | BaseException) -> bool:
        """Whether somebody waited for it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            # The task of one that was cancelled may not have run since.
            if waiter.done():
                continue
            if isinstance(came, BaseException):
                waiter.set_exception(came)
            else:
                waiter.set_result(came)
            return True
        return False

    def _trim_later(self) -> None:
        unwanted = [since for _, since in (*self._resting[:1], *self._free[:-1][:1])]
        if unwanted and self._trimming is None:
            until = min(unwanted) + self._settings.sandbox_free_worker_s_max
            self._trimming = asyncio.get_running_loop().call_at(until, self._trim)

    def _trim(self) -> None:
        self._trimming = None
        longest = asyncio.get_running_loop().time() - self._settings.sandbox_free_worker_s_max
        while self._resting and self._resting[0][1] <= longest:
            self.end(self._resting.pop(0)[0])
        while len(self._free) > 1 and self._free[0][1] <= longest:
            self.end(self._free.pop(0)[0])
        self._trim_later()

    def _made_if_wanted(self) -> FedWorker | str | None:
        # Other workers may have come before a thread was free for this one.
        return None if self._coming > len(self._waiting) else self._made()

    def _checked(self, worker: FedWorker) -> FedWorker | str:
        if worker.answers():
            return worker
        worker.let_go()
        return self._made()

    def _renewed(self, worker: FedWorker) -> FedWorker | str | None:
        from pydantic_monty import MontyError

        if worker.private_bytes() > _KEPT_BYTES_MAX:
            worker.kill()
        # One that cannot be given back is not used again, which is all that matters here.
        with contextlib.suppress(MontyError, OSError, RuntimeError):
            worker.let_go()
        return self._made()

    def _made(self) -> FedWorker | str:
        if self._is_closed:
            return _CLOSED
        from pydantic_monty import MontyError

        try:
            session = self.check_out()
            session.__enter__()
            worker = FedWorker(session)
            try:
                self.give_prelude(session)
            except BaseException:
                worker.end()
                raise
        except (MontyError, OSError, RuntimeError) as error:
            # No binary, no process, no descriptor, or it died meanwhile.
            return f"the sandbox could not be started: {error}"
        return worker

    def _end_monty(self) -> None:
        with self._monty_lock:
            monty, self._monty = self._monty, None
        if monty is not None:
            monty.__exit__(None, None, None)
