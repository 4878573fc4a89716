"""
Working trees of git in which agents work apart from the user's own (`isolation="worktree"`).

Owns the folder `worktrees` of the state folder: for each run a folder, in it for each step a record, a lock and the
working tree. A worktree begins as HEAD with the uncommitted state of the workspace on top (`work_tree.py` says what
counts), detached, at a commit that no branch names. Ignored files (installed packages, builds) are not in it,
submodules are empty folders in it, and files of git LFS are what the user's own git makes of them.

Invariant: the base is recorded durably before the worktree is made, and never changes: however often a step is done
again, its patch is against the state it first saw.
Invariant: a worktree never stands in the repository, and nothing of the user's but git's list of worktrees and its
objects is written to.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidestep.executors.durable_files import in_thread, make_folder, remove_tree, replace_durably
from sidestep.executors.exclusive_lock import LockHeld, hold_exclusively
from sidestep.executors.git import GitFailed, GitMissing, GitOutputTooLong
from sidestep.executors.patch_files import PATCH_BYTES_MAX, PatchFile, PatchFolder
from sidestep.executors.work_tree import (
    UNTRACKED_BYTES_MAX,
    NoWorkTree,
    TooMuchUntracked,
    WorkTree,
    find_work_tree,
    has_commit,
    write_base,
    write_tree,
)
from sidestep.model.abort import AbortController
from sidestep.model.agents import AgentFailed
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from sidestep.executors.git import Git
    from sidestep.model.abort import AbortSignal

log = logging.getLogger("sidestep.worktrees")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
# A git that a dead process left behind still checks out a large worktree.
_LOCK_WAIT_S = 60.0
_DIFF = (
    "diff-tree",
    *("-r", "-p", "--binary", "--full-index", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--unified=3", "--inter-hunk-context=0", "--diff-algorithm=myers", "--src-prefix=a/", "--dst-prefix=b/"),
)
_COUNT = ("diff-tree", "-r", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv")


class WorktreeFailed(AgentFailed):
    """A worktree cannot be made, or what was done in it cannot be read; the step fails with `failure`."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(Failure(code, message))


@dataclass(frozen=True)
class Worktree:
    """
    One step's worktree.

    Attributes:
        cwd: Where to work: the folder that stands for the run's workspace folder; absolute.
        base: The commit that patches are made against.
        tree: The worktree itself, as git knows it.
    """

    run_id: str
    step_key: str
    cwd: str
    base: str
    tree: WorkTree


@dataclass(frozen=True)
class _Record:
    """
    What is durably known of one worktree.

    Attributes:
        top, prefix, git_dir, common_dir: Of the working tree it was made from, see `WorkTree`.
        admin: Git's own folder for the worktree; "", which is no folder, until it was made to the end.
    """

    base: str
    top: str
    prefix: str
    git_dir: str
    common_dir: str
    admin: str = ""

    @property
    def source(self) -> WorkTree:
        return WorkTree(self.top, self.prefix, self.git_dir, self.common_dir)


