"""`sidestep runs background` with the run in another process. B1, B2, B3."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_cli_processes import GATED, at_the_gate, open_gate, read_until
from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.slow

QUICK = "async def main():\n    return 'done'\n"


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.script("gated", GATED)
    made.script("quick", QUICK)
    os.mkfifo(made.folder / "gate")
    return made


def test_b1_the_terminal_that_conducts_the_run_says_so_and_stays_until_its_end(cli: CommandLine) -> None:
    with at_the_gate(cli, "--deadline", "2h") as process:
        assert any(line.startswith("deadline  ") for line in cli("runs", "show", "last").out.splitlines())
        said = cli("runs", "background", "last")
        (run,) = cli.runs()
        assert (said.exit, said.out) == (
            0,
            f"{run['runId']} is in the background; process {process.pid} goes on with it.\n",
        )
        assert (run["status"], run["attention"]) == ("backgrounded", "notifyOnTerminal")
        assert "Ctrl-C interrupts" in read_until(process, "Moved to the background")
        assert "already" in cli("runs", "background", "last").out
        open_gate(cli)
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "# Through\n")
    assert "Moved" not in err
    events = cli("runs", "events", "last", "--json").lines
    assert [event["status"] for event in events if event["type"] == "status"] == [
        "pending",
        "running",
        "backgrounded",
        "completed",
    ]
    assert [event["stepId"] for event in events if event.get("status") == "started"] == ["first", "gated"]


@pytest.mark.parametrize("from_here", [True, False])
def test_b2_in_the_background_it_is_still_interrupted_by_ctrl_c_and_by_others(
    cli: CommandLine, from_here: bool
) -> None:
    with at_the_gate(cli) as process:
        assert cli("runs", "background", "last").exit == 0
        read_until(process, "Moved to the background")
        if from_here:
            os.killpg(process.pid, signal.SIGINT)
        else:
            assert cli("runs", "interrupt", "last").exit == 0
        _, err = process.communicate()
    (run,) = cli.runs()
    assert process.returncode == 4
    assert (run["status"], run["reason"]) == ("interrupted", "user")
    assert f"sidestep runs continue {run['runId']}" in err


def test_b3_of_a_stopped_run_nobody_can_be_released(cli: CommandLine) -> None:
    assert cli("run", "quick").exit == 0
    said = cli("runs", "background", "last")
    assert (said.exit, said.out) == (2, "")
    assert "is completed: nobody waits for it" in said.err
    assert "sidestep runs show run_" in said.err
    with at_the_gate(cli) as process:
        process.send_signal(signal.SIGINT)
        process.communicate()
    said = cli("runs", "background", "last")
    assert said.exit == 2
    assert "is interrupted: nobody waits for it" in said.err
    assert "sidestep runs continue run_" in said.err
