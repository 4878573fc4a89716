"""Files an agent asks for: below its folder by real path, whole, bounded, atomic."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.agent_files import AgentFiles, FileRefused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("line", "limit", "text"),
    [
        (None, None, "one\ntwo\nthree\n"),
        (2, None, "two\nthree\n"),
        (2, 1, "two\n"),
        (0, 1, "one\n"),
        (None, 0, ""),
        (9, 5, ""),
    ],
)
def test_a_file_is_read_by_lines(folder: Path, line: int | None, limit: int | None, text: str) -> None:
    assert AgentFiles(str(folder), 100).read(str(folder / "a.txt"), line, limit) == text
    assert AgentFiles(str(folder), 100).read("a.txt", line, limit) == text


def outside(folder: Path) -> dict[str, str]:
    """Ways to a file beside the folder."""
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "up").symlink_to(folder.parent)
    (folder / "dangling").symlink_to(folder.parent / "new")
    return {
        "absolute": str(folder.parent / "secret"),
        "dots": str(folder / ".." / "secret"),
        "relative dots": "../secret",
        "link": str(folder / "link"),
        "folder link": "up/secret",
        "link to what is not there": "dangling",
        "prefix": str(folder) + "-beside",
        "itself": str(folder),
        "nul": "a\0b",
    }


@pytest.mark.parametrize(
    "way",
    [
        "absolute",
        "dots",
        "relative dots",
        "link",
        "folder link",
        "link to what is not there",
        "prefix",
        "itself",
        "nul",
    ],
)
def test_nothing_leads_outside(folder: Path, way: str) -> None:
    path, files = outside(folder)[way], AgentFiles(str(folder), 100)
    with pytest.raises(FileRefused):
        files.read(path, None, None)
    with pytest.raises(FileRefused):
        files.write(path, "mine")
    assert (folder.parent / "secret").read_text() == "secret"
    assert sorted(os.listdir(folder.parent)) == ["secret", "work"]


def test_a_folder_that_is_itself_a_link_is_no_outside(folder: Path) -> None:
    (folder.parent / "other").symlink_to(folder)
    files = AgentFiles(str(folder.parent / "other"), 100)
    assert files.read(str(folder.parent / "other" / "a.txt"), 1, 1) == "one\n"
    assert files.read(str(folder / "a.txt"), 1, 1) == "one\n"


def test_a_file_is_replaced_whole_and_keeps_its_mode(folder: Path) -> None:
    (folder / "a.txt").chmod(0o750)
    (folder / "inside").symlink_to(folder / "a.txt")
    with open(folder / "a.txt") as reader:
        AgentFiles(str(folder), 100).write(str(folder / "inside"), "new")
        assert reader.read() == "one\ntwo\nthree\n"
    assert (folder / "a.txt").read_text() == "new"
    assert (folder / "a.txt").stat().st_mode & 0o777 == 0o750
    assert (folder / "inside").is_symlink()
    assert sorted(os.listdir(folder)) == ["a.txt", "inside"]


def test_a_new_file_gets_its_folders(folder: Path) -> None:
    AgentFiles(str(folder), 100).write("x/y/z.txt", "ü")
    assert (folder / "x" / "y" / "z.txt").read_text(encoding="utf-8") == "ü"


def test_what_is_no_file_is_refused_and_not_waited_for(folder: Path) -> None:
    files = AgentFiles(str(folder), 100)
    os.mkfifo(folder / "pipe")
    (folder / "below").mkdir()
    for name in ("pipe", "below"):
        with pytest.raises(FileRefused):
            files.read(name, None, None)
        with pytest.raises(FileRefused):
            files.write(name, "x")
    with pytest.raises(FileRefused, match="No such file"):
        files.read("none", None, None)


def test_files_have_a_limit_both_ways(folder: Path) -> None:
    files = AgentFiles(str(folder), 10)
    with pytest.raises(FileRefused, match="more than 10 bytes"):
        files.read("a.txt", None, None)
    with pytest.raises(FileRefused, match="more than 10 bytes"):
        files.write("b.txt", "ü" * 6)
    assert os.listdir(folder) == ["a.txt"]


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a path and its opening a program may put a link in the place of a folder above."""
    (folder / "sub").mkdir()
    (folder / "sub" / "secret").write_text("mine")
    files = AgentFiles(str(folder), 100)
    realpath = os.path.realpath

    def looked_at(path: str) -> str:
        found = realpath(path)
        os.rename(folder / "sub", folder / "away")
        (folder / "sub").symlink_to(folder.parent)
        return found

    for ask in (lambda: files.read("sub/secret", None, None), lambda: files.write("sub/secret", "overwritten")):
        with monkeypatch.context() as patched:
            patched.setattr(os.path, "realpath", looked_at)
            with pytest.raises(FileRefused):
                ask()
        os.unlink(folder / "sub")
        os.rename(folder / "away", folder / "sub")
    assert (folder.parent / "secret").read_text() == "secret"
    assert sorted(os.listdir(folder.parent)) == ["secret", "work"]
    assert os.listdir(folder / "sub") == ["secret"]