class Worktrees:
    """
    Makes, reads and removes worktrees.

    Args:
        state_folder: Of the store; made when missing.
    """

    def __init__(
        self,
        state_folder: Path,
        git: Git,
        *,
        patch_bytes_max: int = PATCH_BYTES_MAX,
        untracked_bytes_max: int = UNTRACKED_BYTES_MAX,
    ) -> None:
        # Real paths: git notes worktrees by them.
        self._folder = Path(os.path.realpath(state_folder)) / "worktrees"
        self._patches = PatchFolder(state_folder / "patches")
        self._git = git
        self._patch_bytes_max = patch_bytes_max
        self._untracked_bytes_max = untracked_bytes_max

    async def open(self, run_id: str, step_key: str, folder: str, signal: AbortSignal) -> Worktree:
        """
        The worktree of a step; made at the first call, and found again, with what was done in it, at later ones.

        One that was made only half, or is damaged, is made anew from the recorded base. May be cancelled.

        Args:
            folder: The run's workspace folder; may be below the top of its repository.

        Raises:
            Aborted.
            WorktreeFailed: `infrastructure` (no git, no repository, a bare one, the state folder stands in the
                repository, git's own complaint) or `limit` (too much in untracked files).
        """
        run_folder = self._run_folder(run_id)
        assert _NAME.fullmatch(step_key), "a step key names a folder"
        path = run_folder / step_key
        try:
            lock = run_folder / f"{step_key}.lock"
            async with hold_exclusively(lock, _LOCK_WAIT_S, self._git.sleep, signal) as descriptor:
                signal.throw_if_aborted()
                return await self._open(run_id, step_key, path, folder, descriptor, signal)
        except (GitMissing, NoWorkTree, GitFailed, GitOutputTooLong, LockHeld, OSError) as error:
            raise WorktreeFailed(FailureCode.INFRASTRUCTURE, f"no worktree for {folder}: {error}") from error
        except TooMuchUntracked as error:
            raise WorktreeFailed(FailureCode.LIMIT, f"no worktree: {error}") from error

    async def collect(self, worktree: Worktree, signal: AbortSignal | None = None) -> PatchFile:
        """
        Store what changed in a worktree since its base as a patch, durably; commits made there count as changes.

        May be cancelled and called again; the same changes make the same patch.

        Raises:
            Aborted.
            WorktreeFailed: `infrastructure` (the worktree is damaged, a disk is full), `limit` (a patch too large).
        """
        signal = signal or AbortController().signal
        scratch = self._run_folder(worktree.run_id) / f"{worktree.step_key}.scratch"
        try:
            await in_thread(make_folder, scratch)
            limit = self._patch_bytes_max
            tree = await write_tree(self._git, worktree.tree, scratch, signal, untracked_bytes_max=limit)
            patch_id = await self._keep_patch(worktree, tree, signal)
            count = (*_COUNT, worktree.base, tree)
            counted = await self._git.run(*count, cwd=worktree.tree.top, signal=signal, env=worktree.tree.env)
        except (TooMuchUntracked, GitOutputTooLong) as error:
            raise WorktreeFailed(FailureCode.LIMIT, f"the changes are too large for a patch: {error}") from error
        except (GitMissing, GitFailed, OSError) as error:
            raise WorktreeFailed(
                FailureCode.INFRASTRUCTURE, f"the changes in the worktree cannot be read: {error}"
            ) from error
        finally:
            await in_thread(remove_tree, scratch)
        rows = [item.split(b"\t", 2) for item in counted.items]
        return PatchFile(
            patch_id=patch_id,
            files=tuple(shown_path(os.fsdecode(path), worktree.tree.prefix) for _, _, path in rows),
            additions=sum(int(added) for added, _, _ in rows if added != b"-"),
            deletions=sum(int(deleted) for _, deleted, _ in rows if deleted != b"-"),
        )

    async def remove_run(self, run_id: str) -> None:
        """
        Remove the worktrees of a run, and git's notes of them; patches stay. Nothing of the run may be at work.

        What is gone already is fine; what cannot be removed is logged and left.
        """
        run_folder = self._run_folder(run_id)
        if not await in_thread(run_folder.is_dir):
            return
        for file in await in_thread(lambda: sorted(run_folder.glob("*.json"))):
            record = await in_thread(_read_record, file)
            if record is not None:
                await self._forget(record, run_folder / file.stem, ())
        try:
            await in_thread(remove_tree, run_folder)
        except OSError as error:
            log.warning("%s: its worktrees cannot be removed: %s", run_id, error)

    async def runs(self) -> list[str]:
        """The runs that have worktrees; for whoever removes what a crash left of runs that have ended."""
        return await in_thread(folder_names, self._folder)

    async def _open(
        self, run_id: str, step_key: str, path: Path, folder: str, descriptor: int, signal: AbortSignal
    ) -> Worktree:
        file = path.with_name(f"{step_key}.json")
        record = await in_thread(_read_record, file)
        if record is None:
            record = await self._take_base(path, folder, signal)
            await in_thread(_write_record, file, record)
        elif await self._is_whole(record, path, signal):
            return _worktree(run_id, step_key, path, record)
        elif not await has_commit(self._git, record.source, record.base, signal):
            raise NoWorkTree(f"its base {record.base} is no longer in the repository {record.top}")
        await self._forget(record, path, (descriptor,))
        # Git holds the lock, too: one that outlives this process is waited for by whoever comes next.
        await self._git.run(
            *("worktree", "add", "--quiet", "--detach", "--force", str(path), record.base),
            cwd=record.top,
            signal=signal,
            env=record.source.env,
            inherit=(descriptor,),
        )
        admin = (await self._git.run("rev-parse", "--absolute-git-dir", cwd=str(path), signal=signal)).line
        record = _Record(**{**asdict(record), "admin": await in_thread(lambda: os.path.realpath(admin))})
        # A folder that has only ignored files is not in the base.
        await in_thread(lambda: os.makedirs(path / record.prefix, exist_ok=True))
        await in_thread(_write_record, file, record)
        return _worktree(run_id, step_key, path, record)

    async def _take_base(self, path: Path, folder: str, signal: AbortSignal) -> _Record:
        source = await find_work_tree(self._git, folder, signal)
        if self._folder.is_relative_to(source.top):
            raise NoWorkTree(f"the state folder {self._folder} stands in it; keep the store elsewhere (SIDESTEP_STORE)")
        scratch = path.with_name(f"{path.name}.scratch")
        try:
            await in_thread(make_folder, scratch)
            limit = self._untracked_bytes_max
            tree = await write_tree(self._git, source, scratch, signal, untracked_bytes_max=limit)
        finally:
            await in_thread(remove_tree, scratch)
        base = await write_base(self._git, source, tree, signal)
        return _Record(base, source.top, source.prefix, source.git_dir, source.common_dir)

    async def _is_whole(self, record: _Record, path: Path, signal: AbortSignal) -> bool:
        if not await in_thread(
            lambda: (path / record.prefix).is_dir() and (path / ".git").is_file() and os.path.isdir(record.admin)
        ):
            return False
        tree = WorkTree(str(path), record.prefix, record.admin, record.common_dir)
        try:
            await self._git.run("rev-parse", "--git-dir", cwd=str(path), signal=signal, env=tree.env)
        except GitFailed:
            return False
        return True

    async def _forget(self, record: _Record, path: Path, inherit: tuple[int, ...]) -> None:
        """Remove one worktree. Only ours: `git worktree prune` would forget those on disks that are away."""
        env = {"GIT_DIR": record.common_dir}
        try:
            if await in_thread(os.path.isdir, record.common_dir):
                # Twice: a worktree half made is locked by the git that makes it.
                command = ("worktree", "remove", "--force", "--force", str(path))
                await self._git.run(*command, cwd=record.common_dir, env=env, allowed=(0, 128), inherit=inherit)
        except (GitFailed, GitMissing) as error:
            log.warning("%s: git does not forget the worktree: %s", path, error)
        try:
            await in_thread(_remove_notes, record.common_dir, path)
            await in_thread(remove_tree, path)
        except OSError as error:
            log.warning("%s: the worktree cannot be removed: %s", path, error)

    async def _keep_patch(self, worktree: Worktree, tree: str, signal: AbortSignal) -> str:
        writer = await in_thread(self._patches.begin)
        try:
            await self._git.run(
                *(*_DIFF, worktree.base, tree),
                cwd=worktree.tree.top,
                signal=signal,
                env=worktree.tree.env,
                take=writer.write,
                bytes_max=self._patch_bytes_max,
            )
            return await in_thread(writer.keep, worktree.run_id)
        finally:
            await in_thread(writer.close)

    def _run_folder(self, run_id: str) -> Path:
        assert _NAME.fullmatch(run_id), "a run id names a folder"
        return self._folder / run_id


