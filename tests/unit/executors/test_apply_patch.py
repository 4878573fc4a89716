"""`apply_patch` steps: their input, their failures, and a sweep of crashes after which a tree is whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sidestep.executors import tree_change
from sidestep.model.abort import Aborted, AbortKind, AbortReason
from sidestep.model.execution import StepFailed, StepSucceeded
from sidestep.model.run import FailureCode

from .dying_apply import open_copy
from .isolation import RUN, Isolation, applied, change

pytestmark = pytest.mark.slow

BASE = {
    "a.txt": b"1\n2\n3\n",
    "b.txt": b"b\n",
    "old/gone.txt": b"gone\n",
    "tool.sh": b"#!/bin/sh\n",
    "kept": b"kept\n",
    "was/x": b"x\n",
}
CONTENTS: dict[str, Any] = {
    "a.txt": b"1\n2\nthree\n",
    "b.txt": None,
    "b.txt/inner": b"inner\n",
    "new/folder/x": b"x\n",
    "old/gone.txt": None,
    "tool.sh": (b"#!/bin/sh\n",),
    "was": b"a file\n",
    "was/x": None,
}
USERS = {"a.txt": b"one\n2\n3\n", "kept": b"dirty\n"}
BEFORE = {**BASE, **USERS}
AFTER = {
    **{path: content for path, content in {**BEFORE, **CONTENTS}.items() if content is not None},
    "a.txt": b"one\n2\nthree\n",
}
FILES = ("a.txt", "b.txt", "b.txt/inner", "new/folder/x", "old/gone.txt", "tool.sh", "was", "was/x")


async def make_template(folder: Path) -> tuple[Isolation, str]:
    """A repository with uncommitted changes and a patch that is to be merged with them; returns the patch's id."""
    isolation = Isolation(folder)
    isolation.repository.commit("Ada", dict(BASE))
    worktree = await isolation.open()
    place = isolation.state / "worktrees" / RUN / "k"
    (place / "b.txt").unlink()
    shutil.rmtree(place / "was")
    change(place, {path: content for path, content in CONTENTS.items() if path not in ("b.txt", "was/x")})
    patch = await isolation.worktrees.collect(worktree)
    await isolation.worktrees.remove_run(RUN)
    change(isolation.folder, dict(USERS))
    # What a merge of lines 1 and 3 of three needs.
    assert isolation.tree == BEFORE
    return isolation, patch.patch_id


async def test_the_output_of_a_step_is_what_was_applied(tmp_path: Path) -> None:
    isolation, patch_id = await make_template(tmp_path)
    described = {"id": patch_id, "files": [], "additions": 0, "deletions": 0}
    assert await isolation.execute(described, paths=["new"]) == StepSucceeded(applied("new/folder/x"))


@pytest.mark.parametrize(
    ("step_input", "said"),
    [
        ({}, "an object with an"),
        ({"patch": "patch_x"}, "an object with an"),
        ({"patch": {"id": 1}}, "an object with an"),
        ({"patch": {"id": "x"}, "three_way": 1}, "three_way"),
        ({"patch": {"id": "x"}, "paths": "a"}, "paths"),
        ({"patch": {"id": "x"}, "paths": []}, "paths"),
        ({"patch": {"id": "x"}, "paths": ["a", 1]}, "paths"),
        ({"patch": {"id": "x"}, "paths": ["\udc00"]}, "paths"),
        ({"patch": {"id": "x"}, "reverse": True}, "'reverse'"),
    ],
)
def test_p1_an_input_that_can_never_work_is_told_before_any_work(
    tmp_path: Path, step_input: dict[str, Any], said: str
) -> None:
    isolation = Isolation(tmp_path)
    problem = isolation.executor.check(step_input, str(isolation.folder))
    assert problem is not None
    assert said in problem


def test_p1_what_the_primitive_sends_is_accepted(tmp_path: Path) -> None:
    isolation = Isolation(tmp_path)
    for more in ({}, {"three_way": False}, {"paths": ["a"]}, {"paths": None}):
        assert isolation.executor.check({"patch": {"id": "patch_x"}, **more}, str(isolation.folder)) is None


