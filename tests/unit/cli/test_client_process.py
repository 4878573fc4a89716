"""The client's process, as it is watched (W19)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from sidestep.cli.client_process import ClientProcess


@pytest.mark.parametrize("pid", [2**22 + 1, 2**31 - 1, 2**62, 0, -1])
def test_w19_a_pid_that_is_nobodys_is_not_visible(pid: int) -> None:
    assert not ClientProcess(pid).is_visible


def test_w19_our_own_parent_and_process_one_are_visible_and_there() -> None:
    for pid in (os.getppid(), 1):
        process = ClientProcess(pid)
        assert (process.is_visible, process.is_gone) == (True, False)


def test_w19_an_end_is_seen_before_anybody_has_reaped_the_process() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = ClientProcess(child.pid)
        assert (process.is_visible, process.is_gone) == (True, False)
        child.kill()
        asyncio.run(process.wait_gone(0.001))


def test_w19_a_later_process_with_the_same_number_is_another_one() -> None:
    process = ClientProcess(os.getpid())
    assert process._since is not None
    process._since -= 60
    assert process.is_gone
