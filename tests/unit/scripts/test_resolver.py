"""From a reference to the text that runs (D2, S1)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sidestep.model.errors import ScriptInvalid, ScriptNotFound, WorkspaceUntrusted
from sidestep.model.replay_key import hash_text
from sidestep.scripts import resolver, source_file
from sidestep.scripts.discovery import ScriptFinder
from sidestep.scripts.folder import FolderKey, real_path
from sidestep.scripts.resolver import (
    CHECKED_SCRIPTS_MAX,
    FileScript,
    InlineScript,
    NamedScript,
    ResolvedScript,
    ScriptReference,
    ScriptResolver,
    reference_of_word,
)
from sidestep.scripts.source_file import read_source_file
from sidestep.settings import Settings

SCRIPT = '"""Does it."""\nasync def main(task: str): ...\n'


class Workspace:
    """A workspace with one script in its root, and a resolver."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "workspace"
        self.root = self.path / ".sidestep" / "workflows"
        self.root.mkdir(parents=True)
        (self.root / "implement.py").write_text(SCRIPT)
        self.user = tmp_path / "user"
        self.user.mkdir()
        self.outside = tmp_path / "outside"
        self.outside.mkdir()
        (self.outside / "evil.py").write_text(SCRIPT)
        self.folder = FolderKey.existing(str(self.path))
        settings = Settings(script_bytes_max=1000)
        finder = ScriptFinder(user_folder=str(self.user), builtin=str(tmp_path / "builtin"), settings=settings)
        self.resolver = ScriptResolver(finder, settings)

    def resolve(self, reference: ScriptReference) -> ResolvedScript:
        return self.resolver.resolve(reference, self.folder, trusted=True)

    def refused(self, reference: ScriptReference) -> ScriptNotFound:
        with pytest.raises(ScriptNotFound) as caught:
            self.resolve(reference)
        return caught.value


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_a_name_is_resolved_to_the_exact_text(workspace: Workspace) -> None:
    """D2: what was hashed is what runs."""
    script = workspace.resolve(NamedScript("implement"))
    assert script.source == SCRIPT
    assert script.source_hash == hash_text(SCRIPT)
    assert (script.name, script.scope) == ("implement", "project")
    assert script.file == ".sidestep/workflows/implement.py"
    assert script.path == os.path.realpath(workspace.root / "implement.py")
    assert script.uri == (workspace.root / "implement.py").resolve().as_uri()
    assert script.signature.description == "Does it."


def test_an_untrusted_folder_resolves_nothing(workspace: Workspace) -> None:
    """S1, D3."""
    for reference in (NamedScript("implement"), NamedScript("nope"), InlineScript(SCRIPT), FileScript("x.py")):
        with pytest.raises(WorkspaceUntrusted) as caught:
            workspace.resolver.resolve(reference, workspace.folder, trusted=False)
        assert caught.value.folder == workspace.folder.path


def test_an_unknown_name_has_near_ones(workspace: Workspace) -> None:
    """S1."""
    (workspace.user / "implements.py").write_text(SCRIPT)
    error = workspace.refused(NamedScript("Implment"))
    assert set(error.near) == {"implement", "implements"}
    assert workspace.refused(NamedScript("zzz")).near == ()
    assert workspace.refused(FileScript("implemnt.py")).near[0] == "implement"


@pytest.mark.parametrize("name", ["", "../implement", "implement.py", "/etc/passwd", "a\0b", "\ud800"])
def test_a_name_is_never_a_path(workspace: Workspace, name: str) -> None:
    """D2."""
    workspace.refused(NamedScript(name))


def test_a_file_is_named_by_path_relative_path_or_uri(workspace: Workspace) -> None:
    (workspace.path / "ü b.py").write_text(SCRIPT)
    path = str(workspace.path / "ü b.py")
    for given in (path, "ü b.py", "./x/../ü b.py", Path(path).as_uri()):
        script = workspace.resolve(FileScript(given))
        assert (script.name, script.file, script.scope) == ("ü b", "ü b.py", "file")
    assert workspace.resolve(FileScript(".sidestep/workflows/implement.py")).scope == "project"


def test_the_users_own_scripts_are_named_by_file_too(workspace: Workspace) -> None:
    (workspace.user / "mine.py").write_text(SCRIPT)
    assert workspace.resolve(FileScript(str(workspace.user / "mine.py"))).scope == "user"
    assert workspace.resolve(NamedScript("mine")).file == os.path.realpath(workspace.user / "mine.py")


