"""F3, F4: who lives is the kernel's word; what the dead left running is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sidestep.executors import process_group
from sidestep.model.errors import StoreUnavailable
from sidestep.store.owner_file import SLOT_BYTES, parse_owner_file
from sidestep.store.owners import OwnerDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX process groups")

# Another process that owns: opens its file, says so, and waits to be killed.
OWNER = """
import sys
from pathlib import Path
from sidestep.executors import process_group
from sidestep.store.owners import OwnerDirectory
owners = OwnerDirectory(Path(sys.argv[1]), sys.argv[2], process_group)
owners.open()
for entry in sys.argv[3:]:
    run_id, group, started = entry.split("/")
    owners.record(run_id, int(group), float(started))
print("open", flush=True)
sys.stdin.read()
"""
# A command with a grandchild that ignores TERM; prints the grandchild's pid.
FAMILY = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def spawn(processes: list[subprocess.Popen[str]], *command: str) -> subprocess.Popen[str]:
    """Start Python on a program in a group of its own, and wait for its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    processes.append(process)
    return process


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def listed(folder: Path, owner_id: str) -> list[int]:
    return [entry.group for entry in parse_owner_file((folder / owner_id).read_bytes())[1]]


def make(folder: Path, owner_id: str) -> OwnerDirectory:
    return OwnerDirectory(folder, owner_id, process_group)


