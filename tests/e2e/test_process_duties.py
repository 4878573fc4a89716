"""
What the process owes to its host and to its machine, whatever ends the conversation.

W18, W19, W20, W22, W23, the exit codes of `serve`, and the drain: refuse starts, stop every run with its reason, leave
no process, and go. The journal is asked afterwards, by another server. Limits on time are five times the product's.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.fault_points import KILLING, read_counts
from tests.support.raw_client import (
    REPOSITORY,
    SERVE,
    ExpectationFailed,
    RawClient,
    count_of,
    message_where,
    notification,
    response_to,
)
from tests.support.stored_events import stored_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.slow

# Five times the drain.
GONE_WITHIN_S = 15.0

# Waits in a step until somebody writes into the pipe `gate`.
GATED = """
from sidestep import command

async def main():
    await command(["echo", "first"], id="first")
    await command(["cat", "gate"], id="gated")
    return "through"
"""

# Steps that ignore TERM, with a grandchild that does so too; each tells its process id.
DEAF = """
from sidestep import command

async def main():
    await command(["sh", "-c", "trap '' TERM INT HUP; echo $$ >> pids; (cat gate; cat gate) & wait; cat gate"], id="d")
"""

# Each step leaves a line in the file `done`.
COUNTED = """
from sidestep import command, log, parallel, phase, sleep

async def main():
    phase("one")
    await command(["sh", "-c", "echo a >> done"], id="a")
    log("half")
    await parallel([command(["sh", "-c", f"echo {name} >> done"], id=name) for name in ("b", "c")])
    await sleep(0.01, id="nap")
    done = await command(["sh", "-c", "echo d >> done; echo all"], id="d")
    return done["stdout"]
"""


class Ground:
    """A workspace, a store, and servers on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        os.mkfifo(self.folder / "gate")
        self.store = folder / "store.db"
        self._gates: list[int] = []

    def serve(self, *flags: str, command: Sequence[str] = SERVE, **wanted: Any) -> RawClient:
        """A server, not yet initialized."""
        path = os.pathsep.join([str(REPOSITORY / part) for part in ("server", "protocol", "")])
        # Buffered, as a host's environment has it: what is printed early strays late.
        env = {"PYTHONPATH": path, "PYTHONUNBUFFERED": ""}
        return RawClient([*command, f"--store={self.store}", *flags], env=env, **wanted)

    def greeted(self, *flags: str, command: Sequence[str] = SERVE, **wanted: Any) -> RawClient:
        """A server that has this folder open, and no wish to resume anything."""
        client = self.serve(*flags, command=command)
        client.initialize(folders=[self.folder], options={"autoResume": False}, **wanted)
        return client

    def start(self, client: RawClient, source: str = GATED, **wanted: Any) -> int:
        script = {"source": source, "name": "test"}
        return client.request("workflow/start", {"script": script, "events": True, **wanted})

    def gated(self, client: RawClient) -> tuple[int, str]:
        """A run that waits in its second step: its request and its id."""
        number = self.start(client)
        return number, client.expect(step_begun("gated"))["params"]["runId"]

    def deaf(self, client: RawClient, count: int = 1) -> list[int]:
        """Runs whose commands have begun not to hear: their process ids."""
        for _ in range(count):
            self.start(client, DEAF, mode="background")
        client.expect(count_of(lambda message: step_begun("d").judge([message]).value is not None, count))
        pids = self.folder / "pids"
        while not pids.exists() or len(pids.read_text().split()) < count:
            os.sched_yield()
        return [int(word) for word in pids.read_text().split()]

    def runs(self, client: RawClient) -> list[dict[str, Any]]:
        """Every run as another server finds it; each journal is whole."""
        found = client.result("workflow/list", {"limit": 100})["runs"]
        for run in found:
            events = client.result("workflow/events", {"runId": run["runId"]})["events"]
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
            assert events[-1]["sequence"] == run["sequence"]
        return found

    def check_stopped(self, reason: str, count: int = 1) -> None:
        """
        So many runs, durably interrupted with this reason, and unwound: nobody holds their lease.

        Read from the file itself: another server would first clear up what a dead one left.
        """
        connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
        rows = connection.execute("SELECT run, status, owner_id FROM runs").fetchall()
        assert [row[1:] for row in rows] == [("interrupted", None)] * count
        for run, _, _ in rows:
            events = stored_events(connection, run)
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
            statuses = [event for event in events if event["type"] == "status"]
            assert statuses[-1]["reason"] == reason
        connection.close()


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def step_begun(step_id: str) -> Any:
    def begun(message: dict[str, Any]) -> bool:
        if message.get("method") != "workflow/eventsAppended":
            return False
        events = message["params"]["events"]
        return any(e["type"] == "step" and e["stepId"] == step_id and e["status"] == "started" for e in events)

    return message_where(begun, f"step {step_id} started")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


