"""How the database is opened: privately, durably, by many at once."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sidestep.store.connection import Link, StoreFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_store_and_its_folder_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "store.db"
    before = os.umask(0)
    try:
        connection = StoreFile(path, path.with_name("owners"), busy_timeout_ms=100).connect(read_only=False)
        connection.execute("INSERT INTO sources VALUES ('h', 't')")
        modes = {name: stat.S_IMODE((path.parent / name).stat().st_mode) for name in os.listdir(path.parent)}
    finally:
        os.umask(before)
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    connection.close()


def test_every_connection_is_wal_and_full(tmp_path: Path) -> None:
    store_file = StoreFile(tmp_path / "store.db", tmp_path / "owners", busy_timeout_ms=100)
    for read_only in (False, True):
        connection = store_file.connect(read_only=read_only)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (100,)
        connection.close()


def test_a_read_only_connection_writes_nothing(tmp_path: Path) -> None:
    connection = StoreFile(tmp_path / "store.db", tmp_path / "owners", busy_timeout_ms=100).connect(read_only=True)
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM runs")
    connection.close()


def test_ten_that_make_the_store_at_once_make_one(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    gate = threading.Barrier(10)
    identities: list[str] = []

    def make() -> None:
        gate.wait()
        connection = StoreFile(path, path.with_name("owners"), busy_timeout_ms=10_000).connect(read_only=False)
        identities.append(connection.execute("SELECT value FROM meta").fetchone()[0])
        connection.close()

    threads = [threading.Thread(target=make) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(identities) == 10
    assert len(set(identities)) == 1


def test_a_dropped_link_connects_anew(tmp_path: Path) -> None:
    link = Link(StoreFile(tmp_path / "store.db", tmp_path / "owners", busy_timeout_ms=100), read_only=False)
    first = link.get()
    assert link.get() is first
    link.drop()
    link.drop()
    assert link.get() is not first
    assert link.made == 2
    link.drop()
