"""W20: signals at any moment drain and exit with their code; KILL loses nothing that was told."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.protocol.host import Host, events_of, start_params
from tests.protocol.test_w17_interrupt import STUBBORN, has_ended
from tests.support.raw_client import ExpectationFailed, RawClient, message_where, notification, response_to

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}

JOURNEY = """
from sidestep import command, log

async def main():
    await command(["true"], id="one")
    log("between")
    await command(["true"], id="two")
    return "done"
"""


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_w20_a_signal_in_a_step_drains_and_exits_with_its_code(
    host: Host, watcher: RawClient, number: signal.Signals
) -> None:
    request, run_id = host.gated()
    host.client.signal(number)
    assert host.client.expect(response_to(request))["error"]["code"] == -32802
    assert host.client.exit_code() == CODES[number]
    host.client.wait_stdout_end()
    assert host.client.stray == b""
    run = host.run(run_id, watcher)
    assert (run["status"], run["reason"], "owner" in run) == ("interrupted", "shutdown", False)


@pytest.mark.parametrize("number", [signal.SIGINT], ids=lambda number: number.name)
def test_w20_a_signal_before_initialize_ends_a_silent_server(tmp_path: Path, number: signal.Signals) -> None:
    with RawClient.spawn(store=tmp_path / "s.db") as client:
        # It has answered something: its handlers are in place.
        client.error("workflow/health")
        client.signal(number)
        assert client.exit_code() == CODES[number]
        client.wait_stdout_end()
        assert len(client.messages) == 1


def test_w20_a_second_signal_ends_a_drain_that_takes_its_time(host: Host, watcher: RawClient) -> None:
    """What the drain waits for ignores TERM: the product gives it 2 s, the second signal no more."""
    host.start(STUBBORN)
    assert host.gate.read_text() == "begun\n"
    run_id = host.client.expect(notification("workflow/statusChanged", status="running"))["params"]["runId"]
    host.client.signal(signal.SIGTERM)
    host.client.expect(notification("workflow/statusChanged", runId=run_id, status="interrupted"))
    host.client.signal(signal.SIGTERM)
    assert host.client.exit_code() == 143
    # It did not wait for what ignores TERM: that is there still.
    grandchild = int((host.folder / "grandchild").read_text())
    assert not has_ended(grandchild)
    os.killpg(os.getpgid(grandchild), signal.SIGKILL)
    run = host.run(run_id, watcher)
    assert (run["status"], run["reason"]) == ("interrupted", "shutdown")


def test_w20_killed_in_the_middle_everything_that_was_told_is_in_the_journal(host: Host) -> None:
    _, run_id = host.gated()
    host.client.kill()
    host.client.wait_stdout_end()
    told = events_of(host.client, run_id)
    with host.connect() as later:
        assert (host.run(run_id, later)["status"], host.run(run_id, later)["reason"]) == ("interrupted", "crash")
        journal = later.result("workflow/events", {"runId": run_id})["events"]
    assert told
    assert journal[: len(told)] == told


# -- At every write point: the server signals itself at the n-th crossing of a point of the crash sweep.


def check_signalled_at(tmp_path: Path, point: str, crossing: int, number: signal.Signals) -> bool:
    """
    A journey with a signal in it: answered and told no more than the journal has, and its code.

    Returns:
        False when the journey was over before the point was crossed so often.
    """
    folder = tmp_path / "workspace"
    folder.mkdir(exist_ok=True)
    store = tmp_path / f"{point}-{crossing}-{number.name}.db"
    flags = [f"--point={point}", f"--crossing={crossing}", f"--signal={number.name.removeprefix('SIG')}"]
    command = [sys.executable, "-m", "tests.protocol.signalled_server", *flags, "--", "--stdio", f"--store={store}"]
    with RawClient(command, cwd=os.getcwd()) as client:
        try:
            client.initialize(folders=[folder])
            request = client.request("workflow/start", start_params(JOURNEY))
            answer = client.expect(response_to(request))
            reached = "error" in answer
        except (ExpectationFailed, BrokenPipeError):
            # It ended before it answered: only so early that there was nothing to answer.
            answer, reached = None, True
        if not reached:
            # The signal comes with the answer itself, or never.
            with_code = client.process.poll()
            client.close_stdin()
            code = client.exit_code()
            assert code in (1, CODES[number]), with_code
            return code != 1
        assert client.exit_code() == CODES[number]
        client.wait_stdout_end()
        assert client.stray == b""
        told = {
            m["params"]["runId"]: m["params"]["status"]
            for m in client.messages
            if m.get("method") == "workflow/statusChanged"
        }
    with RawClient.spawn(store=store) as later:
        later.initialize(folders=[folder], options={"autoResume": False})
        runs = {run["runId"]: run for run in later.result("workflow/list", {})["runs"]}
        assert told.items() <= {run_id: run["status"] for run_id, run in runs.items()}.items()
        for run in runs.values():
            assert (run["status"], run.get("reason")) in (("interrupted", "shutdown"), ("completed", None)), run
            assert "owner" not in run
    return True


@pytest.mark.parametrize(("point", "crossing"), [("before-commit", 3)])
def test_w20_term_at_a_write_point(tmp_path: Path, point: str, crossing: int) -> None:
    assert check_signalled_at(tmp_path, point, crossing, signal.SIGTERM)


@pytest.mark.soak
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize(
    "point",
    [
        "before-gate",
        "after-gate",
        "after-executor",
        "before-commit",
        "after-commit",
        "before-notify",
        "before-response",
    ],
)
def test_w20_every_signal_at_every_write_point(tmp_path: Path, point: str, number: signal.Signals) -> None:
    crossing = 1
    while check_signalled_at(tmp_path, point, crossing, number):
        crossing += 1
    assert crossing > 1


def test_w20_a_signal_between_two_messages_in_one_write_answers_what_was_read(host: Host) -> None:
    host.client.send(*[{"id": f"h{n}", "method": "workflow/list", "params": {}} for n in range(50)])
    host.client.expect(message_where(lambda m: m.get("id") == "h0", "the first answer"))
    host.client.signal(signal.SIGTERM)
    assert host.client.exit_code() == 143
    host.client.wait_stdout_end()
    answers = [m["id"] for m in host.client.messages if str(m.get("id", "")).startswith("h")]
    assert sorted(answers) == sorted(f"h{n}" for n in range(50))