# -- W18: the end of input


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"", id="idle"),
        pytest.param(b"Content-Len", id="mid-header"),
        pytest.param(b"Content-Length: 20\r\n", id="mid-header-block"),
        pytest.param(framed(b'{"jsonrpc":"2.0","id":99,"method":"workflow/health"}')[:-1], id="mid-body"),
    ],
)
def test_w18_the_end_of_input_ends_the_process_and_half_a_message_is_none(ground: Ground, rest: bytes) -> None:
    with ground.greeted() as client:
        mark = client.mark()
        client.send_bytes(rest)
        client.close_stdin()
        assert client.exit_code(GONE_WITHIN_S) == 1
        client.wait_stdout_end()
        assert [m for m in client.messages[mark:] if "id" in m] == []
        assert client.stray == b""


def test_w18_the_end_of_input_before_initialize(ground: Ground) -> None:
    with ground.serve() as client:
        client.send_bytes(b"Content-Length: 5\r\n\r\n{")
        client.close_stdin()
        assert client.exit_code(GONE_WITHIN_S) == 1
        assert client.messages == []


def test_w18_the_end_of_input_in_flight_answers_who_waits_and_stops_the_run(ground: Ground) -> None:
    with ground.greeted() as client:
        number, run_id = ground.gated(client)
        client.close_stdin()
        error = client.expect(response_to(number))["error"]
        assert (error["code"], error["data"]["reason"], error["data"]["runId"]) == (-32802, "serverDraining", run_id)
        assert (error["data"]["status"], error["data"]["resumable"]) == ("interrupted", True)
        assert client.exit_code(GONE_WITHIN_S) == 1
    ground.check_stopped("clientGone")


def test_w18_starts_that_were_queued_at_the_end_of_input_are_answered_once_and_leave_nothing_active(
    ground: Ground,
) -> None:
    with ground.greeted() as client:
        numbers = [client.new_id() for _ in range(20)]
        params = {"script": {"source": GATED, "name": "test"}}
        client.send(*({"id": number, "method": "workflow/start", "params": params} for number in numbers))
        client.close_stdin()
        assert client.exit_code(GONE_WITHIN_S) == 1
        client.wait_stdout_end()
        errors = [client.expect(response_to(number))["error"] for number in numbers]
        assert {error["code"] for error in errors} == {-32802}
        stored = {e["data"]["runId"] for e in errors if e["data"].get("runId")}
    with ground.greeted() as client:
        found = ground.runs(client)
    assert {run["runId"] for run in found} == stored
    assert {(run["status"], run.get("reason")) for run in found} <= {("interrupted", "clientGone")}


def test_w18_everything_up_to_the_end_of_input_in_one_write(ground: Ground) -> None:
    with ground.serve() as client:
        client.send(
            {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}},
            {"method": "initialized"},
            {"id": 2, "method": "workflow/health"},
            {"id": 3, "method": "shutdown"},
        )
        client.close_stdin()
        assert client.exit_code(GONE_WITHIN_S) == 0
        client.wait_stdout_end()
        assert {m["id"] for m in client.messages if "method" not in m} == {1, 2, 3}


