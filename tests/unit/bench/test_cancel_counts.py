"""
What stopping a run in the middle of a command costs, in counts: commits, and rows read.

They are the same on every machine; see `test_counts.py`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sidestep.app import Application
from sidestep.model.abort import AbortController, AbortKind, AbortReason
from sidestep.model.run import Attention
from sidestep.scripts.folder import FolderKey
from sidestep.scripts.resolver import InlineScript
from sidestep.service.requests import StartRequest
from sidestep.settings import Settings
from sidestep.store.sqlite import SqliteRunStore

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SOURCE = """
from sidestep import command

async def main():
    await command(["sh", "-c", "echo ready > ready; exec sleep 600"], id="long")
"""

# That it is interrupted, and the cleared lease.
COMMITS_MAX = 2


class Counts:
    """Every call of what costs a hand-over to a thread and back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits = self.reads = 0
        connect, read = sqlite3.connect, SqliteRunStore.read

        def traced(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*args, **options)
            connection.set_trace_callback(self._take_statement)
            return connection

        async def counted_read(store: SqliteRunStore, run_id: str) -> Any:
            self.reads += 1
            return await read(store, run_id)

        monkeypatch.setattr(sqlite3, "connect", traced)
        monkeypatch.setattr(SqliteRunStore, "read", counted_read)

    def _take_statement(self, text: str) -> None:
        self.commits += text == "COMMIT"


async def test_a_stop_inside_a_command_is_two_commits_and_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counts(monkeypatch)
    os.mkfifo(tmp_path / "ready")
    # What was announced so far rides with the stop, however long that takes to come.
    app = Application(Settings(lazy_write_ms=60_000), tmp_path / "runs.db", os.environ)
    folder = FolderKey.existing(str(tmp_path))
    app.library.trust_for_session([folder])
    try:
        service = await app.service()
        request = StartRequest(
            script=InlineScript(SOURCE, "long"), args={}, folder=folder, attention=Attention.NOTIFY_ON_TERMINAL
        )
        record = (await service.start(request, AbortController().signal)).record
        assert await asyncio.to_thread((tmp_path / "ready").read_text) == "ready\n"
        commits, reads = counts.commits, counts.reads
        done = await service.interrupt(record.run_id, by="test")
        assert done.quiescent
        # Both may go in one transaction.
        assert commits < counts.commits <= commits + COMMITS_MAX
        assert counts.reads == reads
    finally:
        await app.close(AbortReason(AbortKind.SHUTDOWN))
