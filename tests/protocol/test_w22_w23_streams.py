"""W22, W23: the three standard streams when they misbehave: stdout closed, stderr full, somebody writing to fd 1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host, errors, frame, said, start_params
from tests.support.raw_client import SERVE, RawClient, count_of, response_to

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_w22_only_stdout_closed_interrupts_the_runs_and_exits_4(host: Host, watcher: RawClient) -> None:
    _, run_id = host.gated()
    host.client.leave_stdout()
    # It learns so when it writes.
    host.client.request("workflow/health")
    assert host.client.exit_code() == 4
    run = host.run(run_id, watcher)
    assert (run["status"], run["reason"]) == ("interrupted", "clientGone")


def test_w22_stdout_closed_from_the_start_exits_and_says_why(tmp_path: Path) -> None:
    command = [*SERVE, f"--store={tmp_path / 's.db'}"]
    with RawClient(["sh", "-c", 'exec "$@" >&-', "sh", *command]) as client:
        client.send_bytes(frame('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}'))
        client.close_stdin()
        assert client.exit_code() in (1, 4)
        assert client.messages == []


def test_w22_a_full_stderr_does_not_stop_the_server(tmp_path: Path) -> None:
    """Nobody reads it, and with `debug` every strange message is a line: the pipe is full after some hundreds."""
    pipe = tmp_path / "stderr"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    try:
        command = [*SERVE, f"--store={tmp_path / 's.db'}", "--log-level=debug"]
        with RawClient(["sh", "-c", f'exec "$@" 2>"{pipe}"', "sh", *command]) as client:
            client.initialize(folders=[tmp_path])
            strange = json.dumps({"jsonrpc": "2.0", "id": 0, "result": "x" * 50}).encode()
            for _ in range(10):
                client.send_body(*[strange] * 200)
                assert client.result("workflow/health")["status"] == "ok"
            source = "async def main():\n    return 'done'\n"
            assert client.result("workflow/start", start_params(source))["status"] == "completed"
            assert client.shut_down() == 0
    finally:
        os.close(held)


def test_w22_a_closed_stderr_does_not_stop_the_server(tmp_path: Path) -> None:
    command = [*SERVE, f"--store={tmp_path / 's.db'}", "--log-level=debug"]
    with RawClient(["sh", "-c", 'exec "$@" 2>&-', "sh", *command]) as client:
        client.initialize()
        assert said(client, frame('{"jsonrpc":"2.0","id":0,"result":1}')) == []
        assert client.shut_down() == 0


@pytest.fixture
def scribbling(tmp_path: Path) -> RawClient:
    command = [sys.executable, "-m", "tests.protocol.stray_server", f"--store={tmp_path / 's.db'}"]
    return RawClient(command, cwd=os.getcwd())


def test_w23_what_python_c_and_children_write_to_fd_1_is_no_frame(scribbling: RawClient) -> None:
    with scribbling as client:
        client.initialize()
        numbers = {client.request("workflow/health") for _ in range(2)}
        client.expect(count_of(lambda m: m.get("id") in numbers, 2))
        assert errors([client.call("test/none")])[0][1:] == (-32601, "methodNotFound")
        assert client.shut_down() == 0
        client.wait_stdout_end()
        assert client.stray == b""
        for word in (
            "a print",
            "a C library's puts",
            "a C library's write",
            "child prints",
            "child writes",
            "grandchild",
        ):
            assert word in client.stderr


def test_w23_what_scripts_print_and_commands_write_stays_in_the_run(host: Host) -> None:
    source = """
from sidestep import command

async def main():
    print("Content-Length: 2\\r\\n\\r\\n{}")
    script = "echo out; echo err >&2; for fd in 0 1 2 3 4 5 6 7 8 9; do echo fd$fd >&$fd; done"
    return (await command(["sh", "-c", script], id="noisy", check=False))["stdout"][:3]
"""
    number = host.start(source)
    assert host.client.expect(response_to(number))["result"]["result"]["report"] == "out"
    assert host.client.stray == b""


def test_w23_a_child_that_outlives_the_server_holds_none_of_its_streams(host: Host, watcher: RawClient) -> None:
    """Otherwise the host would wait for the end of stdout for ever."""
    host.start("from sidestep import command\n\nasync def main():\n    await command(['cat', 'gate'], id='gated')\n")
    host.step_begun("gated")
    host.client.kill()
    # The command may be there still: whoever notices the death stops it.
    host.client.wait_stdout_end()
    assert host.client.stray == b""
    (run,) = host.runs(watcher)
    assert watcher.result("workflow/interrupt", {"runId": run["runId"]})["status"] == "interrupted"


def test_w18_w22_all_three_streams_closed_at_once_is_an_end_like_any_other(tmp_path: Path) -> None:
    command = [*SERVE, f"--store={tmp_path / 's.db'}"]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], check=False, timeout=30)
    assert done.returncode in (1, 4)
