"""The host as an agent: what it is asked, what its answers mean, what is withdrawn. J4, V1, V2, T1, W25."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sidestep.lsp.greeting import Greeting, shows_messages
from sidestep.lsp.host_agent import PROGRESS_CHARS_MAX, TasksAtHost
from sidestep.lsp.host_offer import host_offer
from sidestep.model.agent_settings import AgentSettings
from sidestep.model.agents import PermissionPolicy
from sidestep.model.events import StepChanged, ValidationFailed
from sidestep.model.run import RunStatus, StepStatus
from sidestep.model.usage import Usage
from sidestep.rpc.envelope import Response
from sidestep.rpc.outbound import OutboundRequests
from sidestep.store.memory import InMemoryRunStore
from sidestep_protocol.capabilities import InitializeParams
from sidestep_protocol.methods import METHODS
from sidestep_protocol.tasks import TaskProgressNotification
from tests.support.service_harness import Harness, LivingOwners

if TYPE_CHECKING:
    from pathlib import Path

RUN = "run_a000000000000001"
TEXT = """
from sidestep import agent, failure

async def main():
    try:
        return {"report": await agent("Do it.", id="do", title="Doing", timeout_s=10, grace_s=5)}
    except Exception as error:
        return {"report": "", "data": failure(error)}
"""
SCHEMA = """
from sidestep import agent

async def main():
    return {"report": "", "data": await agent("Count.", id="count", schema={"type": "integer"})}
"""
SIBLINGS = """
from sidestep import agent, parallel

async def main():
    await parallel([agent("a", id="a"), agent("b", id="b")])
"""
BYTES_MAX = 10_000


class Host:
    """A host on the table of our own requests, as a session has it; its answers are a test's."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._table = OutboundRequests(self._take)
        self._changed = asyncio.Condition()
        self.tasks = TasksAtHost(self, answer_bytes_max=BYTES_MAX)

    def join(self, h: Harness, settings: AgentSettings | None = None) -> Host:
        """Be the agent of a harness, and its only one."""
        agents: Any = h.agents.agents.agents
        agents.clear()
        agents["host"] = self.tasks.agent("host", settings or AgentSettings(kind="host"), None)
        return self

    def ask(self, method: str, params: object, settle: Any) -> str:
        return self._table.ask(method, params, settle)

    def withdraw(self, request_id: str) -> None:
        self._table.withdraw(request_id)

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [message["params"] for message in self.sent if message["method"] == "workflow/runTask"]

    @property
    def withdrawn(self) -> list[str]:
        """The task ids of withdrawn requests."""
        ids = {message["id"]: message["params"]["taskId"] for message in self.sent if "id" in message}
        return [ids[message["params"]["id"]] for message in self.sent if message["method"] == "$/cancelRequest"]

    async def task(self, number: int) -> dict[str, Any]:
        """The task that was asked for as the number-th, from 1."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= number)
        return self.asked[number - 1]

    def answer(self, result: Any = None, error: Any = None, *, raw: bytes | None = None, number: int = 0) -> None:
        """Answer the last request, or the number-th."""
        requests = [message for message in self.sent if "id" in message]
        body = raw if raw is not None else json.dumps(result).encode()
        told = None if error is None else msgspec.Raw(json.dumps(error).encode())
        self._table.settle(Response(requests[number - 1]["id"], None if told else msgspec.Raw(body), told))

    def progress(self, task_id: str, message: str | None) -> None:
        self.tasks.take_progress(TaskProgressNotification(task_id=task_id, message=message or msgspec.UNSET))

    def vanish(self) -> None:
        self._table.close()

    def _take(self, body: bytes) -> None:
        message = json.loads(body)
        if message["method"] == "workflow/runTask":
            METHODS["workflow/runTask"].decode_params(json.dumps(message["params"]).encode())
        self.sent.append(message)
        self._waking = asyncio.ensure_future(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def outcome(record: Any) -> Any:
    """The report, or the data."""
    assert record.result is not None, record.error
    return record.result.report if record.result.data_json is None else json.loads(record.result.data_json)


async def answered(tmp_path: Path, result: Any = None, error: Any = None, raw: bytes | None = None) -> Any:
    """What a run makes of one answer: its report, or its step's failure."""
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(TEXT)
        await host.task(1)
        host.answer(result, error, raw=raw)
        return outcome((await running).record)


