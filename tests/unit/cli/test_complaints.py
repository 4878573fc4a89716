"""What a person is told when a command is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidestep.cli.complaints import complain
from sidestep.cli.complaints import lines_of as lines_for
from sidestep.cli.invocation import Invocation
from sidestep.model.errors import (
    ArgsInvalid,
    InvalidTransition,
    RunLeased,
    RunNotFound,
    ScriptInvalid,
    ScriptNotFound,
    SidestepError,
    StoreUnavailable,
    WorkspaceInvalid,
    WorkspaceUntrusted,
)
from sidestep.model.problems import ArgsProblem, ScriptProblem

if TYPE_CHECKING:
    from pathlib import Path


def lines_of(error: SidestepError) -> list[str]:
    return lines_for(error, Invocation())


def test_an_untrusted_folder_gets_the_exact_command() -> None:
    lines = lines_of(WorkspaceUntrusted("/home/me/my project"))
    assert "  sidestep trust '/home/me/my project'" in lines


def test_every_proposed_command_names_the_store_that_was_typed() -> None:
    invocation = Invocation(typed_store="my stores/a.db")
    for error in (WorkspaceUntrusted("/p"), RunLeased("run_x", 42, 0, mine=False), RunNotFound("run_x")):
        assert any("--store 'my stores/a.db'" in line for line in lines_for(error, invocation)), error


def test_the_arguments_hint_names_the_script_as_it_was_typed() -> None:
    lines = lines_for(ArgsInvalid("who", (ArgsProblem("", "odd"),)), Invocation(typed_script="my flows/who.py"))
    assert "sidestep run 'my flows/who.py' --help" in lines[-1]


def test_a_file_beside_a_name_that_is_none_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "who.py").touch()
    monkeypatch.chdir(tmp_path)
    lines = lines_for(ScriptNotFound("who"), Invocation(typed_script="who"))
    assert lines[-1].endswith("sidestep run who.py")
    assert "who.py" not in "".join(lines_for(ScriptNotFound("whom"), Invocation(typed_script="whom")))


def test_problems_of_a_script_stand_as_compilers_print_them() -> None:
    problems = (ScriptProblem(3, 7, "no such name", "x"), ScriptProblem(9, 1, "odd", "y", severity="warning"))
    _, *lines = lines_of(ScriptInvalid("flow.py", problems))
    assert lines == ["flow.py:3:7: error: no such name", "flow.py:9:1: warning: odd"]


def test_every_problem_of_the_arguments_is_listed_with_its_name() -> None:
    problems = (ArgsProblem("/a~1b/0", "expected an integer"), ArgsProblem("", "odd"))
    lines = lines_of(ArgsInvalid("flow", problems))
    assert lines[1:3] == ["  a/b/0: expected an integer", "  odd"]
    assert "sidestep run flow --help" in lines[3]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (RunNotFound("run_x"), "sidestep runs list --all"),
        (ScriptNotFound("flwo", ("flow",)), "sidestep scripts"),
        (RunLeased("run_x", 42, 0, mine=False), "sidestep runs interrupt run_x"),
        (StoreUnavailable("The disk is full.", "Make room."), "Make room."),
        (InvalidTransition("run_c", "failed", "it is a child", root_run_id="run_r"), "run_r"),
    ],
)
def test_what_to_do_is_said(error: SidestepError, hint: str) -> None:
    first, *rest = lines_of(error)
    assert first
    assert any(hint in line for line in rest)


def test_an_error_is_words_on_stderr_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    complain(WorkspaceInvalid("/x\x1b[2J", "it does not exist"), Invocation())
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("sidestep: ")
    assert "\x1b" not in said.err


def test_what_was_asked_of_a_nested_run_is_proposed_for_its_root() -> None:
    """I5, P8"""
    invocation = Invocation(typed_verb=("retry", "--edited"), typed_store="a b.db")
    lines = lines_for(InvalidTransition("run_c", "failed", "no", root_run_id="run_r"), invocation)
    assert lines == [
        "run_c is a nested run of run_r. Ask for the whole tree:",
        "  sidestep runs retry run_r --edited --store 'a b.db'",
    ]
