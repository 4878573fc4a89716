"""
A git working tree: where it stands, and its present state as a tree object.

Knows neither runs nor patches. Reads the user's repository and adds objects to it; the index, the stash and every
reference of the user stay as they are, because everything is staged in an index of our own.

What counts as present state: what is tracked with its changes, deletions and modes, and what is untracked and not
ignored. Repositories inside the repository that are no submodules are left out, as git itself cannot hold them.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidestep.executors.durable_files import in_thread
from sidestep.executors.git import GitFailed

if TYPE_CHECKING:
    from pathlib import Path

    from sidestep.executors.git import Git
    from sidestep.model.abort import AbortSignal

# Data sets that somebody forgot to ignore are not copied into the object database.
UNTRACKED_BYTES_MAX = 1024 * 1024 * 1024
# Of the commit that holds what the user has not committed; only a worktree ever sees it.
_NAME = "Sidestep"
_EMAIL = "sidestep@localhost"
_MESSAGE = "Uncommitted changes of the workspace"


class NoWorkTree(Exception):
    """The folder is in no working tree of git; the message says why and what to do."""


class TooMuchUntracked(Exception):
    """There is more in untracked files than is taken along."""


@dataclass(frozen=True)
class WorkTree:
    """
    One working tree; all paths are absolute real paths.

    Attributes:
        top: Its topmost folder.
        prefix: The folder that was asked for, below `top`: "" or "some/folder/".
        git_dir: Where its index and HEAD stand.
        common_dir: Where the repository's objects and references stand; the same for all its working trees.
    """

    top: str
    prefix: str
    git_dir: str
    common_dir: str

    @property
    def env(self) -> dict[str, str]:
        """Names the repository to git, so that nothing found on the way up from a folder stands in for it."""
        return {"GIT_DIR": self.git_dir, "GIT_WORK_TREE": self.top}

    @property
    def objects(self) -> str:
        return os.path.join(self.common_dir, "objects")


async def find_work_tree(git: Git, folder: str, signal: AbortSignal) -> WorkTree:
    """
    The working tree a folder stands in.

    Raises:
        NoWorkTree: no such folder, no repository, a bare one, or one that git refuses to read.
        Aborted, GitMissing, GitFailed.
    """
    real = await in_thread(lambda: os.path.realpath(folder))
    if not await in_thread(os.path.isdir, real):
        raise NoWorkTree(f"the folder {folder} is no longer there")
    inside = await git.run("rev-parse", "--is-inside-work-tree", cwd=real, signal=signal, allowed=(0, 128))
    if inside.exit_code != 0:
        raise NoWorkTree(f"{folder} is in no git repository ({inside.said}); make one with: git init")
    if inside.line != "true":
        raise NoWorkTree(f"{folder} is a git repository without a working tree (bare, or the inside of .git)")
    asked = ("rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir")
    answers = (await git.run(*asked, cwd=real, signal=signal)).line.split("\n")
    if len(answers) != 3:
        raise NoWorkTree(f"there is a line break in the path of the repository of {folder!r}; move it")
    return await in_thread(_real_work_tree, real, *answers)


async def write_tree(
    git: Git, work_tree: WorkTree, scratch: Path, signal: AbortSignal, *, untracked_bytes_max: int
) -> str:
    """
    The working tree's present state as a tree object.

    Args:
        scratch: A folder of the caller's that it removes afterwards; the index of our own is made there.
        untracked_bytes_max: Of all untracked files together.

    Returns:
        The tree's id.

    Raises:
        TooMuchUntracked, Aborted, GitMissing.
        GitFailed: a file cannot be read, a filter failed, the index is damaged.
    """
    index = scratch / "index"
    await in_thread(_copy_index, os.path.join(work_tree.git_dir, "index"), index)
    env = {**work_tree.env, "GIT_INDEX_FILE": str(index)}
    # Everything tracked, unmerged files too: what stands in the working tree is what there is.
    await git.run("add", "--update", "--", ".", cwd=work_tree.top, signal=signal, env=env)
    listed = await git.run(
        "ls-files", "-z", "--others", "--exclude-standard", cwd=work_tree.top, signal=signal, env=env
    )
    # A path with a slash at its end is another repository.
    untracked = [path for path in listed.items if not path.endswith(b"/")]
    total = await in_thread(_bytes_of, work_tree.top, untracked)
    if total > untracked_bytes_max:
        raise TooMuchUntracked(
            f"{work_tree.top} has {total} bytes in untracked files, and at most {untracked_bytes_max} are taken along; "
            "ignore what is not to be (.gitignore), or commit it"
        )
    if untracked:
        # With --remove a file that went away since it was listed is no failure.
        names = b"".join(path + b"\0" for path in untracked)
        add = ("update-index", "--add", "--remove", "-z", "--stdin")
        await git.run(*add, cwd=work_tree.top, signal=signal, env=env, stdin=names)
    return (await git.run("write-tree", cwd=work_tree.top, signal=signal, env=env)).line


async def write_base(git: Git, work_tree: WorkTree, tree: str, signal: AbortSignal) -> str:
    """
    A commit of that tree on top of HEAD: HEAD itself when it has the same tree, a first commit when HEAD is unborn.

    No reference names it: whoever needs it to stay checks it out.
    """
    who = {
        "GIT_AUTHOR_NAME": _NAME,
        "GIT_AUTHOR_EMAIL": _EMAIL,
        "GIT_COMMITTER_NAME": _NAME,
        "GIT_COMMITTER_EMAIL": _EMAIL,
    }

    async def ask(*arguments: str) -> str | None:
        env = {**work_tree.env, **who}
        output = await git.run(*arguments, cwd=work_tree.top, signal=signal, env=env, allowed=(0, 1))
        return output.line if output.exit_code == 0 else None

    head = await ask("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    if head is not None and await ask("rev-parse", "--quiet", "--verify", "HEAD^{tree}") == tree:
        return head
    parents = () if head is None else ("-p", head)
    base = await ask("commit-tree", tree, *parents, "-m", _MESSAGE)
    if base is None:
        raise GitFailed("commit-tree", 1, "the uncommitted state could not be put into a commit")
    return base


async def has_commit(git: Git, work_tree: WorkTree, commit: str, signal: AbortSignal) -> bool:
    """Whether the commit, with everything it needs to be checked out, is still in the repository."""
    try:
        await git.run(
            "rev-parse", "--verify", f"{commit}^{{tree}}", cwd=work_tree.top, signal=signal, env=work_tree.env
        )
    except GitFailed:
        return False
    return True


def _real_work_tree(folder: str, top: str, git_dir: str, common_dir: str) -> WorkTree:
    """Of what git says in `folder`: it may name the common folder from there."""
    top = os.path.realpath(top)
    below = os.path.relpath(folder, top)
    return WorkTree(
        top=top,
        prefix="" if below == os.curdir else below.replace(os.sep, "/") + "/",
        git_dir=os.path.realpath(git_dir),
        common_dir=os.path.realpath(os.path.join(folder, common_dir)),
    )


def _copy_index(source: str, target: Path) -> None:
    if os.path.exists(source):
        # With its time: git tells by it which files may have changed after they were last looked at.
        shutil.copy2(source, target)


def _bytes_of(top: str, paths: list[bytes]) -> int:
    total = 0
    for path in paths:
        try:
            facts = os.lstat(os.path.join(os.fsencode(top), path))
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode):
            total += facts.st_size
    return total
