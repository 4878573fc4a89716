"""`sidestep run` with the real store and the real sandbox. S1, S7, S9, A1, R1, D1, D3."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import TYPE_CHECKING

import pytest

from sidestep.cli.opening import opened
from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.model.run import RunRecord

pytestmark = pytest.mark.slow

FLOW = '''
"""Greet somebody."""
from sidestep import command, log, phase

async def main(name: str, times: int = 1, tags: list[str] = [], options: dict[str, int] = {}):
    """
    Args:
        name: Whom to greet.
        times: How often.
    """
    phase("greet", times=times)
    done = await command(["echo", "hello " + name], id="greet", title="Greeting")
    log("greeted", name=name)
    return {"report": done["stdout"] * times, "data": {"tags": tags, "options": options}}
'''


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.script("flow", FLOW)
    return made


def test_the_report_goes_to_stdout_and_everything_else_to_stderr(cli: CommandLine) -> None:
    said = cli("run", "flow", "name=Ada", "times=2")
    assert (said.exit, said.out) == (0, "hello Ada\nhello Ada\n\n")
    assert "phase  greet (times=2)" in said.err
    assert "step   Greeting (greet) completed" in said.err
    assert "log    greeted (name=Ada)" in said.err
    assert "completed" in said.err


def test_json_is_one_line_with_the_protocols_names(cli: CommandLine) -> None:
    said = cli("run", "flow", "name=Ada", "tags=a", "tags=b", 'options:={"n": 3}', "--json")
    (outcome,) = said.lines
    assert said.exit == 0
    assert outcome["status"] == "completed"
    assert outcome["runId"].startswith("run_")
    assert outcome["result"] == {"report": "hello Ada\n", "data": {"tags": ["a", "b"], "options": {"n": 3}}}
    assert outcome["steps"] == {"completed": 1, "reused": 0, "failed": 0, "running": 0}


def test_events_are_ndjson_without_a_gap_and_json_adds_the_outcome_last(cli: CommandLine) -> None:
    said = cli("run", "flow", "name=Ada", "--events", "--json")
    *events, outcome = said.lines
    assert [event["sequence"] for event in events] == list(range(1, outcome["sequence"] + 1))
    assert [event["status"] for event in events if event["type"] == "status"] == ["pending", "running", "completed"]
    assert outcome["status"] == "completed"
    assert cli("run", "flow", "name=Ada", "--events").lines[-1]["type"] == "status"


def test_without_a_report_the_data_is_printed_as_json(cli: CommandLine) -> None:
    """R1"""
    cli.script("data", "async def main():\n    return [1, 'ü']\n")
    cli.script("nothing", "async def main():\n    pass\n")
    assert json.loads(cli("run", "data").out) == [1, "ü"]
    assert cli("run", "nothing").out == ""


@pytest.mark.parametrize("words", [["@ARGS"], ["-"], ['{"name": "Ada", "times": 2}']])
def test_arguments_as_json_from_a_file_stdin_or_the_word_itself(cli: CommandLine, words: list[str]) -> None:
    """A1: a key=value of the same name wins."""
    text = '{"name": "Ada", "times": 2}'
    (cli.folder / "ARGS").write_text(text)
    said = cli("run", "flow", "--args-json", *words, "times=1", stdin=text)
    assert (said.exit, said.out) == (0, "hello Ada\n\n")


def test_every_problem_of_the_arguments_is_told_and_nothing_is_stored(cli: CommandLine) -> None:
    """S1, A1"""
    said = cli("run", "flow", "times=often", "tgas=x", "options:=[", "--json")
    assert said.exit == 2
    for problem in (
        "name: required",
        "times: expected an integer",
        "tgas: unknown argument. Did you mean 'tags'?",
        "not JSON",
    ):
        assert problem in said.err
    assert said.lines[0]["error"]["data"]["reason"] == "argsInvalid"
    assert cli.runs() == []


@pytest.mark.parametrize("words", ["[1]", "{", "@missing.json"])
def test_arguments_that_are_no_object_are_refused(cli: CommandLine, words: str) -> None:
    said = cli("run", "flow", "name=x", "--args-json", words)
    assert said.exit == 2
    assert "--args-json" in said.err


def test_help_of_a_workflow_shows_its_arguments_and_needs_no_trust(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, trusted=False)
    cli.script("flow", FLOW)
    said = cli("run", "flow", "--help")
    assert said.exit == 0
    assert said.out.splitlines()[0] == "flow: Greet somebody."
    assert "sidestep run flow name=... [KEY=VALUE]..." in said.out
    assert [line.split() for line in said.out.splitlines() if line.startswith("  ")] == [
        ["name", "str", "Whom", "to", "greet.", "[required]"],
        ["times", "int", "How", "often.", "[default:", "1]"],
        ["tags", "list[str]", "[default:", "[]]"],
        ["options", "dict[str,", "int]", "[default:", "{}]"],
    ]


def test_an_untrusted_folder_is_refused_with_the_exact_command_and_trust_counts_once(tmp_path: Path) -> None:
    """D3: `--trust` is for one invocation."""
    cli = CommandLine(tmp_path, trusted=False)
    cli.script("flow", FLOW)
    refused = cli("run", "flow", "name=x", "--json")
    assert refused.exit == 7
    assert f"sidestep trust '{cli.folder}'" in refused.err
    assert refused.lines[0]["error"]["data"]["reason"] == "workspaceUntrusted"
    assert cli("run", "flow", "name=x", "--trust").exit == 0
    assert cli("run", "flow", "name=x").exit == 7


def test_an_unknown_script_is_told_with_the_nearest_name(cli: CommandLine) -> None:
    said = cli("run", "folw", "name=x")
    assert said.exit == 5
    assert "Did you mean 'flow'?" in said.err


def test_a_broken_script_is_told_with_file_line_and_column(cli: CommandLine) -> None:
    cli.script("broken", "async def main():\n    return (\n")
    said = cli("run", "broken")
    assert said.exit == 2
    assert ".sidestep/workflows/broken.py:2:12: error:" in said.err


def test_the_help_of_a_path_names_the_path(cli: CommandLine) -> None:
    (cli.folder / "my flow.py").write_text(FLOW)
    assert "Usage: sidestep run 'my flow.py' name=..." in cli("run", "my flow.py", "--help").out
    assert "sidestep run 'my flow.py' --help" in cli("run", "my flow.py").err


def test_a_name_that_is_a_file_here_is_told_as_one(cli: CommandLine) -> None:
    (cli.folder / "who.py").write_text(FLOW)
    said = cli("run", "who", "name=x")
    assert said.exit == 5
    assert "sidestep run who.py" in said.err


def test_what_the_check_suspects_is_told_before_the_run(cli: CommandLine) -> None:
    """D4"""
    cli.script("lazy", "from sidestep import command\n\nasync def main():\n    command(['true'], id='a')\n")
    said = cli("run", "lazy")
    assert said.exit == 0
    assert said.err.startswith(".sidestep/workflows/lazy.py:4:5: warning: this command(...) is never run")


def test_a_script_with_an_error_is_refused_and_nothing_is_stored(cli: CommandLine) -> None:
    """S1"""
    cli.script("asks", "from sidestep import ask\n\nasync def main():\n    return await ask('?')\n")
    said = cli("run", "asks")
    assert said.exit == 2
    assert "asks.py:4:18: error: ask() needs an id" in said.err
    assert cli.runs() == []


def test_a_result_that_is_no_json_asks_for_an_edit(cli: CommandLine) -> None:
    """R1"""
    cli.script("odd", "async def main():\n    return {1, 2}\n")
    said = cli("run", "odd")
    assert said.exit == 1
    assert "Mend the script" in said.err
    assert "failed steps" not in said.err


def test_a_built_in_script_that_fails_is_tried_again_and_nobody_is_asked_to_mend_it(cli: CommandLine) -> None:
    cli.environ["PATH"] = str(cli.place)
    said = cli("run", "repo-report")
    assert said.exit == 1
    assert "Mend" not in said.err
    assert "sidestep runs continue run_" in said.err
    assert cli("runs", "continue", "last").exit == 1


def test_proposed_commands_name_the_store_that_was_typed(tmp_path: Path) -> None:
    """D3: what is printed works as it is."""
    cli = CommandLine(tmp_path, trusted=False)
    cli.script("bad", "async def main():\n    return {}['k']\n")
    store = str(tmp_path / "another store.db")
    refused = cli("run", "bad", "--store", store)
    (proposed,) = [line for line in refused.err.splitlines() if line.startswith("  sidestep ")]
    assert cli(*shlex.split(proposed)[1:]).exit == 0
    failed = cli("run", "bad", "--store", store)
    assert failed.exit == 1
    proposed = failed.err.splitlines()[-1].partition(": ")[2]
    assert cli(*shlex.split(proposed)[1:]).exit == 1
    assert f"--store '{store}'" in cli("runs", "continue", "last", "--store", store).err


def test_a_path_is_taken_from_where_the_person_is(cli: CommandLine) -> None:
    below = cli.folder / "flows"
    below.mkdir()
    (below / "mine.py").write_text(FLOW)
    assert cli("run", "mine.py", "name=x", cwd=below).out == "hello x\n\n"
    assert cli("run", "./mine.py", "name=x", cwd=below).exit == 0
    assert cli("run", "../../outside.py", "name=x", cwd=below).exit == 5


def test_a_name_is_found_from_any_folder_of_the_project(cli: CommandLine) -> None:
    below = cli.folder / "deep" / "down"
    below.mkdir(parents=True)
    assert cli("run", "flow", "name=x", cwd=below).exit == 0
    assert cli.runs()[0]["workspaceFolder"] == cli.folder.as_uri().replace("%C3%BC", "%C3%BC")


def test_a_workspace_that_does_not_exist_is_usage(cli: CommandLine) -> None:
    said = cli("run", "flow", "name=x", "--folder", "nowhere")
    assert said.exit == 2
    assert "does not exist" in said.err


def test_a_failing_script_is_told_with_its_line_and_how_to_go_on(cli: CommandLine) -> None:
    """S9"""
    cli.script("bad", "async def main():\n    return {}['k']\n")
    said = cli("run", "bad", "--json")
    assert said.exit == 1
    assert said.lines[0]["error"] == {
        "message": "KeyError: k",
        "code": "script",
        "file": ".sidestep/workflows/bad.py",
        "line": 2,
    }
    assert f"sidestep runs continue {said.lines[0]['runId']} --edited" in said.err
    assert "bad.py:2: KeyError: k" in said.err


def test_a_failing_step_is_told_with_the_words_to_do_it_again(cli: CommandLine) -> None:
    cli.script("bad", "from sidestep import command\n\nasync def main():\n    await command(['false'], id='no')\n")
    said = cli("run", "bad")
    assert said.exit == 1
    assert "step   no failed" in said.err
    assert "sidestep runs continue run_" in said.err
    assert "--edited" not in said.err


def test_a_start_key_starts_once_and_prints_everything_again(cli: CommandLine) -> None:
    """S7"""
    first = cli("run", "flow", "name=x", "--start-key", "k", "--json", "--events")
    again = cli("run", "flow", "name=x", "--start-key", "k", "--json", "--events")
    assert again.out == first.out
    other = cli("run", "flow", "name=y", "--start-key", "k")
    assert other.exit == 2
    assert "k" in other.err
    assert len(cli.runs()) == 1


def test_a_run_of_the_command_line_is_never_resumed_by_itself(cli: CommandLine) -> None:
    """Whether it may be resumed automatically is stored with the run."""
    run_id = cli("run", "flow", "name=x", "--json").lines[0]["runId"]

    async def read() -> RunRecord:
        async with opened(str(cli.store)) as app:
            return await (await app.service()).store.read(run_id)

    assert asyncio.run(read()).auto_resume is False


def test_a_store_that_cannot_be_opened_says_what_to_do(cli: CommandLine) -> None:
    said = cli("run", "flow", "name=x", "--store", str(cli.folder), "--trust", "--json")
    assert said.exit == 3
    assert said.lines[0]["error"]["data"]["reason"] == "storeUnavailable"
    assert len(said.err.splitlines()) >= 2


def test_the_label_is_shown_in_lists(cli: CommandLine) -> None:
    cli("run", "flow", "name=x", "--label", "for Ada")
    assert "flow [for Ada]" in cli("runs", "list").out


def test_what_a_script_prints_cannot_paint_the_terminal(cli: CommandLine) -> None:
    cli.script("paint", "from sidestep import log\n\nasync def main():\n    log('\\x1b[2J')\n    print('\\x1b[3J')\n")
    said = cli("run", "paint")
    assert said.exit == 0
    assert r"log    \x1b[2J" in said.err
    assert r"log    \x1b[3J" in said.err


def test_half_characters_are_printed_somehow(cli: CommandLine) -> None:
    cli.script("half", "async def main():\n    return {'report': 'a' + chr(233), 'data': 1}\n")
    said = cli("run", "half")
    assert (said.exit, said.out) == (0, "aé\n")
