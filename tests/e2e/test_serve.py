"""
The sidecar as a host meets it: the real process on a real store, spoken to in raw bytes.

G1, G2, G3, G4, G5, G6, G7, G8, the cancellation table, S1, S2, S3, S7, C1, C4, D3, F4, W12, W18, W20, W23.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw_client import (
    RawClient,
    before,
    message_where,
    never,
    notification,
    response_to,
)

pytestmark = pytest.mark.slow

QUICK = """
from sidestep import command, log, phase

async def main(n: int = 1):
    phase("work", n=n)
    log("hello")
    done = await command(["echo", "hi"], id="echo")
    return {"report": done["stdout"], "data": {"n": n}}
"""

# Waits in a step until somebody writes into the pipe `gate`.
GATED = """
from sidestep import command

async def main():
    await command(["echo", "first"], id="first")
    await command(["cat", "gate"], id="gated")
    return "through"
"""


class Host:
    """A workspace with a gate, and a server on it."""

    def __init__(self, tmp_path: Path, **wanted: Any) -> None:
        self.folder = tmp_path / "work space ü"
        self.folder.mkdir(exist_ok=True)
        self.gate = self.folder / "gate"
        if not self.gate.exists():
            os.mkfifo(self.gate)
        self.store = tmp_path / "store.db"
        self.client = self.connect(**wanted)

    def connect(self, **wanted: Any) -> RawClient:
        client = RawClient.spawn(store=self.store)
        client.initialize(folders=[self.folder], **wanted)
        return client

    def start(self, source: str = QUICK, **wanted: Any) -> int:
        script = {"source": source, "name": "test"}
        return self.client.request("workflow/start", {"script": script, "events": True, **wanted})

    def gated(self, **wanted: Any) -> tuple[int, str]:
        """Start the gated workflow and wait until its step runs: (request, run id)."""
        number = self.start(GATED, **wanted)
        return number, self.step_begun("gated")

    def step_begun(self, step_id: str, client: RawClient | None = None) -> str:
        def begun(message: dict[str, Any]) -> bool:
            if message.get("method") != "workflow/eventsAppended":
                return False
            events = message["params"]["events"]
            return any(e["type"] == "step" and e["stepId"] == step_id and e["status"] == "started" for e in events)

        met = (client or self.client).expect(message_where(begun, f"step {step_id} started"))
        return str(met["params"]["runId"])

    def open_gate(self) -> None:
        self.gate.write_text("go")


@pytest.fixture
def host(tmp_path: Path) -> Any:
    made = Host(tmp_path)
    with made.client:
        yield made


def outcome(client: RawClient, number: int) -> dict[str, Any]:
    answer = client.expect(response_to(number))
    assert "result" in answer, answer
    return dict(answer["result"])


def events_of(client: RawClient, run_id: str) -> list[dict[str, Any]]:
    batches = [m["params"] for m in client.messages if m.get("method") == "workflow/eventsAppended"]
    return [event for batch in batches if batch["runId"] == run_id for event in batch["events"]]


def test_s2_g1_g2_g3_g4_a_foreground_start_from_first_to_last_message(host: Host) -> None:
    number = host.start(workDoneToken="t", label="greet", startKey="k")
    result = outcome(host.client, number)
    run_id = result["runId"]
    assert (result["status"], result["result"]) == ("completed", {"report": "hi\n", "data": {"n": 1}})

    about = [m for m in host.client.messages if m.get("method", "").startswith(("workflow/", "$/progress"))]
    assert about[0]["method"] == "workflow/statusChanged"
    first = about[0]["params"]
    assert (first["status"], first["requestId"], first["startKey"], first["sequence"]) == ("pending", number, "k", 1)
    # G4: the stopping status, then the end of the progress, then the response.
    assert [m.get("method", "response") for m in host.client.messages[-3:]] == [
        "workflow/statusChanged",
        "$/progress",
        "response",
    ]
    assert host.client.messages[-2]["params"]["value"]["kind"] == "end"
    # G1, G2: gap-free from 1, and exactly what the journal holds.
    told = events_of(host.client, run_id)
    journal = host.client.result("workflow/events", {"runId": run_id})
    assert [event["sequence"] for event in told] == list(range(1, result["sequence"] + 1))
    assert told == journal["events"]
    assert (journal["lastSequence"], journal["hasMore"]) == (result["sequence"], False)
    # G7: exactly one answer.
    assert len([m for m in host.client.messages if m.get("id") == number]) == 1
    kinds = [m["params"]["value"]["kind"] for m in about if m["method"] == "$/progress"]
    assert (kinds[0], kinds[-1]) == ("begin", "end")


def test_s3_a_background_start_answers_after_the_create_and_the_run_goes_on(host: Host) -> None:
    result = outcome(host.client, host.start(GATED, mode="background"))
    assert (result["created"], result["status"], result["sequence"]) == (True, "running", 2)
    host.step_begun("gated")
    host.open_gate()
    ended = host.client.expect(notification("workflow/statusChanged", runId=result["runId"], status="completed"))
    assert ended["params"]["attention"] == "notifyOnTerminal"


def test_cancelling_a_background_start_leaves_the_run_alone(host: Host) -> None:
    number = host.start(QUICK, mode="background")
    host.client.cancel(number)
    answer = host.client.expect(response_to(number))
    if "error" in answer:
        assert answer["error"]["data"] == {"reason": "requestCancelled", "runId": None}
        return
    host.client.expect(notification("workflow/statusChanged", runId=answer["result"]["runId"], status="completed"))


def test_cancel_of_a_waiting_start_interrupts_the_run_durably(host: Host) -> None:
    number, run_id = host.gated(workDoneToken=7)
    host.client.cancel(number)
    host.client.cancel(number)
    error = host.client.expect(response_to(number))["error"]
    assert error["code"] == -32800
    data = error["data"]
    assert {key: data[key] for key in ("reason", "runId", "status", "resumable", "quiescent")} == {
        "reason": "requestCancelled",
        "runId": run_id,
        "status": "interrupted",
        "resumable": True,
        "quiescent": True,
    }
    run = host.client.result("workflow/get", {"runId": run_id})["run"]
    assert (run["status"], run["reason"], run["sequence"]) == ("interrupted", "cancelled", data["sequence"])
    assert "owner" not in run
    # G5: after the stop nothing but one statusChanged with quiescent.
    statuses = [m["params"] for m in host.client.messages if m.get("method") == "workflow/statusChanged"]
    assert [(s["status"], s.get("quiescent")) for s in statuses[-2:]] == [("interrupted", False), ("interrupted", True)]


def test_cancel_of_an_unknown_or_answered_id_is_ignored(host: Host) -> None:
    host.client.cancel(4711)
    number = host.start()
    result = outcome(host.client, number)
    host.client.cancel(number)
    assert host.client.result("workflow/get", {"runId": result["runId"]})["run"]["status"] == "completed"
    assert len([m for m in host.client.messages if m.get("id") == number]) == 1


def test_cancel_in_the_same_write_as_the_start_is_answered_once_with_what_became_of_the_run(host: Host) -> None:
    number = host.client.new_id()
    script = {"source": GATED, "name": "test"}
    host.client.send(
        {"jsonrpc": "2.0", "id": number, "method": "workflow/start", "params": {"script": script}},
        {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": number}},
    )
    error = host.client.expect(response_to(number))["error"]
    assert error["code"] == -32800
    if error["data"]["runId"] is not None:
        assert error["data"]["status"] == "interrupted"
    else:
        assert host.client.result("workflow/list", {})["runs"] == []


def test_g6_interrupt_answers_after_the_durable_append_and_a_resume_right_after_it_works(host: Host) -> None:
    number, run_id = host.gated()
    done = host.client.result("workflow/interrupt", {"runId": run_id})
    assert (done["status"], done["alreadyTerminal"], done["quiescent"]) == ("interrupted", False, True)
    waiting = outcome(host.client, number)
    assert (waiting["status"], waiting["reason"]) == ("interrupted", "user")
    mark = host.client.mark()
    resumed = host.client.request("workflow/resume", {"runId": run_id, "events": True})
    host.client.expect(notification("workflow/statusChanged", runId=run_id, status="running"), since=mark)
    host.open_gate()
    assert outcome(host.client, resumed)["status"] == "completed"
    steps = host.client.result("workflow/steps", {"runId": run_id, "outputs": True})["steps"]
    assert [(s["stepId"], s["reused"], s["attempt"]) for s in steps] == [("first", True, 1), ("gated", False, 2)]
    assert steps[1]["output"]["stdout"] == "go"


def test_interrupt_of_a_completed_run_changes_nothing(host: Host) -> None:
    result = outcome(host.client, host.start())
    done = host.client.result("workflow/interrupt", {"runId": result["runId"]})
    assert done == {
        "runId": result["runId"],
        "status": "completed",
        "alreadyTerminal": True,
        "quiescent": True,
        "sequence": result["sequence"],
    }


def test_progress_cancel_is_an_interrupt_by_the_user(host: Host) -> None:
    number, _ = host.gated(workDoneToken="token")
    host.client.notify("window/workDoneProgress/cancel", {"token": "token"})
    result = outcome(host.client, number)
    assert (result["status"], result["reason"]) == ("interrupted", "user")


def test_c1_killed_in_the_middle_a_new_server_resumes_and_finished_steps_are_kept(host: Host) -> None:
    _, run_id = host.gated()
    host.client.kill()
    with host.connect() as later:
        run = later.result("workflow/get", {"runId": run_id})["run"]
        assert (run["status"], run["reason"]) == ("interrupted", "crash")
        resumed = later.request("workflow/resume", {"runId": run_id, "events": True})
        host.step_begun("gated", later)
        host.open_gate()
        assert outcome(later, resumed)["status"] == "completed"
        steps = later.result("workflow/steps", {"runId": run_id})["steps"]
        assert [(step["stepId"], step["reused"]) for step in steps] == [("first", True), ("gated", False)]
        sequences = [e["sequence"] for e in later.result("workflow/events", {"runId": run_id})["events"]]
        assert sequences == list(range(1, len(sequences) + 1))


def test_f4_after_a_kill_no_second_copy_of_a_command_runs(host: Host) -> None:
    source = GATED.replace('["cat", "gate"]', '["sh", "-c", "echo $$ >> pids; cat gate"]')
    host.start(source)
    run_id = host.step_begun("gated")
    pids = host.folder / "pids"
    while not (pids.exists() and pids.read_text().endswith("\n")):
        os.sched_yield()
    host.client.kill()
    with host.connect() as later:
        resumed = later.request("workflow/resume", {"runId": run_id, "events": True})
        host.step_begun("gated", later)
        while len(pids.read_text().splitlines()) < 2:
            os.sched_yield()
        first, second = pids.read_text().split()
        assert not Path(f"/proc/{first}").exists() or Path(f"/proc/{first}/stat").read_text().split()[2] == "Z"
        assert Path(f"/proc/{second}").exists()
        host.open_gate()
        assert outcome(later, resumed)["status"] == "completed"


def test_s7_a_start_key_finds_its_run_again_after_a_restart(host: Host) -> None:
    first = outcome(host.client, host.start(startKey="k"))
    assert host.client.shut_down() == 0
    host.client.close()
    host.client = host.connect()
    with host.client:
        again = outcome(host.client, host.start(startKey="k", mode="background"))
        assert (again["created"], again["runId"]) == (False, first["runId"])
        other = host.start(startKey="k", args={"n": 2})
        error = host.client.expect(response_to(other))["error"]
        assert (error["code"], error["data"]["reason"]) == (-31005, "startKeyConflict")


def test_a_failed_run_is_a_result_and_the_current_source_goes_on(host: Host) -> None:
    script = host.folder / "flow.py"
    text = "from sidestep import command\n\nasync def main():\n    await command(['true'], id='a')\n    return 1 / 0\n"
    script.write_text(text)
    number = host.client.request("workflow/start", {"script": {"uri": script.as_uri()}})
    failed = outcome(host.client, number)
    assert failed["status"] == "failed"
    assert (failed["error"]["code"], failed["error"]["line"]) == ("script", 5)
    script.write_text(text.replace("1 / 0", "'fixed'"))
    refused = host.client.error("workflow/retry", {"runId": failed["runId"]})
    assert refused["data"]["reason"] == "invalidTransition"
    retried = host.client.result("workflow/retry", {"runId": failed["runId"], "source": "current"})
    assert (retried["status"], retried["steps"]["reused"]) == ("completed", 1)


@pytest.mark.parametrize(
    ("params", "code", "reason"),
    [
        ({"script": {"name": "repo-reprot"}}, -31008, "scriptNotFound"),
        ({"script": {"source": "async def main():\n  return )"}}, -31007, "scriptInvalid"),
        ({"script": {"source": QUICK}, "args": {"n": "x", "m": 1}}, -31013, "argsInvalid"),
        ({"script": {"source": QUICK}, "workspaceFolder": "file:///does/not/exist"}, -32602, "workspaceInvalid"),
        ({"script": {}}, -32602, "invalidParams"),
        ({}, -32602, "invalidParams"),
    ],
)
def test_s1_a_refused_start_has_a_typed_reason_and_stores_nothing(
    host: Host, params: dict[str, Any], code: int, reason: str
) -> None:
    error = host.client.error("workflow/start", params)
    assert (error["code"], error["data"]["reason"]) == (code, reason)
    assert host.client.result("workflow/list", {})["runs"] == []


def test_s1_what_a_refusal_tells(host: Host) -> None:
    near = host.client.error("workflow/start", {"script": {"name": "repo-reprot"}})["data"]["near"]
    assert near == ["repo-report"]
    broken = {"script": {"source": "async def main():\n  return 'ü' + )\n"}}
    found = host.client.error("workflow/start", broken)["data"]["diagnostics"]
    assert [d["range"]["start"] for d in found] == [{"line": 1, "character": 15}]
    problems = host.client.error("workflow/start", {"script": {"source": QUICK}, "args": {"n": "x", "m": 1}})
    assert {p["path"] for p in problems["data"]["problems"]} == {"/n", "/m"}


def test_d3_starting_needs_trust_and_static_methods_do_not(tmp_path: Path) -> None:
    host = Host(tmp_path, trusted=False)
    with host.client:
        error = host.client.expect(response_to(host.start()))["error"]
        assert (error["code"], error["data"]["reason"]) == (-31006, "workspaceUntrusted")
        scripts = host.client.result("workflow/scripts", {})["scripts"]
        told = [(s["name"], s["scope"], s["runnable"]) for s in scripts]
        assert told == [(name, "builtin", False) for name in ("implement", "repo-report", "research", "review")]
        assert host.client.result("workflow/validate", {"source": "async def main():\n    yield 1\n"})["diagnostics"]
        assert host.client.result("workflow/trust", {"folders": [host.folder.as_uri()], "trusted": True}) == {}
        assert outcome(host.client, host.start())["status"] == "completed"


def test_withdrawing_trust_interrupts_what_runs_there(host: Host) -> None:
    number, _ = host.gated()
    host.client.result("workflow/trust", {"folders": [host.folder.as_uri()], "trusted": False})
    assert outcome(host.client, number)["status"] == "interrupted"


def test_remembered_trust_is_seen_by_the_next_server(host: Host) -> None:
    remembered = {"folders": [host.folder.as_uri()], "trusted": True, "remember": True}
    host.client.result("workflow/trust", remembered)
    host.client.shut_down()
    host.client.close()
    host.client = host.connect(trusted=False)
    with host.client:
        assert outcome(host.client, host.start())["status"] == "completed"


def test_list_get_delete(host: Host) -> None:
    runs = [outcome(host.client, host.start(label=f"run {number}"))["runId"] for number in range(3)]
    page = host.client.result("workflow/list", {"limit": 2, "workspaceFolder": host.folder.as_uri()})
    rest = host.client.result("workflow/list", {"limit": 2, "cursor": page["nextCursor"]})
    assert [run["runId"] for run in page["runs"] + rest["runs"]] == runs[::-1]
    assert rest["nextCursor"] is None
    found = host.client.result("workflow/list", {"text": "RUN 1", "status": ["completed"]})["runs"]
    assert [run["runId"] for run in found] == [runs[1]]
    detail = host.client.result("workflow/get", {"runId": runs[0], "include": ["result", "source", "args"]})["run"]
    assert (detail["args"], detail["source"], detail["result"]["report"]) == ({}, QUICK, "hi\n")
    assert detail["workspaceFolder"] == host.folder.as_uri()
    assert detail["argsSchema"]["properties"]["n"]["default"] == 1
    assert host.client.result("workflow/delete", {"runId": runs[0]}) == {}
    host.client.expect(notification("workflow/deleted", runId=runs[0]))
    assert host.client.error("workflow/get", {"runId": runs[0]})["data"]["reason"] == "runNotFound"


def test_an_active_run_cannot_be_deleted(host: Host) -> None:
    _, run_id = host.gated()
    assert host.client.error("workflow/delete", {"runId": run_id})["data"]["reason"] == "invalidTransition"


def test_background_releases_the_waiting_request(host: Host) -> None:
    number, run_id = host.gated()
    assert host.client.result("workflow/background", {"runId": run_id})["status"] == "backgrounded"
    assert outcome(host.client, number)["status"] == "backgrounded"
    host.open_gate()
    host.client.expect(notification("workflow/statusChanged", runId=run_id, status="completed"))


def test_health_counts_and_names(host: Host) -> None:
    host.gated()
    health = host.client.result("workflow/health")
    assert (health["status"], health["activeRuns"], health["storePath"]) == ("ok", 1, str(host.store))


def test_shutdown_interrupts_with_its_reason_and_the_waiting_request_is_told(host: Host) -> None:
    number, run_id = host.gated()
    shutdown = host.client.request("shutdown")
    error = host.client.expect(response_to(number))["error"]
    assert (error["code"], error["data"]["reason"]) == (-32802, "serverDraining")
    assert error["data"]["status"] == "interrupted"
    host.client.expect(response_to(shutdown))
    host.client.notify("exit")
    assert host.client.exit_code() == 0
    with host.connect() as later:
        assert later.result("workflow/get", {"runId": run_id})["run"]["reason"] == "shutdown"


def test_w18_end_of_input_interrupts_as_client_gone_and_exits_1(host: Host) -> None:
    _, run_id = host.gated()
    host.client.close_stdin()
    assert host.client.exit_code() == 1
    with host.connect() as later:
        assert later.result("workflow/get", {"runId": run_id})["run"]["reason"] == "clientGone"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_w20_a_signal_drains_and_exits_with_its_code(host: Host, number: signal.Signals, code: int) -> None:
    _, run_id = host.gated()
    host.client.signal(number)
    assert host.client.exit_code() == code
    with host.connect() as later:
        run = later.result("workflow/get", {"runId": run_id})["run"]
        assert (run["status"], run["reason"]) == ("interrupted", "shutdown")


def test_serve_with_an_empty_stdin_exits_1(tmp_path: Path) -> None:
    with RawClient.spawn(store=tmp_path / "s.db", stdin=subprocess.DEVNULL) as client:
        assert client.exit_code() == 1
        assert client.messages == []


def test_unknown_flags_are_a_usage_error_and_nothing_reaches_stdout(tmp_path: Path) -> None:
    with RawClient.spawn("--stidio", store=tmp_path / "s.db") as client:
        assert client.exit_code() == 2
        assert "--stidio" in client.stderr


def test_c4_a_store_that_cannot_be_opened_leaves_the_static_methods_and_recovers_by_itself(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    store.mkdir()
    folder = tmp_path / "work"
    folder.mkdir()
    with RawClient.spawn(store=store) as client:
        result = client.initialize(folders=[folder])
        assert result["capabilities"]["experimental"]["workflow"]["storeId"] is None
        error = client.error("workflow/list", {})
        assert (error["code"], error["data"]["reason"]) == (-31009, "storeUnavailable")
        assert error["data"]["todo"]
        fine = {"source": "async def main():\n    return 1\n"}
        assert client.result("workflow/validate", fine) == {"diagnostics": []}
        store.rmdir()
        assert client.result("workflow/list", {})["runs"] == []


def test_no_common_protocol_version_refuses_workflows_only(tmp_path: Path) -> None:
    with RawClient.spawn(store=tmp_path / "s.db") as client:
        client.initialize(workflow={"protocolVersions": [99]})
        error = client.error("workflow/list", {})
        assert (error["code"], error["data"]["reason"]) == (-31012, "protocolVersionUnsupported")
        assert client.shut_down() == 0


def test_w12_payload_keys_pass_through_unchanged(host: Host) -> None:
    source = """
