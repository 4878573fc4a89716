"""The store's id before the store is opened: told only when opening would tell the same."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from sidestep.settings import Settings
from sidestep.store import identity
from sidestep.store.identity import SCHEMA_VERSION, stored_id
from sidestep.store.location import StoreLocation
from sidestep.store.migrations import CURRENT
from sidestep.store.sqlite import SqliteRunStore
from sidestep.system import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


def test_the_version_is_the_one_that_is_written() -> None:
    """Another one would be right as well, and every start slow."""
    assert CURRENT.version == SCHEMA_VERSION


@pytest.mark.parametrize("name", ["runs.db", "50% of #1?.db", "sp ace ü.db"])
async def test_it_is_what_the_open_store_says(tmp_path: Path, name: str) -> None:
    location = StoreLocation(tmp_path / name)
    async with SqliteRunStore(location, SystemClock(), Settings()) as store:
        told = (await store.health())["storeId"]
        assert stored_id(str(location.database)) == told
    before = sorted(os.listdir(tmp_path))
    assert stored_id(str(location.database)) == told
    assert set(before) <= set(os.listdir(tmp_path))
    async with SqliteRunStore(location, SystemClock(), Settings()) as store:
        assert (await store.health())["storeId"] == told


async def test_what_only_opening_can_tell_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = StoreLocation(tmp_path / "runs.db")
    assert stored_id(str(location.database)) is None
    assert os.listdir(tmp_path) == []
    async with SqliteRunStore(location, SystemClock(), Settings()):
        pass
    path = str(location.database)
    assert stored_id(path) is not None
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 1 0:1 / {tmp_path} rw - nfs server rw\n")
    with monkeypatch.context() as patch:
        patch.setattr(identity, "_MOUNT_TABLE", str(mounts))
        assert stored_id(path) is None
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    connection.close()
    assert stored_id(path) is None
    (tmp_path / "torn.db").write_bytes(b"no database" * 100)
    assert stored_id(str(tmp_path / "torn.db")) is None
    assert stored_id(str(tmp_path)) is None
