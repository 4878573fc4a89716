"""Output files: complete, verified, private."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from sidestep.model.errors import DataDamaged, StoreUnavailable
from sidestep.store.outputs import OutputFolder, exceeds_utf8

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_kept_is_read_and_stored_once(tmp_path: Path) -> None:
    outputs = OutputFolder(tmp_path / "outputs")
    name = outputs.keep("h\u00e9 \ud800")
    assert outputs.keep("h\u00e9 \ud800") == name
    assert outputs.read(name) == "h\u00e9 \ud800"
    assert os.listdir(tmp_path / "outputs") == [name]
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "outputs" / name).stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "outputs").stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [b"other", b"\xff\xfe", b""])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    outputs = OutputFolder(tmp_path)
    name = outputs.keep("text")
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(DataDamaged, match="missing or damaged"):
        outputs.read(name)


def test_a_name_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("secret")
    outputs = OutputFolder(tmp_path / "outputs")
    for name in ("../secret.json", "secret.json", "", "0" * 64):
        with pytest.raises(DataDamaged):
            outputs.read(name)
        outputs.remove(name)
    assert (tmp_path / "secret.json").exists()


def test_a_folder_that_cannot_be_written_is_the_store_s_fault(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file in its place")
    with pytest.raises(StoreUnavailable):
        OutputFolder(tmp_path / "outputs").keep("text")


@pytest.mark.parametrize(
    ("text", "limit", "exceeds"),
    [("abc", 3, False), ("abcd", 3, True), ("\u00e9\u00e9", 3, True), ("\u00e9", 3, False), ("\ud800", 2, True)],
)
def test_sizes_are_bytes_of_utf8(text: str, limit: int, exceeds: bool) -> None:
    assert exceeds_utf8(text, limit) is exceeds