async def test_j4_the_host_is_told_everything_a_task_needs(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(TEXT)
        task = await host.task(1)
        (step,) = (await h.store.read_steps(RUN)).items
        assert task == {
            "taskId": task["taskId"],
            "runId": RUN,
            "stepId": "do",
            "inputHash": step.key,
            "attempt": 1,
            "redelivery": False,
            "prompt": "Do it.",
            "cwd": str(h.folder_path),
            "agent": "host",
            "title": "Doing",
            "timeoutMs": 10_000,
        }
        host.answer({"report": "Done.", "usage": {"inputTokens": 1000, "outputTokens": 20, "costUsd": 0.25}})
        record = (await running).record
        assert outcome(record) == "Done."
        assert record.usage == Usage(1000, 20, 250_000)
        assert host.withdrawn == []


async def test_the_host_is_given_the_schema_and_gives_data(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(SCHEMA)
        task = await host.task(1)
        assert (task["prompt"], task["schema"]) == ("Count.", {"type": "integer"})
        host.answer({"data": 7})
        assert outcome((await running).record) == 7


async def test_a_host_that_is_told_schemas_as_text_answers_with_text(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        host = Host().join(h, AgentSettings(kind="host", schema="prompt"))
        running = h.start(SCHEMA)
        task = await host.task(1)
        assert "schema" not in task
        assert '"integer"' in task["prompt"]
        host.answer({"report": "It is\n```json\n7\n```"})
        assert outcome((await running).record) == 7


async def test_v1_each_turn_is_a_task_of_its_own(tmp_path: Path) -> None:
    """V1: a host deduplicates by id alone, so what was refused must not be what it remembers."""
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(SCHEMA)
        first = await host.task(1)
        host.answer({"data": "seven"})
        second = await host.task(2)
        host.answer({"report": "no number"})
        third = await host.task(3)
        host.answer({"data": 7})
        assert outcome((await running).record) == 7
        assert [task["taskId"] for task in (second, third)] == [f"{first['taskId']}.{turn}" for turn in (2, 3)]
        assert second["prompt"].startswith("Count.")
        assert "is not of type" in second["prompt"]
        assert [task["redelivery"] for task in host.asked] == [False, False, False]
        assert [task["attempt"] for task in host.asked] == [1, 1, 1]


async def test_v1_j4_a_later_process_asks_for_the_turn_that_was_under_way(tmp_path: Path) -> None:
    """V1, J4: the first turn again would be answered from memory with what was refused, and counted again."""
    dead: set[str] = set()
    async with Harness(tmp_path, owners=LivingOwners("owner-a", dead)) as h:
        before = Host().join(h)
        h.start(SCHEMA)
        first = await before.task(1)
        before.answer({"data": "seven"})
        await before.task(2)
        # Created, begun, the step started, an answer refused and logged, the second turn.
        await h.reached(RUN, lambda record: record.sequence == 6)
        dead.add("owner-a")
        assert isinstance(h.store, InMemoryRunStore)
        beside = InMemoryRunStore(h.clock, h.settings, h.store.journal)
        async with Harness(tmp_path, store=beside, owners=LivingOwners("owner-b", dead)) as other:
            after = Host().join(other)
            running = asyncio.ensure_future(other.resume(RUN))
            again = await after.task(1)
            assert (again["taskId"], again["redelivery"], again["attempt"]) == (f"{first['taskId']}.2", True, 1)
            after.answer({"data": "eight"})
            assert (await after.task(2))["taskId"] == f"{first['taskId']}.3"
            assert after.asked[1]["redelivery"] is False
            after.answer({"data": 9})
            assert outcome(await running) == 9
            events = [event.body for event in await other.events(RUN)]
            assert [body.attempt for body in events if isinstance(body, ValidationFailed)] == [1, 2]


async def test_j4_an_interrupt_withdraws_the_task_and_a_resume_delivers_the_same_one_again(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(TEXT)
        first = await host.task(1)
        await h.reached(RUN, lambda record: record.steps.running == 1)
        await h.service.interrupt(RUN, by="person")
        assert (await running).record.status is RunStatus.INTERRUPTED
        assert host.withdrawn == [first["taskId"]]
        # Late, and of no use to anybody.
        host.answer({"report": "too late"}, number=1)
        resumed = asyncio.ensure_future(h.resume(RUN))
        again = await host.task(2)
        assert again == {**first, "redelivery": True}
        host.answer({"report": "in time"})
        host.answer({"report": "once more"})
        assert outcome(await resumed) == "in time"


async def test_j4_another_attempt_is_another_task(tmp_path: Path) -> None:
    source = TEXT.replace('return {"report": "", "data": failure(error)}', "raise")
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(source)
        first = await host.task(1)
        host.answer(error={"code": -32803, "message": "busy"})
        assert (await running).record.status is RunStatus.FAILED
        retried = asyncio.ensure_future(h.retry(RUN))
        second = await host.task(2)
        assert second["taskId"] != first["taskId"]
        assert (second["attempt"], second["redelivery"]) == (2, False)
        host.answer({"report": "done"})
        assert outcome(await retried) == "done"


async def test_w25_a_siblings_failure_withdraws_the_task_and_its_late_answer_meets_nobody(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(SIBLINGS)
        first, second = await host.task(1), await host.task(2)
        host.answer(error={"code": -32803, "message": "no"}, number=1)
        assert (await running).record.status is RunStatus.FAILED
        assert host.withdrawn == [second["taskId"]]
        host.answer({"report": "late"}, number=2)
        changes = [e.body for e in await h.events(RUN) if isinstance(e.body, StepChanged)]
        assert (changes[-1].step_id, changes[-1].status) == (second["stepId"], StepStatus.INTERRUPTED)
        assert first["taskId"] not in host.withdrawn


async def test_t1_a_task_is_withdrawn_when_its_time_is_up(tmp_path: Path) -> None:
    """T1: a host keeps no conversation, so it has the grace for its work and is not asked for a report."""
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(TEXT)
        task = await host.task(1)
        h.clock.advance(10)
        h.clock.advance(5)
        assert outcome((await running).record)["code"] == "timeout"
        assert (host.withdrawn, len(host.asked)) == ([task["taskId"]], 1)


async def test_a_host_that_is_gone_fails_no_step(tmp_path: Path) -> None:
    """The drain that follows says why the run stops: the step is delivered again by the next process."""
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(TEXT)
        first = await host.task(1)
        await h.reached(RUN, lambda record: record.steps.running == 1)
        host.vanish()
        await h.completed("async def main():\n    return 1\n")
        assert (await h.store.read(RUN)).status is RunStatus.RUNNING
        await h.service.interrupt(RUN, by="drain")
        assert (await running).record.status is RunStatus.INTERRUPTED
        later = Host().join(h)
        resumed = asyncio.ensure_future(h.resume(RUN))
        assert await later.task(1) == {**first, "redelivery": True}
        later.answer({"report": "done"})
        assert outcome(await resumed) == "done"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ({"code": -32803, "message": "  the quota is used up "}, "step", "the quota is used up"),
        ({"code": 1}, "step", "the host refused it with error 1 and no message"),
        ({"code": -32601, "message": "?"}, "infrastructure", "update the host, or configure another agent"),
        ({"code": -32800, "message": "stop was pressed"}, "infrastructure", "the host cancelled it: stop was pressed"),
        ({"code": -32800, "message": ""}, "infrastructure", "the host cancelled it"),
        ({"message": "no code"}, "infrastructure", "is no result of workflow/runTask"),
        (7, "infrastructure", "is no result of workflow/runTask"),
    ],
    ids=str,
)
async def test_w25_v2_an_error_fails_the_step_and_is_no_attempt(
    tmp_path: Path, error: Any, code: str, said: str
) -> None:
    failure = await answered(tmp_path, error=error)
    assert (failure["code"], said in failure["message"]) == (code, True), failure


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"null", "Expected `object`, got `null`"),
        (b"[]", "Expected `object`, got `array`"),
        (b'"done"', "Expected `object`, got `str`"),
        (b"{}", "it has neither report nor data"),
        (b'{"report":null,"usage":{}}', "it has neither report nor data"),
        (b'{"report":7}', "got `int` - at `$.report`"),
        (b'{"report":{"text":"x"}}', "at `$.report`"),
        (b'{"report":"x","data":1e999}', "Number out of range"),
        (b'{"data":' + b"[" * 4000 + b"]" * 4000 + b"}", "recursion"),
        (b'{"report":"x"', "is no result of workflow/runTask"),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_w25_garbage_is_a_failure_that_says_what_came(tmp_path: Path, raw: bytes, said: str) -> None:
    failure = await answered(tmp_path, raw=raw)
    assert failure["code"] == "infrastructure"
    assert said in failure["message"]


async def test_w25_an_answer_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    failure = await answered(tmp_path, {"report": "x" * BYTES_MAX})
    assert failure["code"] == "limit"
    assert str(BYTES_MAX) in failure["message"]


async def test_half_a_character_costs_no_work(tmp_path: Path) -> None:
    """JavaScript makes it of a text that it cuts, and sends it."""
    assert await answered(tmp_path, raw=b'{"report":"cut \\ud83d\\ude00 \\ud83d"}') == "cut 😀 �"


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ({"inputTokens": 5}, Usage(5)),
        ({"inputTokens": 5.0, "outputTokens": None, "costUsd": "3", "cached": 1}, Usage(5)),
        ({"inputTokens": -1, "outputTokens": True, "costUsd": 1e300}, Usage()),
        ({"costUsd": 0.0000005}, Usage()),
        ({"costUsd": 3.1}, Usage(cost_micro_usd=3_100_000)),
        ([1], Usage()),
        ("much", Usage()),
    ],
    ids=str,
)
async def test_usage_is_taken_as_far_as_it_makes_sense(tmp_path: Path, told: Any, counted: Usage) -> None:
    async with Harness(tmp_path) as h:
        host = Host().join(h)
        running = h.start(TEXT)
        await host.task(1)
        host.answer({"report": "x", "usage": told})
        record = (await running).record
        assert (outcome(record), record.usage) == ("x", counted)