def test_a_path_outside_the_workspace_is_refused(workspace: Workspace) -> None:
    """D2: absolute, `..`, a symlinked file, a symlinked folder, a URI."""
    (workspace.path / "link.py").symlink_to(workspace.outside / "evil.py")
    (workspace.path / "folder").symlink_to(workspace.outside)
    evil = str(workspace.outside / "evil.py")
    for given in (evil, "../outside/evil.py", "link.py", "folder/evil.py", Path(evil).as_uri()):
        assert workspace.refused(FileScript(given)).why == "it lies outside the workspace"
    # The file behind the links is a good script all the same: only the place is wrong.
    assert read_source_file(os.path.realpath(evil), file="x", bytes_max=1000) == SCRIPT


def test_a_root_that_is_a_link_out_of_the_workspace_has_no_scripts(workspace: Workspace) -> None:
    """D2."""
    os.rename(workspace.root, workspace.path / "old")
    workspace.root.symlink_to(workspace.outside)
    assert workspace.refused(NamedScript("evil")).why == "it leads out of the workspace"


def test_a_link_inside_the_workspace_is_followed_once(workspace: Workspace) -> None:
    (workspace.path / "link.py").symlink_to(workspace.root / "implement.py")
    script = workspace.resolve(FileScript("link.py"))
    assert script.path == os.path.realpath(workspace.root / "implement.py")


@pytest.mark.parametrize("swapped", ["implement.py", ".", ".."])
def test_a_link_swapped_in_after_resolving_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """D2: the file, its folder or the one above becomes a link between resolving and opening."""
    victim = os.path.normpath(workspace.root / swapped)
    elsewhere = workspace.outside / "elsewhere"
    elsewhere.mkdir()
    open_without_links = source_file._open_without_links  # pyright: ignore[reportPrivateUsage]
    opened: list[str] = []

    def swap_then_open(path: str) -> int:
        opened.append(path)
        os.rename(victim, elsewhere / "moved")
        os.symlink(elsewhere / "moved", victim)
        return open_without_links(path)

    monkeypatch.setattr(source_file, "_open_without_links", swap_then_open)
    error = workspace.refused(NamedScript("implement"))
    assert error.why == "its path changed while it was opened"
    assert opened == [os.path.join(workspace.folder.path, ".sidestep", "workflows", "implement.py")]
    assert Path(opened[0]).read_text() == SCRIPT


def test_a_file_swapped_after_reading_changes_nothing(workspace: Workspace) -> None:
    """D2: opened once; the text is kept, not the path."""
    script = workspace.resolve(NamedScript("implement"))
    (workspace.root / "implement.py").write_text("raise SystemExit")
    assert hash_text(script.source) == script.source_hash
    assert script.source == SCRIPT


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("nope.py", "there is no such file"),
        ("notes.txt", "a script is a .py file"),
        ("folder.py", "it is no file"),
        ("pipe.py", "it is no file"),
        ("http://x/y.py", "only file: URIs"),
        ("a\0.py", "it is no path"),
        ("\ud800.py", "it is no path"),
        ("x" * 5000 + ".py", "too long"),
    ],
)
def test_what_is_no_script_file_says_why(workspace: Workspace, given: str, why: str) -> None:
    """S1: also a pipe, which must not be waited for."""
    (workspace.path / "notes.txt").write_text("x")
    (workspace.path / "folder.py").mkdir()
    os.mkfifo(workspace.path / "pipe.py")
    assert why in workspace.refused(FileScript(given)).why


def problem_of(workspace: Workspace, content: bytes) -> tuple[str, int, int, str]:
    (workspace.path / "x.py").write_bytes(content)
    with pytest.raises(ScriptInvalid) as caught:
        workspace.resolve(FileScript("x.py"))
    problem = caught.value.problems[0]
    assert caught.value.file == "x.py"
    return problem.code, problem.line, problem.column, problem.message


def test_a_script_with_errors_is_refused_with_their_places(workspace: Workspace) -> None:
    """S1: file, line, column."""
    assert problem_of(workspace, b"async def main():\n    x = = 1\n")[:3] == ("syntax", 2, 9)
    assert problem_of(workspace, b"a = 1\r\n# \xc3\xbc \xff")[:3] == ("encoding", 2, 5)
    assert problem_of(workspace, SCRIPT.encode("utf-16"))[3] == "the script is UTF-16; save it as UTF-8"
    assert problem_of(workspace, b"x = 'a\0b'")[:3] == ("syntax", 1, 7)
    assert problem_of(workspace, b"#" * 1001)[0] == "too-long"
    assert problem_of(workspace, b"x = 1")[0] == "main"


