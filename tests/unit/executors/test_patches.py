"""Applying a patch: all of it or nothing, conflicts as data, and nothing of the user's touched but what it names."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.executors.exclusive_lock import LockHeld, hold_exclusively
from sidestep.executors.patch_files import PatchUnknown
from sidestep.executors.patch_trial import PathsUnknown
from sidestep.model.abort import AbortController, Aborted, AbortKind, AbortReason

from .isolation import RUN, Isolation, applied, change, tree_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TEN = b"".join(b"line %d\n" % number for number in range(1, 11))
BASE = {
    "a.txt": TEN,
    "b.bin": b"\0\1\2",
    "gone.txt": b"gone\n",
    "tool.sh": b"#!/bin/sh\n",
    "other.txt": b"other\n",
    "sub/inner.txt": b"inner\n",
}
FIRST = {"a.txt": TEN.replace(b"line 1\n", b"first\n")}


@pytest.fixture
def isolation(tmp_path: Path) -> Isolation:
    made = Isolation(tmp_path)
    made.repository.commit("Ada", dict(BASE))
    return made


def left_in_state(isolation: Isolation) -> list[str]:
    """What is neither a patch, nor a lock, nor the outcome of a step."""
    return sorted(
        path
        for path in tree_of(isolation.state)
        if not path.startswith(("patches/", "locks/")) and not path.endswith(".json") and path != "worktrees/"
    )


async def test_every_kind_of_change_is_applied_and_nothing_else_of_the_users(isolation: Isolation) -> None:
    contents = {
        **FIRST,
        "b.bin": b"\0\1\3\xff",
        "gone.txt": None,
        "tool.sh": (b"#!/bin/sh\n",),
        "made/here/\xe9\n.txt": b"made\n",
        "made/run": (b"run\n",),
        "empty": b"",
    }
    patch = await isolation.patch_of(contents)
    change(isolation.folder, {"other.txt": b"dirty\n", "untracked": b"untracked\n"})
    isolation.repository.git("add", "other.txt")
    users = isolation.users_git
    assert await isolation.apply(patch) == applied(*patch.files)
    expected = {**BASE, **contents, "other.txt": b"dirty\n", "untracked": b"untracked\n"}
    assert isolation.tree == {path: content for path, content in expected.items() if content is not None}
    assert isolation.users_git == users
    assert left_in_state(isolation) == []


async def test_changes_to_other_lines_are_merged_with(isolation: Isolation) -> None:
    patch = await isolation.patch_of(FIRST)
    change(isolation.folder, {"a.txt": TEN.replace(b"line 3\n", b"third\n")})
    isolation.repository.git("add", "a.txt")
    change(isolation.folder, {"a.txt": TEN.replace(b"line 3\n", b"the user's\n")})
    users = isolation.users_git
    assert await isolation.apply(patch) == applied("a.txt")
    assert isolation.tree["a.txt"] == FIRST["a.txt"].replace(b"line 3\n", b"the user's\n")
    assert isolation.users_git == users


async def test_without_merging_every_hunk_has_to_fit(isolation: Isolation) -> None:
    patch = await isolation.patch_of(FIRST)
    change(isolation.folder, {"a.txt": TEN.replace(b"line 3\n", b"third\n")})
    before = isolation.tree
    outcome = await isolation.apply(patch, three_way=False)
    assert outcome["conflicts"] == [
        {"path": "a.txt", "reason": "it was changed since, and the patch does not fit any more"}
    ]
    assert isolation.tree == before
    # Far away from the hunk a change does not matter.
    change(isolation.folder, {"a.txt": TEN.replace(b"line 9\n", b"ninth\n")})
    assert await isolation.apply(patch, three_way=False) == applied("a.txt")


@pytest.mark.parametrize("three_way", [True, False])
async def test_each_conflict_is_told_with_its_reason_and_nothing_is_applied(
    isolation: Isolation, three_way: bool
) -> None:
    patch = await isolation.patch_of(
        {**FIRST, "b.bin": b"\0new", "gone.txt": None, "made": b"mine\n", "other.txt": b"x\n", "sub/inner.txt": b"x\n"}
    )
    users = {"a.txt": TEN.replace(b"line 1\n", b"1\n"), "b.bin": b"\0users", "gone.txt": b"kept\n", "made": b"theirs\n"}
    change(isolation.folder, {**users, "sub/inner.txt": None})
    before, users_git = isolation.tree, isolation.users_git
    outcome = await isolation.apply(patch, three_way=three_way)
    assert outcome["applied"] is False
    assert outcome["files"] == []
    reasons = {conflict["path"]: conflict["reason"] for conflict in outcome["conflicts"]}
    lines = "the same lines were changed" if three_way else "it was changed since"
    assert reasons.keys() == {"a.txt", "b.bin", "gone.txt", "made", "sub/inner.txt"}
    assert reasons["a.txt"].startswith(lines)
    assert reasons["gone.txt"] == "the patch deletes this file, and it was changed since"
    assert reasons["made"] == "the patch makes this file, and another one is already there"
    assert reasons["sub/inner.txt"] == "the file is no longer there"
    assert (isolation.tree, isolation.users_git) == (before, users_git)
    assert left_in_state(isolation) == ["applying/run_aaaaaaaaaaaaaaaa/"]


async def test_a_merge_conflict_alone_leaves_no_markers(isolation: Isolation) -> None:
    patch = await isolation.patch_of({**FIRST, "other.txt": b"agent's\n"})
    change(isolation.folder, {"a.txt": TEN.replace(b"line 1\n", b"1\n")})
    before = isolation.tree
    outcome = await isolation.apply(patch)
    assert [conflict["path"] for conflict in outcome["conflicts"]] == ["a.txt"]
    assert isolation.tree == before


async def test_what_is_there_already_merges_to_nothing(isolation: Isolation) -> None:
    patch = await isolation.patch_of({**FIRST, "made": b"same\n"})
    change(isolation.folder, {**FIRST, "made": b"same\n"})
    assert await isolation.apply(patch) == applied()


async def test_paths_take_some_files_or_folders_of_a_patch(isolation: Isolation) -> None:
    patch = await isolation.patch_of({**FIRST, "other.txt": b"x\n", "sub/new[1].txt": b"1\n", "sub/new1.txt": b"1\n"})
    assert await isolation.apply(patch, paths=["sub/new[1].txt"]) == applied("sub/new[1].txt")
    assert await isolation.apply(patch, paths=["./other.txt", "sub/new1.txt"]) == applied("other.txt", "sub/new1.txt")
    with pytest.raises(PathsUnknown, match="'nothing'"):
        await isolation.apply(patch, paths=["a.txt", "nothing"])
    with pytest.raises(PathsUnknown):
        await isolation.apply(patch, paths=["../a.txt"])
    assert await isolation.apply(patch, paths=["."], three_way=True) == applied("a.txt")


async def test_nothing_outside_the_workspace_folder_is_changed(isolation: Isolation) -> None:
    patch = await isolation.patch_of({**FIRST, "sub/inner.txt": b"x\n"}, below="sub")
    before = isolation.tree
    outcome = await isolation.apply(patch, below="sub")
    assert outcome["conflicts"] == [{"path": "../a.txt", "reason": "it lies outside the workspace folder"}]
    assert isolation.tree == before
    assert await isolation.apply(patch, below="sub", paths=["inner.txt"]) == applied("inner.txt")


@pytest.mark.parametrize("contents", [{"link": "/etc/passwd"}, {"other.txt": None, "link/x": b"x\n"}])
async def test_symbolic_links_are_neither_made_nor_followed(isolation: Isolation, contents: dict[str, Any]) -> None:
    patch = await isolation.patch_of(contents)
    outside = isolation.folder.parent / "outside"
    outside.mkdir()
    if "link" not in contents:
        change(isolation.folder, {"link": str(outside)})
    before = isolation.tree
    outcome = await isolation.apply(patch)
    assert "symbolic link" in outcome["conflicts"][0]["reason"]
    assert isolation.tree == before
    assert os.listdir(outside) == []


async def test_a_file_that_has_become_a_link_or_a_folder_is_a_conflict(isolation: Isolation) -> None:
    patch = await isolation.patch_of({**FIRST, "other.txt": b"x\n", "sub/inner.txt": b"x\n", "made": b"made\n"})
    change(isolation.folder, {"a.txt": None, "other.txt": None, "sub/inner.txt": None})
    (isolation.folder / "sub").rmdir()
    change(isolation.folder, {"a.txt": "b.bin", "other.txt/x": b"x\n", "sub": b"a file\n", "made/x": b"x\n"})
    before = isolation.tree
    outcome = await isolation.apply(patch)
    assert {conflict["path"]: conflict["reason"] for conflict in outcome["conflicts"]} == {
        "a.txt": "a symbolic link stands in its place",
        "made": "a folder stands in its place",
        "other.txt": "a folder stands in its place",
        "sub/inner.txt": "sub is a file, and the patch needs a folder of that name",
    }
    assert isolation.tree == before


async def test_a_file_becomes_a_folder_and_a_folder_a_file(isolation: Isolation) -> None:
    contents = {"other.txt": None, "other.txt/x": b"x\n", "sub/inner.txt": None, "sub": b"a file\n"}

    def make(folder: Path) -> None:
        (folder / "other.txt").unlink()
        (folder / "sub" / "inner.txt").unlink()
        (folder / "sub").rmdir()
        change(folder, {"other.txt/x": b"x\n", "sub": b"a file\n"})

    worktree = await isolation.open()
    make(isolation.state / "worktrees" / RUN / "k")
    patch = await isolation.worktrees.collect(worktree)
    assert (await isolation.apply(patch))["applied"]
    assert isolation.tree["other.txt/x"] == b"x\n"
    assert isolation.tree["sub"] == contents["sub"]


async def test_line_ends_and_permissions_are_the_users(isolation: Isolation) -> None:
    isolation.repository.git("config", "core.autocrlf", "true")
    (isolation.folder / "a.txt").write_bytes(TEN.replace(b"\n", b"\r\n"))
    (isolation.folder / "a.txt").chmod(0o640)
    (isolation.folder / "tool.sh").chmod(0o640)
    worktree = await isolation.open()
    place = isolation.state / "worktrees" / RUN / "k"
    assert (place / "a.txt").read_bytes().startswith(b"line 1\r\n")
    change(place, {"a.txt": FIRST["a.txt"].replace(b"\n", b"\r\n"), "tool.sh": (b"#!/bin/sh\r\n",)})
    patch = await isolation.worktrees.collect(worktree)
    assert (patch.additions, patch.deletions) == (1, 1)
    assert await isolation.apply(patch) == applied("a.txt", "tool.sh")
    assert isolation.tree["a.txt"] == FIRST["a.txt"].replace(b"\n", b"\r\n")
    assert stat.S_IMODE((isolation.folder / "a.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((isolation.folder / "tool.sh").stat().st_mode) == 0o750


async def test_a_file_committed_with_the_other_line_ends_keeps_them(isolation: Isolation) -> None:
    """What git makes of line ends depends on what it has in its index."""
    windows = TEN.replace(b"\n", b"\r\n")
    isolation.repository.commit("Ada", {"a.txt": windows})
    isolation.repository.git("config", "core.autocrlf", "true")
    patch = await isolation.patch_of({"a.txt": windows.replace(b"line 1\r", b"first\r")})
    assert (patch.additions, patch.deletions) == (1, 1)
    assert await isolation.apply(patch) == applied("a.txt")
    assert isolation.tree["a.txt"] == windows.replace(b"line 1\r", b"first\r")


async def test_files_that_git_filters_are_filtered_both_ways(isolation: Isolation) -> None:
    """As LFS does: pointers in the repository and in patches, contents in folders."""
    git = isolation.repository.git
    git("config", "filter.large.clean", "sed s/content/pointer/")
    git("config", "filter.large.smudge", "sed s/pointer/content/")
    git("config", "filter.large.required", "true")
    isolation.repository.commit("Ada", {".gitattributes": b"*.large filter=large\n", "x.large": b"content 1\n"})
    assert git("show", "HEAD:x.large") == "pointer 1"
    worktree = await isolation.open()
    place = isolation.state / "worktrees" / RUN / "k"
    assert (place / "x.large").read_bytes() == b"content 1\n"
    change(place, {"x.large": b"content 2\n", "y.large": b"content 3\n"})
    patch = await isolation.worktrees.collect(worktree)
    (stored,) = (isolation.state / "patches").glob("*.patch")
    assert b"content" not in stored.read_bytes()
    assert await isolation.apply(patch) == applied("x.large", "y.large")
    assert (isolation.tree["x.large"], isolation.tree["y.large"]) == (b"content 2\n", b"content 3\n")


async def test_a_folder_that_becomes_a_link_while_a_patch_is_applied_is_not_followed(isolation: Isolation) -> None:
    patch = await isolation.patch_of({**FIRST, "sub/new": b"new\n"})
    outside = isolation.folder.parent / "outside"

    async def swap() -> None:
        (isolation.folder / "sub").rename(outside)
        change(isolation.folder, {"sub": str(outside)})

    outcome = await isolation.apply(patch, require_claim=swap)
    assert [conflict["path"] for conflict in outcome["conflicts"]] == ["sub/new"]
    assert os.listdir(outside) == ["inner.txt"]
    assert isolation.tree["a.txt"] == TEN


async def test_in_the_middle_of_a_users_merge_only_the_named_files_change(isolation: Isolation) -> None:
    git = isolation.repository.git
    git("checkout", "-q", "-b", "theirs")
    isolation.repository.commit("Ada", {"other.txt": b"theirs\n"})
    git("checkout", "-q", "main")
    isolation.repository.commit("Ada", {"other.txt": b"ours\n"})
    with pytest.raises(AssertionError):
        git("merge", "theirs")
    patch = await isolation.patch_of({**FIRST, "other.txt": b"resolved\n"})
    users = isolation.users_git
    assert await isolation.apply(patch) == applied("a.txt", "other.txt")
    assert isolation.tree["other.txt"] == b"resolved\n"
    assert isolation.users_git == users


async def test_one_step_applies_its_patch_once(isolation: Isolation) -> None:
    patch = await isolation.patch_of({"made": b"made\n"})
    first = await isolation.apply(patch, step_key="same")
    change(isolation.folder, {"made": None})
    isolation.build()
    assert await isolation.apply(patch, step_key="same") == first
    assert "made" not in isolation.tree
    await isolation.patches.forget_run(RUN)
    assert not (isolation.state / "applying" / RUN).exists()
    await isolation.patches.forget_run(RUN)
    assert await isolation.apply(patch, step_key="same") == first
    assert "made" in isolation.tree


async def test_what_the_user_saves_while_a_patch_is_applied_is_kept_and_the_rest_rolled_back(
    isolation: Isolation,
) -> None:
    patch = await isolation.patch_of({**FIRST, "gone.txt": None, "made/new": b"new\n", "other.txt": b"agent's\n"})
    users = {"other.txt": b"saved just now\n"}

    async def save() -> None:
        change(isolation.folder, users)

    outcome = await isolation.apply(patch, require_claim=save)
    reason = "it was changed while the patch was being applied"
    assert outcome == {"applied": False, "files": [], "conflicts": [{"path": "other.txt", "reason": reason}]}
    assert isolation.tree == {**BASE, **users}
    assert left_in_state(isolation) == ["applying/run_aaaaaaaaaaaaaaaa/"]


async def test_a_file_system_that_refuses_in_the_middle_leaves_the_tree_as_it_was(isolation: Isolation) -> None:
    patch = await isolation.patch_of({**FIRST, "gone.txt": None, "z/new": b"new\n"})

    async def obstruct() -> None:
        change(isolation.folder, {"z": b"in the way\n"})

    with pytest.raises(OSError, match="z"):
        await isolation.apply(patch, require_claim=obstruct)
    assert isolation.tree == {**BASE, "z": b"in the way\n"}
    assert left_in_state(isolation) == ["applying/run_aaaaaaaaaaaaaaaa/"]


async def test_a_run_that_was_taken_over_applies_nothing(isolation: Isolation) -> None:
    """F3."""
    patch = await isolation.patch_of(FIRST)

    async def lost() -> None:
        raise Aborted(AbortReason(AbortKind.LEASE_LOST))

    with pytest.raises(Aborted):
        await isolation.apply(patch, require_claim=lost)
    assert isolation.tree == BASE


async def test_patches_of_one_repository_are_applied_one_after_the_other(isolation: Isolation) -> None:
    patches = [await isolation.patch_of({"a.txt": TEN.replace(b"line %d\n" % n, b"%d\n" % n)}) for n in (1, 5, 9)]
    assert await asyncio.gather(*(isolation.apply(patch) for patch in patches)) == [applied("a.txt")] * 3
    assert isolation.tree["a.txt"].count(b"line") == 7


async def test_waiting_for_another_process_ends_with_the_signal_or_the_limit(isolation: Isolation) -> None:
    patch = await isolation.patch_of(FIRST)
    assert (await isolation.apply(patch, paths=["."]))["applied"]
    # Beside those that keep the removal of worktrees apart.
    (lock,) = (path for path in (isolation.state / "locks").iterdir() if not path.name.startswith("runs-"))
    controller = AbortController()

    async def nap(seconds: float) -> None:
        controller.abort(AbortReason(AbortKind.USER))
        await asyncio.Event().wait()

    async with hold_exclusively(lock, 0, asyncio.sleep):
        isolation.build(sleep=nap)
        with pytest.raises(Aborted):
            await isolation.apply(patch, signal=controller.signal)
        isolation.build(sleep=lambda seconds: asyncio.sleep(0))
        with pytest.raises(LockHeld):
            await isolation.apply(patch)
        assert await isolation.patches.recover() == []


async def test_an_unknown_or_damaged_patch_is_told_apart_from_one_that_does_not_apply(isolation: Isolation) -> None:
    patch = await isolation.patch_of(FIRST)
    (stored,) = (isolation.state / "patches").glob("*.patch")
    stored.write_bytes(stored.read_bytes() + b"x")
    with pytest.raises(PatchUnknown, match="damaged"):
        await isolation.apply(patch)
    stored.unlink()
    with pytest.raises(PatchUnknown, match="there is no patch"):
        await isolation.apply(patch)


async def test_an_empty_patch_changes_nothing(isolation: Isolation) -> None:
    assert await isolation.apply(await isolation.patch_of({})) == applied()
    assert isolation.tree == BASE
