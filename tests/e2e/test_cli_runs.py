"""`sidestep runs` with the real store. N1, J5, J7, I9."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from sidestep.system import SystemClock
from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

QUICK = '''
"""Two steps."""
from sidestep import command, phase

async def main(n: int = 1):
    phase("work")
    await command(["true"], id="one")
    await command(["sh", "-c", "echo x >> calls; test -e ready"], id="two", title="Second")
    return f"done {n}"
'''


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.script("quick", QUICK)
    (made.folder / "ready").touch()
    return made


def run(cli: CommandLine, *words: str) -> str:
    """Run the workflow; returns the run's id."""
    run_id: str = cli("run", "quick", *words, "--json").lines[0]["runId"]
    return run_id


def test_list_shows_the_runs_of_this_folder_newest_first(cli: CommandLine) -> None:
    first, second = run(cli), run(cli, "--label", "again")
    lines = cli("runs", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == [second, first]
    assert "completed" in lines[0]
    assert "2 done" in lines[0]


def test_list_filters_by_folder_status_name_and_limit(cli: CommandLine, tmp_path: Path) -> None:
    mine = run(cli)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.py").write_text("async def main():\n    return {}['k']\n")
    assert cli("run", str(other / "mine.py"), "--folder", str(other), "--trust").exit == 1

    def ids(*words: str) -> list[str]:
        return [each["runId"] for each in json.loads(cli("runs", "list", *words, "--json").out)["runs"]]

    theirs = ids("--folder", str(other))[0]
    assert ids() == [mine]
    assert ids("--all") == [theirs, mine]
    assert ids("--all", "--status", "failed") == [theirs]
    assert ids("--all", "--status", "active") == []
    assert ids("--all", "--status", "failed", "--status", "completed") == [theirs, mine]
    assert ids("--all", "--name", "quick") == [mine]
    assert ids("--all", "--limit", "1") == [theirs]
    assert cli("runs", "list", "--all", "--folder", str(other)).exit == 2


def test_list_without_runs_says_so_on_stderr(cli: CommandLine) -> None:
    said = cli("runs", "list")
    assert (said.exit, said.out) == (0, "")
    assert "No runs" in said.err
    assert "of the workflow 'quikc'" in cli("runs", "list", "--all", "--name", "quikc").err


def test_show_tells_status_steps_and_report(cli: CommandLine) -> None:
    run_id = run(cli, "n=7")
    said = cli("runs", "show", run_id[:10])
    assert said.exit == 0
    for words in (run_id, "quick", "completed", '{"n":7}', "Steps (2):", "Second (two)", "done 7"):
        assert words in said.out
    told = json.loads(cli("runs", "show", "last", "--json").out)
    assert told["run"]["result"] == {"report": "done 7"}
    assert told["run"]["args"] == {"n": 7}
    assert [step["stepId"] for step in told["steps"]] == ["one", "two"]


def test_events_are_lines_or_ndjson(cli: CommandLine) -> None:
    run(cli)
    plain = cli("runs", "events", "last").out.splitlines()
    assert "phase  work" in plain
    events = cli("runs", "events", "last", "--json").lines
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["sequence"] for event in cli("runs", "events", "last", "--json", "--after", "3").lines] == [
        event["sequence"] for event in events[3:]
    ]


def test_continue_does_the_failed_steps_again_and_no_others(cli: CommandLine) -> None:
    """J5, N1"""
    (cli.folder / "ready").unlink()
    assert cli("run", "quick").exit == 1
    assert cli("runs", "continue", "last").exit == 1
    (cli.folder / "ready").touch()
    said = cli("runs", "continue", "last", "--json")
    assert said.exit == 0
    assert said.lines[0]["steps"] == {"completed": 2, "reused": 1, "failed": 0, "running": 0}
    assert (cli.folder / "calls").read_text() == "x\n" * 3
    steps = json.loads(cli("runs", "show", "last", "--json").out)["steps"]
    assert [(step["stepId"], step["reused"]) for step in steps] == [("one", True), ("two", False)]


def test_continue_of_a_completed_run_prints_its_result(cli: CommandLine) -> None:
    run(cli)
    said = cli("runs", "continue", "last")
    assert (said.exit, said.out) == (0, "done 1\n")
    assert (cli.folder / "calls").read_text() == "x\n"


