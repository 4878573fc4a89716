"""
Sandboxed scripts for the engine: the pool of Monty worker processes, its threads, and the kill.

Each session has a worker process of its own. A turn runs in one of `sandbox_threads` threads, never in the event loop's
executor, and comes back once. Stopping needs no thread: `close` kills the worker from the event loop, whatever it does,
and the turn in flight, if there is one, then ends by itself; one that has no thread yet is taken back. Workers are
got and given back in a few threads of their own, so that neither waits behind busy scripts.

A worker's start and the prelude are most of what a start costs. So after the first run one spare worker waits, fed the
prelude: a session like any other that has no program yet. The next `open` takes it, and the end of a run replaces it.

Invariant: a spare is made by the same calls as any worker, so no run can tell whether it was given one.
Invariant: a worker is signalled only while it is checked out (`WorkerLease`), so none reaches a process id used again.
Rejected: Monty's own asyncio pool aborts the process at exit now and then (10 to 20 of 40 exits).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sidestep.model.execution import ScriptRaised, Turn
from sidestep.model.run import Failure, FailureCode
from sidestep.runtime.call_threads import CallThreads
from sidestep.runtime.prelude import PRELUDE_VERSION
from sidestep.runtime.worker_lease import WorkerLease

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_monty import Monty, MontySession

    from sidestep.model.execution import KnownAnswer, Program, SandboxSession, Settled
    from sidestep.runtime.call_threads import ThreadedCall
    from sidestep.runtime.worker import ScriptWorker
    from sidestep.settings import Settings

# Workers that may be on their way out while as many runs as allowed are active.
_LEAVING_PROCESSES_MAX = 32
_SPARE_PROCESSES_MAX = 1

_CLOSING_THREADS = 4
# Starting a worker is processor time of another process: many at once take as long in all, and the event loop waits for
# its share among them. 300 starts at once on 2 cores: a longest tick of 0.7 to 1.2 s with 32 threads, 0.03 to 0.1 s so.
_OPENING_THREADS = 4
_CHECKOUT_S_MAX = 10.0

# Answers of the journal given in one go: others wait for the thread.
_KNOWN_ANSWERS_MAX = 100

# Answers that take no turn, one after the other, while the event loop does nothing else.
_KEPT_IN_A_ROW_MAX = 100

# The pool's own limit stands above the sandbox's, which knows better what to say.
_REQUEST_GRACE_S = 1.0


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
        settings: Its limits; `active_runs_max` sizes the pool.
        monotonic: A clock in seconds for the length of turns.
    """

    def __init__(self, settings: Settings, *, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._turns = CallThreads(settings.sandbox_threads, "sidestep-turn")
        self._openings = CallThreads(_OPENING_THREADS, "sidestep-open")
        self._closings = ThreadPoolExecutor(_CLOSING_THREADS, thread_name_prefix="sidestep-close")
        self._pool: Monty | None = None
        self._pool_lock = threading.Lock()
        # A worker's session right after it was fed the prelude.
        self._fed: bytes | None = None
        # All that may have a worker, the spare too, so that `close` finds it.
        self._sessions: set[MontySandboxSession] = set()
        # Has its worker, or is on its way to it. Event loop only; None until a first run has ended.
        self._spare: MontySandboxSession | None = None
        self._is_closed = False

    async def open(self, program: Program, known: KnownAnswer | None = None) -> SandboxSession:
        """
        Take the spare worker, or check out one and feed it the prelude; the script is not read before `start`.

        `known` is asked in the thread of a turn, so that a replay hands nothing over.
        A worker that cannot be had is told by the first turn, as a failure with code infrastructure.
        Cancellation: a worker that was on its way is given back.
        """
        assert not self._is_closed, "a closed sandbox opens nothing"
        session, self._spare = self._spare or self._new_session(), None
        try:
            await session.prepare(program, known)
        except asyncio.CancelledError:
            session.kill()
            raise
        return session

    async def close(self) -> None:
        """Kill every worker and end the threads. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.gather(*[session.close() for session in list(self._sessions)])
        await asyncio.get_running_loop().run_in_executor(self._closings, self._close_pool)
        self._openings.stop()
        self._turns.stop()
        self._closings.shutdown(wait=False)

    def check_out(self) -> MontySession:
        """
        A fresh worker's session, not yet entered; starts the pool. Blocks: called in threads only.

        The same for every run: name and limits come from the settings alone, or no run could have the spare.
        """
        from pydantic_monty import Monty

        from sidestep.runtime.worker import OS_POLICY, resource_limits

        settings = self._settings
        with self._pool_lock:
            if self._pool is None:
                pool = Monty(
                    max_processes=settings.active_runs_max + _LEAVING_PROCESSES_MAX + _SPARE_PROCESSES_MAX,
                    max_checkouts_per_worker=1,
                    checkout_timeout=_CHECKOUT_S_MAX,
                    request_timeout=settings.sandbox_turn_s_max + _REQUEST_GRACE_S,
                )
                self._pool = pool.__enter__()
            pool = self._pool
        return pool.checkout(script_name="script.py", limits=resource_limits(settings), os_policy=OS_POLICY)

    def give_prelude(self, session: MontySession) -> None:
        """
        Make a fresh worker one that was fed the prelude: the first by feeding it, all others by what that one became.

        Loading is 0.4 of the time that feeding takes. What is loaded was made here, before any script came, and is
        never stored: Monty trusts such bytes as it trusts itself.
        """
        from sidestep.runtime.worker import feed_prelude

        if self._fed is None:
            feed_prelude(session, self._settings)
            self._fed = session.dump()
        else:
            session.load_session(self._fed)

    def work_on(self, session: MontySession, program: Program) -> ScriptWorker:
        from sidestep.runtime.worker import ScriptWorker

        return ScriptWorker(session, program, self._settings, self._monotonic)

    def in_turn_thread(self, work: Callable[[], Turn]) -> ThreadedCall[Turn]:
        return self._turns.submit(work)

    def in_opening_thread(self, work: Callable[[], Turn]) -> ThreadedCall[Turn]:
        return self._openings.submit(work)

    def in_closing_thread(self, work: Callable[[], None]) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._closings, work)

    def forget(self, session: MontySandboxSession) -> None:
        """Its worker was given back. Where it had a run, another may follow, for which a spare is made."""
        self._sessions.discard(session)
        if session.was_started and self._spare is None and not self._is_closed:
            self._spare = self._new_session()
            self._spare.prepare_ahead()

    def _new_session(self) -> MontySandboxSession:
        session = MontySandboxSession(self)
        self._sessions.add(session)
        return session

    def _close_pool(self) -> None:
        with self._pool_lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__(None, None, None)


class MontySandboxSession:
    """One script in one worker, or the spare: a worker that waits for its script. Made by `MontySandbox`."""

    def __init__(self, sandbox: MontySandbox) -> None:
        self._sandbox = sandbox
        self._lease = WorkerLease()
        # Held by whoever uses the worker: a turn, or giving it back.
        self._use = threading.Lock()
        self._session: MontySession | None = None
        self._is_fed = False
        self._worker: ScriptWorker | None = None
        self._known: KnownAnswer | None = None
        self._broken: str | None = None
        # The latest turn, begun or still waiting for a thread.
        self._turn: ThreadedCall[Turn] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._was_started = False
        # Answers that took no turn.
        self._kept = 0

    @property
    def was_started(self) -> bool:
        return self._was_started

    def prepare_ahead(self) -> None:
        """Begin to get a worker and to feed it the prelude; nobody waits. What goes wrong is left to `prepare`."""
        self._turn = self._sandbox.in_opening_thread(self._prepare_ahead)

    async def prepare(self, program: Program, known: KnownAnswer | None) -> None:
        """Have a worker that lives and was fed the prelude, whatever `prepare_ahead` came to, and give it `program`."""
        self._known = known
        await self._ended(self._sandbox.in_opening_thread(lambda: self._prepare(program)))

    async def start(self) -> Turn:
        """Run the script until it blocks or ends."""
        self._was_started = True
        return await self._ended(self._sandbox.in_turn_thread(lambda: self._take_turn(lambda worker: worker.start())))

    async def settle(self, settled: Settled) -> Turn:
        """Deliver exactly one completion and run until the script blocks or ends."""
        if self._worker is not None and self._worker.keep(settled):
            self._kept += 1
            if self._kept % _KEPT_IN_A_ROW_MAX == 0:
                await asyncio.sleep(0)
            return Turn()
        turn = self._sandbox.in_turn_thread(lambda: self._take_turn(lambda worker: worker.settle(settled)))
        return await self._ended(turn)

    async def close(self) -> None:
        """
        Kill the worker, also in the middle of a turn, and wait until it is given back.

        A turn in flight ends with an empty `Turn`. Idempotent. The kill itself happens before the first wait.
        """
        self.kill()
        assert self._closing is not None, "a killed session is being given back"
        await asyncio.shield(self._closing)

    def kill(self) -> None:
        """The part of `close` that waits for nothing."""
        self._lease.kill()
        if self._turn is not None:
            # Busy scripts may hold every thread: a turn that has none yet must not make a stop wait for them.
            self._turn.withdraw()
        if self._closing is None:
            self._closing = self._sandbox.in_closing_thread(self._give_back)
            self._closing.add_done_callback(lambda _: self._sandbox.forget(self))

    async def _ended(self, turn: ThreadedCall[Turn]) -> Turn:
        """What the turn brings; nothing when the session is killed before a thread is free for it."""
        self._turn = turn
        try:
            return await turn.answer
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if turn.answer.cancelled() and self._lease.is_killed and not (task is not None and task.cancelling()):
                return Turn()
            raise

    def _prepare_ahead(self) -> Turn:
        with self._use:
            # A run that took the spare may have been first.
            if not self._is_fed:
                self._feed()
        return Turn()

    def _prepare(self, program: Program) -> Turn:
        # A `_prepare_ahead` under way is waited for: it began earlier, so it has its worker earlier.
        with self._use:
            if not self._is_fed or not self._is_alive():
                self._feed()
            if self._is_fed:
                assert self._session is not None, "what was fed is a worker"
                self._worker = self._sandbox.work_on(self._session, program)
        return Turn()

    def _is_alive(self) -> bool:
        """False when the worker died while it waited for a program."""
        assert self._session is not None, "what was fed is a worker"
        process_id = self._session.worker_pid
        if process_id is None or not hasattr(os, "waitid"):
            return self._answers(self._session)
        try:
            # Asks and leaves it to the pool to reap; a dead child is told from a living one at no cost.
            return os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def _answers(self, session: MontySession) -> bool:
        """For Windows and older macOS. A dump is 0.1 of the time that a new worker takes, and changes nothing in it."""
        from pydantic_monty import MontyError

        # A dead one is reaped when it is asked: until it has answered, it must not be signalled.
        self._lease.end()
        try:
            session.dump()
        except MontyError:
            return False
        self._lease.begin(session.worker_pid)
        return True

    def _feed(self) -> None:
        """Get a worker, in place of one that may have been there, and feed it the prelude."""
        from pydantic_monty import MontyError

        self._let_go()
        if self._lease.is_killed:
            return
        try:
            session = self._sandbox.check_out()
            session.__enter__()
            self._session = session
            self._lease.begin(session.worker_pid)
            self._sandbox.give_prelude(session)
            self._is_fed = True
        except (MontyError, OSError, RuntimeError) as error:
            # No binary, no process, no descriptor, or killed while it began.
            self._broken = f"the sandbox could not be started: {error}"

    def _take_turn(self, turn: Callable[[ScriptWorker], Turn]) -> Turn:
        with self._use:
            if self._lease.is_killed:
                return Turn()
            if self._broken is not None:
                return Turn(ended=ScriptRaised(Failure(FailureCode.INFRASTRUCTURE, self._broken)))
            assert self._worker is not None, "an open session has a worker"
            taken = turn(self._worker)
            for _ in range(_KNOWN_ANSWERS_MAX):
                if self._lease.is_killed or self._known is None or (known := self._known(taken)) is None:
                    break
                taken = self._worker.settle(known)
            if self._worker.is_gone:
                self._lease.end()
            # A worker that was killed under a turn has nothing to say.
            return Turn() if self._lease.is_killed else taken

    def _give_back(self) -> None:
        with self._use:
            self._let_go()

    def _let_go(self) -> None:
        session, self._session, self._worker = self._session, None, None
        self._is_fed, self._broken = False, None
        self._lease.end()
        if session is not None:
            session.__exit__(None, None, None)
