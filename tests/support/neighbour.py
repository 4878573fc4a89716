"""Another process that has a store open, as its locked owner file says."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from sidestep.store.file_lock import hold_lock
from sidestep.store.location import StoreLocation
from sidestep.store.owner_file import OwnerHeader, encode_slot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A process id that is not the test's.
NEIGHBOUR = 1


@contextlib.contextmanager
def neighbour(database: Path, pid: int = NEIGHBOUR) -> Iterator[None]:
    """The owner file of a process that has the store at `database` open, locked within the body."""
    folder = StoreLocation(database).owners
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "owner-other", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, encode_slot(OwnerHeader(pid=pid)))
        hold_lock(descriptor)
        yield
    finally:
        os.close(descriptor)
