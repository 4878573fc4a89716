"""
Writes a golden store: what a version of Sidestep left on disk, for all later ones to read, migrate and go on with.

    python -m tests.golden.writing tests/golden/store-vN

is run once, when schema version N is released; what it wrote is never written again (`test_golden_stores.py` reads
every `store-v*`). A golden store is a folder:

- `store.sql` makes the database; `@ROOT@` stands for the folder it is put into, with the workspace beside it;
- `outputs/` and `results/` are the files beside the database;
- `expected.json` says of each run what going on with it must do: `{"runId", "status", "verb", "calls", "result"}`;
  `verb` is "resume", "retry" or null (nothing to do) and `calls` are the ids of the steps that are done again.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from sidestep.model.run import RunRecord, RunStatus, loads
from sidestep.settings import Settings
from sidestep.store.location import StoreLocation
from sidestep.store.sqlite import SqliteRunStore
from tests.support.fake_clock import FakeClock
from tests.support.scripted_executor import OUTPUT
from tests.support.service_harness import Harness

ROOT = "@ROOT@"
# Small, so that a golden store has files beside it and is still small itself.
SETTINGS = Settings(output_inline_bytes_max=400, result_inline_bytes_max=400)
LARGE = {**OUTPUT, "stdout": "long " * 100, "stdout_bytes": 500}

# Everything a journal can hold: phases, logs, a sleep, a parallel, a failure that was handled, a large output.
RICH = """
from sidestep import command, failure, log, parallel, phase, sleep

async def main(task: str = "all"):
    phase("prepare", task=task)
    fetched = await command(["fetch", task], id="fetch", title="Fetch \u00e9verything")
    log("fetched", bytes=fetched["stdout_bytes"])
    await sleep(1, id="rest")
    both = await parallel({
        "left": command(["left"], id="left"),
        "right": command(["right"], id="right", check=False),
    })
    lint = "clean"
    try:
        await command(["lint"], id="lint")
    except RuntimeError as error:
        lint = failure(error)["message"]
        log("lint failed")
    phase("publish")
    published = await command(["publish", str(both["right"]["exit_code"])], id="publish")
    return {"report": published["stdout"], "data": {"lint": lint, "bytes": fetched["stdout_bytes"]}}
"""
SHORT = """
from sidestep import command

async def main():
    await command(["build"], id="build")
    tested = await command(["test"], id="test")
    return {"report": tested["stdout"]}
"""


async def do_rich(h: Harness) -> str:
    """Start RICH and hold it in its last step; the run's id."""
    h.commands.outputs["fetch"] = LARGE
    h.commands.held |= {"left", "right", "lint", "publish"}
    before = h.commands.count("lint")
    h.start(RICH, args={"task": "h\u00e9llo"}, label="the rich one")
    await h.clock.sleeper(1)
    h.clock.advance(1)
    await h.commands.called("left", before + 1)
    await h.commands.called("right", before + 1)
    # The second one first: a replay keeps the order of completions.
    h.commands.finish("right", {**OUTPUT, "exit_code": 3})
    run_id = h.commands.calls[-1].run_id
    h.commands.finish("left")
    await h.commands.called("lint", before + 1)
    h.commands.fail("lint", "lint said no")
    await h.commands.called("publish", before + 1)
    return run_id


def stored(record: RunRecord) -> dict[str, Any]:
    """A result as its file or row has it."""
    result = record.result
    assert result is not None, f"{record.run_id} has no result: {record.error}"
    if result.file is not None:
        return json.loads(Path(result.file).read_text("utf-8"))
    return {"report": result.report, "data": None if result.data_json is None else loads(result.data_json)}


async def make(root: Path) -> list[dict[str, Any]]:
    """Make the runs; leaves the last one running. Answers what is expected of each."""
    clock = FakeClock()
    location = StoreLocation(root / "store.db")
    async with SqliteRunStore(location, clock, SETTINGS) as store:
        h = await Harness(root, store=store, settings=SETTINGS, clock=clock).__aenter__()
        rich = await do_rich(h)
        h.commands.finish("publish", LARGE)
        completed = await h.status(rich, RunStatus.COMPLETED)
        result = stored(completed)
        expected: list[dict[str, Any]] = [
            {"runId": rich, "status": "completed", "verb": None, "calls": [], "result": result}
        ]

        h.commands.held.add("test")
        task = h.start(SHORT)
        await h.commands.called("test")
        h.commands.fail("test", "tests are red")
        failed = (await task).record
        short = {"report": "", "data": None}
        expected.append(
            {"runId": failed.run_id, "status": "failed", "verb": "retry", "calls": ["test"], "result": short}
        )

        interrupted = await do_rich(h)
        await h.service.interrupt(interrupted, by="person")
        await h.status(interrupted, RunStatus.INTERRUPTED)
        expected.append(
            {"runId": interrupted, "status": "interrupted", "verb": "resume", "calls": ["publish"], "result": result}
        )

        crashed = await do_rich(h)
        expected.append(
            {"runId": crashed, "status": "running", "verb": "resume", "calls": ["publish"], "result": result}
        )
        # The started record of its last step is lazy.
        await store.store_source(SHORT)
        dump(root, location)
        await h.service.interrupt(crashed, by="person")
        await h.__aexit__(None, None, None)
    return expected


def dump(root: Path, location: StoreLocation) -> None:
    connection = sqlite3.connect(location.database)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        lines = [f"PRAGMA user_version = {version};", *connection.iterdump()]
    finally:
        connection.close()
    text = "\n".join(lines).replace(str(root), ROOT)
    (root / "store.sql").write_text(text + "\n", "utf-8")


def write(target: Path) -> None:
    assert not target.exists(), "a golden store is written once"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        expected = asyncio.run(make(root))
        target.mkdir(parents=True)
        shutil.copy(root / "store.sql", target)
        shutil.copytree(root / "store.db-outputs", target / "outputs")
        shutil.copytree(root / "store.db-results", target / "results")
        (target / "expected.json").write_text(json.dumps(expected, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]).resolve())
