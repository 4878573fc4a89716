"""
A process and everything below it, for Windows, which has no process groups.

Best effort, and it says so: a child whose parent has already ended is no longer found below the leader. A job object
would hold it, but needs the leader to be created suspended, which `subprocess` cannot do.
"""

from __future__ import annotations

import contextlib

import psutil


def tree_is_alive(leader_pid: int) -> bool:
    return psutil.pid_exists(leader_pid)


def kill_tree(leader_pid: int) -> bool:
    """End the leader and all its descendants, leaves last. Returns False when there was no leader."""
    try:
        leader = psutil.Process(leader_pid)
        below = leader.children(recursive=True)
    except psutil.NoSuchProcess:
        return False
    # The leader first: it must not start another child while its children are being ended.
    for process in [leader, *below]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    return True
