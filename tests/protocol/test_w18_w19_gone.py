"""W18, W19: the host is gone: its end of stdin is closed at any byte, or it died while somebody else holds the pipe."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import GATED, Host, frame, said, start_params
from tests.support.raw_client import REPOSITORY, SERVE, RawClient, response_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

START = frame(json.dumps({"jsonrpc": "2.0", "id": "start", "method": "workflow/start", "params": start_params(GATED)}))
# The product polls every 2 s; five times as much on a busy machine.
PARENT_GONE_S = 10


def statuses(host: Host, watcher: RawClient) -> list[tuple[str, str | None]]:
    """Every run of a workspace whose server has ended: (status, reason)."""
    runs = host.runs(watcher)
    assert all("owner" not in run for run in runs)
    return [(run["status"], run.get("reason")) for run in runs]


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(b"", id="idle", marks=pytest.mark.soak),
        pytest.param(b"Content-Le", id="in a header"),
        pytest.param(b"Content-Length: 20\r\n", id="between headers", marks=pytest.mark.soak),
        pytest.param(b"Content-Length: 20\r\n\r\n", id="before a body", marks=pytest.mark.soak),
        pytest.param(START, id="behind a start"),
    ],
)
def test_w18_the_end_of_input_at_any_byte_ends_the_process_with_1(host: Host, watcher: RawClient, last: bytes) -> None:
    host.client.send_bytes(last)
    mark = host.client.mark()
    host.client.close_stdin()
    assert host.client.exit_code() == 1
    host.client.wait_stdout_end()
    assert host.client.stray == b""
    if last is START:
        # The start was read: it is answered, whatever became of it, and no run is left without a word.
        answer = host.client.expect(response_to("start"))
        assert answer["error"]["code"] in (-32802, -32800)
        created = answer["error"]["data"].get("runId")
        assert statuses(host, watcher) == ([] if created is None else [("interrupted", "clientGone")])
    else:
        assert [m for m in host.client.messages[mark:] if "method" not in m] == []


def test_w18_in_flight_the_waiting_request_is_answered_and_the_reason_is_durable(
    host: Host, watcher: RawClient
) -> None:
    number, run_id = host.gated()
    host.client.send_bytes(b"Content-Length: 99\r\n\r\n{")
    host.client.close_stdin()
    error = host.client.expect(response_to(number))["error"]
    assert (error["code"], error["data"]["runId"], error["data"]["status"]) == (-32802, run_id, "interrupted")
    assert host.client.exit_code() == 1
    assert statuses(host, watcher) == [("interrupted", "clientGone")]


def test_w18_after_shutdown_the_end_of_input_is_an_orderly_end(host: Host, watcher: RawClient) -> None:
    host.gated()
    host.client.result("shutdown")
    host.client.close_stdin()
    assert host.client.exit_code() == 0
    assert statuses(host, watcher) == [("interrupted", "shutdown")]


@pytest.mark.parametrize("stdin", ["null device", "file", "closed"])
def test_w18_a_stdin_that_is_no_pipe_is_read_to_its_end(tmp_path: Path, stdin: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(frame('{"jsonrpc":"2.0","id":1,"method":"test/none"}') + b"Content-Len")
    command = [*SERVE, f"--store={tmp_path / 's.db'}"]
    if stdin == "closed":
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    with path.open("rb") as file, RawClient(command, stdin=file if stdin == "file" else subprocess.DEVNULL) as client:
        assert client.exit_code() == 1
        client.wait_stdout_end()
        answered = [(m["id"], m["error"]["code"]) for m in client.messages]
        assert answered == ([(1, -32002)] if stdin == "file" else [])


def test_w18_a_host_that_leaves_while_its_initialize_hangs_is_gone_within_the_drains_time(tmp_path: Path) -> None:
    """The store is on a disk that does not answer. The server's clock jumps, so it tells how long it took."""
    path = os.pathsep.join(str(REPOSITORY / name) for name in ("", "server", "protocol"))
    command = [sys.executable, "-m", "tests.protocol.hung_server", "--stdio", f"--store={tmp_path / 's.db'}"]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as server:
        assert server.stdin is not None
        assert server.stderr is not None
        server.stdin.write(frame('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}'))
        server.stdin.flush()
        assert server.stderr.readline() == b"opening\n"
        answers, last_words = server.communicate(timeout=30)
        assert b'"id":1,"error":{"code":-32802' in answers
        assert server.returncode == 1
        assert float(last_words.splitlines()[-1]) <= 3.0


# -- W19


class Family:
    """A host, its server and the grandchild that holds the server's stdin, as separate processes."""

    def __init__(self, host: Host, process_id: str, *arguments: str) -> None:
        path = os.pathsep.join(str(REPOSITORY / name) for name in ("server", "protocol"))
        command = [*SERVE, f"--store={host.store}", *arguments]
        self.host = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nosy_host.py")), str(host.folder), process_id, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self.host.stdout is not None
        self.server, self.grandchild = (int(word) for word in self.host.stdout.readline().split())
        self._server_end = os.pidfd_open(self.server)

    def server_ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._server_end], [], [], seconds)[0])

    def end(self) -> None:
        for pid in (self.grandchild, self.server):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.host.kill()
        self.host.wait()
        for pipe in (self.host.stdin, self.host.stdout):
            assert pipe is not None
            pipe.close()
        os.close(self._server_end)


@pytest.fixture
def idle(tmp_path: Path, store: Path) -> Host:
    """A workspace without a server."""
    return Host(tmp_path, store=store, serve=False)


@pytest.fixture
def families() -> Iterator[Callable[[Host, str], Family]]:
    made: list[Family] = []

    def make(workspace: Host, process_id: str) -> Family:
        made.append(Family(workspace, process_id))
        return made[-1]

    yield make
    for family in made:
        family.end()


def test_w19_a_killed_host_is_noticed_although_a_grandchild_holds_the_pipe(
    idle: Host, watcher: RawClient, families: Callable[[Host, str], Family]
) -> None:
    family = families(idle, "own")
    family.host.kill()
    family.host.wait()
    assert family.server_ends_within(PARENT_GONE_S)
    assert statuses(idle, watcher) == [("interrupted", "clientGone")]


def test_w19_a_process_that_never_was_visible_is_not_watched(
    tmp_path: Path, store: Path, families: Callable[[Host, str], Family]
) -> None:
    """A container's host has an id that means nothing here; `null` is what hosts in a browser say."""
    said_ids = ("null", str(2**31 - 7))
    made = [families(Host(tmp_path / each, store=store, serve=False), each) for each in said_ids]
    # More than one poll. Nothing is waited for but the end that must not come.
    assert not made[0].server_ends_within(2.5)
    assert not made[1].server_ends_within(0)


def test_w19_the_flag_names_the_process_to_watch(tmp_path: Path, store: Path, watcher: RawClient) -> None:
    with subprocess.Popen(["sleep", "600"]) as watched:
        try:
            host = Host(tmp_path, f"--clientProcessId={watched.pid}", store=store)
            with host.client:
                host.gated()
                assert said(host.client, b"") == []
                watched.kill()
                watched.wait()
                assert host.client.exit_code(PARENT_GONE_S) == 1
                assert statuses(host, watcher) == [("interrupted", "clientGone")]
        finally:
            watched.kill()
