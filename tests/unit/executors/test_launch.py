"""Finding the program: what exec would say with one word is said with what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.command_input import Command
from sidestep.executors.launch import CannotLaunch, plan_launch

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def found(tmp_path: Path, name: str, path: str, cwd: str = "") -> str:
    return plan_launch(Command((name,), cwd), str(tmp_path), {"PATH": path}, ()).argv[0]


def test_the_first_executable_on_path_wins_and_folders_and_plain_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a" / "tool").mkdir(parents=True)
    program(tmp_path / "b" / "tool").chmod(0o644)
    wanted = program(tmp_path / "c" / "tool")
    program(tmp_path / "d" / "tool")
    path = os.pathsep.join(str(tmp_path / name) for name in "abcd")
    assert found(tmp_path, "tool", path) == str(wanted)


def test_relative_entries_and_names_start_where_the_command_runs(tmp_path: Path) -> None:
    wanted = program(tmp_path / "sub" / "bin" / "tool")
    for name, path in (("tool", "bin"), ("bin/tool", ""), ("./bin/tool", "")):
        assert os.path.samefile(found(tmp_path, name, path, cwd="sub"), wanted)
    with pytest.raises(CannotLaunch, match="there is no program 'bin/tool'"):
        found(tmp_path, "bin/tool", "")


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    """Programs such as busybox and a virtual environment's python look at the name they are called by."""
    program(tmp_path / "real")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "alias").symlink_to(tmp_path / "real")
    assert found(tmp_path, "alias", str(tmp_path / "bin")).endswith("bin/alias")


def test_not_executable_and_a_missing_interpreter_say_what_to_do(tmp_path: Path) -> None:
    program(tmp_path / "plain").chmod(0o644)
    with pytest.raises(CannotLaunch, match=r"not executable; chmod \+x"):
        found(tmp_path, "./plain", "")
    program(tmp_path / "moved", "#!/no/such/python3 -E\n")
    with pytest.raises(CannotLaunch, match="needs /no/such/python3, which is not there"):
        found(tmp_path, "./moved", "")
    program(tmp_path / "odd", "#!")
    assert found(tmp_path, "./odd", "").endswith("odd")


def test_the_scripts_own_path_is_searched(tmp_path: Path) -> None:
    wanted = program(tmp_path / "own" / "tool")
    launch = plan_launch(Command(("tool",), env={"PATH": str(tmp_path / "own")}), str(tmp_path), {"PATH": "/bin"}, ())
    assert launch.argv[0] == str(wanted)