def test_continue_of_a_script_error_asks_for_an_edit_and_edited_goes_on(cli: CommandLine) -> None:
    """N1, J7"""
    path = cli.script("quick", QUICK.replace('return f"done {n}"', "return {}['k']"))
    assert cli("run", "quick").exit == 1
    refused = cli("runs", "continue", "last", "--json")
    assert refused.exit == 2
    assert "quick.py:9" in refused.err
    assert "--edited" in refused.err
    assert refused.lines[0]["error"]["data"]["reason"] == "invalidTransition"
    path.write_text(QUICK)
    said = cli("runs", "continue", "last", "--edited")
    assert (said.exit, said.out) == (0, "done 1\n")
    assert "source" in said.err
    assert (cli.folder / "calls").read_text() == "x\n"


def test_continue_needs_trust_and_takes_it_for_once(cli: CommandLine) -> None:
    (cli.folder / "ready").unlink()
    cli("run", "quick")
    assert cli("trust", "--revoke").exit == 0
    assert cli("runs", "continue", "last").exit == 7
    (cli.folder / "ready").touch()
    assert cli("runs", "continue", "last", "--trust").exit == 0


def test_continue_prints_only_the_events_that_are_new(cli: CommandLine) -> None:
    (cli.folder / "ready").unlink()
    before = cli("run", "quick", "--json").lines[0]["sequence"]
    (cli.folder / "ready").touch()
    events = cli("runs", "continue", "last", "--events").lines
    assert events[0]["sequence"] == before + 1
    assert events[0]["status"] == "running"
    assert events[-1]["status"] == "completed"


@pytest.mark.parametrize("verb", ["show", "events", "continue", "interrupt", "delete"])
def test_an_unknown_run_is_not_found(cli: CommandLine, verb: str) -> None:
    for words in ("run_zzzz", "last"):
        said = cli("runs", verb, words)
        assert said.exit == 5
        assert said.out == ""


def test_interrupt_of_a_run_that_is_over_says_so(cli: CommandLine) -> None:
    run_id = run(cli)
    said = cli("runs", "interrupt", "last")
    assert (said.exit, said.out) == (0, f"{run_id} had already completed.\n")


def test_delete_removes_all_that_were_named_or_none(cli: CommandLine) -> None:
    first, second, third = run(cli), run(cli), run(cli)
    assert cli("runs", "delete", first, "run_zzzz").exit == 5
    assert len(cli.runs()) == 3
    said = cli("runs", "delete", first, second, first)
    assert said.exit == 0
    assert len(said.out.splitlines()) == 2
    assert [each["runId"] for each in cli.runs()] == [third]


def run_days_ago(cli: CommandLine, days: int) -> str:
    """Run the workflow on a day gone by; returns the run's id."""
    now_ms = SystemClock().now_ms()
    with patch.object(SystemClock, "now_ms", lambda _: now_ms - days * 86_400_000):
        return run(cli)


def test_prune_removes_what_stopped_long_ago_and_a_dry_run_only_says_so(cli: CommandLine) -> None:
    old, new = run_days_ago(cli, 31), run(cli)
    dry = cli("runs", "prune", "--older-than", "30d", "--dry-run")
    assert dry.exit == 0
    assert old in dry.out
    assert new not in dry.out
    assert len(cli.runs()) == 2
    refused = cli("runs", "prune", "--older-than", "30d")
    assert refused.exit == 2
    assert "--yes" in refused.err
    assert len(cli.runs()) == 2
    said = cli("runs", "prune", "--older-than", "30d", "--yes")
    assert "1 run deleted." in said.err
    assert [each["runId"] for each in cli.runs()] == [new]


def test_prune_keeps_interrupted_runs_unless_they_are_named(cli: CommandLine) -> None:
    (cli.folder / "ready").unlink()
    run_days_ago(cli, 2)
    assert "0 runs deleted." in cli("runs", "prune", "--older-than", "1d", "--yes", "--status", "interrupted").err
    assert "1 run deleted." in cli("runs", "prune", "--older-than", "47h", "--yes").err


@pytest.mark.parametrize("words", ["30", "d", "-1d", "1y", "9999999d"])
def test_an_age_that_is_none_is_usage(cli: CommandLine, words: str) -> None:
    assert cli("runs", "prune", "--older-than", words).exit == 2
