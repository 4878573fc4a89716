"""A repository, a state folder beside it, and everything that makes, reads and applies patches; all with real git."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING, Any

from sidestep.executors.apply_patch import ApplyPatchExecutor
from sidestep.executors.git import Git
from sidestep.executors.patches import Patches
from sidestep.executors.run_removals import RunRemovals
from sidestep.executors.worktrees import Worktrees
from sidestep.model.abort import AbortController, AbortSignal
from sidestep.model.execution import StepOutcome, StepRequest
from tests.support.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sidestep.executors.patch_files import PatchFile

RUN = "run_aaaaaaaaaaaaaaaa"


def change(folder: Path, contents: dict[str, Any]) -> None:
    """A path to its bytes, to a link's target (str), to a tuple of its bytes (executable), or to None to remove it."""
    for path, content in contents.items():
        file = folder / path
        if content is None:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            file.symlink_to(content)
            continue
        executable = isinstance(content, tuple)
        file.write_bytes(content[0] if executable else content)
        file.chmod(0o755 if executable else 0o644)


def tree_of(folder: Path) -> dict[str, Any]:
    """Every file and link below a folder, and empty folders, in the form `change` takes; `.git` is left out."""
    found: dict[str, Any] = {}
    for parent, folders, files in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
        at = os.path.relpath(parent, folder)
        if not folders and not files and at != ".":
            found[at + "/"] = None
        for name in [*files, *(one for one in folders if os.path.islink(os.path.join(parent, one)))]:
            full = os.path.join(parent, name)
            path = os.path.normpath(os.path.join(at, name))
            if path == ".git":
                continue
            if os.path.islink(full):
                found[path] = os.readlink(full)
                continue
            with open(full, "rb") as file:
                content = file.read()
            found[path] = (content,) if os.stat(full).st_mode & stat.S_IXUSR else content
    return found


class Isolation:
    """`repository` is the user's; `state` is the store's folder."""

    def __init__(self, folder: Path, *, repository: GitRepository | None = None, environ: dict[str, str] | None = None):
        self.repository = repository or GitRepository(folder / "repository")
        self.folder = self.repository.folder
        self.state = folder / "state"
        self.environ = environ or self.repository.environ
        self.controller = AbortController()
        self.applied_steps = 0
        self.build()

    def build(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, **limits: Any) -> None:
        """As a new process would."""
        self.git = Git(self.environ, sleep)
        self.worktrees = Worktrees(self.state, self.git, **limits)
        self.patches = Patches(self.state, self.git, RunRemovals(self.state / "locks", self.git.sleep))
        self.executor = ApplyPatchExecutor(self.patches)

    @property
    def signal(self) -> AbortSignal:
        return self.controller.signal

    @property
    def tree(self) -> dict[str, Any]:
        return tree_of(self.folder)

    @property
    def users_git(self) -> tuple[Any, ...]:
        """What must not change: the index byte for byte, HEAD and every reference."""
        index = self.folder / ".git" / "index"
        return (
            index.read_bytes() if index.exists() else None,
            (self.folder / ".git" / "HEAD").read_text(),
            self.repository.git("for-each-ref"),
            sorted(name for name in os.listdir(self.folder / ".git") if name != "worktrees"),
        )

    async def open(self, key: str = "k", below: str = "") -> Any:
        return await self.worktrees.open(RUN, key, str(self.folder / below), self.signal)

    async def patch_of(self, contents: dict[str, Any], *, key: str = "agent", below: str = "") -> PatchFile:
        """The patch of an agent that makes these changes; the worktree is gone afterwards."""
        worktree = await self.worktrees.open(RUN, key, str(self.folder / below), self.signal)
        change(self.state / "worktrees" / RUN / key, contents)
        patch = await self.worktrees.collect(worktree)
        await self.worktrees.remove_run(RUN)
        return patch

    async def apply(self, patch: PatchFile, *, below: str = "", **options: Any) -> dict[str, Any]:
        """Under a step key of its own each time, unless one is named."""
        self.applied_steps += 1
        given: dict[str, Any] = {
            "run_id": RUN,
            "step_key": f"step{self.applied_steps}",
            "three_way": True,
            "paths": None,
            "signal": self.signal,
            "require_claim": self.require_claim,
            **options,
        }
        return await self.patches.apply(patch.patch_id, str(self.folder / below), **given)

    async def execute(self, patch: Any, signal: AbortSignal | None = None, **options: Any) -> StepOutcome:
        request = StepRequest(
            run_id=RUN,
            step_id="apply",
            key="applykey",
            kind="apply_patch",
            input={"patch": patch, **options},
            folder=str(self.folder),
            attempt=1,
            require_claim=self.require_claim,
            emit=lambda stream, data: None,
        )
        return await self.executor.execute(request, signal or self.signal)

    async def require_claim(self) -> None:
        """The run is ours."""


def applied(*files: str) -> dict[str, Any]:
    return {"applied": True, "files": list(files), "conflicts": []}
