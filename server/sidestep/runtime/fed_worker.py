"""
One worker process that was fed the prelude, from when it is checked out of Monty's pool until it is let go.

Invariant: a worker is signalled only while it is checked out and was not seen dead, so no signal reaches a process id
that is used again.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_monty import MontySession

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class FedWorker:
    """Made of a session right after its checkout. `kill` is safe from any thread, the rest belongs to one at a time."""

    def __init__(self, session: MontySession) -> None:
        self.session = session
        self._lock = threading.Lock()
        self._process_id = session.worker_pid

    def kill(self) -> None:
        """End the process, whatever it does. Waits for nothing."""
        with self._lock:
            if self._process_id is not None:
                try:
                    os.kill(self._process_id, _KILL)
                except ProcessLookupError:
                    # It died by itself; the turn in flight says so.
                    self._process_id = None

    def see(self) -> None:
        """Ask Monty, after a turn, whether it died and was reaped: its process id means nothing any more then."""
        with self._lock:
            self._process_id = self.session.worker_pid

    def let_go(self) -> None:
        """Give it back to Monty's pool, which uses it again if it lives. Blocks."""
        self._forget()
        self.session.__exit__(None, None, None)

    def end(self) -> None:
        """Kill it and give it back. Blocks until it is gone."""
        self.kill()
        self.let_go()

    def is_alive(self) -> bool | None:
        """Whether it lives, while it is at rest; None where the system cannot say without asking it (`answers`)."""
        if self._process_id is None or not hasattr(os, "waitid"):
            return None
        try:
            # Asks and leaves it to the pool to reap; a dead child is told from a living one at no cost.
            is_alive = os.waitid(os.P_PID, self._process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            is_alive = False
        if not is_alive:
            self._forget()
        return is_alive

    def answers(self) -> bool:
        """For Windows and older macOS. Blocks; a dump is 0.1 of the time of a new worker, and changes nothing in it."""
        from pydantic_monty import MontyError

        # A dead one is reaped when it is asked: until it has answered, it must not be signalled.
        self._forget()
        try:
            self.session.dump()
        except MontyError:
            return False
        self.see()
        return True

    def private_bytes(self) -> int:
        """The memory that is its alone; 0 where the system does not say."""
        try:
            with open(f"/proc/{self._process_id}/statm", encoding="ascii") as told:
                _, resident, shared, *_ = map(int, told.read().split())
        except (OSError, ValueError):
            return 0
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

    def _forget(self) -> None:
        with self._lock:
            self._process_id = None
