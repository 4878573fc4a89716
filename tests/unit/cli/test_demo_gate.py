"""The `git` that stops after so many calls."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sidestep.cli.demo_gate import GitGate

if TYPE_CHECKING:
    from pathlib import Path


def test_once_closed_so_many_calls_pass_and_the_next_waits_until_it_opens(tmp_path: Path) -> None:
    place = tmp_path / "it's a gate"
    gate = GitGate(place)
    environ = gate.environ(os.environ)

    def call(_: int) -> str:
        return subprocess.run(["git", "--version"], env=environ, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(3) as threads:
        for closed in (False, True):
            if closed:
                gate.close_after(3)
            assert all(answer.startswith("git version") for answer in threads.map(call, range(3)))

    held = subprocess.Popen(["git", "--version"], env=environ, stdout=subprocess.PIPE, text=True)
    # Returns when somebody is at the gate.
    writer = os.open(place / "closed", os.O_WRONLY)
    assert held.poll() is None
    gate.open()
    os.close(writer)
    assert held.communicate() == ("", None)


def test_opening_a_gate_where_nobody_waits_does_nothing(tmp_path: Path) -> None:
    gate = GitGate(tmp_path / "gate")
    gate.open()
    gate.open()