def test_a_script_with_warnings_alone_runs(workspace: Workspace) -> None:
    source = 'from sidestep import sleep\nasync def main():\n    sleep(1, id="x")\n'
    assert workspace.resolve(InlineScript(source)).source == source


def test_the_limit_is_in_bytes_and_inclusive(workspace: Workspace) -> None:
    exact = SCRIPT + "#" + "ü" * ((1000 - len(SCRIPT) - 1) // 2)
    exact += "#" * (1000 - len(exact.encode()))
    (workspace.path / "x.py").write_text(exact)
    assert workspace.resolve(FileScript("x.py")).source == exact
    assert workspace.resolve(InlineScript(exact)).source == exact
    with pytest.raises(ScriptInvalid):
        workspace.resolve(InlineScript(exact + "#"))


def test_one_text_has_one_hash_on_every_system(workspace: Workspace) -> None:
    """A byte order mark and CRLF change neither the text nor its hash."""
    (workspace.path / "x.py").write_bytes(b"\xef\xbb\xbf" + SCRIPT.replace("\n", "\r\n").encode())
    assert workspace.resolve(FileScript("x.py")).source_hash == hash_text(SCRIPT)
    assert workspace.resolve(InlineScript("\ufeff" + SCRIPT.replace("\n", "\r"))).source == SCRIPT


@pytest.mark.parametrize(
    ("name", "given"), [("mine", "mine"), (None, "inline"), ("", "inline"), ("a/b", "inline"), ("x" * 200, "inline")]
)
def test_inline_source_has_a_name_and_no_path(workspace: Workspace, name: str | None, given: str) -> None:
    script = workspace.resolve(InlineScript(SCRIPT, name))
    assert (script.name, script.file, script.path, script.uri) == (given, f"<{given}>", None, None)
    assert script.scope == "inline"


def test_a_word_is_a_name_unless_it_looks_like_a_file() -> None:
    assert reference_of_word("repo-report") == NamedScript("repo-report")
    for word in ("x.py", "a/b", "./x", "file:///x"):
        assert reference_of_word(word) == FileScript(word)


def test_a_file_is_read_as_it_is_even_when_it_grows(tmp_path: Path) -> None:
    """Bounded: a file longer than the limit is refused after the limit, not after its end."""
    path = tmp_path / "zero.py"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ScriptInvalid):
        read_source_file(real_path(str(path)), file="zero.py", bytes_max=1000)
    with pytest.raises(ScriptNotFound):
        read_source_file("/dev/zero", file="zero", bytes_max=1000)


def test_a_script_that_was_checked_is_not_checked_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same text under the same name; what has errors is told anew each time."""
    checked: list[str] = []
    check = resolver.check_with_signature

    def noting(source: str, file: str) -> Any:
        checked.append(file)
        return check(source, file)

    monkeypatch.setattr(resolver, "check_with_signature", noting)
    first = workspace.resolve(NamedScript("implement"))
    assert workspace.resolve(NamedScript("implement")) == first
    assert workspace.resolve(FileScript(".sidestep/workflows/implement.py")) == first
    assert checked == [".sidestep/workflows/implement.py"]
    for _ in range(2):
        with pytest.raises(ScriptInvalid):
            workspace.resolve(InlineScript("nonsense("))
    assert checked[1:] == ["<inline>", "<inline>"]


def test_a_changed_file_is_seen_whatever_its_size_and_times(workspace: Workspace) -> None:
    """D2: what is remembered is the whole text, never the file."""
    file = workspace.root / "implement.py"
    times = file.stat()
    assert [each.name for each in workspace.resolve(NamedScript("implement")).signature.parameters] == ["task"]
    file.write_text(SCRIPT.replace("task", "goal"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = workspace.resolve(NamedScript("implement"))
    assert [each.name for each in changed.signature.parameters] == ["goal"]
    assert changed.source_hash == hash_text(changed.source)
    file.write_text(SCRIPT.replace("task: str", "task: st"))
    with pytest.raises(ScriptInvalid):
        workspace.resolve(NamedScript("implement"))


def test_few_checked_scripts_are_remembered(workspace: Workspace) -> None:
    for number in range(2 * CHECKED_SCRIPTS_MAX):
        workspace.resolve(InlineScript(f"async def main(a{number}: int): ..."))
    assert workspace.resolver.checked_scripts == CHECKED_SCRIPTS_MAX
