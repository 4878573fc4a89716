"""X4: the limit on open files that `serve` and the command line give themselves, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.cli.file_limit import files_needed
from sidestep.settings import Settings
from tests.support.raw_client import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on open files"),
]

PROGRAM = """
import json, logging, resource, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from sidestep.cli.file_limit import make_room_for_files
from sidestep.settings import Settings
wanted = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (wanted["soft"], wanted["hard"]))
settings = make_room_for_files(Settings(active_runs_max=wanted["runs"]))
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
print()
print(json.dumps({"soft": soft, "hard": hard, "runs": settings.active_runs_max}))
"""


def made_room(wanted: Mapping[str, int]) -> tuple[dict[str, Any], str]:
    """(limits and settings afterwards, what was logged), in a process whose limits are `wanted`."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(wanted)],
        env={"PYTHONPATH": str(REPOSITORY / "server")},
        capture_output=True,
        text=True,
        check=True,
    )
    logged, _, told = done.stdout.rstrip().rpartition("\n")
    return json.loads(told), logged.strip()


NEEDED = files_needed(Settings(), 100)


def test_x4_a_soft_limit_is_raised_as_far_as_needed_and_no_further() -> None:
    hard = NEEDED + 50
    assert made_room({"soft": 64, "hard": hard, "runs": 100}) == ({"soft": NEEDED, "hard": hard, "runs": 100}, "")


def test_x4_a_limit_that_is_high_enough_stays() -> None:
    limits = {"soft": NEEDED + 10, "hard": NEEDED + 50, "runs": 100}
    assert made_room(limits) == (limits, "")


def test_x4_a_hard_limit_that_is_too_low_admits_fewer_runs_and_says_so() -> None:
    told, logged = made_room({"soft": 64, "hard": NEEDED - 30, "runs": 100})
    assert told == {"soft": NEEDED - 30, "hard": NEEDED - 30, "runs": 90}
    for part in (f"may open {NEEDED - 30} files", "100 active runs", "at most 90 runs", f"at least {NEEDED}"):
        assert part in logged


def test_x4_one_run_is_always_admitted() -> None:
    told, _ = made_room({"soft": 64, "hard": 128, "runs": 100})
    assert told["runs"] == 1
