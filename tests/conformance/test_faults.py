"""
The conformance kit names what is broken: a real server behind `faulty_proxy.py`, with one fault each.

G1, G2, G3, G4, G5, G6, G7, G8, W3, W9, W12, W15, W16, W18, W21, W23 and every row of the cancellation table.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sidestep_protocol.conformance.catalogue import GROUPS, choose
from sidestep_protocol.conformance.running import Outcome, Verdict, run_checks
from tests.conformance.faults import FAULTS
from tests.conformance.matrix import MATRIX, Row

ROOT = Path(__file__).resolve().parents[2]
PROXY = str(Path(__file__).with_name("faulty_proxy.py"))
SERVER = (sys.executable, "-m", "sidestep", "serve", "--stdio")
IMPATIENT = 0.3
SHORT = [row for row in MATRIX if row.is_short]


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers and kits that are spawned here run from the sources."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "server"), str(ROOT / "protocol")]))


def behind(fault: str) -> list[str]:
    """The command of a server with this fault."""
    return [sys.executable, PROXY, fault, *SERVER]


def run_kit(command: list[str], only: list[str], patience: float = 1.0) -> list[Outcome]:
    chosen, unknown = choose(only)
    assert unknown == []
    return asyncio.run(run_checks(chosen, command, patience=patience))


def on_the_command_line(fault: str, only: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    wanted = [word for name in only for word in ("--only", name)]
    kit = [sys.executable, "-m", "sidestep_protocol.conformance", *options, *wanted]
    return subprocess.run([*kit, "--", *behind(fault)], capture_output=True, text=True, check=False)


def told(outcome: Outcome) -> str:
    return f"{outcome.check.id}: expected {outcome.expected}; seen {outcome.seen}\n" + "\n".join(outcome.messages)


def name_of(row: Row) -> str:
    return f"{row.clause}-{row.fault}"


def check_names_the_fault(row: Row) -> None:
    """Exactly the check in question fails, names its clause, and says what it expected, saw and read."""
    (outcome,) = run_kit(behind(row.fault), [row.check], IMPATIENT if row.is_silent else 1.0)
    assert outcome.verdict is Verdict.FAILED, f"{row.fault} was not noticed"
    assert outcome.check.clause == row.clause
    assert row.expected in outcome.expected, told(outcome)
    assert outcome.seen
    assert any(line.startswith("<- ") for line in outcome.messages), "the messages around it"


@pytest.mark.slow
@pytest.mark.parametrize("row", SHORT, ids=name_of)
def test_the_kit_names_the_fault(row: Row) -> None:
    check_names_the_fault(row)


@pytest.mark.soak
@pytest.mark.parametrize("row", [row for row in MATRIX if not row.is_short], ids=name_of)
def test_the_kit_names_every_fault(row: Row) -> None:
    check_names_the_fault(row)


@pytest.mark.slow
def test_the_same_checks_pass_without_a_fault() -> None:
    """On the command line, behind the same proxy."""
    done = on_the_command_line("none", [row.check for row in SHORT])
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert {line[:4] for line in lines[:-2]} == {"pass"}
    assert lines[-1] == f"{len({row.check for row in SHORT})} passed"


@pytest.mark.slow
def test_the_command_line_shows_what_is_broken() -> None:
    done = on_the_command_line("answers-a-cancel-of-an-unknown-id", ["a-cancel-of-an-unknown-id-is-passed-over"])
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("FAIL  cancellation  cancellation row 1")
    assert [line.split(":")[0].strip() for line in lines[1:3]] == ["expected", "seen"]
    assert any(line.strip().startswith('-> {"method": "$/cancelRequest"') for line in lines)
    assert lines[-1] == "1 failed; not kept: cancellation row 1"


@pytest.mark.soak
@pytest.mark.parametrize("group", GROUPS)
def test_every_check_passes_behind_a_proxy_without_a_fault(group: str) -> None:
    outcomes = run_kit(behind("none"), [group], patience=3)
    assert [told(outcome) for outcome in outcomes if outcome.verdict is not Verdict.PASSED] == []


@pytest.mark.soak
@pytest.mark.parametrize("row", SHORT, ids=name_of)
def test_a_whole_group_finds_the_fault(row: Row) -> None:
    """As a person would run it: the group, with the table as JSON."""
    (group,) = [name for name, checks in GROUPS.items() if any(check.id == row.check for check in checks)]
    done = on_the_command_line(row.fault, [group], "--json", "--patience", "0.5")
    assert done.returncode == 1, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert row.clause in report["notKept"]
    assert row.check in {check["id"] for check in report["checks"] if check["verdict"] == "failed"}


def test_every_fault_stands_in_the_matrix() -> None:
    assert {row.fault for row in MATRIX} == set(FAULTS) - {"none"}


def test_the_matrix_has_every_clause_that_has_to_be_proven() -> None:
    rows = {f"cancellation row {number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)}
    wanted = {f"G{number}" for number in range(1, 9)} | {"W15", "W16", "W21"} | rows
    assert wanted - {row.clause for row in MATRIX} == set()
    assert {f"G{number}" for number in range(1, 9)} | {"W15", "W16", "W21"} <= {row.clause for row in SHORT}