async def test_progress_is_shown_while_the_task_is_with_the_host(tmp_path: Path) -> None:
    async with Harness(tmp_path) as h:
        shown: list[tuple[str, bytes]] = []
        h.service.outputs.listen(lambda run_id, step_id, stream, data: shown.append((stream, bytes(data))))
        host = Host().join(h)
        host.progress("task_unknown", "nobody asked")
        running = h.start(TEXT)
        task = await host.task(1)
        host.progress(task["taskId"], "reading\n  a.py")
        host.progress(task["taskId"], None)
        host.progress(f"{task['taskId']}.2", "another turn")
        host.progress(task["taskId"], "x" * 100_000)
        host.answer({"report": "done"})
        await running
        host.progress(task["taskId"], "late")
        assert shown == [("progress", b"reading a.py\n"), ("progress", b"x" * PROGRESS_CHARS_MAX + b"\n")]


def greeting(capabilities: dict[str, Any] | None = None, **more: Any) -> Greeting:
    params = InitializeParams(capabilities=capabilities or {})
    return Greeting(params, **more)


def offered(options: dict[str, Any], **more: Any) -> Any:
    params = msgspec.convert({"initializationOptions": options}, InitializeParams)
    return host_offer(Greeting(params, **more), TasksAtHost(Host.__new__(Host), answer_bytes_max=1))


