"""How long patches stay: as long as a run refers to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.executors.patch_files import PatchFolder, PatchUnknown
from sidestep.executors.step_worktrees import StepWorktrees
from tests.unit.executors.isolation import RUN, Isolation

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "run_bbbbbbbbbbbbbbbb"
LONG_AGO_S = 1_000_000.0


def keep(patches: PatchFolder, content: bytes, run_id: str = RUN) -> str:
    writer = patches.begin()
    try:
        writer.write(content)
        return writer.keep(run_id)
    finally:
        writer.close()


def file_of(patches: PatchFolder, patch_id: str) -> Path:
    return patches.folder / f"{patch_id.removeprefix('patch_')}.patch"


def is_there(patches: PatchFolder, patch_id: str) -> bool:
    try:
        patches.read(patch_id)
    except PatchUnknown:
        return False
    return True


def age(path: Path) -> None:
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))


@pytest.fixture
def patches(tmp_path: Path) -> PatchFolder:
    return PatchFolder(tmp_path / "patches")


def test_a_forgotten_run_takes_its_patches_along_and_no_others(patches: PatchFolder) -> None:
    own, shared = keep(patches, b"own"), keep(patches, b"shared")
    assert keep(patches, b"shared", OTHER) == shared
    theirs = keep(patches, b"theirs", OTHER)
    patches.forget_run(RUN)
    assert [is_there(patches, each) for each in (own, shared, theirs)] == [False, True, True]
    assert patches.run_ids() == [OTHER]
    patches.forget_run(OTHER)
    patches.forget_run(OTHER)
    assert [str(path.relative_to(patches.folder)) for path in patches.folder.rglob("*")] == ["refs"]


def test_old_patches_that_no_run_refers_to_are_swept_with_what_was_half_written(patches: PatchFolder) -> None:
    used, unused, young = keep(patches, b"used"), keep(patches, b"unused", OTHER), keep(patches, b"young", OTHER)
    for patch_id in (unused, young):
        (patches.folder / "refs" / OTHER / patch_id.removeprefix("patch_")).unlink()
    half = patches.folder / ".1-abc"
    half.write_bytes(b"half")
    for path in (half, file_of(patches, used), file_of(patches, unused)):
        age(path)
    patches.sweep(LONG_AGO_S + 1)
    assert [is_there(patches, each) for each in (used, unused, young)] == [True, False, True]
    assert not half.exists()


def test_nothing_is_swept_or_forgotten_where_there_never_was_a_patch(patches: PatchFolder) -> None:
    patches.sweep(LONG_AGO_S)
    patches.forget_run(RUN)
    assert patches.run_ids() == []
    assert not patches.folder.exists()


def test_a_reference_is_there_before_its_patch(patches: PatchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dies in between leaves a reference to nothing, and never a patch that nobody removes with its run."""

    def dies(self: Path, target: Path) -> None:
        if target.suffix == ".patch":
            raise KeyboardInterrupt
        os.replace(self, target)

    monkeypatch.setattr("pathlib.Path.replace", dies)
    with pytest.raises(KeyboardInterrupt):
        keep(patches, b"x")
    assert patches.run_ids() == [RUN]
    patches.forget_run(RUN)
    assert patches.run_ids() == []


def test_the_empty_patch_is_no_file(patches: PatchFolder) -> None:
    empty = keep(patches, b"")
    assert list(patches.folder.iterdir()) == []
    assert patches.read(empty) == b""


async def ended() -> bool:
    return True


async def test_patches_of_a_run_stay_until_it_is_deleted(tmp_path: Path) -> None:
    """With the end of the run its worktrees go, and not its patches."""
    isolation = Isolation(tmp_path)
    isolation.repository.commit("Ada", {"kept.txt": b"kept\n"})
    patch = await isolation.patch_of({"new.txt": b"new\n"})
    port = StepWorktrees(isolation.state, isolation.git)
    await port.remove_run(RUN, ended)
    assert await port.patch_run_ids() == [RUN]
    assert is_there(PatchFolder(isolation.state / "patches"), patch.patch_id)
    await port.forget_patches(RUN)
    assert await port.patch_run_ids() == []
    assert not is_there(PatchFolder(isolation.state / "patches"), patch.patch_id)
