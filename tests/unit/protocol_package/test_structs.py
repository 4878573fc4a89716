"""Every struct of the contract: its camelCase form, what is optional, and what passes through untouched."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from sidestep_protocol.capabilities import (
    ClientWorkflowCapability,
    InitializationOptions,
    InitializeParams,
    InitializeResult,
    ServerWorkflowCapability,
    common_version,
)
from sidestep_protocol.events import EVENT_TYPES, Event, LogEvent, StepEvent, UnknownEvent, with_known_events
from sidestep_protocol.methods import METHODS
from sidestep_protocol.timestamps import format_timestamp, parse_timestamp
from sidestep_protocol.workflow import (
    EventsResult,
    ListParams,
    ListResult,
    RunResult,
    ScriptRef,
    StartParams,
    ValidateParams,
)

AT = "2026-01-31T09:30:00.125Z"
COUNTS = {"completed": 3, "reused": 2, "failed": 0, "running": 1}
ERROR = {"message": "no", "code": "script", "stepId": "a", "line": 37}
SUMMARY = {
    "runId": "run_a",
    "name": "fix",
    "label?": "mine",
    "workspaceFolder": "file:///w",
    "status": "running",
    "reason?": "user",
    "attention": "blocking",
    "createdAt": AT,
    "updatedAt": AT,
    "endedAt?": AT,
    "sequence": 7,
    "parentRunId?": "run_p",
    "rootRunId": "run_a",
    "phase?": "verify",
    "steps": COUNTS,
    "pending": 0,
    "owner?": {"pid": 1, "since": AT, "mine": True},
}
DETAIL = {
    **SUMMARY,
    "args?": {},
    "argsSchema": {"type": "object"},
    "sourceHash": "ab",
    "result?": {"report": None},
    "error?": ERROR,
    "source?": "async def main(): ...",
    "deadlineAt?": AT,
}
STEP = {
    "stepId": "a",
    "kind": "command",
    "key": "k",
    "status": "completed",
    "title?": "A",
    "attempt": 1,
    "startedAt": AT,
    "endedAt?": AT,
    "reused": False,
    "phase?": "p",
    "output?": {"exit_code": 0},
    "outputUri?": "file:///o",
    "error?": ERROR,
    "childRunId?": "run_c",
}
INTERACTION = {
    "interactionId": "i",
    "runId": "run_a",
    "stepId?": "a",
    "kind": "question",
    "title": "Sure?",
    "detail?": "d",
    "choices?": [{"id": "y", "title": "Yes"}],
    "schema?": {"type": "string"},
    "askedAt": AT,
}
PHASE = {"type": "phase", "sequence": 1, "at": AT, "name": "verify"}
DIAGNOSTIC = {
    "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}},
    "severity": 1,
    "message": "m",
    "code": "c",
}
OUTCOME = {
    "runId": "run_a",
    "status": "completed",
    "result?": {"report": None, "data": {"a": 1}, "uri": "file:///r"},
    "error?": ERROR,
    "reason?": "user",
    "sequence": 9,
    "steps": COUNTS,
}
STARTED = {"runId": "run_a", "status": "pending", "created": True, "sequence": 1}
RUN = {"runId": "run_a"}

# Method -> params and result as the contract's table has them. A key with "?" may be left out, any other may not.
TABLE: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "workflow/start": (
        {
            "script": {"source": "async def main(): ...", "name": "n"},
            "args?": {"a": 1},
            "mode?": "background",
            "workspaceFolder?": "file:///w",
            "startKey?": "k",
            "label?": "l",
            "workDoneToken?": "t",
            "events?": True,
            "deadlineS?": 1.5,
        },
        OUTCOME,
    ),
    "workflow/interrupt": (
        {**RUN, "wait?": "durable"},
        {**RUN, "status": "interrupted", "alreadyTerminal": False, "quiescent": True, "sequence": 3},
    ),
    "workflow/background": (RUN, {**RUN, "status": "backgrounded"}),
    "workflow/resume": (
        {**RUN, "mode?": "background", "workDoneToken?": 1, "events?": True, "deadlineS?": 2.0},
        OUTCOME,
    ),
    "workflow/retry": (
        {**RUN, "source?": "current", "mode?": "background", "workDoneToken?": 1, "events?": True, "deadlineS?": 2.0},
        OUTCOME,
    ),
    "workflow/list": (
        {
            "workspaceFolder?": "file:///w",
            "status?": ["active", "failed"],
            "name?": "n",
            "text?": "t",
            "parentRunId?": "run_p",
            "createdAfter?": AT,
            "createdBefore?": AT,
            "cursor?": "c",
            "limit?": 100,
        },
        {"runs": [], "nextCursor": None},
    ),
    "workflow/get": ({**RUN, "include?": ["result", "source", "args"]}, {"run": DETAIL, "pending": []}),
    "workflow/steps": (
        {**RUN, "stepId?": "a", "outputs?": True, "cursor?": "c", "limit?": 1},
        {"steps": [], "nextCursor": "c"},
    ),
    "workflow/events": (
        {**RUN, "afterSequence?": 4, "limit?": 499},
        {"events": [PHASE], "lastSequence": 1, "hasMore": False},
    ),
    "workflow/subscribe": (
        {**RUN, "afterSequence?": 4},
        {"run": SUMMARY, "events": [PHASE], "liveFromSequence": 1, "pending": []},
    ),
    "workflow/unsubscribe": (RUN, {}),
    "workflow/answer": ({"interactionId": "i", "answer": {"x": 1}}, {"accepted": True, "recorded": "y"}),
    "workflow/scripts": (
        {"workspaceFolder?": "file:///w"},
        {
            "scripts": [
                {
                    "name": "n",
                    "uri": "file:///s.py",
                    "scope": "project",
                    "description": "d",
                    "argsSchema": {},
                    "runnable": False,
                    "blockedReason": "b",
                }
            ]
        },
    ),
    "workflow/validate": ({"uri": "file:///s.py"}, {"diagnostics": [DIAGNOSTIC]}),
    "workflow/trust": ({"folders": ["file:///w"], "trusted": False, "remember?": True}, {}),
    "workflow/delete": (RUN, {}),
    "workflow/health": (
        {},
        {
            "status": "ok",
            "activeRuns": 0,
            "queuedBytes": 0,
            "droppedOutputBytes": 0,
            "storePath": "/s",
            "storeBytes": 1,
            "versions": {"sidestep": "1"},
        },
    ),
    "workflow/statusChanged": (
        {
            **RUN,
            "status": "failed",
            "previous?": "running",
            "reason?": "user",
            "sequence": 2,
            "at": AT,
            "name": "n",
            "label?": "l",
            "attention": "notifyOnTerminal",
            "startKey?": "k",
            "requestId?": "1",
            "quiescent?": True,
            "summary": {"phase": "p", "steps": COUNTS, "pending": 1},
            "error?": ERROR,
        },
        None,
    ),
    "workflow/eventsAppended": ({**RUN, "events": [PHASE]}, None),
    "workflow/lagged": ({**RUN, "lastSequence": 3}, None),
    "workflow/deleted": (RUN, None),
    "workflow/output": ({**RUN, "stepId": "a", "stream": "stdout", "text": "t", "droppedBytes": 0}, None),
    "workflow/interactionResolved": ({"interactionId": "i", "by": "me"}, None),
    "workflow/serverStatus": ({"health": "warning", "message?": "m", "activeRuns": 1}, None),
    "workflow/runTask": (
        {
            "taskId": "t",
            **RUN,
            "stepId": "a",
            "inputHash": "h",
            "attempt": 1,
            "redelivery": False,
            "prompt": "p",
            "agent?": "x",
            "title?": "T",
            "schema?": {},
            "timeoutMs?": 5,
            "cwd": "/w",
        },
        {"report?": "r", "data?": [1], "usage?": {"tokens": 1}},
    ),
    "workflow/interact": (
        {**{key: value for key, value in INTERACTION.items() if key != "askedAt"}, "redelivery": True},
        {"answer": "y"},
    ),
    "workflow/taskProgress": ({"taskId": "t", "message?": "m"}, None),
}

EVENTS: list[dict[str, Any]] = [
    {
        "type": "status",
        "status": "failed",
        "previous?": "running",
        "reason?": "user",
        "quiescent?": True,
        "detail?": "d",
    },
    {"type": "phase", "name": "p", "details?": {"round": 1}},
    {"type": "log", "message": "m", "level?": "info", "data?": {"type_name": 1}},
    {
        "type": "step",
        "stepId": "a",
        "kind": "agent",
        "key": "k",
        "status": "completed",
        "late?": True,
        "title?": "T",
        "taskId?": "t",
        "phase?": "verify",
        "line?": 12,
        "attempt": 1,
        "durationMs?": 5,
        "reason?": "sibling",
        "error?": ERROR,
    },
    {"type": "validation", "stepId": "a", "key": "k", "attempt": 1, "problems": [{"path": "/a", "message": "m"}]},
    {"type": "timeout", "stepId": "a", "key": "k", "stage": "soft", "limitMs": 5},
    {
        "type": "interaction",
        "interactionId": "i",
        "kind": "question",
        "status": "answered",
        "stepId?": "a",
        "title?": "t",
        "answer?": None,
        "by?": "me",
    },
    {"type": "child", "stepId": "a", "childRunId": "run_c", "status": "running", "name?": "n"},
    {"type": "attention", "attention": "blocking"},
    {"type": "source", "oldHash": "a", "newHash": "b"},
    {"type": "result", "result": {"report": "r"}},
    {"type": "error", "error": ERROR},
]


def plain(marked: Any) -> Any:
    """The marked value without its question marks."""
    if isinstance(marked, dict):
        return {key.removesuffix("?"): plain(value) for key, value in marked.items()}
    return [plain(value) for value in marked] if isinstance(marked, list) else marked


def check_round_trip(kind: Any, marked: dict[str, Any]) -> None:
    """`marked` in full and in brief comes back as it was; nothing without "?" may be missing."""
    decoder = msgspec.json.Decoder(kind)
    whole = plain(marked)
    brief = {key: value for key, value in whole.items() if key in marked}
    for value in (whole, brief, {**whole, "unknownField": [1]}):
        again = json.loads(msgspec.json.encode(decoder.decode(json.dumps(value))))
        assert again == {key: item for key, item in value.items() if key != "unknownField"}
    for key in brief:
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(json.dumps({name: value for name, value in whole.items() if name != key}))


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(METHODS)


@pytest.mark.parametrize("name", TABLE)
def test_params_have_the_form_of_the_contract(name: str) -> None:
    check_round_trip(METHODS[name].params, TABLE[name][0])


@pytest.mark.parametrize("name", [name for name, (_, result) in TABLE.items() if result is not None])
def test_results_have_the_form_of_the_contract(name: str) -> None:
    check_round_trip(METHODS[name].result, TABLE[name][1] or {})


@pytest.mark.parametrize("name", ["workflow/start", "workflow/resume", "workflow/retry"])
def test_background_answers_have_a_form_of_their_own(name: str) -> None:
    check_round_trip(METHODS[name].background_result, STARTED)
    assert METHODS[name].decode_result(json.dumps(STARTED).encode()) == METHODS[name].decode_result(
        json.dumps({**STARTED, "more": 1}).encode()
    )


@pytest.mark.parametrize(
    ("kind", "marked"),
    [("RunSummary", SUMMARY), ("RunDetail", DETAIL), ("StepSummary", STEP), ("Interaction", INTERACTION)],
)
def test_nouns_have_the_form_of_the_contract(kind: str, marked: dict[str, Any]) -> None:
    from sidestep_protocol import tasks, workflow

    check_round_trip(getattr(workflow, kind, None) or getattr(tasks, kind), marked)


@pytest.mark.parametrize("event", EVENTS, ids=[event["type"] for event in EVENTS])
def test_events_have_the_form_of_the_contract(event: dict[str, Any]) -> None:
    check_round_trip(Event, {**event, "sequence": 1, "at": AT})


def test_every_event_type_has_an_example() -> None:
    assert tuple(event["type"] for event in EVENTS) == EVENT_TYPES


def test_an_event_of_a_newer_server_is_kept_as_it_came() -> None:
    """Hosts tolerate what they do not know; the sequence stays gap-free."""
    newer = {"type": "teleport", "sequence": 2, "at": AT, "type_name": {"x": 1}}
    page = with_known_events({"events": [PHASE, newer], "lastSequence": 2, "hasMore": False})
    known, unknown = msgspec.convert(page, EventsResult).events
    assert known.sequence == 1
    assert unknown == UnknownEvent(sequence=2, at=AT, event=newer)


@pytest.mark.parametrize("value", [None, 1, [], {"a": 1}, {"events": 4}, {"events": [4]}])
def test_other_values_are_left_alone(value: Any) -> None:
    assert with_known_events(value) == value


def test_an_unknown_status_is_tolerated_by_hosts_and_refused_by_servers() -> None:
    outcome = {"runId": "r", "status": "hibernating", "sequence": 1, "steps": COUNTS}
    assert METHODS["workflow/start"].decode_result(json.dumps(outcome).encode()).status == "hibernating"
    with pytest.raises(msgspec.ValidationError, match=r"\$\.status\[0\]"):
        msgspec.json.decode(b'{"status":["hibernating"]}', type=ListParams)


@pytest.mark.parametrize("key", ["jsonrpc", "method", "id", "type_name", "my-key", "class", "", "runId", "snake_case"])
def test_payload_keys_are_never_renamed(key: str) -> None:
    """W12: in arguments, log data, results, tasks and answers."""
    value = {key: {key: [None, 9007199254740993, 1.0, {"b": 1, "a": 2}]}}
    text = msgspec.json.encode(value)
    start = msgspec.json.decode(b'{"script":{"name":"n"},"args":' + text + b"}", type=StartParams)
    assert start.args == value
    assert text in msgspec.json.encode(start)
    for struct in (
        LogEvent(sequence=1, at=AT, message="m", data=value),
        RunResult(report=None, data=value),
        METHODS["workflow/answer"].params(interaction_id="i", answer=value),
        METHODS["workflow/runTask"].result(data=value),  # type: ignore[misc]
    ):
        assert text in msgspec.json.encode(struct)
        assert msgspec.json.decode(msgspec.json.encode(struct), type=type(struct)) == struct


@pytest.mark.parametrize(
    "script", [{"name": "n"}, {"uri": "file:///s"}, {"source": "x"}, {"source": "x", "name": "n"}, {"source": ""}]
)
def test_a_script_is_named_in_one_of_three_forms(script: dict[str, str]) -> None:
    assert msgspec.to_builtins(msgspec.convert({"script": script}, StartParams).script) == script


@pytest.mark.parametrize(
    "script", [{}, {"name": "n", "uri": "u"}, {"uri": "u", "source": "s"}, {"name": "n", "uri": "u", "source": "s"}]
)
def test_any_other_form_is_refused_at_its_path(script: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"exactly one of .* - at `\$\.script`"):
        msgspec.json.decode(json.dumps({"script": script}), type=StartParams)
    with pytest.raises(ValueError, match="exactly one"):
        ScriptRef(**script)


@pytest.mark.parametrize("params", [{}, {"uri": "u", "source": "s"}])
def test_validate_takes_one_of_two_forms(params: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="exactly one"):
        msgspec.convert(params, ValidateParams)


def test_null_is_sent_where_the_contract_says_so_and_refused_where_it_says_optional() -> None:
    assert msgspec.json.encode(ListResult(runs=[], next_cursor=None)) == b'{"runs":[],"nextCursor":null}'
    assert msgspec.json.encode(RunResult(report=None)) == b'{"report":null}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"script":{"name":"n"},"label":null}', type=StartParams)


def test_defaults_stay_off_the_wire() -> None:
    params = StartParams(script=ScriptRef(name="n"))
    assert msgspec.json.encode(params) == b'{"script":{"name":"n"}}'
    assert (params.args, params.mode, params.events) == ({}, "foreground", False)


@pytest.mark.parametrize(
    ("method", "field", "bad"),
    [
        ("workflow/list", "limit", (0, 101, -1)),
        ("workflow/steps", "limit", (0, 201)),
        ("workflow/events", "limit", (0, 501)),
        ("workflow/events", "afterSequence", (-1,)),
        ("workflow/start", "deadlineS", (0, -1.5, 31_622_401, 1e300)),
        ("workflow/resume", "deadlineS", (0, -1.5, 31_622_401, 1e300)),
        ("workflow/retry", "deadlineS", (0, -1.5, 31_622_401, 1e300)),
    ],
)
def test_numbers_outside_their_limits_are_refused(method: str, field: str, bad: tuple[float, ...]) -> None:
    params = {**plain(TABLE[method][0])}
    for number in bad:
        with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
            METHODS[method].decode_params(json.dumps({**params, field: number}).encode())


def test_structs_cannot_be_changed() -> None:
    event = StepEvent(sequence=1, at=AT, step_id="a", kind="command", key="k", status="started", attempt=1)
    with pytest.raises(AttributeError):
        event.status = "completed"  # type: ignore[misc]


def test_the_handshake_of_a_host() -> None:
    workflow = {"protocolVersions": [1], "events": True, "output": True, "runTask": True, "interaction": True}
    params = {
        "processId": 7,
        "clientInfo": {"name": "host", "version": "1"},
        "rootUri": "file:///w",
        "workspaceFolders": [{"uri": "file:///w", "name": "w"}],
        "capabilities": {"textDocument": {"a-b": 1}, "experimental": {"workflow": workflow}},
        "initializationOptions": {
            "trust": {"folders": ["file:///w"]},
            "autoResume": False,
            "permissionPolicy": "ask",
            "agents": {"a": {"kind": "acp", "command": "x", "args": ["y"], "promptVia": "stdin", "later": 1}},
            "defaultAgent": "a",
        },
        "trace": "off",
    }
    decoded = msgspec.convert(params, InitializeParams)
    again = msgspec.to_builtins(decoded)
    del params["initializationOptions"]["agents"]["a"]["later"]
    assert again == params
    capability = decoded.workflow_capability()
    assert capability is not None
    assert capability == msgspec.convert(workflow, ClientWorkflowCapability)
    assert common_version(capability) == 1
    assert common_version(ClientWorkflowCapability(protocol_versions=[2])) is None


@pytest.mark.parametrize(
    "params",
    [
        {},
        {
            "processId": None,
            "rootUri": None,
            "workspaceFolders": None,
            "initializationOptions": None,
            "clientInfo": None,
        },
        {"capabilities": {"experimental": None}, "workDoneToken": 1},
        {"capabilities": {"experimental": {"workflow": None}}},
        {"capabilities": {"experimental": {"other": 1}}},
    ],
)
def test_the_handshake_of_a_plain_editor(params: dict[str, Any]) -> None:
    decoded = msgspec.convert(params, InitializeParams)
    assert decoded.workflow_capability() is None
    assert decoded.options == InitializationOptions()
    assert decoded.options.auto_resume
    assert {"processId", "rootUri"} <= set(msgspec.to_builtins(decoded))


def test_the_answer_to_the_handshake() -> None:
    mine = {
        "protocolVersion": 1,
        "serverVersion": "0.1",
        "schemaHash": "h",
        "storeId": None,
        "serverEpoch": "e",
        "features": ["events"],
        "limits": {"messageBytesMax": 1},
    }
    result = msgspec.convert({"capabilities": {"experimental": {"workflow": mine}}}, InitializeResult)
    assert msgspec.to_builtins(result.workflow_capability()) == mine
    check_round_trip(ServerWorkflowCapability, mine)
    assert InitializeResult(capabilities={}).workflow_capability() is None


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (1769851800125, AT), (-1, "1969-12-31T23:59:59.999Z")],
)
def test_times_are_utc_with_milliseconds(milliseconds: int, text: str) -> None:
    assert format_timestamp(milliseconds) == text
    assert parse_timestamp(text) == milliseconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-31T09:30:00"])
def test_a_time_without_its_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(text)


def test_times_with_another_offset_are_understood() -> None:
    assert parse_timestamp("2026-01-31T10:30:00.125+01:00") == parse_timestamp(AT)
