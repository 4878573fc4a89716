"""
Applying stored patches to a user's working tree: all of a patch, or nothing and why.

Owns the folder `applying` of the state folder: `<run id>/<step key>/` is a change that was intended and not finished
(`tree_change.py`), `<run id>/<step key>.json` the outcome of one that was, kept until the run is forgotten. And the
folder `locks`: one file for each repository, whose kernel lock is held while one of its trees is looked at and changed.

How: the files that a patch is about are put into an index of our own, as they are on disk; git applies the patch, or
merges it, there (objects go to a folder of our own); what differs afterwards is written out and swapped in. So git's
index, stash and references stay as they are, and so do all files that the patch does not name.

Invariant: a change is intended only after everything that can say no has said yes.
Invariant: for one run and key a patch is applied at most once; asked again, the first outcome is given.
"""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidestep.executors import tree_change
from sidestep.executors.durable_files import in_thread, remove_tree, replace_durably
from sidestep.executors.exclusive_lock import LockHeld, hold_exclusively
from sidestep.executors.patch_files import PatchFolder
from sidestep.executors.patch_trial import Conflict, PatchTrial
from sidestep.executors.tree_change import ChangedMeanwhile, Intent
from sidestep.executors.work_tree import find_work_tree
from sidestep.executors.worktrees import folder_names, shown_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from sidestep.executors.git import Git
    from sidestep.executors.run_removals import RunRemovals
    from sidestep.executors.work_tree import WorkTree
    from sidestep.model.abort import AbortSignal

log = logging.getLogger("sidestep.patches")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_LOCK_WAIT_S = 60.0


@dataclass(frozen=True)
class Recovered:
    """
    A change that a dead process left in the middle, and what became of it.

    Attributes:
        applied: It was whole, and is an outcome now; False when it was rolled back.
        left: Paths that somebody else changed meanwhile, which were left alone; relative to `top`.
    """

    run_id: str
    step_key: str
    top: str
    applied: bool
    left: tuple[str, ...]


