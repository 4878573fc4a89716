"""Where the store stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from sidestep.store.location import StoreLocation, store_location
from sidestep.store.place import user_folder


def test_an_explicit_path_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"SIDESTEP_STORE": "/env/store.db"}
    assert store_location("/named/store.db", environment).database == Path("/named/store.db")
    assert store_location(None, environment).database == Path("/env/store.db")
    default = store_location(None, {}).database
    assert default.is_absolute()
    assert default.parts[-2:] == ("sidestep", "sidestep.db")


def test_a_relative_path_stands_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert store_location("store.db", {}).database == tmp_path / "store.db"
    assert store_location("~/store.db", {}).database == Path(os.path.expanduser("~/store.db"))


def test_two_stores_in_one_folder_share_no_files() -> None:
    first, second = StoreLocation(Path("/x/a.db")), StoreLocation(Path("/x/b.db"))
    assert len({first.outputs, first.owners, second.outputs, second.owners}) == 4
    assert {first.outputs.parent, first.owners.parent, first.folder} == {Path("/x")}


@pytest.mark.parametrize("state", [None, "", "relative", "/other/state"])
@pytest.mark.parametrize("home", [None, "", "relative", "/home/somebody"])
def test_the_users_folders_are_those_that_platformdirs_names(
    monkeypatch: pytest.MonkeyPatch, state: str | None, home: str | None
) -> None:
    for name, value in (("XDG_STATE_HOME", state), ("XDG_CONFIG_HOME", state), ("HOME", home)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert user_folder("state") == platformdirs.user_state_dir("sidestep", appauthor=False)
    assert user_folder("config") == platformdirs.user_config_dir("sidestep", appauthor=False)


@pytest.mark.slow
def test_an_explicit_path_imports_no_platformdirs() -> None:
    program = (
        "import sys; from sidestep.store.location import store_location; store_location('/x', {}); "
        "print('platformdirs' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert answer.stdout == b"False\n"
