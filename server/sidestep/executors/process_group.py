"""
Process groups of the operating system: who is in one, whether it lives, and how it ends.

Owns signals to groups and the start times that tell a group from a later one with the same number. Imports nothing of
ours and keeps no state, so that `store/owners.py` can use it on the groups of a dead process.

A group's number is the process id of its leader, which is also the leader of its session (`start_new_session`). The
kernel keeps the number taken while any member is left, so a group that was seen alive cannot be another one.
Invariant: a zombie is not alive. In a container whose process 1 reaps nothing, zombies stay for ever.

Linux reads /proc. Other POSIX systems ask psutil, imported when first needed. Windows has no groups: there the tree
below the leader stands in for one (`process_tree.py`), best effort.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

# Steps of the wait for a group to go: nothing in POSIX tells when a group has become empty.
_POLL_S_MIN = 0.001
_POLL_S_MAX = 0.05
# Start times come in clock ticks of 10 ms; two readings of one process are equal save for rounding.
_STARTED_AT_TOLERANCE_S = 0.001

_HAS_PROC = sys.platform == "linux"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if _HAS_PROC else 1


@dataclass(frozen=True)
class ProcessFacts:
    """
    What is known of one process.

    Attributes:
        started_at: Seconds, only to be compared: since boot on Linux (unmoved by clock changes), since the Unix epoch
            elsewhere. A ledger that survives a reboot should keep `boot_id()` beside it.
    """

    pid: int
    group_id: int
    session_id: int
    is_zombie: bool
    started_at: float


def started_at(pid: int) -> float | None:
    """When the process started (see `ProcessFacts.started_at`), or None when there is no such process."""
    facts = _facts(pid)
    return None if facts is None else facts.started_at


def living_since(pid: int) -> float | None:
    """As `started_at`, and None for a zombie too."""
    facts = _facts(pid)
    return None if facts is None or facts.is_zombie else facts.started_at


def boot_id() -> str:
    """Text that differs after a reboot; empty where the system has none."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""


def group_alive(group_id: int) -> bool:
    """True while a process of the group exists that is no zombie."""
    if _is_empty(group_id):
        return False
    if sys.platform == "win32":
        return True
    leader = _facts(group_id)
    if leader is not None and not leader.is_zombie and leader.group_id == group_id:
        return True
    return any(not member.is_zombie for member in _members(group_id))


def group_matches(group_id: int, leader_started_at: float) -> bool:
    """
    True when the group that lives now is the one whose leader started at `leader_started_at`.

    When the leader is gone, what is left must stand in the leader's session and be no older than it: that is what our
    groups look like, and a number taken again by a stranger does not.
    """
    leader = _facts(group_id)
    if leader is not None and not leader.is_zombie:
        return leader.group_id == group_id and _same_start(leader.started_at, leader_started_at)
    if leader is not None and not _same_start(leader.started_at, leader_started_at):
        return False
    return any(
        not member.is_zombie
        and member.session_id == group_id
        and member.started_at >= leader_started_at - _STARTED_AT_TOLERANCE_S
        for member in _members(group_id)
    )


