"""The engines' processes: asked, stopped, killed whole; and the benchmark's command on one tiny workload of ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.bench import long_run
from tests.bench.__main__ import main
from tests.bench.comparison import Comparison
from tests.bench.engine_environments import OURS, PEERS, PROGRAMS, SERVER_PACKAGE, SERVICE, engine_programs
from tests.bench.engine_process import EngineBroken, EngineProcess, EngineStopped, stored_bytes
from tests.bench.floor import CommitFloor
from tests.bench.plan import Plan
from tests.bench.wire_peers import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

# An engine whose one order has a child that outlives everything, and another that breaks.
PROGRAM = f"""
import asyncio, subprocess, sys
sys.path.insert(0, {str(PROGRAMS)!r})
from program import main

class Engine:
    def __init__(self, folder, teller, is_recovering):
        self.is_recovering = is_recovering
    async def open(self): pass
    async def close(self): pass
    async def echo(self, word): print("a library prints"); return [word, self.is_recovering]
    async def child(self): return subprocess.Popen(["sleep", "60"], start_new_session=True).pid
    async def endless(self): await asyncio.Event().wait()
    async def broken(self): raise ValueError("no such thing")

main(Engine)
"""


def spawn(folder: Path, *, is_recovering: bool = False) -> EngineProcess:
    program = folder / "engine.py"
    program.write_text(PROGRAM)
    process = EngineProcess("test", [sys.executable, str(program)], os.environ, folder, is_recovering=is_recovering)
    process.wait_ready()
    return process


def test_an_order_is_answered_and_prints_do_not_disturb(tmp_path: Path) -> None:
    with spawn(tmp_path) as process:
        assert process.ask("echo", 10, word="a") == ["a", False]
    with spawn(tmp_path, is_recovering=True) as process:
        assert process.ask("echo", 10, word="b") == ["b", True]


def test_a_kill_takes_every_process_below(tmp_path: Path) -> None:
    with spawn(tmp_path) as process:
        child = psutil.Process(process.ask("child", 10))
        assert process.proportional_bytes() > 1_000_000
        assert process.peak_bytes() >= process.proportional_bytes()
    child.wait(10)
    assert not child.is_running()


def test_an_order_that_takes_too_long_ends_the_engine(tmp_path: Path) -> None:
    with spawn(tmp_path) as process:
        with pytest.raises(EngineStopped):
            process.ask("endless", 0.05)
        assert not psutil.pid_exists(process.pids()[0])


def test_a_broken_order_is_told_with_the_engines_words(tmp_path: Path) -> None:
    with spawn(tmp_path) as process, pytest.raises(EngineBroken, match="no such thing"):
        process.ask("broken", 10)


def test_what_is_stored_is_every_file_but_the_words_on_stderr(tmp_path: Path) -> None:
    """A write-ahead log may be named `.log`, as RocksDB's is."""
    (tmp_path / "log-store").mkdir()
    (tmp_path / "log-store/000004.log").write_bytes(b"x" * 700)
    (tmp_path / "stderr.log").write_bytes(b"x" * 50)
    assert stored_bytes(tmp_path) == 700


def test_our_engine_goes_on_after_a_kill_with_the_first_step_that_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    program = engine_programs([SERVICE], tmp_path / "home")[SERVICE]
    store = tmp_path / "store"
    with program.spawn(store) as process:
        process.wait_ready()
        process.send("hold", count=5)
        process.wait_told("held", 30)
    with program.spawn(store, is_recovering=True) as process:
        process.send("go_on")
        assert process.wait_told("stepped", 30) == "stepped 5"


def test_the_command_measures_one_tiny_workload_and_writes_nothing() -> None:
    place = REPOSITORY / "tests/bench"
    before = {path: path.stat().st_mtime_ns for path in place.iterdir() if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--json"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(REPOSITORY / name) for name in ("server", "protocol", ".")),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    (workload,) = json.loads(done.stdout)["workloads"]
    assert (workload["name"], workload["size"]) == ("sequential", 10)
    assert workload["samples"][SERVICE][0] > 0
    assert {path: path.stat().st_mtime_ns for path in place.iterdir() if path.is_file()} == before


def test_the_floor_is_measured_beside_a_kill_and_a_start_up(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    floor = CommitFloor(tmp_path)
    comparison = Comparison(engine_programs([SERVICE], tmp_path / "home"), floor, tmp_path, Plan(kill_rounds=1))
    took: list[str] = []

    @contextmanager
    def around(name: str) -> Iterator[None]:
        took.append(name)
        yield

    try:
        comparison.measure("kill", around)
    finally:
        comparison.close()
        floor.close()
    assert took == ["kill"]
    assert [(each.name, sorted(each.samples)) for each in comparison.workloads] == [
        ("kill", ["floor", SERVICE]),
        ("startup", ["floor", SERVICE]),
    ]


def test_a_long_run_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STEPS_A_RUN": 20, "_PAIRS": 2, "_STEPS_OF_A_PAIR": 5}.items():
        monkeypatch.setattr(long_run, name, value)
    (tmp_path / "home").mkdir()
    floor = CommitFloor(tmp_path)
    try:
        programs = engine_programs(OURS, tmp_path / "home")
        found = long_run.measure_long_run(programs, floor, tmp_path / "long", steps=60, seconds=0)
    finally:
        floor.close()
    assert (found.steps, found.engines) == (60, list(OURS))
    for name in OURS:
        assert found.cost_change(name).ratio > 0
        assert found.memory_change(name).first > 1_000_000
        assert found.age(name).count == 2


def test_a_peer_that_cannot_be_installed_ends_the_command_with_its_installers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.bench.engine_environments.PEERS_FOLDER", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert main(["--only", "sequential", "--without", "langgraph", "--without", "restate"]) == 1
    said = capsys.readouterr().err
    assert "dbos cannot be installed" in said
    assert "No matching distribution found" in said
    assert "make bench ARGS='--without dbos'" in said
    assert max(len(line) for line in said.splitlines()) < 500


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_pinned_with_hashes_and_without_an_address(name: str) -> None:
    lines = (REPOSITORY / "requirements" / f"bench-{name}.txt").read_text().splitlines()
    pins = [line for line in lines if re.match(r"^[a-z0-9]", line)]
    assert pins
    assert all(re.match(r"^[a-z0-9._-]+==\S+ \\$", line) for line in pins)
    assert sum("--hash=sha256:" in line for line in lines) >= len(pins)
    assert [line for line in lines if "://" in line or "--index" in line or "--find-links" in line] == []
    wanted = (REPOSITORY / "requirements" / f"bench-{name}.in").read_text().splitlines()
    assert {line for line in wanted if not line.startswith("#")} <= {line.split("==")[0] for line in pins}


def test_the_server_from_npm_is_locked_without_an_address() -> None:
    package = json.loads((SERVER_PACKAGE / "package.json").read_text())
    lock = json.loads((SERVER_PACKAGE / "package-lock.json").read_text())
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    assert all(each["integrity"] for place, each in lock["packages"].items() if place)
    assert "://" not in json.dumps(lock)
