"""Folder keys: one key for every name of one folder (D3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sidestep.model.errors import WorkspaceInvalid
from sidestep.scripts import folder as folder_module
from sidestep.scripts.folder import FolderKey, real_path

if TYPE_CHECKING:
    from pathlib import Path


def test_every_name_of_a_folder_gives_one_key(tmp_path: Path) -> None:
    """D3: a symlink, `..`, a trailing slash and an encoded URI are the same folder."""
    real = tmp_path / "ü b%"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    names = [
        str(real),
        str(real) + "/",
        f"{tmp_path}/link",
        f"{tmp_path}/link/../ü b%",
        real.as_uri(),
        f"file://{tmp_path}/link",
    ]
    assert {FolderKey.existing(name) for name in names} == {FolderKey(os.path.realpath(real))}
    key = FolderKey.existing(str(real))
    assert FolderKey.existing(key.uri) == key
    assert str(key) == key.path


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("relative", "absolute"), ("", "absolute"), ("https://x/y", "file:"), ("file://other/x", "machine"),
        ("/does/not/exist", "does not exist"), ("/dev/null", "not a folder"), ("/a\0b", "no path"),
        ("/\ud800", "no path"),
    ],
)  # fmt: skip
def test_what_is_no_folder_is_refused(reference: str, part: str) -> None:
    with pytest.raises(WorkspaceInvalid) as caught:
        FolderKey.existing(reference)
    assert part in caught.value.why
    assert caught.value.folder == reference


def test_a_folder_that_is_gone_can_still_be_named(tmp_path: Path) -> None:
    assert FolderKey.named(str(tmp_path / "gone")) == FolderKey(real_path(str(tmp_path)) + "/gone")


def test_a_folder_covers_itself_and_what_lies_below() -> None:
    key = FolderKey("/a/b")
    assert key.covers(FolderKey("/a/b"))
    assert key.covers(FolderKey("/a/b/c"))
    assert not key.covers(FolderKey("/a/bc"))
    assert not key.covers(FolderKey("/a"))
    assert FolderKey("/").covers(FolderKey("/a"))


def test_containment_is_by_real_path(tmp_path: Path) -> None:
    """D2: a link that leads out, and `..`, are outside."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "leads-out").symlink_to(outside)
    (outside / "leads-in").symlink_to(inside)
    key = FolderKey.existing(str(inside))
    assert key.contains(str(inside / "new" / "file"))
    assert key.contains(str(outside / "leads-in" / "x"))
    assert not key.contains(str(inside / "leads-out" / "x"))
    assert not key.contains(str(inside / ".." / "out"))


def test_a_folder_replaced_by_a_link_is_not_the_one_that_was_named(tmp_path: Path) -> None:
    """D3: swapped after it was named."""
    named = tmp_path / "named"
    named.mkdir()
    key = FolderKey.existing(str(named))
    assert key.is_still_real
    named.rename(tmp_path / "moved")
    assert not key.is_still_real
    named.symlink_to(tmp_path / "moved")
    assert not key.is_still_real


def test_a_folder_below_one_that_was_replaced_by_a_link_is_not_the_one_that_was_named(tmp_path: Path) -> None:
    """D3: a link in any place of the path; and a file in the place of a folder."""
    (tmp_path / "above" / "named").mkdir(parents=True)
    key = FolderKey.existing(str(tmp_path / "above" / "named"))
    assert key.is_still_real
    assert FolderKey("/").is_still_real
    assert not FolderKey(f"{key.path}\0").is_still_real
    (tmp_path / "above").rename(tmp_path / "moved")
    (tmp_path / "above").symlink_to(tmp_path / "moved")
    assert (tmp_path / "above" / "named").is_dir()
    assert not key.is_still_real
    (tmp_path / "above").unlink()
    (tmp_path / "above").mkdir()
    (tmp_path / "above" / "named").touch()
    assert not key.is_still_real


def test_the_case_is_the_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that does not tell cases apart the key has the disk's letters (simulated)."""
    (tmp_path / "Work").mkdir()
    (tmp_path / "Work" / "Repo").mkdir()
    real_samefile = os.path.samefile

    def samefile(one: str, other: str) -> bool:
        return one.casefold() == other.casefold() or real_samefile(one, other)

    monkeypatch.setattr(folder_module.os.path, "samefile", samefile)
    wanted = os.path.realpath(tmp_path / "Work" / "Repo")
    assert real_path(str(tmp_path / "WORK" / "repo")) == wanted
    assert real_path(str(tmp_path / "Work" / "Repo")) == wanted


def test_d3_a_key_that_goes_up_is_no_real_folder(tmp_path: Path) -> None:
    """Keys are compared as texts: this one would lie in a folder that is trusted."""
    for name in ("trusted", "evil"):
        (tmp_path / name).mkdir()
    real = os.path.realpath(tmp_path)
    assert FolderKey(f"{real}/trusted").is_still_real
    assert not FolderKey(f"{real}/trusted/../evil").is_still_real