def signal_group(group_id: int, number: signal.Signals) -> bool:
    """
    Send a signal to every member.

    Returns:
        False when nobody was there to be told.
    """
    assert group_id > 1, "0 and 1 would address ourselves and everybody"
    if sys.platform == "win32":
        from sidestep.executors.process_tree import kill_tree

        return kill_tree(group_id)
    try:
        os.killpg(group_id, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kill_group(group_id: int) -> bool:
    """Send SIGKILL to every member; stopped ones die too. Returns False when nobody was there."""
    return signal_group(group_id, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def ask_group_to_end(group_id: int) -> None:
    """Send TERM to every member; nothing when nobody is there. On Windows there is nothing to ask with."""
    if sys.platform != "win32" and signal_group(group_id, signal.SIGTERM):
        # A stopped process sees TERM only when it goes on.
        signal_group(group_id, signal.SIGCONT)


async def terminate_group(
    group_id: int,
    grace_s: float,
    sleep: Callable[[float], Awaitable[None]],
    leader_ended: asyncio.Future[None] | None = None,
) -> None:
    """End a group: TERM to every member, and then as `outlast_group`."""
    ask_group_to_end(group_id)
    await outlast_group(group_id, grace_s, sleep, leader_ended)


async def outlast_group(
    group_id: int,
    grace_s: float,
    sleep: Callable[[float], Awaitable[None]],
    leader_ended: asyncio.Future[None] | None = None,
) -> None:
    """
    Wait until nobody is left of a group that was asked to end; KILL to what is there after the grace.

    Waits as long as that takes: a process in an uninterruptible system call, or one that changed its user, goes only
    when it wants to, and until then the group is not gone. May be cancelled; then the group is killed at once and no
    longer waited for.

    Args:
        leader_ended: Ends with the leader, where somebody knows that; until then nobody has to be looked for.
    """
    try:
        if await gone_within(group_id, grace_s, sleep, leader_ended):
            return
        kill_group(group_id)
        while not await gone_within(group_id, _POLL_S_MAX, sleep, leader_ended):
            # Again: it costs nothing, and on Windows new children may have appeared.
            kill_group(group_id)
    except asyncio.CancelledError:
        kill_group(group_id)
        raise


async def gone_within(
    group_id: int,
    seconds: float,
    sleep: Callable[[float], Awaitable[None]],
    leader_ended: asyncio.Future[None] | None = None,
) -> bool:
    """
    Wait until nobody of the group is left, at most that long, counted in the waits asked of `sleep`.

    Args:
        leader_ended: As in `outlast_group`.
    """
    waited_s, step_s = 0.0, _POLL_S_MIN
    if leader_ended is not None and not leader_ended.done():
        waited_s = await _wait_for(leader_ended, seconds, sleep)
    if _is_empty(group_id):
        return True
    while waited_s < seconds:
        # Who ended together with the leader is gone when somebody has reaped it, mostly before the first step is over.
        # Looking for zombies at once is no faster: it reads the whole process table.
        await sleep(step_s)
        waited_s += step_s
        step_s = min(step_s * 2, _POLL_S_MAX)
        if not group_alive(group_id):
            return True
    return False


async def _wait_for(event: asyncio.Future[None], seconds: float, sleep: Callable[[float], Awaitable[None]]) -> float:
    """Wait for an event, at most that long; how long it was, `seconds` when the time was up."""
    loop = asyncio.get_running_loop()
    began_at, timer = loop.time(), asyncio.ensure_future(sleep(seconds))
    try:
        await asyncio.wait({timer, event}, return_when=asyncio.FIRST_COMPLETED)
        return min(loop.time() - began_at, seconds) if event.done() else seconds
    finally:
        timer.cancel()


def wait_gone(group_id: int, seconds: float) -> bool:
    """
    Wait until nobody of a killed group is left, at most that long; False when somebody still is.

    Blocking, for threads. What was sent SIGKILL runs no more of its program, but it may take a moment to let go of
    its files and ports; in an uninterruptible system call that is as long as the call takes.
    """
    ends_at, step_s = time.monotonic() + seconds, _POLL_S_MIN
    while group_alive(group_id):
        if time.monotonic() >= ends_at:
            return False
        time.sleep(step_s)
        step_s = min(step_s * 2, _POLL_S_MAX)
    return True


def _is_empty(group_id: int) -> bool:
    """True when not even a zombie is left of the group; one system call."""
    if sys.platform == "win32":
        from sidestep.executors.process_tree import tree_is_alive

        return not tree_is_alive(group_id)
    try:
        os.killpg(group_id, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # Somebody is there whom we may not signal: a program that changed its user, or on macOS a zombie.
        pass
    return False


def _same_start(one: float, other: float) -> bool:
    return abs(one - other) <= _STARTED_AT_TOLERANCE_S


def _members(group_id: int) -> Iterator[ProcessFacts]:
    """Every process of the group, zombies too. Reads the whole process table: about 20 us a process."""
    for pid in _pids():
        facts = _facts(pid)
        if facts is not None and facts.group_id == group_id:
            yield facts


def _pids() -> list[int]:
    if _HAS_PROC:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    import psutil

    return psutil.pids()


def _facts(pid: int) -> ProcessFacts | None:
    return _facts_from_proc(pid) if _HAS_PROC else _facts_from_psutil(pid)


def _facts_from_proc(pid: int) -> ProcessFacts | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return ProcessFacts(
        pid=pid,
        group_id=int(fields[2]),
        session_id=int(fields[3]),
        is_zombie=fields[0] in (b"Z", b"X"),
        started_at=int(fields[19]) / _TICKS_PER_S,
    )


def _facts_from_psutil(pid: int) -> ProcessFacts | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return ProcessFacts(
                pid=pid,
                group_id=pid if sys.platform == "win32" else os.getpgid(pid),
                session_id=pid if sys.platform == "win32" else os.getsid(pid),
                is_zombie=process.status() == psutil.STATUS_ZOMBIE,
                started_at=process.create_time(),
            )
    except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError):
        return None
