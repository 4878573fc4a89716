"""
Several sidecars on one store, as real processes: one dies, one is stopped, and no second copy of the work ever runs.

C2, C3, D3, F3, F4, I4, I9, J10.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.raw_client import RawClient, message_where, never, notification, response_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.expectations import Expectation

pytestmark = pytest.mark.slow

# A command whose grandchild ignores TERM, writes down its process id and waits at the gate.
FAMILY = """
from sidestep import command

GRANDCHILD = "trap '' TERM; sh -c 'echo $$ >> pids; exec cat gate' & wait"

async def main():
    await command(["echo", "first"], id="first")
    await command(["sh", "-c", GRANDCHILD], id="gated")
    return "through"
"""

QUICK = """
from sidestep import command

async def main():
    await command(["true"], id="only")
"""


class Workshop:
    """A folder with a gate, and sidecars of one store on it."""

    def __init__(self, tmp_path: Path, stack: ExitStack) -> None:
        self.folder = tmp_path / "workshop"
        self.folder.mkdir()
        os.mkfifo(self.folder / "gate")
        self._store = tmp_path / "store.db"
        self._stack = stack

    def sidecar(self, *, opens: bool = True, **wanted: Any) -> RawClient:
        client = self._stack.enter_context(RawClient.spawn(store=self._store))
        client.initialize(folders=[self.folder] if opens else [], **wanted)
        # From this answer on nothing of the other windows is missed.
        client.result("workflow/list", {})
        return client

    def start(self, client: RawClient, source: str = FAMILY, **wanted: Any) -> int:
        script = {"source": source, "name": "family"}
        folder = {"workspaceFolder": self.folder.as_uri()}
        return client.request("workflow/start", {"script": script, "events": True, **folder, **wanted})

    def working(self, client: RawClient, **wanted: Any) -> tuple[int, str]:
        """Start, and wait until the grandchild is at the gate: (request, run id)."""
        copies = len(self.pids)
        number = self.start(client, **wanted)
        begun = client.expect(notification("workflow/statusChanged", requestId=number, status="pending"))
        self.wait_for_copies(copies + 1)
        run_id = begun["params"]["runId"]
        # Committed, so that the journal knows of both steps.
        client.expect(message_where(lambda m: _begins(m, run_id, "gated"), "step gated started"))
        return number, run_id

    @property
    def pids(self) -> list[int]:
        """Every copy of the work that was ever begun."""
        file = self.folder / "pids"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def wait_for_copies(self, count: int) -> None:
        while len(self.pids) < count:
            os.sched_yield()

    @property
    def living(self) -> list[int]:
        return [pid for pid in self.pids if _is_running(pid)]

    def open_gate(self) -> None:
        (self.folder / "gate").write_text("go")


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with ExitStack() as stack:
        made = Workshop(tmp_path, stack)
        yield made
        for pid in made.living:
            os.kill(pid, signal.SIGKILL)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _begins(message: dict[str, Any], run_id: str, step_id: str) -> bool:
    if message.get("method") != "workflow/eventsAppended" or message["params"]["runId"] != run_id:
        return False
    events = message["params"]["events"]
    return any(event["type"] == "step" and event["stepId"] == step_id for event in events)


def shown(text: str) -> Expectation:
    return message_where(
        lambda m: m.get("method") == "window/showMessage" and text in m["params"]["message"], f"message {text!r}"
    )


def events(client: RawClient, run_id: str) -> list[dict[str, Any]]:
    return list(client.result("workflow/events", {"runId": run_id})["events"])


def resumes(client: RawClient, run_id: str) -> list[str]:
    """How the run became running again, each time."""
    found = [e for e in events(client, run_id) if e["type"] == "status" and e["status"] == "running"]
    return [e["detail"] for e in found if e["previous"] != "pending"]


def completed(client: RawClient, run_id: str) -> None:
    client.expect(notification("workflow/statusChanged", runId=run_id, status="completed"))


def test_f3_a_stopped_owner_is_interrupted_and_taken_over_and_writes_nothing_when_it_wakes(workshop: Workshop) -> None:
    """F3, F4, I4, I9: exactly one copy runs from the resume on."""
    owner, other = workshop.sidecar(), workshop.sidecar(options={"autoResume": False})
    number, run_id = workshop.working(owner)
    owner.signal(signal.SIGSTOP)
    done = other.result("workflow/interrupt", {"runId": run_id})
    assert (done["status"], done["quiescent"]) == ("interrupted", False)
    assert len(workshop.living) == 1, "the owner could not stop it"

    resumed = other.request("workflow/resume", {"runId": run_id, "events": True})
    other.expect(message_where(lambda m: _begins(m, run_id, "gated"), "step gated started"))
    workshop.wait_for_copies(2)
    assert workshop.living == workshop.pids[1:], "the first copy was gone before the second began"
    assert resumes(other, run_id) == ["resume"]

    journal = events(other, run_id)
    owner.signal(signal.SIGCONT)
    # It stays usable, and what it had of the run unwinds.
    quick = workshop.start(owner, QUICK)
    assert owner.expect(response_to(quick))["result"]["status"] == "completed"
    while owner.result("workflow/health")["activeRuns"]:
        pass
    assert events(other, run_id) == journal
    assert workshop.living == workshop.pids[1:]

    workshop.open_gate()
    assert other.expect(response_to(resumed))["result"]["status"] == "completed"
    assert owner.expect(response_to(number))["result"]["status"] == "completed"
    assert len(workshop.pids) == 2
    assert owner.shut_down() == 0


def test_i9_a_run_of_another_sidecar_is_interrupted_through_the_store(workshop: Workshop) -> None:
    """I4, I6, I9: the answer comes when the owner has ended every process; a resume right after it works here."""
    owner, other = workshop.sidecar(), workshop.sidecar()
    number, run_id = workshop.working(owner)
    assert other.error("workflow/resume", {"runId": run_id})["data"]["mine"] is False
    done = other.result("workflow/interrupt", {"runId": run_id})
    assert (done["status"], done["quiescent"]) == ("interrupted", True)
    assert workshop.living == []
    waited = owner.expect(response_to(number))["result"]
    assert (waited["status"], waited["reason"]) == ("interrupted", "user")
    resumed = other.request("workflow/resume", {"runId": run_id})
    workshop.wait_for_copies(2)
    workshop.open_gate()
    assert other.expect(response_to(resumed))["result"]["status"] == "completed"
    assert len(workshop.pids) == 2


def test_c2_f4_a_killed_sidecars_run_goes_on_by_itself_in_the_other_window(workshop: Workshop) -> None:
    """C2, F4, J10: noticed by its patrol; one copy runs, and the journal has no gap."""
    owner, other = workshop.sidecar(), workshop.sidecar()
    _, run_id = workshop.working(owner)
    owner.kill()
    message = other.expect(shown("Resumed"))["params"]
    assert message == {"type": 3, "message": "family: Resumed after a crash: 1 of 2 steps kept"}
    workshop.wait_for_copies(2)
    assert workshop.living == workshop.pids[1:]
    workshop.open_gate()
    completed(other, run_id)
    told = [m["params"] for m in other.messages if m.get("method") == "workflow/statusChanged"]
    statuses = [status["status"] for status in told if status["runId"] == run_id]
    course = [status for status, _ in groupby(statuses)]
    assert course[-4:] == ["running", "interrupted", "running", "completed"]
    journal = events(other, run_id)
    assert [event["sequence"] for event in journal] == list(range(1, len(journal) + 1))
    assert len(workshop.pids) == 2


def test_c2_of_two_windows_that_are_left_one_goes_on_with_the_run(workshop: Workshop) -> None:
    owner, *others = [workshop.sidecar() for _ in range(3)]
    _, run_id = workshop.working(owner)
    owner.kill()
    workshop.wait_for_copies(2)
    workshop.open_gate()
    for other in others:
        completed(other, run_id)
    assert resumes(others[0], run_id) == ["automatic"]
    assert len(workshop.pids) == 2
    told = [m["params"] for other in others for m in other.messages if m.get("method") == "window/showMessage"]
    assert [message["message"] for message in told] == ["family: Resumed after a crash: 1 of 2 steps kept"]


@pytest.mark.parametrize(
    ("ends", "what"), [("kill", "a crash"), ("shut_down", "a shutdown"), ("close_stdin", "its editor had gone")]
)
def test_c2_a_run_goes_on_at_the_next_initialize_of_its_folder(workshop: Workshop, ends: str, what: str) -> None:
    owner = workshop.sidecar()
    _, run_id = workshop.working(owner)
    getattr(owner, ends)()
    owner.exit_code()
    later = workshop.sidecar()
    later.expect(shown(f"family: Resumed after {what}: 1 of 2 steps kept"))
    workshop.wait_for_copies(2)
    workshop.open_gate()
    completed(later, run_id)


def test_c2_a_run_goes_on_when_its_folder_is_opened(workshop: Workshop) -> None:
    """Not before: a window without the folder marks the run, and leaves it to those that have it."""
    owner = workshop.sidecar()
    _, run_id = workshop.working(owner)
    owner.kill()
    uri = workshop.folder.as_uri()
    later = workshop.sidecar(opens=False, options={"trust": {"folders": [uri]}})
    run = later.result("workflow/get", {"runId": run_id})["run"]
    assert (run["status"], run["reason"]) == ("interrupted", "crash")
    change = {"added": [{"uri": uri, "name": "workshop"}], "removed": []}
    later.notify("workspace/didChangeWorkspaceFolders", {"event": change})
    later.expect(shown("Resumed"))
    workshop.wait_for_copies(2)
    workshop.open_gate()
    completed(later, run_id)


def test_d3_c2_a_run_of_an_untrusted_folder_waits_for_trust(workshop: Workshop) -> None:
    owner = workshop.sidecar()
    _, run_id = workshop.working(owner)
    owner.kill()
    later = workshop.sidecar(trusted=False)
    message = later.expect(shown("not resumed"))["params"]
    assert message == {"type": 2, "message": "family was not resumed: its folder is not trusted"}
    assert workshop.living == []
    later.result("workflow/trust", {"folders": [workshop.folder.as_uri()], "trusted": True})
    later.expect(shown("Resumed"))
    workshop.wait_for_copies(2)
    workshop.open_gate()
    completed(later, run_id)


@pytest.mark.parametrize("turned_off", ["by the host that started it", "by the next host"])
def test_c2_a_host_can_turn_automatic_resume_off(workshop: Workshop, turned_off: str) -> None:
    options = {"options": {"autoResume": False}}
    at_start = turned_off == "by the host that started it"
    owner = workshop.sidecar(**(options if at_start else {}))
    _, run_id = workshop.working(owner)
    owner.kill()
    later = workshop.sidecar(**({} if at_start else options))
    if at_start:
        later.expect(shown("it was started from the command line, or by a host that resumes by hand"))
    mark = later.request("workflow/health")
    later.expect(never(shown("Resumed"), response_to(mark)))
    assert later.result("workflow/get", {"runId": run_id})["run"]["status"] == "interrupted"


def test_c3_a_run_that_its_person_interrupted_stays_so(workshop: Workshop) -> None:
    """A crashed one beside it is the witness that the folder was looked at."""
    owner = workshop.sidecar()
    _, stopped = workshop.working(owner)
    owner.result("workflow/interrupt", {"runId": stopped})
    _, crashed = workshop.working(owner)
    owner.kill()
    later = workshop.sidecar()
    later.expect(shown("Resumed"))
    workshop.wait_for_copies(3)
    workshop.open_gate()
    completed(later, crashed)
    assert later.result("workflow/get", {"runId": stopped})["run"]["reason"] == "user"
    assert resumes(later, stopped) == []
