"""
Processes that carry a mark in their environment, and the wait for their end.

Everything a sidecar starts inherits its environment, so whatever is left of it, however it was born, carries the mark.
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path


def marked(mark: dict[str, str]) -> dict[int, str]:
    """Process id -> command line of every living process with this mark; zombies have no environment any more."""
    wanted = [f"{name}={value}".encode() for name, value in mark.items()]
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if all(word in environ for word in wanted) and line:
            found[int(entry.name)] = line.strip()
    return found


def left_after(mark: dict[str, str], containing: str, within_s: float) -> dict[int, str]:
    """Marked processes with this in their command line that are still there when the time is spent."""
    ends_at = time.monotonic() + within_s
    while True:
        left = {pid: line for pid, line in marked(mark).items() if containing in line}
        if not left or time.monotonic() > ends_at:
            return left
        _wait_end(next(iter(left)), max(0.0, ends_at - time.monotonic()))


def _wait_end(pid: int, seconds: float) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
