"""`isolation="worktree"`: what an agent finds in its worktree, what becomes its patch, and what the user keeps."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.worktrees import WorktreeFailed
from sidestep.model.abort import Aborted, AbortKind, AbortReason
from sidestep.model.run import FailureCode
from tests.support.git_repository import GitRepository

from .isolation import RUN, Isolation, change, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lifeline

pytestmark = pytest.mark.slow

BASE = {
    "kept.txt": b"kept\n",
    "changed.txt": b"one\ntwo\nthree\n",
    "staged.txt": b"staged\n",
    "gone.txt": b"gone\n",
    "moved.txt": b"moved\nwith\nlines\n",
    "tool.sh": b"#!/bin/sh\n",
    "picture.bin": b"\0\1\2\xff",
    "sub/inner.txt": b"inner\n",
    ".gitignore": b"*.log\n/build/\n",
}


@pytest.fixture
def isolation(tmp_path: Path) -> Isolation:
    made = Isolation(tmp_path)
    made.repository.commit("Ada", dict(BASE))
    return made


def make_dirty(isolation: Isolation) -> None:
    """Every kind of uncommitted state at once."""
    folder, git = isolation.folder, isolation.repository.git
    change(folder, {"staged.txt": b"staged twice\n"})
    git("add", "staged.txt")
    git("mv", "moved.txt", "sub/moved here.txt")
    change(
        folder,
        {
            "changed.txt": b"one\nTWO\nthree\n",
            "staged.txt": b"and changed again\n",
            "gone.txt": None,
            "tool.sh": (b"#!/bin/sh\n",),
            "picture.bin": b"\0\1\3\xfe",
            "new/untracked \xe9\n.txt": b"new\n",
            "intended.txt": b"intended\n",
            "link": "kept.txt",
            "debug.log": b"ignored\n",
            "build/out": b"ignored\n",
        },
    )
    git("add", "--intent-to-add", "intended.txt")


def visible(isolation: Isolation) -> dict[str, object]:
    return {path: content for path, content in isolation.tree.items() if path not in ("debug.log", "build/out")}


async def test_a_worktree_is_head_plus_the_uncommitted_state_without_what_is_ignored(isolation: Isolation) -> None:
    make_dirty(isolation)
    worktree = await isolation.open()
    found = tree_of(isolation.state / "worktrees" / RUN / "k")
    assert found == visible(isolation)
    assert "new/untracked \xe9\n.txt" in found
    assert worktree.cwd == str((isolation.state / "worktrees" / RUN / "k").resolve())


async def test_the_users_index_stash_and_references_stay_as_they_are(isolation: Isolation) -> None:
    change(isolation.folder, {"kept.txt": b"stashed\n"})
    isolation.repository.git("stash", "push", "-q")
    make_dirty(isolation)
    users, status = isolation.users_git, isolation.repository.git("status", "--porcelain")
    worktree = await isolation.open()
    change(isolation.state / "worktrees" / RUN / "k", {"kept.txt": b"changed\n", "more": b"more\n"})
    await isolation.worktrees.collect(worktree)
    await isolation.worktrees.remove_run(RUN)
    assert isolation.users_git == users
    assert isolation.repository.git("status", "--porcelain") == status


async def test_a_clean_workspace_is_worked_on_from_head_itself(isolation: Isolation) -> None:
    worktree = await isolation.open()
    assert worktree.base == isolation.repository.git("rev-parse", "HEAD")


async def test_what_is_uncommitted_stands_in_a_commit_on_top_of_head(isolation: Isolation) -> None:
    change(isolation.folder, {"new": b"new\n"})
    worktree = await isolation.open()
    assert isolation.repository.git("rev-parse", f"{worktree.base}^") == isolation.repository.git("rev-parse", "HEAD")
    assert isolation.repository.git("branch", "--contains", worktree.base) == ""


async def test_files_in_a_merge_conflict_are_taken_as_they_stand_in_the_folder(isolation: Isolation) -> None:
    git = isolation.repository.git
    git("checkout", "-q", "-b", "other")
    isolation.repository.commit("Ada", {"changed.txt": b"one\nOTHER\nthree\n"})
    git("checkout", "-q", "main")
    isolation.repository.commit("Ada", {"changed.txt": b"one\nMAIN\nthree\n"})
    with pytest.raises(AssertionError):
        git("merge", "other")
    users = isolation.users_git
    await isolation.open()
    assert tree_of(isolation.state / "worktrees" / RUN / "k") == isolation.tree
    assert isolation.users_git == users


async def test_a_change_that_only_the_index_files_own_time_betrays_is_seen(isolation: Isolation) -> None:
    """A file as long and as old as when it was staged: git looks into it because the index is no younger."""
    git, file = isolation.repository.git, isolation.folder / "kept.txt"
    git("config", "core.trustctime", "false")
    moment = (1_700_000_000 * 10**9, 1_700_000_000 * 10**9)
    os.utime(file, ns=moment)
    git("update-index", "--refresh")
    file.write_bytes(b"KEPT\n")
    os.utime(file, ns=moment)
    os.utime(isolation.folder / ".git" / "index", ns=moment)
    await isolation.open()
    assert tree_of(isolation.state / "worktrees" / RUN / "k")["kept.txt"] == b"KEPT\n"


async def test_work_in_a_folder_below_the_top_is_done_in_the_same_folder(isolation: Isolation) -> None:
    change(isolation.folder, {"deep/er/x.log": b"ignored\n", "sub/inner.txt": b"dirty\n"})
    worktree = await isolation.open(below="sub")
    assert worktree.cwd.endswith(f"/{RUN}/k/sub")
    assert tree_of(isolation.state / "worktrees" / RUN / "k")["sub/inner.txt"] == b"dirty\n"
    # A folder with nothing but ignored files is there, too.
    other = await isolation.open("other", below="deep/er")
    assert os.listdir(other.cwd) == []


async def test_a_repository_without_a_commit_can_be_worked_on(tmp_path: Path) -> None:
    isolation = Isolation(tmp_path)
    change(isolation.folder, {"a": b"a\n"})
    worktree = await isolation.open()
    change(isolation.state / "worktrees" / RUN / "k", {"a": b"b\n"})
    patch = await isolation.worktrees.collect(worktree)
    assert (patch.files, patch.additions, patch.deletions) == (("a",), 1, 1)
    with pytest.raises(AssertionError):
        isolation.repository.git("rev-parse", "--verify", "HEAD")


async def test_submodules_are_empty_folders_and_no_change(isolation: Isolation, tmp_path: Path) -> None:
    library = GitRepository(tmp_path / "library")
    library.commit("Bo", {"lib": b"1\n"})
    git = isolation.repository.git
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.folder), "library")
    isolation.repository.commit("Ada")
    worktree = await isolation.open()
    assert os.listdir(os.path.join(worktree.cwd, "library")) == []
    assert (await isolation.worktrees.collect(worktree)).files == ()


async def test_a_repository_inside_the_repository_is_left_out(isolation: Isolation) -> None:
    GitRepository(isolation.folder / "unborn")
    GitRepository(isolation.folder / "other").commit("Bo", {"x": b"1\n"})
    worktree = await isolation.open()
    assert "other" not in os.listdir(worktree.cwd)
    assert (await isolation.worktrees.collect(worktree)).files == ()


async def check_failure(isolation: Isolation, folder: Path, *words: str) -> None:
    with pytest.raises(WorktreeFailed) as failed:
        await isolation.worktrees.open(RUN, "k", str(folder), isolation.signal)
    assert failed.value.failure.code is FailureCode.INFRASTRUCTURE
    for word in words:
        assert word in failed.value.failure.message


async def test_a_folder_that_is_no_repository_is_a_clear_failure(isolation: Isolation, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    await check_failure(isolation, tmp_path / "plain", "is in no git repository", "git init")


async def test_a_bare_repository_and_a_missing_folder_are_clear_failures(isolation: Isolation, tmp_path: Path) -> None:
    isolation.repository.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    await check_failure(isolation, tmp_path / "bare.git", "without a working tree")
    await check_failure(isolation, tmp_path / "never", "no longer there")


async def test_a_machine_without_git_is_a_clear_failure_that_names_the_path(tmp_path: Path) -> None:
    isolation = Isolation(tmp_path)
    isolation.environ = {"PATH": f"{tmp_path}:relative"}
    isolation.build()
    await check_failure(isolation, isolation.folder, "'git' was not found on PATH", str(tmp_path))


async def test_a_state_folder_inside_the_repository_is_refused(tmp_path: Path) -> None:
    isolation = Isolation(tmp_path)
    isolation.state = isolation.folder / "state"
    isolation.build()
    await check_failure(isolation, isolation.folder, "keep the store elsewhere")
    assert "state/worktrees/run_aaaaaaaaaaaaaaaa/k" not in isolation.tree


async def test_opened_again_a_worktree_is_found_with_what_was_done_in_it(isolation: Isolation) -> None:
    first = await isolation.open()
    change(isolation.state / "worktrees" / RUN / "k", {"half.txt": b"half done\n"})
    # Whatever the agent did to its branch.
    isolation.repository.git("-C", first.cwd, "checkout", "-q", "--orphan", "other")
    change(isolation.folder, {"kept.txt": b"the user goes on\n"})
    isolation.build()
    assert await isolation.open() == first
    assert tree_of(isolation.state / "worktrees" / RUN / "k") == {**BASE, "half.txt": b"half done\n"}
    assert (await isolation.worktrees.collect(first)).files == ("half.txt",)


@pytest.mark.parametrize("damage", ["removed", "no .git", "no notes", "never finished"])
async def test_a_damaged_worktree_is_made_anew_from_the_recorded_base(isolation: Isolation, damage: str) -> None:
    change(isolation.folder, {"new": b"new\n"})
    first = await isolation.open()
    place = isolation.state / "worktrees" / RUN / "k"
    if damage == "removed":
        shutil.rmtree(place)
    elif damage == "no .git":
        (place / ".git").unlink()
        (place / "kept.txt").unlink()
    elif damage == "no notes":
        shutil.rmtree(isolation.folder / ".git" / "worktrees")
    else:
        record = place.with_name("k.json")
        record.write_text(record.read_text().replace(f'"admin": "{first.tree.git_dir}"', '"admin": ""'))
        (place / "kept.txt").unlink()
    change(isolation.folder, {"new": b"the user goes on\n"})
    isolation.build()
    second = await isolation.open()
    assert second.base == first.base
    assert tree_of(place) == {**BASE, "new": b"new\n"}
    assert isolation.repository.git("worktree", "list").count("\n") == 1


async def test_an_abort_ends_git_and_leaves_nothing_that_hinders_the_next_attempt(
    isolation: Isolation, tmp_path: Path, life: Lifeline
) -> None:
    isolation.environ = slow_git(isolation, tmp_path)
    isolation.build(sleep=lambda seconds: asyncio.sleep(0))
    opening = asyncio.ensure_future(isolation.open())
    assert await life.line() == "up"
    isolation.controller.abort(AbortReason(AbortKind.USER))
    with pytest.raises(Aborted):
        await opening
    await life.end()
    isolation = Isolation(tmp_path, repository=isolation.repository)
    await isolation.open()
    assert tree_of(isolation.state / "worktrees" / RUN / "k") == BASE


def slow_git(isolation: Isolation, tmp_path: Path) -> dict[str, str]:
    """An environment in which `git worktree add` stands still when half of the worktree is there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *"worktree add"*) {shutil.which("git")} "$@"; '
        f"rm {isolation.state}/worktrees/{RUN}/k/kept.txt; "
        f"trap '' TERM; exec 9>{tmp_path}/life; echo up >&9; exec sleep 50;; esac\n"
        f'exec {shutil.which("git")} "$@"\n'
    )
    (tools / "git").chmod(0o755)
    return {**isolation.environ, "PATH": f"{tools}:{isolation.environ['PATH']}"}


