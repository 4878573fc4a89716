"""
The right to signal a worker process: who holds a lease may kill its worker, from any thread and at any time.

Invariant: a worker is signalled only while it is checked out, so no signal reaches a process id that is used again.
"""

from __future__ import annotations

import os
import signal
import threading

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class WorkerLease:
    """A worker process while it is checked out. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process_id: int | None = None
        self._is_killed = False

    @property
    def is_killed(self) -> bool:
        return self._is_killed

    def begin(self, process_id: int | None) -> None:
        with self._lock:
            self._process_id = process_id
            if self._is_killed:
                self._signal()

    def end(self) -> None:
        """Call before the worker is given back: its process id may then be used again."""
        with self._lock:
            self._process_id = None

    def kill(self) -> None:
        with self._lock:
            self._is_killed = True
            self._signal()

    def _signal(self) -> None:
        if self._process_id is not None:
            try:
                os.kill(self._process_id, _KILL)
            except ProcessLookupError:
                # It died by itself; the turn in flight says so.
                self._process_id = None
