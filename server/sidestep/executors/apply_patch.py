"""
The executor of `apply_patch` steps.

Knows what a script may ask for and which failure is which; `patches.py` does the work. Conflicts are an output, not a
failure: a script that gets `{"applied": False, "conflicts": [...]}` can ask an agent to resolve them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sidestep.executors.exclusive_lock import LockHeld
from sidestep.executors.git import GitFailed, GitMissing, GitOutputTooLong
from sidestep.executors.patch_files import PatchUnknown
from sidestep.executors.patch_trial import PathsUnknown
from sidestep.executors.work_tree import NoWorkTree
from sidestep.model.execution import StepFailed, StepSucceeded
from sidestep.model.run import Failure, FailureCode

if TYPE_CHECKING:
    from sidestep.executors.patches import Patches
    from sidestep.model.abort import AbortSignal
    from sidestep.model.execution import StepOutcome, StepRequest

_FIELDS = frozenset({"patch", "three_way", "paths"})


class ApplyPatchExecutor:
    """Applies patches for any number of runs; those of one repository one after the other."""

    def __init__(self, patches: Patches) -> None:
        self._patches = patches

    def places(self, step_input: dict[str, Any], folder: str) -> tuple[()]:
        # Those of one repository wait for its lock.
        return ()

    def check(self, step_input: dict[str, Any], folder: str) -> str | None:
        """See `StepExecutor.check`: the shape only; whether there is such a patch is seen when it is applied."""
        return _why_wrong({name: value for name, value in step_input.items() if value is not None})

    async def execute(self, request: StepRequest, signal: AbortSignal) -> StepOutcome:
        """
        Apply the patch of `{"patch": {"id": str, ...}, "three_way"?: bool, "paths"?: [str, ...]}`.

        A step that applied its patch and died before that was journaled gives the same output again, applying nothing.

        Returns:
            As `Patches.apply`; or a failure: `validation` (input, no such patch, no such paths), `infrastructure` (no
            git, no repository, a disk that refuses; nothing was changed).

        Raises:
            Aborted: nothing was changed.
        """
        signal.throw_if_aborted()
        given = {name: value for name, value in request.input.items() if value is not None}
        problem = _why_wrong(given)
        if problem is not None:
            return _failed(request, FailureCode.VALIDATION, problem)
        try:
            outcome = await self._patches.apply(
                given["patch"]["id"],
                request.folder,
                run_id=request.run_id,
                step_key=request.key,
                three_way=given.get("three_way", True),
                paths=given.get("paths"),
                signal=signal,
                require_claim=request.require_claim,
            )
        except (PatchUnknown, PathsUnknown) as error:
            return _failed(request, FailureCode.VALIDATION, str(error))
        except LockHeld:
            what = "another process has been applying a patch to this repository for a minute; try again"
            return _failed(request, FailureCode.INFRASTRUCTURE, what)
        except (GitMissing, GitFailed, GitOutputTooLong, NoWorkTree, OSError) as error:
            return _failed(request, FailureCode.INFRASTRUCTURE, f"the patch was not applied: {error}")
        return StepSucceeded(outcome)


def _why_wrong(given: dict[str, Any]) -> str | None:
    unknown = sorted(given.keys() - _FIELDS)
    if unknown:
        return f"apply_patch() takes no option {unknown[0]!r}"
    patch = given.get("patch")
    if not isinstance(patch, dict) or not isinstance(cast("dict[str, Any]", patch).get("id"), str):
        return 'apply_patch() takes the patch of an agent that worked in a worktree: an object with an "id"'
    if not isinstance(given.get("three_way", True), bool):
        return "three_way must be True or False"
    return _why_wrong_paths(given.get("paths"))


def _why_wrong_paths(paths: Any) -> str | None:
    if paths is None:
        return None
    if not isinstance(paths, list) or not paths:
        return "paths must be a list of files of the patch, with at least one"
    for path in cast("list[Any]", paths):
        if not isinstance(path, str) or not path or "\0" in path or not _is_text(path):
            return "paths: each is the path of a file, as in the patch's files"
    return None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _failed(request: StepRequest, code: FailureCode, message: str) -> StepFailed:
    return StepFailed(Failure(code, message, step_id=request.step_id))