# -- W19: the parent


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    """Some process, that nobody waits for before the test is over."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin:
        yield process
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", ["processId", "--clientProcessId"])
def test_w19_the_client_dies_while_somebody_holds_the_pipes(
    ground: Ground, program: subprocess.Popen[bytes], how: str
) -> None:
    """The dead client stays a zombie meanwhile: nobody has reaped it."""
    named = {"process_id": program.pid} if how == "processId" else {}
    flags = [] if named else [f"--clientProcessId={program.pid}"]
    with ground.greeted(*flags, **named) as client:
        ground.gated(client)
        program.kill()
        assert client.exit_code(GONE_WITHIN_S) == 1
    ground.check_stopped("clientGone")


def test_w19_our_own_parent_is_killed_while_a_grandchild_holds_the_pipes(ground: Ground) -> None:
    """The test holds them, as a grandchild of an editor would. The server is nobody's child then."""
    editor = (
        "import subprocess, sys; subprocess.run([*sys.argv[1:], f'--clientProcessId={__import__(\"os\").getpid()}'])"
    )
    with ground.greeted(command=[sys.executable, "-c", editor, *SERVE]) as client:
        ground.gated(client)
        client.kill()
        client.wait_stdout_end(GONE_WITHIN_S)
    ground.check_stopped("clientGone")


@pytest.mark.parametrize("pid", [None, 2**22 + 1, 0])
def test_w19_a_pid_that_never_was_visible_is_not_watched(ground: Ground, pid: int | None) -> None:
    with ground.greeted(process_id=pid) as client:
        number = ground.start(client, COUNTED)
        assert client.expect(response_to(number))["result"]["status"] == "completed"
        assert client.shut_down() == 0


# -- Exit codes


def test_exit_code_0_for_shutdown_then_the_end_of_input(ground: Ground) -> None:
    with ground.greeted() as client:
        client.result("shutdown")
        client.close_stdin()
        assert client.exit_code(GONE_WITHIN_S) == 0


def test_exit_code_1_for_exit_without_shutdown(ground: Ground) -> None:
    with ground.greeted() as client:
        client.notify("exit")
        assert client.exit_code(GONE_WITHIN_S) == 1


def test_exit_code_1_for_three_headers_in_a_row_that_cannot_be_used(ground: Ground) -> None:
    with ground.serve() as client:
        client.send_bytes(b"Content-Length: -1\r\n\r\n" * 3)
        assert client.exit_code(GONE_WITHIN_S) == 1


@pytest.mark.parametrize(
    "flags",
    [["--nonsense"], ["--clientProcessId=x"], ["--log-level=loud"], ["--store"], ["--log-file=/nowhere/at/all"]],
)
def test_exit_code_2_for_a_command_line_that_cannot_be_used(flags: list[str]) -> None:
    with RawClient([*SERVE, *flags]) as client:
        assert client.exit_code() == 2
        client.wait_stdout_end()
        assert (client.messages, client.stray) == ([], b"")


@pytest.mark.parametrize(("closed", "code"), [("0<&-", 1), ("1>&-", 4), ("2>&-", 0), ("0<&- 1>&- 2>&-", 4)])
def test_w22_a_standard_descriptor_that_is_closed_from_the_start(ground: Ground, closed: str, code: int) -> None:
    with ground.serve(command=["sh", "-c", f'exec "$@" {closed}', "sh", *SERVE]) as client:
        if code == 0:
            client.initialize(folders=[ground.folder])
            number = ground.start(client, COUNTED)
            assert client.expect(response_to(number))["result"]["status"] == "completed"
            assert client.shut_down() == 0
        assert client.exit_code(GONE_WITHIN_S) == code
        assert client.stray == b""


# -- W20: signals

SIGNALS = {"TERM": 143, "INT": 130, "HUP": 129, "KILL": -signal.SIGKILL}


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_w20_a_signal_to_an_idle_server(ground: Ground, name: str) -> None:
    with ground.greeted() as client:
        client.signal(signal.Signals[f"SIG{name}"])
        assert client.exit_code(GONE_WITHIN_S) == SIGNALS[name]


