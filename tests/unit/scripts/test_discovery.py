"""Where scripts are found, and in which order (D1)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidestep.scripts.discovery import NAME_RULE, NOT_TRUSTED, ScriptFinder, ScriptInfo, builtin_folder
from sidestep.scripts.folder import FolderKey
from sidestep.settings import Settings

SCRIPT = '"""{text}"""\nasync def main(task: str = "x"): ...\n'


class Places:
    """The three roots of one test, and a finder over them."""

    def __init__(self, tmp_path: Path) -> None:
        self.workspace = tmp_path / "workspace"
        self.project = self.workspace / ".sidestep" / "workflows"
        self.user = tmp_path / "user"
        self.builtin = tmp_path / "builtin"
        for folder in (self.project, self.user, self.builtin):
            folder.mkdir(parents=True)
        self.folder = FolderKey.existing(str(self.workspace))
        settings = Settings(script_bytes_max=1000)
        self.finder = ScriptFinder(user_folder=str(self.user), builtin=str(self.builtin), settings=settings)

    def listed(self, *, trusted: bool = True) -> dict[str, ScriptInfo]:
        return {script.name: script for script in self.finder.list(self.folder, trusted=trusted)}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(SCRIPT.format(text=text))
    return path


def test_the_first_root_wins(places: Places) -> None:
    """D1: project > user > builtin."""
    for folder, names in ((places.project, "a"), (places.user, "ab"), (places.builtin, "abc")):
        for name in names:
            write(folder, name, folder.name)
    found = places.listed()
    assert {name: script.scope for name, script in found.items()} == {"a": "project", "b": "user", "c": "builtin"}
    assert found["a"].description == "workflows"
    assert found["a"].args_schema["properties"] == {"task": {"type": "string", "default": "x"}}
    assert found["a"].uri == (places.project / "a.py").as_uri()
    assert all(script.runnable for script in found.values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"async def main(:", ".sidestep/workflows/broken.py:1:16: invalid syntax"),
        (b'"""Kept."""\nx = 1', ".sidestep/workflows/broken.py:1:1: the script needs `async def main(...)`"),
        (b"# \xff\n", ".sidestep/workflows/broken.py:1:3: the script is not UTF-8: byte 0xff"),
        (b"#" * 1001, ".sidestep/workflows/broken.py:1:1: the script is longer than 1000 bytes"),
        (b"async def main(x: set, y: set): ...", "(and 1 more)"),
    ],
)
def test_a_broken_file_hides_only_itself(places: Places, content: bytes, reason: str) -> None:
    """D1: it is listed with the reason, and no other file of its name is taken for it."""
    (places.project / "broken.py").write_bytes(content)
    write(places.project, "good", "Good.")
    write(places.user, "broken", "Another one.")
    found = places.listed()
    assert found["good"].runnable
    broken = found["broken"]
    assert (broken.scope, broken.runnable) == ("project", False)
    assert reason in (broken.blocked_reason or "")
    assert broken.description == ("Kept." if b"Kept" in content else "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_hides_only_itself(places: Places) -> None:
    write(places.project, "secret", "x").chmod(0)
    assert places.listed()["secret"].blocked_reason == "it may not be read"


def test_odd_files_are_listed_or_passed_over(places: Places, tmp_path: Path) -> None:
    """D1."""
    for name in ("_private", ".hidden", "with space", "-dash", "x" * 101, "fine-name_2.0"):
        write(places.project, name, "x")
    (places.project / "notes.txt").write_text("x")
    (places.project / "folder.py").mkdir()
    os.mkfifo(places.project / "pipe.py")
    (places.project / "dangling.py").symlink_to(tmp_path / "nowhere")
    (places.project / "leads-out.py").symlink_to(write(tmp_path, "outside", "x"))
    (places.project / "loop.py").symlink_to("loop.py")
    found = places.listed()
    reasons = {name: script.blocked_reason for name, script in found.items()}
    assert reasons == {
        "with space": NAME_RULE,
        "-dash": NAME_RULE,
        "x" * 101: NAME_RULE,
        "fine-name_2.0": None,
        "folder": "it is no file",
        "pipe": "it is no file",
        "dangling": "it leads out of the workspace",
        "leads-out": "it leads out of the workspace",
        "loop": "its path changed while it was opened",
    }


def test_a_name_that_is_no_text_does_not_break_the_list(places: Places) -> None:
    with open(os.fsencode(places.project) + b"/\xff.py", "w") as file:
        file.write(SCRIPT)
    (script,) = places.listed().values()
    assert script.name == "\ufffd"
    assert script.uri.endswith("/%FF.py")
    script.name.encode()
    (script.blocked_reason or "").encode()


def test_the_users_folder_may_hold_links(places: Places, tmp_path: Path) -> None:
    """People keep their own scripts in another repository."""
    (places.user / "mine.py").symlink_to(write(tmp_path, "elsewhere", "Mine."))
    assert places.listed()["mine"].runnable


def test_an_untrusted_folder_lists_everything_and_runs_nothing(places: Places) -> None:
    """D3, S1."""
    write(places.project, "a", "Project.")
    write(places.builtin, "b", "Builtin.")
    found = places.listed(trusted=False)
    assert {(script.runnable, script.blocked_reason) for script in found.values()} == {(False, NOT_TRUSTED)}
    assert found["a"].description == "Project."


def test_without_a_workspace_the_users_and_the_built_in_scripts_are_listed(places: Places) -> None:
    write(places.project, "a", "x")
    write(places.user, "b", "x")
    assert [script.name for script in places.finder.list(None, trusted=False)] == ["b"]


def test_folders_that_are_not_there_are_empty(tmp_path: Path) -> None:
    finder = ScriptFinder(user_folder=None, builtin=str(tmp_path / "none"), settings=Settings())
    assert finder.list(FolderKey.existing(str(tmp_path)), trusted=True) == []


def test_the_built_in_scripts_have_no_problems() -> None:
    finder = ScriptFinder(user_folder=None, builtin=builtin_folder(), settings=Settings())
    found = finder.list(None, trusted=False)
    assert all(script.runnable for script in found), [script.blocked_reason for script in found]
    assert Path(builtin_folder()).is_dir()


def test_a_name_finds_what_the_list_has_under_it(places: Places) -> None:
    """D1: first match wins, also where the first cannot be used."""
    write(places.project, "both", "project")
    write(places.user, "both", "user")
    write(places.builtin, "own", "builtin")
    (places.project / "leads-out.py").symlink_to(write(places.user, "leads-out", "user"))
    files = places.finder.files(places.folder)
    assert files.keys() == {"both", "own", "leads-out"}
    assert {name: places.finder.find(name, places.folder) for name in files} == files
    assert places.finder.find("nope", places.folder) is None
