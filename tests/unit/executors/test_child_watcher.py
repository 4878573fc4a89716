"""How the end of a child is noticed: without a thread of its own, and however few descriptors there are."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.child_watcher import watch_by_descriptor
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Commands, Lifeline

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 12), reason="asyncio does this by itself, or nobody can"
)


@pytest.fixture(autouse=True)
def as_at_the_start() -> Iterator[None]:
    """As in a process that has started no child yet, and afterwards as it was."""
    before = asyncio.get_child_watcher()
    asyncio.set_child_watcher(asyncio.ThreadedChildWatcher())
    yield
    asyncio.set_child_watcher(before)


def threads_that_wait() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "waitpid" in thread.name]


async def test_a_running_command_has_no_thread(commands: Commands, life: Lifeline) -> None:
    before, controller = threads_that_wait(), AbortController()
    script = "exec 9>life; echo up >&9; exec sleep 1000"
    running = asyncio.ensure_future(commands.outcome(["sh", "-c", script], controller.signal))
    assert await life.line() == "up"
    assert threads_that_wait() == before
    controller.abort(AbortReason(AbortKind.USER))
    with pytest.raises(Aborted):
        await running


async def test_how_a_command_ended_is_told_in_full(commands: Commands) -> None:
    assert (await commands.run(["sh", "-c", "exit 3"], check=False))["exit_code"] == 3
    assert (await commands.run(["sh", "-c", "kill -KILL $$"], check=False))["exit_code"] == -9


async def test_without_a_descriptor_a_command_ends_all_the_same(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert (await commands.run(["sh", "-c", "exit 0"]))["exit_code"] == 0
    assert (await commands.run(["sh", "-c", "exit 3"], check=False))["exit_code"] == 3


def test_each_loop_hears_of_its_own_children(commands: Commands) -> None:
    """Also loops one after the other, and one beside the main thread's."""
    codes: list[int] = []

    def run() -> None:
        codes.append(asyncio.run(commands.run(["true"]))["exit_code"])

    run()
    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [0, 0, 0]


def test_a_watcher_that_somebody_chose_stays() -> None:
    chosen = asyncio.SafeChildWatcher()
    asyncio.set_child_watcher(chosen)
    watch_by_descriptor()
    assert asyncio.get_child_watcher() is chosen
    chosen.close()


async def test_i6_the_end_of_a_child_that_somebody_else_reaped_is_heard_of_too() -> None:
    """asyncio does so itself when a start is cancelled, and so does a system that was told to ignore SIGCHLD."""
    watch_by_descriptor()
    child = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)  # noqa: ASYNC221
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_child_watcher().add_child_handler(child, lambda _, code: ended.set_result(code))
    os.kill(child, signal.SIGKILL)
    # Before the loop can look: nothing is awaited in between.
    os.waitpid(child, 0)  # noqa: ASYNC222
    async with asyncio.timeout(10):
        assert await ended == 255