async def test_n2_failures_are_typed_and_readable(tmp_path: Path) -> None:
    isolation, patch_id = await make_template(tmp_path)

    async def failure(patch: str, **options: Any) -> tuple[FailureCode, str]:
        outcome = await isolation.execute({"id": patch}, **options)
        assert isinstance(outcome, StepFailed)
        assert outcome.failure.step_id == "apply"
        return outcome.failure.code, outcome.failure.message

    code, message = await failure("patch_" + "0" * 64)
    assert (code, "there is no patch" in message) == (FailureCode.VALIDATION, True)
    code, message = await failure("../../etc/passwd")
    assert (code, "is no id of a patch" in message) == (FailureCode.VALIDATION, True)
    code, message = await failure(patch_id, paths=["elsewhere"])
    assert (code, "'elsewhere'" in message) == (FailureCode.VALIDATION, True)
    code, message = await failure(patch_id, paths="a.txt")
    assert code is FailureCode.VALIDATION
    shutil.rmtree(isolation.folder / ".git")
    code, message = await failure(patch_id)
    assert (code, "git init" in message) == (FailureCode.INFRASTRUCTURE, True)
    assert isolation.tree == BEFORE


async def test_an_abort_before_the_change_is_intended_changes_nothing(tmp_path: Path) -> None:
    isolation, patch_id = await make_template(tmp_path)

    async def stop() -> None:
        isolation.controller.abort(AbortReason(AbortKind.USER))

    isolation.require_claim = stop  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Aborted):
        await isolation.execute({"id": patch_id})
    with pytest.raises(Aborted):
        await isolation.execute({"id": patch_id})
    assert isolation.tree == BEFORE


@pytest.mark.parametrize("how", ["abort", "cancel"])
async def test_once_intended_a_change_is_finished_whatever_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    isolation, patch_id = await make_template(tmp_path)
    loop, real = asyncio.get_running_loop(), tree_change.carry_out
    step = asyncio.ensure_future(isolation.execute({"id": patch_id}))

    def carry_out(*arguments: Any) -> None:
        reason = AbortReason(AbortKind.USER)
        ask = step.cancel if how == "cancel" else lambda: isolation.controller.abort(reason)
        done = threading.Event()
        loop.call_soon_threadsafe(lambda: (ask(), loop.call_soon(done.set)))
        done.wait()
        real(*arguments)

    monkeypatch.setattr(tree_change, "carry_out", carry_out)
    if how == "cancel":
        with pytest.raises(asyncio.CancelledError):
            await step
    else:
        assert await step == StepSucceeded(applied(*FILES))
    assert isolation.tree == AFTER
    isolation = open_copy(tmp_path)
    assert await isolation.execute({"id": patch_id}) == StepSucceeded(applied(*FILES))


# The sweep is done in parts, each within the time of one test.
PARTS = 4


def die_apart(folder: Path, patch_id: str, first: int) -> dict[int, str]:
    """Numbers of the steps before which a process died (`folder/copies/n` is what it left), to the steps' names."""
    root = Path(__file__).parents[3]
    swept = subprocess.run(
        [sys.executable, "-B", "-m", "tests.unit.executors.dying_apply", str(folder), patch_id, str(first), str(PARTS)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(root / part) for part in ("server", "protocol", "."))},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return {int(number): name for number, name in (line.split(" ", 1) for line in swept.stdout.splitlines())}


def test_the_sweep_knows_every_kind_of_step(tmp_path: Path) -> None:
    _, patch_id = asyncio.run(make_template(tmp_path / "template"))
    names = die_apart(tmp_path, patch_id, 0).values()
    for part in ("git apply", "rename state/applying", ".intent.json", "remove repository/", ".sidestep-", ".applykey"):
        assert any(part in name for name in names), (part, names)
    assert sum("repository/" in name for name in names) > 10


# Every fourth step in each run of the tests, all of them in the long ones.
SHARES = [pytest.param(part, marks=pytest.mark.soak if part > 1 else pytest.mark.slow) for part in range(1, PARTS + 1)]


