"""
Which other processes have a store open, as their locked owner files say.

For the one question a migration asks. Ownership of runs, and this process's own file, are `owners.py`'s.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from sidestep.store.file_lock import is_locked
from sidestep.store.owner_file import parse_owner_file

if TYPE_CHECKING:
    from pathlib import Path


def living_owners(folder: Path) -> list[int]:
    """The process ids of the living owners in `folder`, but for this process; 0 for one whose file is unreadable."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDWR)
                try:
                    if is_locked(descriptor):
                        header, _ = parse_owner_file(path.read_bytes())
                        found.append(0 if header is None else header.pid)
                finally:
                    os.close(descriptor)
    return [pid for pid in found if pid != os.getpid()]
