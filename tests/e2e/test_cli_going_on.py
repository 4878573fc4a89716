"""`sidestep runs resume` and `runs retry`, and `--deadline` of everything that waits. J5, J7, N1, P6, T2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# `one` is done once; `two` fails until there is a file `ready`, and never ends while there is a file `wait`.
FLOW = '''
"""Two steps."""
from sidestep import command

async def main():
    await command(["sh", "-c", "echo one >> calls"], id="one")
    await command(["sh", "-c", "echo two >> calls; test -e wait && exec tail -f calls; test -e ready"], id="two")
    return "done"
'''


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.script("flow", FLOW)
    return made


def calls(cli: CommandLine) -> list[str]:
    return (cli.folder / "calls").read_text().split()


def interrupted(cli: CommandLine) -> None:
    """A run whose second step its deadline stopped; the next time it goes through."""
    (cli.folder / "wait").touch()
    assert cli("run", "flow", "--deadline", "1s").exit == 4
    (cli.folder / "wait").unlink()
    (cli.folder / "ready").touch()


def test_t2_a_deadline_interrupts_says_so_and_says_how_to_go_on(cli: CommandLine) -> None:
    (cli.folder / "wait").touch()
    said = cli("run", "flow", "--deadline", "1s", "--json")
    (outcome,) = said.lines
    assert (said.exit, outcome["status"], outcome["reason"]) == (4, "interrupted", "deadline")
    run_id = outcome["runId"]
    assert f"{run_id} is interrupted: its deadline passed. Finished steps are kept" in said.err
    assert f"  sidestep runs continue {run_id}" in said.err.splitlines()
    run = json.loads(cli("runs", "show", "last", "--json").out)["run"]
    assert run["createdAt"] < run["deadlineAt"] <= run["endedAt"]
    assert calls(cli) == ["one", "two"]


@pytest.mark.parametrize("verb", ["continue", "resume", "retry"])
def test_p6_going_on_takes_a_deadline_of_its_own_and_else_has_none(cli: CommandLine, verb: str) -> None:
    (cli.folder / "wait").touch()
    options = ["--edited"] if verb == "retry" else []
    assert cli("run", "flow", "--deadline", "1s").exit == 4
    said = cli("runs", verb, "last", "--deadline", "1s", *options)
    assert said.exit == 4
    assert "its deadline passed" in said.err
    (cli.folder / "wait").unlink()
    (cli.folder / "ready").touch()
    said = cli("runs", verb, "last", *options)
    assert (said.exit, said.out) == (0, "done\n")
    assert calls(cli) == ["one", "two", "two", "two"]


@pytest.mark.parametrize("words", ["0s", "15", "soon", "1.5h", "-1s", "367d", "999999w"])
def test_a_deadline_that_is_none_is_usage_and_nothing_is_stored(cli: CommandLine, words: str) -> None:
    """S1"""
    said = cli("run", "flow", f"--deadline={words}")
    assert said.exit == 2
    assert "--deadline" in said.err
    assert cli.runs() == []


def test_resume_goes_on_with_an_interrupted_run(cli: CommandLine) -> None:
    interrupted(cli)
    said = cli("runs", "resume", "last", "--json")
    assert said.exit == 0
    assert said.lines[0]["steps"] == {"completed": 2, "reused": 1, "failed": 0, "running": 0}
    assert calls(cli) == ["one", "two", "two"]
    again = cli("runs", "resume", "last")
    assert (again.exit, again.out) == (0, "done\n")


def test_resume_of_a_failed_run_names_the_verb_that_helps(cli: CommandLine) -> None:
    """N1"""
    assert cli("run", "flow").exit == 1
    refused = cli("runs", "resume", "last", "--json")
    assert refused.exit == 2
    assert refused.lines[0]["error"]["data"]["reason"] == "invalidTransition"
    assert f"sidestep runs retry {cli.runs()[0]['runId']}" in refused.err
    assert calls(cli) == ["one", "two"]


def test_retry_does_the_failed_steps_again_and_no_others(cli: CommandLine) -> None:
    """J5, N1"""
    assert cli("run", "flow").exit == 1
    (cli.folder / "ready").touch()
    said = cli("runs", "retry", "last")
    assert (said.exit, said.out) == (0, "done\n")
    assert calls(cli) == ["one", "two", "two"]


def test_retry_of_an_interrupted_run_wants_to_know_which_script(cli: CommandLine) -> None:
    interrupted(cli)
    run_id = cli.runs()[0]["runId"]
    refused = cli("runs", "retry", "last")
    assert refused.exit == 2
    assert f"sidestep runs resume {run_id}" in refused.err
    assert f"sidestep runs retry {run_id} --edited" in refused.err
    cli.script("flow", FLOW.replace('"done"', '"edited"'))
    said = cli("runs", "retry", "last", "--edited")
    assert (said.exit, said.out) == (0, "edited\n")
    assert calls(cli) == ["one", "two", "two"]


def test_retry_of_a_completed_run_is_refused_and_shows_where_its_result_is(cli: CommandLine) -> None:
    (cli.folder / "ready").touch()
    assert cli("run", "flow").exit == 0
    for options in ([], ["--edited"]):
        refused = cli("runs", "retry", "last", *options)
        assert (refused.exit, refused.out) == (2, "")
        assert "sidestep runs show run_" in refused.err
    assert calls(cli) == ["one", "two"]


def test_retry_of_a_script_that_has_to_be_mended_says_so_with_its_own_verb(cli: CommandLine) -> None:
    """N1, J7"""
    (cli.folder / "ready").touch()
    path = cli.script("flow", FLOW.replace('"done"', "{}['k']"))
    assert cli("run", "flow").exit == 1
    refused = cli("runs", "retry", "last")
    assert refused.exit == 2
    assert "flow.py:8" in refused.err
    assert f"sidestep runs retry {cli.runs()[0]['runId']} --edited" in refused.err
    path.write_text(FLOW)
    assert cli("runs", "retry", "last", "--edited").out == "done\n"
    assert calls(cli) == ["one", "two"]


def test_show_says_how_many_steps_are_kept_while_that_matters(cli: CommandLine) -> None:
    interrupted(cli)
    assert "interrupted (deadline), 1 of 2 steps kept" in cli("runs", "show", "last").out
    assert cli("runs", "resume", "last").exit == 0
    assert "kept" not in cli("runs", "show", "last").out