class Patches:
    """
    Applies patches.

    Args:
        state_folder: Of the store, the same that `Worktrees` has.
        removals: Waited for before a run's patches are applied.
    """

    def __init__(self, state_folder: Path, git: Git, removals: RunRemovals) -> None:
        real = Path(os.path.realpath(state_folder))
        self._folder = real / "applying"
        self._locks = real / "locks"
        self._removals = removals
        self._patches = PatchFolder(real / "patches")
        self._git = git

    async def apply(
        self,
        patch_id: str,
        folder: str,
        *,
        run_id: str,
        step_key: str,
        three_way: bool,
        paths: Sequence[str] | None,
        signal: AbortSignal,
        require_claim: Callable[[], Awaitable[None]],
    ) -> dict[str, Any]:
        """
        Apply a patch to the working tree a folder stands in, or say why not.

        Changes that dead processes left in this repository are cleared up first. Once the change is intended the
        signal is not heeded any more: the swap is short, and is finished or rolled back.

        Args:
            folder: The run's workspace folder; nothing outside it is touched.
            three_way: Merge with what was changed since; else every hunk has to fit as it is.
            paths: Files or folders, relative to `folder`, to take from the patch; None for all of it.
            require_claim: Awaited before the change is intended; see `StepRequest.require_claim`.

        Returns:
            `{"applied": bool, "files": [str], "conflicts": [{"path": str, "reason": str}]}`: paths relative to
            `folder`; files those that were changed, in the patch's order. With conflicts nothing was changed.

        Raises:
            PatchUnknown.
            PathsUnknown: one of `paths` is nothing in the patch.
            NoWorkTree, GitMissing, GitFailed, LockHeld, OSError: nothing was changed; with OSError a rollback may be
                left to the next call.
            Aborted: the signal fired first; nothing was changed.
        """
        await self._removals.passed(run_id, signal)
        work_tree = await find_work_tree(self._git, folder, signal)
        async with self._locked(work_tree.common_dir, _LOCK_WAIT_S, signal):
            await in_thread(self._recover_repository, work_tree.common_dir)
            earlier = await in_thread(self._outcome, run_id, step_key)
            if earlier is not None:
                return earlier
            content = await in_thread(self._patches.read, patch_id)
            await in_thread(self._clear_half_discarded, self._place(run_id, step_key))
            preparation = self._place(run_id, f"{step_key}.{os.getpid()}")
            try:
                await in_thread(remove_tree, preparation)
                await in_thread(tree_change.make_preparation, preparation)
                trial = PatchTrial(self._git, work_tree, preparation, signal, three_way=three_way)
                intent = await trial.run(
                    content, paths, {"repository": work_tree.common_dir, "prefix": work_tree.prefix}
                )
                if isinstance(intent, list):
                    return _refused(intent, work_tree)
                signal.throw_if_aborted()
                await signal.race(require_claim())
                return await in_thread(self._carry_out, preparation, run_id, step_key, intent)
            finally:
                await in_thread(remove_tree, preparation)

    async def recover(self) -> list[Recovered]:
        """
        Clear up what dead processes left in the middle, in every repository: at a start, before runs are resumed.

        Changes of processes that live are left alone: they hold their repository's lock.

        Returns:
            What was found; whatever cannot be mended now is logged and tried again by the next `apply` or `recover`.
        """
        recovered: list[Recovered] = []
        for repository in await in_thread(self._repositories):
            try:
                async with self._locked(repository, 0.0, None):
                    recovered += await in_thread(self._recover_repository, repository)
            except LockHeld:
                continue
            except OSError as error:
                log.warning("%s: a patch applied by half cannot be rolled back: %s", repository, error)
        return recovered

    async def forget_run(self, run_id: str) -> None:
        """
        Forget the outcomes of a run that will never ask for them again. An unfinished change is not forgotten.

        What is gone already is fine; what cannot be removed is logged and left.
        """
        try:
            await in_thread(self._forget_run, run_id)
        except OSError as error:
            log.warning("%s: what is known of its patches cannot be removed: %s", run_id, error)

    async def runs(self) -> list[str]:
        """The runs of which outcomes are known; for whoever forgets those that have ended."""
        return await in_thread(folder_names, self._folder)

    @asynccontextmanager
    async def _locked(self, common_dir: str, wait_s: float, signal: AbortSignal | None) -> AsyncGenerator[None]:
        # Imported late, as `hash_text` does: an idle server does not need libcrypto.
        import hashlib

        name = hashlib.sha256(os.fsencode(common_dir)).hexdigest()[:32]
        async with hold_exclusively(self._locks / f"{name}.lock", wait_s, self._git.sleep, signal):
            yield

    def _carry_out(self, preparation: Path, run_id: str, step_key: str, intent: Intent) -> dict[str, Any]:
        """In a thread: intend, swap, and write the outcome down; or roll back."""
        intended = self._place(run_id, step_key)
        tree_change.intend(preparation, intended, intent)
        try:
            tree_change.carry_out(intended, intent)
        except ChangedMeanwhile as changed:
            self._roll_back(intended, intent)
            reason = "it was changed while the patch was being applied"
            path = shown_path(changed.path, intent.told["prefix"])
            return {"applied": False, "files": [], "conflicts": [{"path": path, "reason": reason}]}
        except OSError:
            self._roll_back(intended, intent)
            raise
        return self._finish(intended, intent)

    def _finish(self, intended: Path, intent: Intent) -> dict[str, Any]:
        files = [shown_path(change.path, intent.told["prefix"]) for change in intent.changes]
        outcome = {"applied": True, "files": files, "conflicts": []}
        replace_durably(intended.with_name(f"{intended.name}.json"), json.dumps(outcome).encode("ascii"))
        tree_change.discard(intended)
        return outcome

    def _roll_back(self, intended: Path, intent: Intent) -> list[str]:
        left = tree_change.roll_back(intended, intent)
        for path in left:
            log.warning("%s: %s was changed by somebody else while a patch was rolled back; it stays", intent.top, path)
        tree_change.discard(intended)
        return left

    def _recover_repository(self, common_dir: str) -> list[Recovered]:
        """Under the repository's lock."""
        recovered: list[Recovered] = []
        for intended in self._intended():
            intent = tree_change.read_intent(intended)
            if intent is None or intent.told["repository"] != common_dir:
                continue
            run_id, step_key = intended.parent.name, intended.name
            left: list[str] = []
            is_applied = self._outcome(run_id, step_key) is not None
            if is_applied:
                tree_change.discard(intended)
            elif not os.path.isdir(intent.top):
                # Nothing to mend: the whole tree is gone.
                tree_change.discard(intended)
            elif tree_change.is_carried_out(intent):
                is_applied = True
                self._finish(intended, intent)
            else:
                left = self._roll_back(intended, intent)
            recovered.append(Recovered(run_id, step_key, intent.top, is_applied, tuple(left)))
        return recovered

    def _repositories(self) -> list[str]:
        intents = [tree_change.read_intent(intended) for intended in self._intended()]
        return sorted({intent.told["repository"] for intent in intents if intent is not None})

    def _intended(self) -> list[Path]:
        # Preparations have a dot in their names.
        return [path for path in sorted(self._folder.glob("*/*")) if "." not in path.name]

    def _outcome(self, run_id: str, step_key: str) -> dict[str, Any] | None:
        try:
            return json.loads(self._place(run_id, f"{step_key}.json").read_text("ascii"))
        except FileNotFoundError:
            return None

    def _clear_half_discarded(self, intended: Path) -> None:
        """A process that died while it removed a change's folder left one without an intent."""
        if tree_change.read_intent(intended) is None:
            remove_tree(intended)

    def _forget_run(self, run_id: str) -> None:
        folder = self._place(run_id)
        if not folder.is_dir():
            return
        unfinished = [path for path in self._intended() if path.parent == folder and tree_change.read_intent(path)]
        for path in folder.iterdir():
            if path.is_file():
                path.unlink()
            elif path not in unfinished:
                remove_tree(path)
        if not unfinished:
            folder.rmdir()

    def _place(self, run_id: str, name: str = "") -> Path:
        assert _NAME.fullmatch(run_id), "a run id names a folder"
        assert not name or _NAME.fullmatch(name.split(".")[0]), "a step key names a folder"
        return self._folder / run_id / name


def _refused(conflicts: list[Conflict], work_tree: WorkTree) -> dict[str, Any]:
    told = [{"path": shown_path(one.path, work_tree.prefix), "reason": one.reason} for one in conflicts]
    return {"applied": False, "files": [], "conflicts": told}
