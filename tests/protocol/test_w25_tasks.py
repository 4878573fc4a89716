"""
W25, J4: a real server's agent steps with a host that does them, badly in every way, and dies in the middle.

What each wrong answer becomes is `tests/unit/lsp/test_host_agent.py`; here it goes over the wire, in one session.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.raw_client import (
    RawClient,
    before,
    count_of,
    notification,
    response_to,
    server_request,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ONE = """
from sidestep import agent, failure

async def main():
    try:
        return {"report": await agent("Do it.", id="do")}
    except Exception as error:
        return {"report": "", "data": failure(error)}
"""
# Sums what is left when one step has failed.
MANY = """
from sidestep import agent, parallel

async def main(names: list):
    results = await parallel([agent(name, id=name, schema={"type": "integer"}) for name in names], on_error="return")
    return {"report": "", "data": [r if isinstance(r, int) else r["error"]["code"] for r in results]}
"""
COMMAND = """
from sidestep import command

async def main():
    await command(["touch", "ran"], id="touch")
"""


class Desk:
    """A workspace, and servers on it whose user has configured nothing."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "workspace"
        self.folder.mkdir()
        self._root = root

    def connect(self, *, options: dict[str, Any] | None = None, **capability: bool) -> RawClient:
        client = RawClient.spawn(store=self._root / "store.db", env={"XDG_CONFIG_HOME": str(self._root / "config")})
        client.initialize(folders=[self.folder], workflow=capability, options=options)
        return client

    def host(self, **more: Any) -> RawClient:
        return self.connect(runTask=True, **more)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def start(client: RawClient, source: str = ONE, **args: Any) -> int:
    script = {"source": source, "name": "test"}
    return client.request("workflow/start", {"script": script, "args": args, "events": True})


def task(client: RawClient, since: int = 0, **params: Any) -> tuple[str, dict[str, Any]]:
    """The next task that is asked for: (the request's id, its params)."""
    asked = client.expect(server_request("workflow/runTask", **params), since=since)
    return asked["id"], asked["params"]


def result(client: RawClient, number: int) -> dict[str, Any]:
    return dict(client.expect(response_to(number))["result"])


def step_told(client: RawClient, step_id: str, since: int = 0) -> None:
    """Wait until the start of a step is durable and told."""

    def told(message: Any) -> bool:
        events = message["params"]["events"] if message.get("method") == "workflow/eventsAppended" else []
        return any(event.get("stepId") == step_id and event.get("status") == "started" for event in events)

    client.expect(count_of(told, 1, f"start of step {step_id}"), since=since)


def test_j4_the_host_does_a_step_and_is_heard_meanwhile(desk: Desk) -> None:
    with desk.host(output=True) as client:
        number = start(client)
        request_id, params = task(client)
        assert (params["prompt"], params["cwd"], params["redelivery"]) == ("Do it.", str(desk.folder), False)
        client.notify("workflow/taskProgress", {"taskId": params["taskId"], "message": "reading a.py"})
        told = client.expect(notification("workflow/output", stream="progress"))["params"]
        assert (told["stepId"], told["text"]) == ("do", "reading a.py\n")
        client.respond(request_id, {"report": "Done.", "usage": {"inputTokens": 7, "costUsd": 0.5}})
        assert result(client, number)["result"]["report"] == "Done."
        usage = {"inputTokens": 7, "outputTokens": 0, "costUsd": 0.5}
        stopped = client.expect(notification("workflow/statusChanged", status="completed"))["params"]
        assert (stopped["usage"], "kept" in stopped) == (usage, False)
        run = client.result("workflow/get", {"runId": params["runId"]})["run"]
        assert run["usage"] == usage
        (step,) = client.result("workflow/steps", {"runId": params["runId"]})["steps"]
        assert step["usage"] == usage
        events = client.result("workflow/events", {"runId": params["runId"]})["events"]
        assert [event["usage"] for event in events if "usage" in event] == [usage]
        assert client.shut_down() == 0


def test_w25_wrong_answers_fail_their_own_step_and_nothing_else(desk: Desk) -> None:
    """Error, garbage, made-up, duplicate and never: the session goes on, and the good answer counts."""
    names = ["error", "garbage", "unreadable", "large", "skipped", "unknown", "good"]
    with desk.host() as client:
        number = start(client, MANY, names=names)
        asked = client.expect(count_of(lambda m: m.get("method") == "workflow/runTask", len(names), "tasks"))
        ids = {message["params"]["stepId"]: message["id"] for message in asked}
        client.respond_error(ids["error"], -32803, "no quota")
        client.respond(ids["garbage"], ["no", "object"])
        client.send_body(
            b'{"jsonrpc":"2.0","id":"%b","result":{"data":%b}}' % (ids["unreadable"].encode(), b"[" * 9999)
        )
        client.respond(ids["large"], {"report": "x" * (4 * 1024 * 1024)})
        # Longer than any message may be: its body is passed over.
        client.respond(ids["skipped"], {"report": "x" * (16 * 1024 * 1024)})
        client.respond_error(ids["unknown"], -32601, "Unhandled method workflow/runTask")
        client.respond("sidestep-99", {"report": "nobody asked"})
        client.respond(ids["good"], {"data": 7})
        client.respond(ids["good"], {"data": 8})
        codes = ["step", "infrastructure", "infrastructure", "limit", "limit", "infrastructure", 7]
        assert result(client, number)["result"]["data"] == codes
        assert client.shut_down() == 0