_OPEN = """
import asyncio, os, sys
from pathlib import Path
from sidestep.executors.git import Git
from sidestep.executors.worktrees import Worktrees
from sidestep.model.abort import AbortController
worktrees = Worktrees(Path(sys.argv[1]), Git(os.environ, asyncio.sleep))
asyncio.run(worktrees.open(sys.argv[2], "k", sys.argv[3], AbortController().signal))
"""


async def test_f4_a_git_that_outlives_a_killed_process_is_waited_for(
    isolation: Isolation, tmp_path: Path, life: Lifeline
) -> None:
    """Else two would write into one worktree."""
    arguments = (str(isolation.state), RUN, str(isolation.folder))
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    environ = {**slow_git(isolation, tmp_path), **path}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _OPEN, *arguments, env=environ)
    assert await life.line() == "up"
    process.kill()
    await process.wait()
    asked = asyncio.Event()

    async def nap(seconds: float) -> None:
        asked.set()
        await asyncio.sleep(seconds)

    isolation.build(sleep=nap)
    opening = asyncio.ensure_future(isolation.open())
    await asked.wait()
    assert life.is_held
    assert not opening.done()
    holder = next(entry for entry in os.listdir("/proc") if entry.isdigit() and holds(entry, tmp_path / "life"))
    os.killpg(os.getpgid(int(holder)), signal.SIGKILL)
    await opening
    assert tree_of(isolation.state / "worktrees" / RUN / "k") == BASE


