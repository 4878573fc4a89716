"""
C4, C6: the real process beside a store that cannot be used.

It stays up for everything that needs no store, says what is wrong and what to do, and the next request after the cause
is gone works, with everything that was committed.
"""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.store.migrations import CURRENT
from tests.support.neighbour import neighbour
from tests.support.other_program import let_go, other_program
from tests.support.raw_client import REPOSITORY, RawClient, response_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

SOURCE = """
from sidestep import command

async def main():
    done = await command(["echo", "hi"], id="echo")
    return done["stdout"]
"""


class Store:
    """A store that is spoiled and mended; `copy` is what it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state"
        self.path = self.folder / "store.db"
        self.kept = folder / "kept"

    def execute(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def move_away(self) -> None:
        self.folder.rename(self.kept)

    def move_back(self) -> None:
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
        else:
            self.folder.unlink(missing_ok=True)
        self.kept.rename(self.folder)

    # What is wrong.

    def put_folder_in_its_place(self) -> None:
        self.move_away()
        self.path.mkdir(parents=True)

    def put_letter_in_its_place(self) -> None:
        self.move_away()
        self.folder.mkdir()
        self.path.write_text("no database " * 1000)

    def put_file_in_place_of_its_folder(self) -> None:
        self.move_away()
        self.folder.write_text("no folder")

    def damage(self) -> None:
        self.move_away()
        shutil.copytree(self.kept, self.folder)
        with self.path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (self.path.stat().st_size - 4096))

    def make_newer(self) -> None:
        self.execute("UPDATE meta SET value = '99' WHERE name = 'oldestWriter'", "PRAGMA user_version = 99")

    def make_known(self) -> None:
        self.execute(
            f"UPDATE meta SET value = '{CURRENT.version}' WHERE name = 'oldestWriter'",
            f"PRAGMA user_version = {CURRENT.version}",
        )


CAUSES: dict[str, tuple[Callable[[Store], None], Callable[[Store], None], str]] = {
    "a folder in its place": (Store.put_folder_in_its_place, Store.move_back, "is a folder"),
    "no database": (Store.put_letter_in_its_place, Store.move_back, "not an SQLite database"),
    "a folder that cannot be made": (Store.put_file_in_place_of_its_folder, Store.move_back, "cannot be"),
    "damaged pages": (Store.damage, Store.move_back, "is damaged"),
    "a newer version": (Store.make_newer, Store.make_known, "newer Sidestep"),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def run(client: RawClient) -> dict[str, Any]:
    result = client.result("workflow/start", {"script": {"source": SOURCE, "name": "test"}})
    assert result["status"] == "completed", result
    return result


def journal(client: RawClient, run_id: str) -> list[Any]:
    return client.result("workflow/events", {"runId": run_id})["events"]


def check_static(client: RawClient) -> None:
    """What needs no store works."""
    assert any(script["scope"] == "builtin" for script in client.result("workflow/scripts", {})["scripts"])
    assert client.result("workflow/validate", {"source": SOURCE}) == {"diagnostics": []}
    broken = client.result("workflow/validate", {"source": "import os\n"})
    assert broken["diagnostics"]


def check_refused(client: RawClient, run_id: str, words: str) -> None:
    """Every verb that needs the store says what is wrong and what to do."""
    named = {"runId": run_id}
    for method, params in {
        "workflow/start": {"script": {"source": SOURCE, "name": "test"}},
        "workflow/list": {},
        "workflow/get": named,
        "workflow/events": named,
        "workflow/steps": named,
        "workflow/interrupt": named,
        "workflow/resume": named,
        "workflow/delete": named,
    }.items():
        error = client.error(method, params)
        assert (error["code"], error["data"]["reason"]) == (-31009, "storeUnavailable"), (method, error)
        assert words in error["data"]["what"], method
        assert error["data"]["todo"].endswith("."), method


@pytest.mark.parametrize("cause", CAUSES)
def test_c4_a_server_beside_a_broken_store_stays_up_and_goes_on_when_it_is_mended(
    store: Store, workspace: Path, cause: str
) -> None:
    spoil, mend, words = CAUSES[cause]
    with RawClient.spawn(store=store.path) as client:
        client.initialize(folders=[workspace])
        before = run(client)
        events = journal(client, before["runId"])
        assert client.shut_down() == 0
    spoil(store)
    with RawClient.spawn(store=store.path) as client:
        client.initialize(folders=[workspace])
        check_static(client)
        for _ in range(2):
            check_refused(client, before["runId"], words)
        check_static(client)
        mend(store)
        # Without a restart, and nothing that was committed is lost.
        assert journal(client, before["runId"]) == events
        assert run(client)["runId"] != before["runId"]
        assert len(client.result("workflow/list", {})["runs"]) == 2
        assert client.shut_down() == 0
        # Told once each, not with every refusal; the newer store is told as back when it takes a write.
        told = [m["params"] for m in client.messages if m.get("method") == "workflow/serverStatus"]
        assert [status["health"] for status in told] == ["error", "ok"], told
        assert words in told[0]["message"]


def test_c4_a_store_locked_for_a_while_holds_a_start_up_and_nothing_else(store: Store, workspace: Path) -> None:
    with RawClient.spawn(store=store.path) as client:
        client.initialize(folders=[workspace])
        run(client)
        with other_program(store.path, "BEGIN IMMEDIATE") as program:
            start = client.request("workflow/start", {"script": {"source": SOURCE, "name": "test"}})
            check_static(client)
            assert len(client.result("workflow/list", {})["runs"]) == 1
            let_go(program)
            assert client.expect(response_to(start))["result"]["status"] == "completed"
        assert client.shut_down() == 0


def test_c6_a_store_of_an_older_version_waits_for_the_windows_that_use_it(store: Store, workspace: Path) -> None:
    store.folder.mkdir()
    connection = sqlite3.connect(store.path)
    connection.executescript((REPOSITORY / "tests" / "golden" / "store-v1" / "store.sql").read_text("utf-8"))
    connection.close()
    with RawClient.spawn(store=store.path) as client:
        with neighbour(store.path):
            client.initialize(folders=[workspace])
            check_static(client)
            check_refused(client, "run_a000000000000001", "still running")
        assert len(client.result("workflow/list", {})["runs"]) == 4
        assert run(client)["status"] == "completed"
        assert client.shut_down() == 0
