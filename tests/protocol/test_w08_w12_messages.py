"""W8 to W12: bodies that are JSON and no message, strange ids, ids used twice, strange params, payload keys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.protocol.host import Host, errors, frame, said, start_params
from tests.support.raw_client import count_of, notification, response_to

pytestmark = pytest.mark.slow

INVALID = (-32600, "invalidRequest")


@pytest.mark.parametrize(
    ("body", "request_id", "error"),
    [
        ("[]", None, (-32600, "batch")),
        ('[{"jsonrpc":"2.0","id":1,"method":"workflow/health"}]', None, (-32600, "batch")),
        ("[1,2]", None, (-32600, "batch")),
        ("42", None, INVALID),
        ("null", None, INVALID),
        ('"x"', None, INVALID),
        ("true", None, INVALID),
        ("{}", None, INVALID),
        ('{"jsonrpc":"2.0"}', None, INVALID),
        ('{"jsonrpc":"1.0","id":"r","method":"workflow/health"}', "r", INVALID),
        ('{"jsonrpc":2,"id":"r","method":"workflow/health"}', "r", INVALID),
        ('{"id":"r","method":"workflow/health"}', "r", INVALID),
        ('{"jsonrpc":"2.0","id":"r","method":7}', "r", INVALID),
        ('{"jsonrpc":"2.0","id":"r","method":null}', "r", INVALID),
        ('{"jsonrpc":"2.0","id":"r","params":{}}', "r", INVALID),
        ('{"jsonrpc":"2.0","method":7}', None, INVALID),
    ],
)
def test_w08_what_is_no_message_is_answered_once(
    shared: Host, body: str, request_id: str | None, error: tuple[int, str]
) -> None:
    assert errors(said(shared.client, frame(body))) == [(request_id, *error)]


@pytest.mark.parametrize(
    "body",
    [
        '{"jsonrpc":"2.0","id":"sidestep-1","result":1,"error":{"code":1,"message":"both"}}',
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"you sent nonsense"}}',
        '{"jsonrpc":"1.0","id":5,"result":{}}',
        '{"jsonrpc":"2.0","result":{}}',
    ],
)
def test_w08_an_answer_to_nothing_is_never_answered(shared: Host, body: str) -> None:
    assert said(shared.client, frame(body)) == []


@pytest.mark.parametrize("bad", ["null", "1.5", "1.0", "1e3", "true", "false", "{}", "[]", "[1]"])
def test_w09_what_is_no_id_is_answered_under_null(shared: Host, bad: str) -> None:
    body = f'{{"jsonrpc":"2.0","id":{bad},"method":"workflow/health"}}'
    assert errors(said(shared.client, frame(body))) == [(None, -32600, "badId")]


@pytest.mark.parametrize("good", ["", "1", " 1", "ü\x00", 0, -1, 2**53 + 1, -(2**63), 2**64 + 1, 10**40])
def test_w09_a_good_id_comes_back_as_it_was(shared: Host, good: int | str) -> None:
    (answer,) = said(shared.client, frame(json.dumps({"jsonrpc": "2.0", "id": good, "method": "test/none"})))
    assert (type(answer["id"]), answer["id"]) == (type(good), good)


def test_w09_1_and_its_text_are_two_requests(host: Host) -> None:
    for request_id in (1_000_001, "1000001"):
        params = start_params("async def main(t: str):\n    return t\n", args={"t": type(request_id).__name__})
        host.client.send({"id": request_id, "method": "workflow/start", "params": params})
    for request_id in (1_000_001, "1000001"):
        answer = host.client.expect(response_to(request_id))
        assert answer["result"]["result"]["report"] == type(request_id).__name__


def test_w10_an_id_in_flight_is_refused_under_null_and_free_again_after_its_answer(host: Host) -> None:
    number, run_id = host.gated()
    twice = frame(json.dumps({"jsonrpc": "2.0", "id": number, "method": "workflow/list", "params": {}}))
    (refused,) = said(host.client, twice)
    assert errors([refused]) == [(None, -32600, "duplicateId")]
    assert refused["error"]["data"]["id"] == number
    # The first request is as it was: its answer is its own.
    host.open_gate()
    assert host.client.expect(response_to(number))["result"]["runId"] == run_id
    mark = host.client.mark()
    host.client.send_bytes(twice)
    assert run_id in [run["runId"] for run in host.client.expect(response_to(number), since=mark)["result"]["runs"]]


def test_w10_two_requests_with_one_id_in_one_write(host: Host) -> None:
    request = {"id": "same", "method": "workflow/start", "params": start_params()}
    mark = host.client.mark()
    host.client.send(request, request)
    answers = host.client.expect(count_of(lambda m: "method" not in m, 2), since=mark)
    assert sorted((a["id"] is None, "error" in a) for a in answers) == [(False, False), (True, True)]
    assert len(host.runs()) == 1


@pytest.mark.parametrize("params", [None, "null", "{}", '{"unknown":1,"workDoneToken":"t"}', " { } "])
def test_w11_absent_null_and_extra_params_are_taken(shared: Host, params: str | None) -> None:
    member = "" if params is None else f',"params":{params}'
    body = f'{{"jsonrpc":"2.0","id":"r","method":"workflow/health"{member}}}'
    mark = shared.client.mark()
    shared.client.send_body(body.encode())
    assert shared.client.expect(response_to("r"), since=mark)["result"]["status"] == "ok"


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ("[]", "$"),
        ("[1]", "$"),
        ("7", "$"),
        ('"x"', "$"),
        ("true", "$"),
        ('{"runId":null}', "$.runId"),
        ('{"runId":["x"]}', "$.runId"),
        ('{"runId":"x","include":[1]}', "$.include[0]"),
        ("{}", "$.runId"),
        ("null", "$.runId"),
    ],
)
def test_w11_ill_typed_params_say_where(shared: Host, params: str, path: str) -> None:
    body = f'{{"jsonrpc":"2.0","id":"r","method":"workflow/get","params":{params}}}'
    (answer,) = said(shared.client, frame(body))
    assert errors([answer]) == [("r", -32602, "invalidParams")]
    assert answer["error"]["data"]["expected"]
    # A field that is missing is told with its place or with its name.
    assert answer["error"]["data"]["path"] == path or "runId" in answer["error"]["data"]["expected"]


KEYS: dict[str, Any] = {
    "jsonrpc": "2.0",
    "method": "exit",
    "id": None,
    "params": [],
    "result": {"jsonrpc": 1, "id": 2},
    "error": {},
    "type_name": "snake_case",
    "typeName": "camelCase",
    "my-key": "-",
    "class": "keyword",
    "": "empty",
    " ": "blank",
    "_0": "underscore",
    "__proto__": "prototype",
    "ünï\u2028": "unicode",
    "nested": [{"id": {"id": {"": [None, True, 0, -0.5, 1e300, ""]}}}],
}

ECHO = """
from sidestep import command