def holds(pid: str, path: Path) -> bool:
    try:
        return any(
            os.readlink(f"/proc/{pid}/fd/{fd}") == str(path) for fd in os.listdir(f"/proc/{pid}/fd") if fd == "9"
        )
    except OSError:
        return False


async def test_no_hook_monitor_or_diff_program_of_the_repository_is_run(isolation: Isolation, tmp_path: Path) -> None:
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\necho $0 >> {tmp_path}/spied\nexit 1\n")
    spy.chmod(0o755)
    git = isolation.repository.git
    hooks = isolation.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "pre-commit", "pre-auto-gc"):
        shutil.copy(spy, hooks / hook)
    for name in ("core.fsmonitor", "diff.external", "diff.odd.command", "diff.odd.textconv", "core.pager"):
        git("-c", "core.hooksPath=/dev/null", "config", name, str(spy))
    change(isolation.folder, {".gitattributes": b"*.txt diff=odd\n"})
    patch = await isolation.patch_of({"kept.txt": b"changed\n"})
    assert (await isolation.apply(patch))["applied"]
    assert not (tmp_path / "spied").exists()


async def test_variables_that_point_git_elsewhere_are_not_heeded(isolation: Isolation, tmp_path: Path) -> None:
    """As in a git hook that started the editor that started us."""
    elsewhere = {"GIT_DIR": str(tmp_path / "nowhere"), "GIT_INDEX_FILE": str(tmp_path / "x"), "GIT_WORK_TREE": "/"}
    isolation.environ = {**isolation.environ, **elsewhere, "GIT_TRACE": str(tmp_path / "trace")}
    isolation.build()
    await isolation.open()
    assert tree_of(isolation.state / "worktrees" / RUN / "k") == BASE
    assert not (tmp_path / "trace").exists()