def test_w20_a_second_signal_does_not_wait_for_the_drain(ground: Ground) -> None:
    with ground.greeted() as client:
        (pid,) = ground.deaf(client)
        client.signal(signal.SIGTERM)
        client.expect(notification("workflow/statusChanged", status="interrupted"))
        client.signal(signal.SIGTERM)
        assert client.exit_code() == 143
        # Nobody was there any more to kill it. Whoever goes on with the run does.
        assert is_alive(pid)
    with ground.greeted() as client:
        (run,) = ground.runs(client)
        assert (run["status"], run["reason"]) == ("interrupted", "shutdown")
        client.request("workflow/resume", {"runId": run["runId"], "events": True})
        client.expect(step_begun("d"))
        assert not is_alive(pid)
        client.shut_down()


class Signalled:
    """Runs of one workflow, each in a server that gets a signal at a chosen fault point."""

    def __init__(self, tmp_path: Path) -> None:
        self._folder = tmp_path
        self._rounds = 0

    def command(self, *flags: str) -> list[str]:
        return [sys.executable, "-m", "tests.support.signalled_server", *flags, "--"]

    def crossings(self) -> list[tuple[str, int]]:
        """Every crossing of every write point on the way of one run."""
        counts = self._folder / "counts"
        counts.mkdir()
        ground = self._ground()
        with ground.greeted(command=self.command(f"--counts={counts}")) as client:
            assert client.expect(response_to(ground.start(client, COUNTED)))["result"]["status"] == "completed"
            client.kill()
        found = read_counts(str(counts))
        return [(point, crossing) for point in KILLING for crossing in range(1, found.get(point, 0) + 1)]

    def check(self, name: str, point: str, crossing: int) -> None:
        """The signal ends the server with its code; what it did is kept, and the run can be gone on with."""
        ground = self._ground()
        armed = self.command(f"--signal={name}", f"--point={point}", f"--crossing={crossing}")
        with ground.serve(command=armed) as client:
            self._speak(ground, client)
            codes = {SIGNALS[name]}
            if self._was_done_first(client):
                # Commits share transactions as it happens, so a run may have fewer crossings than the one counted.
                client.close_stdin()
                codes.add(1)
            assert client.exit_code(GONE_WITHIN_S) in codes, client.stderr
            client.wait_stdout_end()
            assert name == "KILL" or client.stray == b""
        self._check_journal(ground, "crash" if name == "KILL" else "shutdown")

    def _was_done_first(self, client: RawClient) -> bool:
        """Whether the run completed before the signal came, or the host was told so at least."""
        try:
            return "result" in client.expect(response_to(2))
        except ExpectationFailed:
            # The end of stdout, and no answer.
            return False

    def _speak(self, ground: Ground, client: RawClient) -> None:
        """All in one write: the server may go at any moment. It ends by its signal, or hears no more from us."""
        uri = ground.folder.resolve().as_uri()
        options = {"trust": {"folders": [uri]}, "autoResume": False}
        folders = [{"uri": uri, "name": "work"}]
        hello = {"processId": None, "rootUri": None, "capabilities": {}, "workspaceFolders": folders}
        start = {"script": {"source": COUNTED, "name": "test"}, "events": True}
        client.send(
            {"id": 1, "method": "initialize", "params": {**hello, "initializationOptions": options}},
            {"method": "initialized"},
            {"id": 2, "method": "workflow/start", "params": start},
        )

    def _check_journal(self, ground: Ground, reason: str) -> None:
        done = ground.folder / "done"
        with ground.greeted() as client:
            found = ground.runs(client)
            assert len(found) <= 1
            if not found:
                assert not done.exists()
                return
            (run,) = found
            assert "owner" not in run
            if run["status"] != "completed":
                assert (run["status"], run["reason"]) == ("interrupted", reason)
                result = client.result("workflow/resume", {"runId": run["runId"]})
                assert (result["status"], result["result"]["report"]) == ("completed", "all\n")
        lines = done.read_text().split()
        # What was in flight may have run twice, at most two commands at once; what was finished never does.
        assert set(lines) == {"a", "b", "c", "d"}
        assert len(lines) <= 6

    def _ground(self) -> Ground:
        self._rounds += 1
        folder = self._folder / f"round-{self._rounds}"
        folder.mkdir()
        return Ground(folder)


