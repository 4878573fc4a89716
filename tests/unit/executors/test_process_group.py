"""Groups of real processes: alive, matching, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.executors import process_group
from sidestep.executors.process_group import (
    boot_id,
    group_alive,
    group_matches,
    kill_group,
    started_at,
    terminate_group,
    wait_gone,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Lifeline


def start(script: str, folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    """A shell that leads a group of its own."""
    return subprocess.Popen(["bash", "-c", script], cwd=folder, start_new_session=True, **options)


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    """A group of one that reads its input for ever."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
    yield process
    process.kill()
    process.communicate()


def test_a_zombie_is_not_alive(leader: subprocess.Popen[bytes]) -> None:
    assert group_alive(leader.pid)
    leader.kill()
    os.waitid(os.P_PID, leader.pid, os.WEXITED | os.WNOWAIT)
    assert not group_alive(leader.pid)
    assert kill_group(leader.pid), "a zombie can still be signalled; nothing comes of it"
    leader.wait()
    assert not group_alive(leader.pid)
    assert not kill_group(leader.pid)


def test_f4_the_wait_for_a_killed_group_ends_when_it_is_gone_and_in_any_case_in_time(
    leader: subprocess.Popen[bytes],
) -> None:
    assert not wait_gone(leader.pid, 0.01), "it lives"
    kill_group(leader.pid)
    assert wait_gone(leader.pid, 10)
    assert not group_alive(leader.pid)


def test_f4_a_group_matches_only_with_the_start_time_of_its_leader(leader: subprocess.Popen[bytes]) -> None:
    began = started_at(leader.pid)
    assert began is not None
    assert group_matches(leader.pid, began)
    assert not group_matches(leader.pid, began - 1)
    assert not group_matches(leader.pid, began + 1)
    leader.kill()
    leader.wait()
    assert not group_matches(leader.pid, began)
    assert started_at(leader.pid) is None


async def test_f4_a_group_still_matches_when_only_grandchildren_are_left(tmp_path: Path, life: Lifeline) -> None:
    """After a crash of ours the leader may die of its closed pipes while its children work on."""
    leader = start("(exec 9>life; echo up >&9; exec sleep 1000) & read -r _", tmp_path, stdin=subprocess.PIPE)
    began = started_at(leader.pid)
    assert began is not None
    assert await life.line() == "up"
    leader.communicate()
    assert started_at(leader.pid) is None
    assert group_alive(leader.pid)
    assert group_matches(leader.pid, began)
    assert not group_matches(leader.pid, began + 3600), "a member older than the leader is none of ours"
    await terminate_group(leader.pid, 0.1, asyncio.sleep)
    assert not life.is_held


def test_f4_strangers_in_a_group_without_leader_do_not_match(leader: subprocess.Popen[bytes]) -> None:
    """A shell's job has a group of its own in the shell's session: never one of ours, whatever its number."""
    job = subprocess.Popen(["cat"], stdin=subprocess.PIPE, process_group=0)
    member = subprocess.Popen(["cat"], stdin=subprocess.PIPE, process_group=job.pid)
    began = started_at(job.pid)
    assert began is not None
    job.kill()
    job.communicate()
    assert group_alive(job.pid)
    assert not group_matches(job.pid, began)
    member.kill()
    member.communicate()


async def test_terminate_waits_out_the_grace_then_kills(tmp_path: Path, life: Lifeline) -> None:
    """The grace is counted in the waits it asks for, so a test may answer them at once."""
    script = 'trap "" TERM; exec 9>life; echo up >&9; sleep 1000; sleep 1000'
    leader = start(script, tmp_path)
    assert await life.line() == "up"
    waits: list[float] = []
    alive_at_grace = False

    async def wait(seconds: float) -> None:
        nonlocal alive_at_grace
        if sum(waits) < 2.0:
            alive_at_grace = group_alive(leader.pid)
            waits.append(seconds)
        else:
            # Killed by now: the real end is awaited.
            leader.wait()

    await terminate_group(leader.pid, 2.0, wait)
    assert alive_at_grace
    assert max(waits) <= 0.05
    assert leader.wait() == -signal.SIGKILL
    assert not life.is_held


async def test_nobody_is_looked_for_before_the_leader_has_ended(leader: subprocess.Popen[bytes]) -> None:
    """While the leader lives the group does: its end is waited for, in one wait, and not asked for again and again."""
    ended = asyncio.get_running_loop().create_future()
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        leader.wait()
        ended.set_result(None)
        await asyncio.Event().wait()

    await terminate_group(leader.pid, 2.0, wait, ended)
    assert waits == [2.0]
    assert not group_alive(leader.pid)


async def test_terminate_kills_a_leader_that_outlasts_the_grace(tmp_path: Path, life: Lifeline) -> None:
    leader = start('trap "" TERM; exec 9>life; echo up >&9; exec sleep 1000', tmp_path)
    assert await life.line() == "up"
    ended = asyncio.get_running_loop().create_future()
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            # Killed by now: the real end is awaited.
            leader.wait()
            ended.set_result(None)

    await terminate_group(leader.pid, 2.0, wait, ended)
    assert waits[0] == 2.0
    assert leader.wait() == -signal.SIGKILL


async def test_the_process_table_is_not_read_for_a_group_that_goes_with_its_leader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a desktop it has hundreds of processes, 20 us each, on the loop."""
    looks: list[None] = []
    monkeypatch.setattr(process_group, "_pids", lambda: looks.append(None) or [])
    process = start("exec sleep 1000", tmp_path)
    ended = asyncio.ensure_future(asyncio.to_thread(process.wait))
    await terminate_group(process.pid, 60, asyncio.sleep, ended)
    assert looks == []


async def test_terminate_of_a_group_that_is_gone_returns_at_once(tmp_path: Path) -> None:
    process = start("true", tmp_path)
    process.wait()

    async def never(_: float) -> None:
        pytest.fail("nothing to wait for")

    await terminate_group(process.pid, 2.0, never)


def test_nobody_can_signal_everybody() -> None:
    """killpg(0) is ourselves and killpg(1) is everybody we may signal."""
    for number in (0, 1):
        with pytest.raises(AssertionError):
            kill_group(number)


def test_names_with_spaces_and_parentheses_do_not_confuse_the_process_table(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/cat")
    process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, start_new_session=True)
    facts = process_group._facts(process.pid)
    assert facts is not None
    assert (facts.group_id, facts.session_id, facts.is_zombie) == (process.pid, process.pid, False)
    process.communicate()


def test_psutil_and_proc_agree_about_groups(leader: subprocess.Popen[bytes]) -> None:
    """The road of systems without /proc, driven on this one."""
    psutil_says, proc_says = process_group._facts_from_psutil(leader.pid), process_group._facts(leader.pid)
    assert psutil_says is not None
    assert proc_says is not None
    assert (psutil_says.group_id, psutil_says.session_id, psutil_says.is_zombie) == (leader.pid, leader.pid, False)
    assert psutil_says.started_at != proc_says.started_at, "one counts from 1970, one from boot: never mix them"


def test_boot_id_is_stable() -> None:
    assert boot_id() == boot_id()