async def main(value: dict[str, int]):
    return {"data": value, "report": "r"}
"""
    value = {"jsonrpc": 1, "method": 2, "id": 3, "type_name": 4, "my-key": 5, "class": 6, "": 7}
    number = host.start(source, args={"value": value})
    result = outcome(host.client, number)
    assert result["result"]["data"] == value
    run = host.client.result("workflow/get", {"runId": result["runId"], "include": ["args"]})["run"]
    assert run["args"] == {"value": value}


def test_w23_what_a_script_prints_and_a_child_writes_never_reaches_stdout(host: Host) -> None:
    source = """
from sidestep import command

async def main():
    print("printed")
    await command(["sh", "-c", "echo out; echo err >&2; echo fd1 > /proc/self/fd/1"], id="noisy")
    return "quiet"
"""
    result = outcome(host.client, host.start(source))
    assert result["status"] == "completed"
    assert host.client.stray == b""
    logs = [e["message"] for e in events_of(host.client, result["runId"]) if e["type"] == "log"]
    assert logs == ["printed"]


def test_g8_nothing_comes_before_the_initialize_result(tmp_path: Path) -> None:
    with RawClient.spawn(store=tmp_path / "s.db") as client:
        assert client.error("workflow/list", {})["code"] == -32002
        mark = client.mark()
        client.initialize()
        first = client.messages[mark]
        assert first.get("result", {}).get("serverInfo", {}).get("name") == "sidestep"


def test_statuses_come_before_events_and_never_after_the_response(host: Host) -> None:
    number = host.start()
    host.client.expect(before(notification("workflow/statusChanged"), notification("workflow/eventsAppended")))
    host.client.expect(response_to(number))
    health = host.client.request("workflow/health")
    mark = host.client.mark()
    host.client.expect(never(notification("workflow/eventsAppended"), response_to(health)), since=mark)
    assert json.dumps(host.client.messages)


def test_outputs_can_be_read_while_a_step_still_runs(host: Host) -> None:
    _, run_id = host.gated()
    steps = host.client.result("workflow/steps", {"runId": run_id, "outputs": True})["steps"]
    assert [(step["status"], "output" in step) for step in steps] == [("completed", True), ("started", False)]
    page = host.client.result("workflow/steps", {"runId": run_id, "limit": 1})
    rest = host.client.result("workflow/steps", {"runId": run_id, "cursor": page["nextCursor"]})
    assert [step["stepId"] for step in page["steps"] + rest["steps"]] == ["first", "gated"]


def test_what_a_step_prints_is_told_while_it_runs_to_hosts_that_want_it(tmp_path: Path) -> None:
    source = GATED.replace('["cat", "gate"]', '["sh", "-c", "printf \'so far\u00e9\'; cat gate"]')

    def says(message: dict[str, Any]) -> bool:
        return message.get("method") == "workflow/output" and message["params"]["stepId"] == "gated"

    printed = message_where(says, "output of the gated step")
    host = Host(tmp_path, workflow={"output": True})
    with host.client:
        number = host.start(source)
        told = host.client.expect(printed)["params"]
        assert (told["stream"], told["text"], told["droppedBytes"]) == ("stdout", "so far\u00e9", 0)
        host.open_gate()
        assert outcome(host.client, number)["status"] == "completed"
    other = Host(tmp_path)
    with other.client:
        number = other.start(source)
        other.step_begun("gated")
        other.open_gate()
        other.client.expect(never(printed, response_to(number)))


@pytest.mark.parametrize(
    ("method", "params", "path"),
    [
        ("workflow/list", {"cursor": "garbage"}, "$.cursor"),
        ("workflow/list", {"createdAfter": "yesterday"}, "$.createdAfter"),
        ("workflow/list", {"limit": 101}, "$.limit"),
        ("workflow/trust", {"folders": ["http://x/y"], "trusted": True}, "$.folders[0]"),
        ("workflow/get", {"runId": 5}, "$.runId"),
    ],
)
def test_bad_params_say_where(host: Host, method: str, params: dict[str, Any], path: str) -> None:
    error = host.client.error(method, params)
    assert (error["code"], error["data"]["path"]) == (-32602, path)


def test_a_failed_run_names_the_file_and_line(host: Host) -> None:
    """S9 on the wire."""
    script = host.folder / "flow.py"
    script.write_text("async def main():\n    return {}['x']\n")
    number = host.client.request("workflow/start", {"script": {"uri": script.as_uri()}})
    error = outcome(host.client, number)["error"]
    assert (error["file"], error["line"], error["code"]) == ("flow.py", 2, "script")