def _handful() -> list[tuple[str, str, int]]:
    """A seed's choice of crossings that every run of the workflow has: `make soak` goes through all there are."""
    choice = random.Random(20)
    twice = [point for point in KILLING if point not in ("after-sleep", "after-child")]
    return [(name, point, choice.randint(1, 2)) for name, point in zip(SIGNALS, choice.sample(twice, 4), strict=True)]


@pytest.mark.parametrize(("name", "point", "crossing"), _handful())
def test_w20_a_handful_of_signals_at_write_points(tmp_path: Path, name: str, point: str, crossing: int) -> None:
    Signalled(tmp_path).check(name, point, crossing)


@pytest.mark.soak
@pytest.mark.parametrize("name", SIGNALS)
def test_w20_every_signal_at_every_write_point(tmp_path: Path, name: str) -> None:
    signalled = Signalled(tmp_path)
    crossings = signalled.crossings()
    # A run that crosses no points would prove nothing.
    assert len({point for point, _ in crossings}) >= 8
    for point, crossing in crossings:
        signalled.check(name, point, crossing)


# -- The drain


def test_a_drain_of_twenty_deaf_commands_is_durable_complete_and_in_time(ground: Ground) -> None:
    """Commands and grandchildren that ignore TERM: killed, leases cleared, reasons stored, exit in time."""
    with ground.greeted() as client:
        pids = ground.deaf(client, 20)
        assert all(is_alive(pid) for pid in pids)
        client.close_stdin()
        assert client.exit_code(GONE_WITHIN_S) == 1
        assert not any(is_alive(pid) for pid in pids)
    ground.check_stopped("clientGone", 20)


def test_a_drain_refuses_starts_and_answers_what_comes_meanwhile(ground: Ground) -> None:
    """S1 for a draining server; G7 to the end."""
    with ground.greeted() as client:
        (pid,) = ground.deaf(client)
        client.signal(signal.SIGTERM)
        # The deaf command keeps the drain waiting from here on.
        client.expect(notification("workflow/statusChanged", status="interrupted"))
        error = client.expect(response_to(ground.start(client, COUNTED)))["error"]
        assert (error["code"], error["data"]["reason"]) == (-32802, "serverDraining")
        assert client.error("workflow/list", {})["code"] == -32802
        assert client.error("no/such/method", {})["code"] == -32601
        assert client.exit_code(GONE_WITHIN_S) == 143
        assert not is_alive(pid)
    ground.check_stopped("shutdown")


def test_a_drain_does_not_wait_for_a_host_that_does_not_read(ground: Ground) -> None:
    with ground.greeted() as client:
        ground.gated(client)
        client.pause_reading()
        big = "x" * 1_000_000
        for _ in range(3):
            client.request("no/such/method" + big)
        client.signal(signal.SIGTERM)
        assert client.exit_code(GONE_WITHIN_S) == 143
    ground.check_stopped("shutdown")


# -- W22: half of the conversation is gone


def test_w22_only_stdout_is_closed(ground: Ground) -> None:
    with ground.greeted() as client:
        ground.gated(client)
        client.leave_stdout()
        client.request("workflow/health")
        assert client.exit_code(GONE_WITHIN_S) == 4
    ground.check_stopped("clientGone")


def test_w22_a_full_stderr_stops_nothing_and_lines_are_dropped_and_counted(ground: Ground) -> None:
    pipe = ground.folder / "stderr"
    os.mkfifo(pipe)
    unread = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command = ["sh", "-c", 'exec "$@" 2>"$0"', str(pipe), *SERVE]
    with ground.greeted("--log-level=info", command=command) as client:
        # Each is a line of the log, and together more than the pipe and the queue hold.
        for number in range(200):
            client.send(*({"id": f"{number}-{n}-{'x' * 60}", "result": None} for n in range(100)))
        assert client.result("workflow/health")["status"] == "ok"
        number = ground.start(client, COUNTED)
        assert client.expect(response_to(number))["result"]["status"] == "completed"
        os.set_blocking(unread, True)
        with os.fdopen(unread, "rb", buffering=0) as stderr:
            read = b""
            while b" lines were dropped here" not in read:
                chunk = stderr.read(65536)
                assert chunk, "stderr ended before the dropped lines were told"
                read += chunk
            assert client.shut_down() == 0