def folder_names(folder: Path) -> list[str]:
    """The folders in a folder, sorted; none when it is missing."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def shown_path(path: str, prefix: str) -> str:
    """A path below the working tree's top as it is told: relative to the folder at `prefix`, in UTF-8, with slashes."""
    relative = os.path.relpath(path, prefix) if prefix else path
    return os.fsencode(relative.replace(os.sep, "/")).decode("utf-8", "replace")


def _worktree(run_id: str, step_key: str, path: Path, record: _Record) -> Worktree:
    tree = WorkTree(str(path), record.prefix, record.admin, record.common_dir)
    return Worktree(run_id, step_key, str(path / record.prefix), record.base, tree)


def _read_record(file: Path) -> _Record | None:
    """The record, or None when there is none or it is not one of ours."""
    try:
        return _Record(**json.loads(file.read_text("ascii")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        log.warning("%s is damaged and is made anew: %s", file, error)
        return None


def _write_record(file: Path, record: _Record) -> None:
    make_folder(file.parent)
    replace_durably(file, json.dumps(asdict(record)).encode("ascii"))


def _remove_notes(common_dir: str, path: Path) -> None:
    """Remove git's folder for the worktree at `path` where `git worktree remove` left it."""
    notes = os.path.join(common_dir, "worktrees")
    for name in os.listdir(notes) if os.path.isdir(notes) else []:
        pointer = os.path.join(notes, name, "gitdir")
        if os.path.isfile(pointer):
            with open(pointer, "rb") as file:
                pointed = os.fsdecode(file.read().rstrip(b"\n"))
            if os.path.realpath(pointed) == os.path.realpath(path / ".git"):
                remove_tree(Path(notes) / name)
