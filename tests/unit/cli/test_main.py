"""The entry point, and the edge that turns what happens into words and exit codes."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import click
import pytest

from sidestep.cli import edge
from sidestep.cli.main import main
from sidestep.model.errors import StepConflict, StoreUnavailable
from tests.support.command_line import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, trusted=False)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """A command `raise` that raises what the test puts in."""
    errors: list[BaseException] = []

    @click.command(name="raise")
    def command() -> None:
        raise errors[0]

    monkeypatch.setitem(edge.program.commands, "raise", command)
    get = edge.program.get_command
    monkeypatch.setattr(
        edge.program, "get_command", lambda context, name: command if name == "raise" else get(context, name)
    )
    return errors


@pytest.mark.slow
def test_the_entry_point_costs_nothing_before_it_knows_the_command() -> None:
    heavy = "{'click', 'rich', 'platformdirs', 'psutil', 'pygls', 'lsprotocol', 'pydantic_monty', 'msgspec', 'asyncio'}"
    code = f"import sys; import sidestep.cli.main; print(sorted({heavy} & set(sys.modules)))"
    path = f"{ROOT / 'server'}:{ROOT / 'protocol'}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_serve_is_handed_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    assert "--clientProcessId" in capsys.readouterr().out
    assert main(["serve", "--nonsense"]) == 2


def test_the_version(cli: CommandLine) -> None:
    said = cli("--version")
    assert said.exit == 0
    assert said.out.startswith("sidestep 0.")


@pytest.mark.parametrize(
    "words", [["nonsense"], ["run", "--nonsense"], ["runs", "show"], ["completion", "tcsh"], ["run"]]
)
def test_words_that_cannot_be_used_are_usage(cli: CommandLine, words: list[str]) -> None:
    said = cli(*words)
    assert said.exit == 2
    assert said.out == ""
    assert said.err


def test_an_operating_error_is_one_clear_line_and_its_exit_code(cli: CommandLine, raising: list[BaseException]) -> None:
    raising.append(StoreUnavailable("The store is full.", "Make room."))
    said = cli("raise")
    assert (said.exit, said.out, said.err) == (3, "", "sidestep: The store is full.\nMake room.\n")


@pytest.mark.parametrize("error", [ZeroDivisionError("secret/path"), StepConflict("run_x", "step")])
def test_what_nobody_foresaw_is_a_word_and_a_place_never_a_traceback(
    cli: CommandLine, raising: list[BaseException], error: BaseException
) -> None:
    raising.append(error)
    said = cli("raise")
    assert said.exit == 1
    assert "Traceback" not in said.err
    assert "secret" not in said.err
    incident = next(word for word in said.err.replace(")", " ").split() if word.startswith("inc_"))
    log = cli.store.parent / "incidents.log"
    assert str(log) in said.err
    first, *rest = log.read_text().splitlines()
    assert incident in first
    assert any(line.lstrip().startswith("Traceback") for line in rest)
    assert type(error).__name__ in rest[-1]
    assert all(line.startswith("    ") for line in rest)


def test_output_that_cannot_be_written_is_one_line_and_no_incident(
    cli: CommandLine, raising: list[BaseException]
) -> None:
    raising.append(OSError(errno.ENOSPC, "No space left on device"))
    with patch.object(edge, "forsake_stdout"):
        said = cli("raise")
    assert (said.exit, said.err) == (1, "sidestep: cannot write to stdout: No space left on device.\n")


def test_a_misspelled_command_is_told_with_the_nearest(cli: CommandLine) -> None:
    assert "Did you mean 'runs'?" in cli("rnus").err
    assert "Did you mean 'list'?" in cli("runs", "lst").err


def test_an_argument_that_is_written_as_an_option_is_told_how(cli: CommandLine) -> None:
    said = cli("run", "repo-report", "--commits=3")
    assert said.exit == 2
    assert "written commits=3" in said.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_is_interrupted(cli: CommandLine, raising: list[BaseException], error: BaseException) -> None:
    raising.append(error)
    assert cli("raise").exit == 4


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete "), ("zsh", "#compdef"), ("fish", "complete --")])
def test_completion_is_printed_for_each_shell(cli: CommandLine, shell: str, word: str) -> None:
    said = cli("completion", shell)
    assert said.exit == 0
    assert word in said.out
    assert "_SIDESTEP_COMPLETE" in said.out
