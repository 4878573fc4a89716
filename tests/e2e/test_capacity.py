"""X4 on the real process: a shell's small limit on open files is raised at start, and a hard one is respected."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.support.expectations import UNMET, Expectation, met, unmeetable
from tests.support.raw_client import SERVE, RawClient, response_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on open files"),
]

NAP = "from sidestep import sleep\n\nasync def main():\n    await sleep(3600, id='nap')\n"

# A waiting run may take so much memory in all: its share of the server and its own worker.
RUN_BYTES_MAX = 3 * 1024**2


def limited(tmp_path: Path, limits: str) -> RawClient:
    """A server under a shell with these limits."""
    store = tmp_path / "store.db"
    return RawClient(["/bin/sh", "-c", f'{limits} && exec "$@"', "sh", *SERVE, f"--store={store}"])


def fill(client: RawClient, count: int) -> list[str]:
    """Start so many runs and wait until each of them waits in its step; their ids."""
    since = client.mark()
    for _ in range(count):
        start(client)
    return client.expect(napping(count), since=since, within_s=120)


def start(client: RawClient) -> int:
    script = {"source": NAP, "name": "nap"}
    return client.request("workflow/start", {"script": script, "mode": "background", "events": True})


def napping(count: int) -> Expectation:
    """Met when the nap of so many runs has begun; its value: their ids."""

    def judge(messages: Sequence[dict[str, Any]]) -> Any:
        told = [m["params"] for m in messages if m.get("method") == "workflow/statusChanged"]
        if any(each["status"] == "failed" for each in told):
            return unmeetable("a run failed")
        batches = [m["params"] for m in messages if m.get("method") == "workflow/eventsAppended"]
        ids = {b["runId"] for b in batches if any(e["type"] == "step" for e in b["events"])}
        return met(sorted(ids)) if len(ids) >= count else UNMET

    return Expectation(f"{count} runs that nap", judge)


def active_runs(client: RawClient) -> int:
    return int(client.result("workflow/health")["activeRuns"])


def test_x4_a_soft_limit_on_open_files_is_raised_at_start(tmp_path: Path) -> None:
    with limited(tmp_path, "ulimit -Sn 100") as client:
        client.initialize(folders=[tmp_path])
        ids = fill(client, 60)
        assert len(ids) == 60
        interrupted = client.result("workflow/interrupt", {"runId": ids[0]})
        assert (interrupted["status"], interrupted["quiescent"]) == ("interrupted", True)
        assert active_runs(client) == 59
        assert client.shut_down() == 0
        assert "WARNING" not in client.stderr


def test_x4_a_hard_limit_that_is_too_low_is_told_and_the_start_past_it_is_overloaded(tmp_path: Path) -> None:
    with limited(tmp_path, "ulimit -Sn 64 && ulimit -Hn 860") as client:
        answer = client.initialize(folders=[tmp_path])
        most = answer["capabilities"]["experimental"]["workflow"]["limits"]["activeRunsMax"]
        assert 1 <= most < 100
        assert "at most" in client.stderr
        assert "ulimit -Hn" in client.stderr
        fill(client, most)
        refused = client.expect(response_to(start(client)))["error"]
        assert (refused["code"], refused["data"]["reason"]) == (-31001, "overloaded")
        assert refused["data"]["retryAfterMs"] > 0
        assert active_runs(client) == most


@pytest.mark.soak
def test_x4_a_thousand_runs_wait_at_once_in_one_process(tmp_path: Path) -> None:
    with limited(tmp_path, "ulimit -Sn 256") as client:
        client.initialize(folders=[tmp_path])
        server = psutil.Process(client.process.pid)
        before = server.memory_full_info().pss
        ids = fill(client, 1000)
        refused = client.expect(response_to(start(client)))["error"]
        assert refused["data"]["reason"] == "overloaded"

        workers = server.children(recursive=True)
        assert len(workers) == 1000
        memory = sum(worker.memory_full_info().pss for worker in workers) + server.memory_full_info().pss - before
        assert memory / 1000 < RUN_BYTES_MAX

        page = client.result("workflow/list", {"status": ["active"], "limit": 100})
        assert len(page["runs"]) == 100
        interrupted = client.result("workflow/interrupt", {"runId": ids[0]})
        assert (interrupted["status"], interrupted["quiescent"]) == ("interrupted", True)
        assert active_runs(client) == 999
        assert "result" in client.expect(response_to(start(client)))
        assert client.shut_down() == 0
        assert not any(worker.is_running() for worker in workers)