async def test_a_patch_tells_files_and_lines_and_is_named_by_its_content(isolation: Isolation) -> None:
    contents = {
        "changed.txt": b"one\nzwei\nthree\nfour\n",
        "gone.txt": None,
        "picture.bin": b"\0" * 999,
        "tool.sh": (b"#!/bin/sh\n",),
        "made/new.txt": b"1\n2\n",
        "seen.log": b"ignored\n",
    }
    patch = await isolation.patch_of(contents)
    assert patch.description == {
        "id": patch.patch_id,
        "files": ["changed.txt", "gone.txt", "made/new.txt", "picture.bin", "tool.sh"],
        "additions": 4,
        "deletions": 2,
    }
    stored = isolation.state / "patches" / f"{patch.patch_id.removeprefix('patch_')}.patch"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    isolation.repository.git("apply", "--check", str(stored))
    assert await isolation.patch_of(contents) == patch


async def test_what_was_committed_in_the_worktree_is_in_the_patch(isolation: Isolation) -> None:
    worktree = await isolation.open()
    change(isolation.state / "worktrees" / RUN / "k", {"kept.txt": b"committed\n"})
    isolation.repository.git("-C", worktree.cwd, "commit", "-qam", "x")
    change(isolation.state / "worktrees" / RUN / "k", {"new": b"not committed\n"})
    assert (await isolation.worktrees.collect(worktree)).files == ("kept.txt", "new")


