"""What a configuration has wrong is told once, in each folder that is open when it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidestep.lsp.configuration_warnings import ConfigurationWarnings
from sidestep.scripts.folder import FolderKey

if TYPE_CHECKING:
    from pathlib import Path


def test_each_text_is_told_once_and_a_new_one_when_it_is_looked_at_again(tmp_path: Path) -> None:
    told: list[tuple[str, Any]] = []
    folders = [FolderKey.existing(str(tmp_path))]
    wrong = {folders[0].path: ["line 1 is wrong"]}
    warnings = ConfigurationWarnings(
        lambda method, params: told.append((method, params)), lambda: folders, lambda folder: wrong[folder]
    )
    warnings.tell()
    warnings.tell()
    assert told == [("window/showMessage", {"type": 2, "message": "line 1 is wrong"})]

    other = tmp_path / "other"
    other.mkdir()
    folders.append(FolderKey.existing(str(other)))
    wrong[folders[1].path] = ["line 1 is wrong", "line 2 is wrong"]
    warnings.tell()
    assert [params["message"] for _, params in told] == ["line 1 is wrong", "line 2 is wrong"]