def test_w25_an_interrupt_withdraws_the_task_before_it_is_told(desk: Desk) -> None:
    with desk.host() as client:
        number = start(client)
        request_id, params = task(client)
        step_told(client, "do")
        client.result("workflow/interrupt", {"runId": params["runId"]})
        withdrawn = notification("$/cancelRequest", id=request_id)
        client.expect(before(withdrawn, response_to(number)))
        # Late; and once more.
        client.respond(request_id, {"report": "too late"})
        client.respond_error(request_id, -32800, "withdrawn")
        mark = client.mark()
        again = client.request("workflow/resume", {"runId": params["runId"], "events": True})
        second_id, second = task(client, mark)
        assert second == {**params, "redelivery": True}
        client.respond(second_id, {"report": "in time"})
        assert result(client, again)["result"]["report"] == "in time"


def test_v1_a_refused_answer_is_asked_for_again_under_another_id(desk: Desk) -> None:
    with desk.host() as client:
        number = start(client, MANY, names=["n"])
        first_id, first = task(client)
        client.respond(first_id, {"data": "seven"})
        second_id, second = task(client, taskId=f"{first['taskId']}.2")
        assert "not of type" in second["prompt"]
        client.respond(second_id, {"data": 7})
        assert result(client, number)["result"]["data"] == [7]
        events = client.result("workflow/events", {"runId": first["runId"]})["events"]
        (refused,) = [event for event in events if event["type"] == "validation"]
        assert (refused["attempt"], refused["problems"][0]["path"]) == (1, "")


@pytest.mark.parametrize("end", ["stdin", "shutdown", "server killed"])
def test_w25_j4_the_same_task_comes_again_after_a_death(desk: Desk, end: str) -> None:
    """J4: same id, same attempt; only `redelivery` tells, and the step's other work is not done twice."""
    with desk.host() as client:
        start(client)
        _, params = task(client)
        step_told(client, "do")
        if end == "stdin":
            client.close_stdin()
            assert client.exit_code() == 1
        elif end == "shutdown":
            assert client.shut_down() == 0
        else:
            client.kill()
    reason = {"stdin": "clientGone", "shutdown": "shutdown", "server killed": "crash"}[end]
    with desk.host() as later:
        request_id, again = task(later)
        assert again == {**params, "redelivery": True}
        later.respond(request_id, {"report": "done by the next"})
        stopped = later.expect(notification("workflow/statusChanged", status="completed"))["params"]
        assert stopped["runId"] == params["runId"]
        events = later.result("workflow/events", {"runId": params["runId"]})["events"]
        assert reason in [event.get("reason") for event in events if event["type"] == "status"]
        assert {event["attempt"] for event in events if event["type"] == "step"} == {1}


@pytest.mark.parametrize("agent", ["", ', agent="host"'])
def test_a_host_that_does_no_tasks_is_no_agent(desk: Desk, agent: str) -> None:
    source = ONE.replace('id="do"', f'id="do"{agent}')
    with desk.connect(options={"agents": {"host": {"kind": "host"}}, "defaultAgent": "host"}) as client:
        outcome = result(client, start(client, source))
        error = json.dumps(outcome)
        assert "needs a host that does agent steps, and none is connected" in error
        assert all(message.get("method") != "workflow/runTask" for message in client.messages)


def test_agents_of_the_initialization_options_hold_before_the_projects(desk: Desk) -> None:
    config = desk.folder / ".sidestep" / "config.toml"
    config.parent.mkdir()
    config.write_text('default_agent = "project"\n[agents.project]\nkind = "host"\n')
    with desk.host() as client:
        number = start(client)
        request_id, params = task(client)
        assert params["agent"] == "project"
        client.respond(request_id, {"report": "x"})
        result(client, number)
    options = {"agents": {"mine": {"kind": "host", "schema": "prompt"}}, "defaultAgent": "mine"}
    with desk.host(options=options) as client:
        number = start(client, MANY, names=["n"])
        request_id, params = task(client)
        assert (params["agent"], "schema" in params) == ("mine", False)
        client.respond(request_id, {"report": "```json\n3\n```"})
        assert result(client, number)["result"]["data"] == [3]


@pytest.mark.parametrize(
    ("project", "said", "capability", "ends"),
    [
        ("deny", None, {}, "failed"),
        ("deny", "allow", {}, "failed"),
        ("deny", "ask", {"interaction": True}, "failed"),
        ("allow", "deny", {"interaction": True}, "failed"),
        ("allow", None, {}, "completed"),
        ("allow", "ask", {}, "failed"),
        ("allow", "ask", {"interaction": True}, "asked"),
        ("ask", "allow", {"interaction": True}, "asked"),
    ],
    ids=str,
)
def test_p7_the_stricter_policy_of_host_and_project_holds(
    desk: Desk, project: str, said: str | None, capability: Any, ends: str
) -> None:
    """A host that says nothing says not "allow"; one that cannot be asked is not waited for."""
    config = desk.folder / ".sidestep" / "config.toml"
    config.parent.mkdir()
    config.write_text(f'[permissions]\npolicy = "{project}"\n')
    with desk.connect(options={} if said is None else {"permissionPolicy": said}, **capability) as client:
        number = start(client, COMMAND)
        if ends == "asked":
            asked = client.expect(server_request("workflow/interact", kind="permission"))
            client.respond(asked["id"], {"answer": "allow"})
        status = result(client, number)["status"]
        assert status == ("failed" if ends == "failed" else "completed")
        assert (desk.folder / "ran").exists() == (status == "completed")