@pytest.mark.slow
def test_f3_a_killed_owner_is_dead_at_once_and_a_stopped_one_is_not(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    with make(tmp_path / "owners", "owner-a") as owners:
        other = spawn(processes, OWNER, str(tmp_path / "owners"), "owner-b")
        assert first_line(other) == "open"
        assert owners.is_alive("owner-b")
        assert owners.owner_ids() == ["owner-a", "owner-b"]
        os.kill(other.pid, signal.SIGSTOP)
        assert owners.is_alive("owner-b")
        owners.remove("owner-b")
        assert owners.owner_ids() == ["owner-a", "owner-b"]
        other.kill()
        other.wait()
        assert not owners.is_alive("owner-b")
        owners.remove("owner-b")
        assert owners.owner_ids() == ["owner-a"]


def test_f3_two_directories_of_one_process_see_each_other(tmp_path: Path) -> None:
    first, second = make(tmp_path, "owner-a"), make(tmp_path, "owner-b")
    assert not first.is_alive("owner-a")
    with first, second:
        # Asking opens and closes the file: the lock must survive that.
        for _ in range(3):
            assert first.is_alive("owner-a")
            assert first.is_alive("owner-b")
            assert second.is_alive("owner-a")
        first.remove("owner-b")
        assert second.is_alive("owner-b")
    assert not second.is_alive("owner-a")
    assert os.listdir(tmp_path) == []


def test_an_owner_without_a_file_or_with_an_odd_name_is_dead(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with make(tmp_path / "owners", "owner-a") as owners:
        for owner_id in ("owner-gone", "../secret", "", ".", "a" * 500):
            assert not owners.is_alive(owner_id)
            assert owners.stop_groups(owner_id) == 0
            owners.remove(owner_id)
    assert (tmp_path / "secret").exists()


def test_a_folder_that_cannot_be_made_is_the_store_s_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    owners = make(tmp_path / "file" / "owners", "owner-a")
    with pytest.raises(StoreUnavailable):
        owners.open()
    assert not owners.is_alive("owner-a")


def test_f4_the_file_lists_the_groups_alive_and_does_not_grow_with_those_gone(tmp_path: Path) -> None:
    with make(tmp_path, "owner-a") as owners:
        owners.record("run_1", 101, 1.5)
        owners.record("run_2", 102, 2.5)
        owners.forget(101)
        owners.forget(999)
        assert listed(tmp_path, "owner-a") == [102]
        for group in range(1000, 1200):
            owners.record("run_" + "x" * 16, group, 1e9 + 0.123456)
            owners.forget(group)
        assert listed(tmp_path, "owner-a") == [102]
        assert (tmp_path / "owner-a").stat().st_size == 3 * SLOT_BYTES
        header, _ = parse_owner_file((tmp_path / "owner-a").read_bytes())
        assert header is not None
        assert header.pid == os.getpid()


@pytest.mark.slow
def test_f4_the_groups_of_a_dead_owner_that_still_match_are_killed(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    family, spared, orphaned = (spawn(processes, FAMILY) for _ in range(3))
    for process in (family, spared, orphaned):
        assert first_line(process)
    entries = [f"run_1/{p.pid}/{process_group.started_at(p.pid)}" for p in (family, orphaned)]
    # A number that was given to another process since: its start does not match.
    entries.append(f"run_1/{spared.pid}/{process_group.started_at(spared.pid) - 50}")
    entries.append(f"run_1/{2**22 + 5}/1.0")
    other = spawn(processes, OWNER, str(tmp_path), "owner-b", *entries)
    assert first_line(other) == "open"
    other.kill()
    other.wait()
    # The leader of this group is gone; what it started is still there.
    orphaned.kill()
    orphaned.wait()
    with make(tmp_path, "owner-a") as owners:
        assert owners.stop_groups("owner-b", "run_other") == 0
        assert owners.stop_groups("owner-b", "run_1") == 2
        # Gone on return, so that whoever claims the run next never meets a dying copy.
        assert [process_group.group_alive(group.pid) for group in (family, orphaned)] == [False, False]
        assert family.wait(5) == -signal.SIGKILL
        assert spared.poll() is None
        assert owners.stop_groups("owner-b") == 0


def test_f4_after_a_restart_of_the_machine_nothing_is_killed(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    class AfterBoot:
        boot = "before"
        killed: list[int]

        def __init__(self) -> None:
            self.killed = []

        def boot_id(self) -> str:
            return self.boot

        def group_matches(self, group_id: int, leader_started_at: float) -> bool:
            return True

        def kill_group(self, group_id: int) -> bool:
            self.killed.append(group_id)
            return True

        def wait_gone(self, group_id: int, seconds: float) -> bool:
            return True

    groups = AfterBoot()
    with OwnerDirectory(tmp_path, "owner-a", groups) as owners:
        owners.record("run_1", 4242, 1.0)
        assert owners.stop_groups("owner-a") == 1
        groups.boot = "after"
        assert owners.stop_groups("owner-a") == 0
    assert groups.killed == [4242]


def test_a_damaged_line_hides_no_other(tmp_path: Path) -> None:
    with make(tmp_path, "owner-a") as owners:
        owners.record("run_1", 101, 1.5)
        owners.record("run_2", 102, 2.5)
        with open(tmp_path / "owner-a", "r+b") as file:
            file.seek(SLOT_BYTES)
            file.write(b"\xff" * 20)
        assert listed(tmp_path, "owner-a") == [102]


def test_f4_a_killed_group_is_waited_for_until_it_is_gone(tmp_path: Path) -> None:
    """One that hangs in a system call is not waited for for ever."""

    class Reluctant:
        """Groups that are gone only when they were waited for; 102 never is."""

        def __init__(self) -> None:
            self.waited: list[tuple[int, float]] = []

        def boot_id(self) -> str:
            return ""

        def group_matches(self, group_id: int, leader_started_at: float) -> bool:
            return True

        def kill_group(self, group_id: int) -> bool:
            return group_id != 103

        def wait_gone(self, group_id: int, seconds: float) -> bool:
            self.waited.append((group_id, seconds))
            return group_id != 102

    groups = Reluctant()
    with OwnerDirectory(tmp_path, "owner-a", groups) as owners:
        for group in (101, 102, 103):
            owners.record("run_1", group, 1.0)
        assert owners.stop_groups("owner-a", "run_1") == 2
    assert [group for group, _ in groups.waited] == [101, 102]
    assert all(0 < seconds <= 2.0 for _, seconds in groups.waited)
