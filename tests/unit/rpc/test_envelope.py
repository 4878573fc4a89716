"""W1, W5, W6, W8, W9, W11: whatever bytes a frame holds, the envelope makes one message of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidestep.rpc.envelope import (
    Malformed,
    Notification,
    Request,
    Response,
    decode,
    encode_error,
    encode_json,
    encode_notification,
    encode_request,
    encode_result,
)
from sidestep.rpc.errors import wire_error

# The first draw of text on a machine builds a table for seconds.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DEEP = b"[" * 200_000 + b"]" * 200_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# JavaScript strings: any UTF-16, also halves of pairs.
js_text = st.text(st.characters(codec=None, categories=None))


def check_malformed(body: bytes | str, *, reason: str, code: int, request_id: object = None) -> None:
    message = decode(body if isinstance(body, bytes) else body.encode())
    assert isinstance(message, Malformed), message
    assert (message.error.code, message.error.reason, message.id) == (code, reason, request_id)
    answer = json.loads(encode_error(message.id, message.error))
    assert answer["id"] == request_id
    assert answer["error"]["data"]["reason"] == reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"jsonrpc":"2.0","id":1,"method":"a"',
        b"\xef\xbb\xbf{}",
        b"{}\x00",
        b"\x00",
        b"nul",
        b"{'a':1}",
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":01}}',
        b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b"}",
    ],
)
def test_w1_w5_what_is_no_json_is_a_parse_error(body: bytes) -> None:
    check_malformed(body, reason="parseError", code=-32700)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "batch"),
        ('[{"jsonrpc":"2.0","id":1,"method":"a"}]', "batch"),
        ("42", "invalidRequest"),
        ("null", "invalidRequest"),
        ('"x"', "invalidRequest"),
        ("true", "invalidRequest"),
        ("{}", "invalidRequest"),
        ('{"jsonrpc":"2.0"}', "invalidRequest"),
        ('{"jsonrpc":"2.0","method":7}', "invalidRequest"),
        ('{"method":"a"}', "invalidRequest"),
        ('{"jsonrpc":"1.0","method":"a"}', "invalidRequest"),
    ],
)
def test_w8_what_is_no_message_is_answered_under_null(body: str, reason: str) -> None:
    check_malformed(body, reason=reason, code=-32600)


@pytest.mark.parametrize(
    "body",
    [
        '{"id":"r","method":"a"}',
        '{"jsonrpc":"1.0","id":"r","method":"a"}',
        '{"jsonrpc":2.0,"id":"r","method":"a"}',
        '{"jsonrpc":"2.0","id":"r","method":7}',
        '{"jsonrpc":"2.0","id":"r","method":null}',
        '{"jsonrpc":"2.0","id":"r","method":["a"],"params":{"id":5}}',
    ],
)
def test_w8_a_bad_request_with_a_good_id_is_answered_under_it(body: str) -> None:
    check_malformed(body, reason="invalidRequest", code=-32600, request_id="r")


@pytest.mark.parametrize("bad", ["null", "1.5", "1.0", "1e3", "true", "false", "{}", "[]", "[1]"])
def test_w9_a_bad_id_is_answered_under_null(bad: str) -> None:
    check_malformed(f'{{"jsonrpc":"2.0","id":{bad},"method":"a"}}', reason="badId", code=-32600)


@pytest.mark.parametrize("good", [1, 0, -1, "1", "", 2**53 + 1, 2**64 + 1, 10**30, "\ud800", "é", "\x00"])
def test_w9_a_good_id_comes_back_as_it_was(good: int | str) -> None:
    message = decode(json.dumps({"jsonrpc": "2.0", "id": good, "method": "a"}).encode())
    assert message == Request(good, "a", None)
    answer = json.loads(encode_result(message.id, None))
    assert answer == {"jsonrpc": "2.0", "id": good, "result": None}
    assert type(answer["id"]) is type(good)


def test_w6_a_body_nested_too_deep_is_answered_under_its_id() -> None:
    head = b'{"jsonrpc":"2.0","id":"deep","method":"a","params":{"id":1,"x":'
    check_malformed(head + DEEP + b"}}", reason="invalidRequest", code=-32600, request_id="deep")
    check_malformed(b'{"a":' + DEEP + b',"id":5}', reason="invalidRequest", code=-32600, request_id=5)
    check_malformed(b'{"a":' + DEEP + b',"id":1.5}', reason="invalidRequest", code=-32600)
    check_malformed(DEEP, reason="invalidRequest", code=-32600)


def test_w6_of_duplicate_keys_the_last_one_wins() -> None:
    message = decode(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"a","method":"b"}')
    assert message == Request(2, "b", None)


def test_w6_huge_numbers_pass_untouched_in_raw_params() -> None:
    message = decode(b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"n":1e999,"m":' + b"9" * 400 + b"}}")
    assert isinstance(message, Request)
    assert message.params is not None
    assert bytes(message.params) == b'{"n":1e999,"m":' + b"9" * 400 + b"}"


@pytest.mark.parametrize("where", ["params", "other", "\ud800"])
def test_w5_lone_surrogates_anywhere_leave_the_request_readable(where: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "a", where: {"x": "\udfff", "\ud800": 1}}).encode()
    message = decode(body)
    assert isinstance(message, Request)
    assert (message.id, message.method) == (1, "a")


def test_w5_invalid_utf8_in_params_leaves_the_request_answerable() -> None:
    message = decode(b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":"\xff"}}')
    assert isinstance(message, Request)


@pytest.mark.parametrize("params", [b"{}", b"null", b"[1,2]", b'{"jsonrpc":"x","id":7,"method":[]}'])
def test_w11_w12_params_stay_as_they_were_sent(params: bytes) -> None:
    message = decode(b'{"jsonrpc":"2.0","id":1,"method":"a","params":' + params + b',"extra":{"id":3}}')
    assert isinstance(message, Request)
    assert message.params is not None
    assert bytes(message.params) == params


def test_w11_absent_params_are_told_from_null_ones() -> None:
    message = decode(b'{"jsonrpc":"2.0","method":"a"}')
    assert message == Notification("a", None)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"jsonrpc":"2.0","id":"s","result":null}', Response("s", raw(None), None)),
        ('{"jsonrpc":"2.0","id":"s","result":{},"error":null}', Response("s", raw({}), None)),
        ('{"jsonrpc":"2.0","id":"s","error":{}}', Response("s", None, raw({}))),
        ('{"jsonrpc":"2.0","id":"s","result":1,"error":{}}', Response("s", raw(1), raw({}))),
        ('{"jsonrpc":"2.0","id":"s"}', Response("s", None, None)),
        ('{"jsonrpc":"2.0","id":null,"error":{}}', Response(None, None, raw({}))),
        ('{"jsonrpc":"2.0","id":1.5,"result":1}', Response(None, raw(1), None)),
        ('{"id":"s","result":1}', Response("s", raw(1), None)),
    ],
)
def test_w8_answers_are_never_malformed(body: str, expected: Response) -> None:
    assert decode(body.encode()) == expected


def test_a_null_result_is_sent() -> None:
    assert encode_result(1, None) == b'{"jsonrpc":"2.0","id":1,"result":null}'


def test_absent_params_are_sent_as_an_empty_object() -> None:
    assert json.loads(encode_notification("a", None))["params"] == {}
    assert json.loads(encode_request("s", "a", None))["params"] == {}


def test_w5_lone_surrogates_are_sent_escaped() -> None:
    value = {"raw": msgspec.Raw(b'{"type_name":1}'), "text": "\ud800"}
    assert json.loads(encode_json(value)) == {"raw": {"type_name": 1}, "text": "\ud800"}
    error = wire_error("invalidParams", "x", path="\ud800", expected="y")
    assert json.loads(encode_error("\udfff", error))["error"]["data"]["path"] == "\ud800"


@patient
@given(st.binary())
def test_any_bytes_make_exactly_one_message(body: bytes) -> None:
    message = decode(body)
    assert isinstance(message, Request | Notification | Response | Malformed)
    if isinstance(message, Malformed):
        json.loads(encode_error(message.id, message.error))


@pytest.mark.slow
@patient
@given(st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error"]), json_values))
def test_any_object_is_classified_by_the_rules(value: dict[str, Any]) -> None:
    message = decode(json.dumps(value).encode())
    has_good_id = isinstance(value.get("id"), int | str) and not isinstance(value.get("id"), bool)
    is_good = value.get("jsonrpc") == "2.0" and isinstance(value.get("method"), str)
    if is_good and has_good_id:
        assert isinstance(message, Request)
    elif is_good and "id" not in value:
        assert isinstance(message, Notification)
    elif "method" in value:
        assert isinstance(message, Malformed)
        assert message.id == (value["id"] if has_good_id else None)


@patient
@given(st.integers() | js_text, js_text, st.dictionaries(js_text, js_text | json_values, max_size=3))
def test_every_request_javascript_can_send_is_read(request_id: int | str, method: str, params: dict[str, Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()
    message = decode(body)
    assert isinstance(message, Request)
    assert (message.id, message.method) == (request_id, method)
    assert json.loads(bytes(message.params or b"")) == params


@pytest.mark.slow
@patient
@given(st.recursive(st.none() | js_text, lambda inner: st.lists(inner) | st.dictionaries(js_text, inner), max_leaves=8))
def test_everything_javascript_can_read_can_be_sent(value: Any) -> None:
    assert json.loads(encode_result(1, value))["result"] == value
