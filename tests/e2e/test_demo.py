"""The demo as somebody runs it, in every place it can be run from. Promises 2 and 5: C1, J4, F4."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.git_repository import GitRepository

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COUNTS = re.compile(r"(\d+) reused \+ (\d+) ran = (\d+) of (\d+) steps")
# Five times the product's limit.
SECONDS_MAX = 100


@dataclass
class Place:
    """Where the demo runs: its folder, an empty home, and an empty folder for temporary files."""

    folder: Path
    home: Path
    temporary: Path

    def environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SIDESTEP_", "XDG_", "GIT_"))}
        return {
            **own,
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "server"), str(ROOT / "protocol")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_CEILING_DIRECTORIES": str(self.folder.parent),
        }

    def begin(self, *, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """`before` are words that begin the demo's command in their turn."""
        return subprocess.Popen(
            [*before, sys.executable, "-m", "sidestep.cli.demo"],
            cwd=self.folder,
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "repository", tmp_path / "home", tmp_path / "temporary")
    made.home.mkdir()
    made.temporary.mkdir()
    return made


def repository(folder: Path, commits: int) -> GitRepository:
    made = GitRepository(folder)
    for number in range(commits):
        made.commit(("Ada", "Grace")[number % 2], {f"src/{number % 3}.py": f"# TODO: {number}\n"})
    return made


def left_behind(place: Place) -> list[str]:
    """Processes that still have the demo's folder for temporary files in their words or in their environment."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("TMPDIR") == str(place.temporary):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def check_demo(place: Place) -> str:
    """Run the demo and check what it promises everywhere; returns what it printed."""
    files = place.files()
    began = time.monotonic()
    process = place.begin()
    out, err = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0, out + err
    assert time.monotonic() - began < SECONDS_MAX
    found = COUNTS.search(out)
    assert found is not None, out
    reused, ran, done, total = map(int, found.groups())
    assert reused + ran == done == total
    assert reused == total // 2, "the server was killed at the step in the middle, and git was held up there"
    assert "# Repository report: " in out
    assert "is dead: SIGKILL" in out
    assert err == ""
    assert place.files() == files
    assert os.listdir(place.temporary) == []
    assert os.listdir(place.home) == []
    assert left_behind(place) == []
    return out


def test_on_an_ordinary_repository(place: Place) -> None:
    repository(place.folder, 12)
    out = check_demo(place)
    assert "temporary repository" not in out
    assert "# Repository report: repository" in out


def test_with_one_commit(place: Place) -> None:
    repository(place.folder, 1)
    check_demo(place)


def test_in_a_shallow_clone(place: Place, tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", 8)
    origin.git("clone", "-q", "--depth", "2", origin.folder.as_uri(), str(place.folder))
    check_demo(place)


def test_from_a_tarball_it_makes_a_small_repository_and_says_so(place: Place, tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", 2)
    origin.git("archive", "--output", str(tmp_path / "sources.tar"), "HEAD")
    place.folder.mkdir()
    with tarfile.open(tmp_path / "sources.tar") as sources:
        sources.extractall(place.folder, filter="data")
    out = check_demo(place)
    assert "a small temporary repository is made: this is no git repository" in out


def test_before_the_first_commit_it_makes_a_small_repository_and_says_so(place: Place) -> None:
    GitRepository(place.folder)
    assert "a small temporary repository is made: the repository here has no commits yet" in check_demo(place)


def hold_git(folder: Path) -> None:
    """A git in front of the real one that stays where it is when it names the empty tree for the second time."""
    folder.mkdir()
    os.mkfifo(folder / "gate")
    real = shutil.which("git")
    assert real is not None
    held = f'mkdir "{folder}/once" 2>/dev/null || exec cat "{folder}/gate"'
    script = f'#!/bin/sh\ncase " $* " in *" hash-object "*) {held} ;; esac\nexec "{real}" "$@"\n'
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)


@pytest.mark.parametrize("before", [(), ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")], ids=["", "in the background"])
def test_stopped_half_way_it_leaves_nothing_behind(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...]
) -> None:
    """Also as a shell's background job, which Ctrl-C does not reach."""
    repository(place.folder, 3)
    # Once while it looks how much there is to do, then in its first steps: it cannot end before the signal arrives.
    hold_git(tmp_path / "held")
    monkeypatch.setenv("PATH", f"{tmp_path / 'held'}{os.pathsep}{os.environ['PATH']}")
    process = place.begin(before=before)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 4
    assert os.listdir(place.temporary) == []
    assert left_behind(place) == []


def test_a_reader_that_goes_away_ends_it_quietly(place: Place) -> None:
    repository(place.folder, 1)
    with place.begin() as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1
    assert os.listdir(place.temporary) == []
    assert left_behind(place) == []


def test_without_git_it_says_what_to_install(place: Place) -> None:
    place.folder.mkdir()
    environ = {**place.environ(), "PATH": str(place.home)}
    done = subprocess.run(
        [sys.executable, "-m", "sidestep.cli.demo"],
        cwd=place.folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "apt install git" in done.stderr
    assert "Traceback" not in done.stderr