async def test_paths_of_a_patch_are_told_relative_to_the_folder(isolation: Isolation) -> None:
    patch = await isolation.patch_of({"kept.txt": b"x\n", "sub/inner.txt": b"x\n"}, below="sub")
    assert patch.files == ("../kept.txt", "inner.txt")


async def test_no_change_is_an_empty_patch(isolation: Isolation) -> None:
    make_dirty(isolation)
    patch = await isolation.patch_of({})
    assert (patch.files, patch.additions, patch.deletions) == ((), 0, 0)


async def test_too_much_is_a_failure_with_code_limit_and_leaves_nothing_behind(isolation: Isolation) -> None:
    isolation.build(patch_bytes_max=1000, untracked_bytes_max=1000)
    worktree = await isolation.open()
    for contents in ({"kept.txt": b"x\n" * 1000}, {"kept.txt": BASE["kept.txt"], "big": b"x" * 1001}):
        change(isolation.state / "worktrees" / RUN / "k", contents)
        with pytest.raises(WorktreeFailed) as failed:
            await isolation.worktrees.collect(worktree)
        assert failed.value.failure.code is FailureCode.LIMIT
    assert os.listdir(isolation.state / "patches") == []
    change(isolation.folder, {"data": b"x" * 1001})
    with pytest.raises(WorktreeFailed, match="untracked") as failed:
        await isolation.open("other")
    assert failed.value.failure.code is FailureCode.LIMIT


async def test_steps_of_one_run_have_worktrees_of_their_own_also_at_once(isolation: Isolation) -> None:
    make_dirty(isolation)
    worktrees = await asyncio.gather(*(isolation.open(f"k{number}") for number in range(4)))
    assert len({worktree.cwd for worktree in worktrees}) == 4
    assert len({worktree.tree.git_dir for worktree in worktrees}) == 4


async def test_removing_a_run_removes_its_worktrees_and_gits_notes_and_nothing_else(
    isolation: Isolation, tmp_path: Path
) -> None:
    git = isolation.repository.git
    # A worktree of the user's, on a disk that is away for now.
    git("worktree", "add", "-q", str(tmp_path / "users"))
    (tmp_path / "users").rename(tmp_path / "away")
    await isolation.open("a")
    await isolation.open("b")
    place = isolation.state / "worktrees" / RUN
    # As caches of modules are.
    change(place / "a", {"cache/x": b"1\n"})
    (place / "a" / "cache").chmod(0o500)
    shutil.rmtree(place / "b")
    assert await isolation.worktrees.runs() == [RUN]
    await isolation.worktrees.remove_run(RUN)
    assert await isolation.worktrees.runs() == []
    assert not place.exists()
    assert os.listdir(isolation.folder / ".git" / "worktrees") == ["users"]
    await isolation.worktrees.remove_run(RUN)
    await isolation.worktrees.remove_run("run_never")


async def test_removing_a_run_whose_repository_is_gone_is_no_failure(isolation: Isolation) -> None:
    await isolation.open()
    shutil.rmtree(isolation.folder)
    await isolation.worktrees.remove_run(RUN)
    assert os.listdir(isolation.state / "worktrees") == []
