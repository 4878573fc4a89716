"""
Servers for the tests of the wire: one for each test, or one for all tests of a file that leave no state behind.

The tests of a file share a store, each in a workspace of its own, so that one more server, the `watcher`, can tell all
of them what became of their runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "store.db"


@pytest.fixture
def host(tmp_path: Path, store: Path) -> Iterator[Host]:
    made = Host(tmp_path, store=store)
    with made.client:
        yield made


@pytest.fixture(scope="module")
def watcher(store: Path) -> Iterator[RawClient]:
    """A server that outlives those of the tests, without a folder: it resumes nothing and is told nothing."""
    with RawClient.spawn(store=store) as client:
        client.result("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Host]:
    """Its server says goodbye properly at the end: no test of the file has hurt it."""
    made = Host(tmp_path_factory.mktemp("shared"), store=store)
    with made.client:
        made.client.notify("initialized")
        yield made
        assert made.client.shut_down() == 0
        assert made.client.stray == b""