# -- W23: what strays


def test_w23_no_print_no_write_and_no_child_reaches_stdout(ground: Ground) -> None:
    straying = [sys.executable, "-m", "tests.support.straying_server"]
    with ground.greeted(command=straying) as client:
        number = ground.start(client, COUNTED)
        assert client.expect(response_to(number))["result"]["status"] == "completed"
        assert client.shut_down() == 0
        client.wait_stdout_end()
        assert client.stray == b""
        for what in ("at the start", "print", "write", "puts", "child"):
            assert f"stray {what}\n" in client.stderr


def test_w23_what_a_command_writes_to_fd_1_is_its_output(ground: Ground) -> None:
    source = COUNTED.replace("echo all", "sh -c 'echo one >&1'; echo two > /proc/self/fd/1").replace(
        "phase(", "print('printed');phase("
    )
    with ground.greeted() as client:
        result = client.expect(response_to(ground.start(client, source)))["result"]
        assert result["result"]["report"] == "one\ntwo\n"
        logged = client.result("workflow/events", {"runId": result["runId"]})["events"]
        assert [event["message"] for event in logged if event["type"] == "log"] == ["printed", "half"]
        assert client.shut_down() == 0


# -- Trace and log


def test_the_log_file_has_one_line_for_each_record_and_is_appended_to(ground: Ground, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for round_ in range(2):
        with ground.greeted(f"--log-file={log}", "--log-level=info") as client:
            client.send({"id": f"two\nlines {round_}", "result": None})
            assert client.shut_down() == 0
            client.wait_stdout_end()
            assert client.stderr == ""
    lines = log.read_text().splitlines()
    assert all(_log_line.match(line) for line in lines), lines
    assert [word for line in lines for word in ("lines 0", "lines 1") if word in line] == ["lines 0", "lines 1"]
    assert log.stat().st_mode & 0o077 == 0


_log_line = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ (ERROR|WARNING|INFO|DEBUG) [a-z.]+: ")


def test_a_trace_begins_with_initialize_and_follows_what_the_host_asks_for(ground: Ground) -> None:
    with ground.serve() as client:
        params = {"processId": None, "rootUri": None, "capabilities": {}, "trace": "messages"}
        client.expect(response_to(client.request("initialize", params)))
        # G8: nothing before the result, and the result is the first that is traced.
        assert "result" in client.messages[0]
        client.expect(notification("$/logTrace"))
        client.notify("initialized")
        client.result("workflow/health")
        client.notify("$/setTrace", {"value": "verbose"})
        client.error("workflow/get", {"runId": "run_secret"})
        client.notify("$/setTrace", {"value": "off"})
        client.result("workflow/health")
        assert client.shut_down() == 0
        client.wait_stdout_end()
        # All there ever were: nothing is told of what came after "off".
        traces = [m["params"] for m in client.messages if m.get("method") == "$/logTrace"]
        told = [(re.sub(r"\d+ ms", "N ms", t["message"]), "verbose" in t) for t in traces]
        assert told == [
            ("sent response (1)", False),
            ("received notification initialized", False),
            ("received request workflow/health (2)", False),
            ("sent response workflow/health (2) after N ms", False),
            ("received notification $/setTrace", False),
            ("received request workflow/get (3)", True),
            ("sent error response workflow/get (3) after N ms", True),
            ("received notification $/setTrace", True),
        ]
        assert traces[5]["verbose"] == 'params: {"runId": "run_secret"}'


def test_a_host_is_told_the_servers_warnings_after_it_is_initialized(ground: Ground) -> None:
    ground.store.mkdir()
    with ground.serve() as client:
        client.result("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        assert [m for m in client.messages if "method" in m] == []
        client.notify("initialized")
        told = client.expect(notification("window/logMessage"))["params"]
        assert told["type"] == 2
        assert told["message"].startswith("sidestep.lsp: the store is unavailable")
        assert client.shut_down() == 0