async def main(value: dict[str, object]):
    await command(["true"], id="step", stdin=value["class"])
    return {"data": value, "report": "r"}
"""


def test_w12_payload_keys_come_back_untouched_and_hash_alike_however_they_are_written(host: Host) -> None:
    source = ECHO.replace("dict[str, object]", "dict")
    plain = start_params(source, args={"value": KEYS}, startKey="k")
    first = host.client.result("workflow/start", plain)
    assert first["result"]["data"] == KEYS
    run_id = first["runId"]
    detail = host.client.result("workflow/get", {"runId": run_id, "include": ["args", "result"]})["run"]
    assert (detail["args"], detail["result"]["data"]) == ({"value": KEYS}, KEYS)

    # The same JSON in another spelling: order, escapes, blanks. It is the same start, and the same step.
    other = dict(reversed(KEYS.items()))
    spelled = json.dumps({**plain, "args": {"value": other}}, indent=3).replace('"class"', '"cl\\u0061ss"')
    host.client.send_body(
        f'{{"jsonrpc": "2.0", "id": "again", "method": "workflow/start", "params": {spelled}}}'.encode()
    )
    assert host.client.expect(response_to("again"))["result"]["runId"] == run_id
    fresh = json.loads(spelled) | {"startKey": "other"}
    second = host.client.result("workflow/start", fresh)["runId"]
    keys = [
        [step["key"] for step in host.client.result("workflow/steps", {"runId": each})["steps"]]
        for each in (run_id, second)
    ]
    assert second != run_id
    assert keys[0] == keys[1]


def test_w12_keys_of_log_data_and_phases_are_the_authors(host: Host) -> None:
    source = f"from sidestep import log, phase\n\nasync def main():\n    log('x', data={KEYS!r})\n"
    host.client.result("workflow/start", start_params(source))
    told = host.client.expect(notification("workflow/eventsAppended"))
    assert told
    events = [
        e for m in host.client.messages if m.get("method") == "workflow/eventsAppended" for e in m["params"]["events"]
    ]
    assert [event["data"] for event in events if event["type"] == "log"] == [{"data": KEYS}]