def test_the_host_is_an_agent_only_when_it_does_tasks() -> None:
    made = offered({}, does_tasks=True).agent("mine", AgentSettings(kind="host"), None)
    assert (made.name, made.gives_data) == ("mine", True)
    assert offered({}).agent("mine", AgentSettings(kind="host"), None) is None


@pytest.mark.parametrize("word", [None, "allow", "ask", "deny"])
def test_a_policy_that_was_left_out_is_none_and_not_allow(word: str | None) -> None:
    """Then the project's word holds, or the user's."""
    agents = offered({} if word is None else {"permissionPolicy": word}).agents
    assert agents.permission_policy is (None if word is None else PermissionPolicy(word))


def test_agents_are_handed_on_as_the_host_named_their_settings() -> None:
    table = {"kind": "cli", "command": "x", "promptVia": "arg", "usage": {"costUsd": ["a", "b"]}}
    agents = offered({"agents": {"mine": table}, "defaultAgent": "mine"}).agents
    assert (agents.agents, agents.default_agent) == ({"mine": table}, "mine")


@pytest.mark.parametrize(
    ("capabilities", "shows"),
    [
        ({}, False),
        ({"window": None}, False),
        ({"window": {"workDoneProgress": True}}, True),
        ({"window": {"showMessage": {}}, "experimental": {"workflow": {"protocolVersions": [1]}}}, True),
        ({"window": {"workDoneProgress": True}, "experimental": {"workflow": {"protocolVersions": [1]}}}, False),
    ],
    ids=str,
)
def test_who_can_be_asked(capabilities: dict[str, Any], shows: bool) -> None:
    assert shows_messages(InitializeParams(capabilities=capabilities)) is shows