@pytest.mark.parametrize("part", SHARES)
async def test_c1_a_crash_at_any_step_leaves_a_tree_that_is_made_whole(tmp_path: Path, part: int) -> None:
    _, patch_id = await make_template(tmp_path / "template")
    half = 0
    for number, name in die_apart(tmp_path, patch_id, part).items():
        isolation = open_copy(tmp_path / "copies" / str(number))
        left = isolation.tree
        half += left not in (BEFORE, AFTER)
        recovered = await isolation.patches.recover()
        tree = isolation.tree
        assert tree in (BEFORE, AFTER), (number, name)
        assert left in (BEFORE, AFTER) or recovered, (number, name)
        for one in recovered:
            assert (one.run_id, one.left) == (RUN, ()), (number, name)
            assert one.applied == (tree == AFTER), (number, name)
        assert await isolation.patches.recover() == [], (number, name)
        # Asked again, the step is done once: what was finished is not applied again.
        assert await isolation.execute({"id": patch_id}) == StepSucceeded(applied(*FILES)), (number, name)
        assert isolation.tree == AFTER, (number, name)
        await isolation.patches.forget_run(RUN)
        assert os.listdir(isolation.state / "applying") == [], (number, name)
    assert half > 3


class Died(BaseException):
    """Stands for SIGKILL: nothing of the product handles it."""


async def die_half_way(isolation: Isolation, patch_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die when `a.txt` is replaced and nothing after it is."""
    real, replaced = os.replace, 0

    def replace(source: Any, target: Any) -> None:
        nonlocal replaced
        if str(target).startswith(str(isolation.folder)):
            replaced += 1
            if replaced == 2:
                raise Died
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(Died):
            await isolation.execute({"id": patch_id})
    assert isolation.tree["a.txt"] == AFTER["a.txt"]
    assert "tool.sh" in isolation.tree
    isolation.build()


async def test_what_somebody_saved_after_a_crash_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolation, patch_id = await make_template(tmp_path)
    await die_half_way(isolation, patch_id, monkeypatch)
    change(isolation.folder, {"a.txt": b"the user goes on\n", "old/gone.txt": b"written again\n"})
    (recovered,) = await isolation.patches.recover()
    assert (recovered.applied, set(recovered.left)) == (False, {"a.txt", "old/gone.txt"})
    assert isolation.tree == {**BEFORE, "a.txt": b"the user goes on\n", "old/gone.txt": b"written again\n"}
    outcome = await isolation.execute({"id": patch_id})
    assert isinstance(outcome, StepSucceeded)
    assert {conflict["path"] for conflict in outcome.output["conflicts"]} == {"a.txt", "old/gone.txt"}


async def test_another_steps_patch_first_clears_up_what_a_crash_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolation, patch_id = await make_template(tmp_path)
    await die_half_way(isolation, patch_id, monkeypatch)
    outcome = await isolation.patches.apply(
        patch_id,
        str(isolation.folder),
        run_id="run_other",
        step_key="k",
        three_way=True,
        paths=["new"],
        signal=isolation.signal,
        require_claim=isolation.require_claim,
    )
    assert outcome == applied("new/folder/x")
    assert isolation.tree == {**BEFORE, "new/folder/x": b"x\n"}


async def test_an_unfinished_change_is_not_forgotten_with_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolation, patch_id = await make_template(tmp_path)
    await die_half_way(isolation, patch_id, monkeypatch)
    await isolation.patches.forget_run(RUN)
    (intended,) = (isolation.state / "applying" / RUN).iterdir()
    assert tree_change.read_intent(intended) is not None
    await isolation.patches.recover()
    assert isolation.tree == BEFORE


async def test_a_crash_in_a_tree_that_was_deleted_since_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolation, patch_id = await make_template(tmp_path)
    await die_half_way(isolation, patch_id, monkeypatch)
    shutil.rmtree(isolation.folder)
    (recovered,) = await isolation.patches.recover()
    assert not recovered.applied
    assert await isolation.patches.recover() == []
