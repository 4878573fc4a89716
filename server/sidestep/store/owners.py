"""
The owners of runs: which processes live, and the process groups each has started.

Implements the ports `OwnerRegistry` and `GroupLedger` with one locked file per process, beside the store. The kernel
drops a lock with its process, so nobody asks a clock, and nothing has to be renewed.

Invariant: an owner's file appears in the folder with its lock held already; a file that is not locked is a dead
owner's.
Invariant: a group stands in its owner's file before its leader may run, and stays there until it is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from sidestep.store.faults import store_fault
from sidestep.store.file_lock import hold_lock, is_locked
from sidestep.store.owner_file import (
    BLANK_SLOT,
    SLOT_BYTES,
    GroupEntry,
    OwnerHeader,
    encode_slot,
    parse_owner_file,
)

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("sidestep.owners")

# A killed process is gone in milliseconds, unless it hangs in a system call that cannot be interrupted.
_GONE_WITHIN_S = 2.0


class ProcessGroups(Protocol):
    """What the owners ask the system about process groups; the executors' module of that name provides it."""

    def boot_id(self) -> str:
        """Text that differs after the machine was started anew; empty where the system has none."""
        ...

    def group_matches(self, group_id: int, leader_started_at: float) -> bool:
        """Whether the group that lives now is the one whose leader started then, also when only members are left."""
        ...

    def kill_group(self, group_id: int) -> bool:
        """Send SIGKILL to every member; False when nobody was there."""
        ...

    def wait_gone(self, group_id: int, seconds: float) -> bool:
        """Wait until no member is left, at most that long; False when one still is. Blocking."""
        ...


_OWNER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class OwnerDirectory:
    """
    The folder of owner files, and this process's own file in it; `open` it before a run is created.

    Args:
        folder: Made when it is missing (mode 0700).
        owner_id: This process's id, never used by another: letters, digits, `_` and `-`.
        groups: The system's process groups.
    """

    def __init__(self, folder: Path, owner_id: str, groups: ProcessGroups) -> None:
        assert _OWNER_ID.fullmatch(owner_id), "an owner's id is a plain file name"
        self._folder = folder
        self._owner_id = owner_id
        self._groups = groups
        self._descriptor: int | None = None
        # Groups alive, by id, and where their slots are; slots given up are used again.
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._next_slot = 1
        # Groups are recorded by the threads that start processes.
        self._lock = threading.Lock()

    @property
    def owner_id(self) -> str:
        return self._owner_id

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """
        Make this owner's file and lock it.

        Raises:
            StoreUnavailable: the file cannot be written.
        """
        if self._descriptor is not None:
            return
        hidden = self._folder / f".{self._owner_id}"
        header = OwnerHeader(pid=os.getpid(), boot=self._groups.boot_id())
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Close-on-exec (Python's default): a child must not keep its parent's lock alive.
            descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                hold_lock(descriptor)
                _write_at(descriptor, 0, encode_slot(header))
                # Locked first, named then: nobody can take it for a dead owner's.
                hidden.rename(self._folder / self._owner_id)
            except BaseException:
                os.close(descriptor)
                hidden.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise store_fault(error, self._folder) from error
        self._descriptor = descriptor

    def close(self) -> None:
        """Remove this owner's file and let the lock go: nothing of it may run any more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        # Removed while it is locked: afterwards somebody could see a dead owner.
        with contextlib.suppress(OSError):
            (self._folder / self._owner_id).unlink()
        os.close(descriptor)

    def is_alive(self, owner_id: str) -> bool:
        """True while that owner holds its kernel lock; a clock is never asked."""
        if owner_id == self._owner_id:
            return self._descriptor is not None
        return self._is_file_locked(owner_id)

    def owner_ids(self) -> list[str]:
        """Every owner with a file, dead or alive."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:
            return []
        return sorted(name for name in names if _OWNER_ID.fullmatch(name))

    def record(self, run_id: str, group_id: int, started_at: float) -> None:
        """
        Write a group down; on return it survives this process's death (not the machine's, which ends the group too).

        Args:
            started_at: When its leader started, as `group_matches` compares it.
        """
        with self._lock:
            assert self._descriptor is not None, "groups are recorded by an open owner"
            slot = self._free.pop() if self._free else self._next_slot
            if slot == self._next_slot:
                self._next_slot += 1
            self._slots[group_id] = slot
            entry = GroupEntry(group=group_id, run=run_id, started_at=started_at)
            _write_at(self._descriptor, slot, encode_slot(entry))

    def forget(self, group_id: int) -> None:
        """Strike a group out: nothing of it is left."""
        with self._lock:
            slot = self._slots.pop(group_id, None)
            if slot is None or self._descriptor is None:
                return
            _write_at(self._descriptor, slot, BLANK_SLOT)
            self._free.append(slot)

    def stop_groups(self, owner_id: str, run_id: str | None = None) -> int:
        """
        Kill the listed process groups of a dead or stopped owner that still match, and wait until they are gone.

        Blocking: finding the members of a group whose leader is gone reads the process table; the wait for all of them
        takes at most 2 s.

        Args:
            run_id: Only the groups of this run; None for all.

        Returns:
            How many were killed.
        """
        try:
            content = self._path(owner_id).read_bytes()
        except OSError:
            return 0
        header, entries = parse_owner_file(content)
        if header is not None and header.boot != self._groups.boot_id():
            # The machine was started anew: the numbers belong to others.
            return 0
        killed = [
            entry.group
            for entry in entries
            if run_id in (None, entry.run)
            and self._groups.group_matches(entry.group, entry.started_at)
            and self._groups.kill_group(entry.group)
        ]
        ends_at = time.monotonic() + _GONE_WITHIN_S
        for group in killed:
            if not self._groups.wait_gone(group, max(0.0, ends_at - time.monotonic())):
                log.warning("process group %d was killed and hangs in a system call", group)
        return len(killed)

    def remove(self, owner_id: str) -> None:
        """Delete a dead owner's file, when no run names it any more; a living one's is left."""
        if owner_id != self._owner_id and not self._is_file_locked(owner_id):
            with contextlib.suppress(OSError):
                self._path(owner_id).unlink()

    def _is_file_locked(self, owner_id: str) -> bool:
        try:
            # Opened anew: a lock is told apart from one's own by the open file description.
            descriptor = os.open(self._path(owner_id), os.O_RDWR)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise store_fault(error, self._folder) from error
        try:
            return is_locked(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, owner_id: str) -> Path:
        # Ids come from the store's rows; one that is no plain name leads nowhere.
        return self._folder / (owner_id if _OWNER_ID.fullmatch(owner_id) else "..none")


def _write_at(descriptor: int, slot: int, line: bytes) -> None:
    os.lseek(descriptor, slot * SLOT_BYTES, os.SEEK_SET)
    os.write(descriptor, line)
